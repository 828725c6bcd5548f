"""Articles about events and about the years in which they happened, with the calendar of each year."""

import calendar
from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from corpus.builtin.facts_elements import ELEMENTS
from corpus.builtin.facts_history import EVENTS, Event
from corpus.builtin.facts_works import WORKS
from corpus.builtin.sentences import Draft, a, capitalized, in_words, ordinal, ordinal_in_words, series
from corpus.builtin.write_elements import say_discovery
from corpus.builtin.write_numbers import roman
from corpus.builtin.write_people import PEOPLE, century

WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
CALENDAR_YEARS = range(1900, 2025)


def title(event: Event) -> str:
    """Return the title of an event's article."""
    return capitalized(event.name.removeprefix("the "))


def event_article(event: Event) -> Draft:
    """Write the article of an event."""
    draft, known = Draft(title(event)), event._asdict() | {"century": century(int(event.year))}
    draft.say(
        "{name} took place in {year}.",
        "{name} was an event of {century}.",
        "{name} belongs to the year {year}.",
        **known,
    )
    draft.say("In {year}, {about}.", **known)
    draft.section("Background")
    draft.say(
        "It is an event in the history of {place}.", "The event belongs to the history of {place}.", **known
    )
    draft.say("It happened in {century}.", "The year {year} lies in {century}.", **known)
    draft.section("Consequences")
    draft.say(event.later)
    place = EVENTS.index(event)
    draft.section("Chronology")
    if place > 0:
        draft.say("An earlier event was {name} in {year}.", **EVENTS[place - 1]._asdict())
    if place + 1 < len(EVENTS):
        draft.say("A later event was {name} in {year}.", **EVENTS[place + 1]._asdict())
    return draft


def say_events(draft: Draft, year: int) -> None:
    """Say what happened in a year: events, discoveries, works."""
    for event in EVENTS:
        if int(event.year) == year:
            draft.say("In {year}, {about}.", "The year {year} saw {name}.", **event._asdict())
            draft.say(event.later)
    for element in ELEMENTS:
        if element.discovery.startswith(f"{year} ") and year > 1300:
            say_discovery(draft, element)
    for work in WORKS:
        if work.year == str(year):
            draft.say(
                "{title}, {a_form} by {author}, dates from {year}.", a_form=a(work.form), **work._asdict()
            )


def say_lives(draft: Draft, year: int) -> None:
    """Say who was born and who died in a year."""
    for person in PEOPLE:
        for verb, when in (("was born", person.born), ("died", person.died)):
            if when == str(year):
                draft.say(
                    "{name}, {kind}, {verb} in {year}.",
                    name=person.name,
                    kind=a(f"{person.nationality} {person.occupation}"),
                    verb=verb,
                    year=year,
                )


def say_calendar(draft: Draft, year: int) -> None:
    """Say the calendar of a year: its length, and the weekdays of some dates."""
    if calendar.isleap(year):
        draft.say(
            "{year} was a leap year and had 366 days.", "As a leap year, {year} had 366 days.", year=year
        )
    else:
        draft.say("{year} was a common year and had 365 days.", "The year {year} had 365 days.", year=year)
    for month, day in ((1, 1), (3, 1), (7, 1), (12, 25), (12, 31)):
        weekday = WEEKDAYS[date(year, month, day).weekday()]
        draft.say(
            "{day} {month} {year} was a {weekday}.",
            "In {year}, the {rank} of {month} was a {weekday}.",
            day=day,
            rank=ordinal(day),
            month=MONTHS[month - 1],
            year=year,
            weekday=weekday,
        )


def year_article(year: int) -> Draft:
    """Write the article of a year."""
    draft = Draft(f"{year} (year)")
    draft.say(
        "{year} was a year of {century}.",
        "The year {year} belongs to {century}.",
        year=year,
        century=century(year),
    )
    draft.say("In Roman numerals it is written {roman}.", "Its Roman numeral is {roman}.", roman=roman(year))
    draft.section("Events")
    say_events(draft, year)
    draft.section("Births and deaths")
    say_lives(draft, year)
    if year in CALENDAR_YEARS:
        draft.section("Calendar")
        say_calendar(draft, year)
    draft.section("Chronology")
    draft.say(
        "The year before was {before}, and the year after was {after}.",
        "It came after {before} and before {after}.",
        before=year - 1,
        after=year + 1,
    )
    return draft


def busy_years() -> list[int]:
    """Return the years with something to tell, in order."""
    years = {int(event.year) for event in EVENTS}
    for person in PEOPLE:
        years |= {int(year) for year in (person.born, person.died) if year.isdigit()}
    years |= {int(work.year) for work in WORKS if work.year.isdigit()}
    return sorted(year for year in years if year > 1000)


def month_articles() -> Iterator[Draft]:
    """Write an article for each month and each day of the week."""
    for number, month in enumerate(MONTHS, 1):
        draft = Draft(month)
        draft.say("{month} is the {rank} month of the year.", month=month, rank=ordinal_in_words(number))
        days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][number - 1]
        if number == 2:
            draft.say("It has 28 days, and 29 days in a leap year.")
        else:
            draft.say("It has {days} days.", "{month} has {days} days.", month=month, days=days)
        draft.say(
            "The month before is {before}, and the month after is {after}.",
            before=MONTHS[number - 2],
            after=MONTHS[number % 12],
        )
        for year in range(2014, 2025):
            weekday = WEEKDAYS[date(year, number, 1).weekday()]
            draft.say(
                "In {year}, {month} began on a {weekday}.",
                "1 {month} {year} was a {weekday}.",
                year=year,
                month=month,
                weekday=weekday,
            )
        yield draft
    for number, weekday in enumerate(WEEKDAYS):
        draft = Draft(weekday)
        draft.say(
            "{weekday} is a day of the week.",
            "{weekday} is one of the seven days of the week.",
            weekday=weekday,
        )
        draft.say(
            "It comes after {before} and before {after}.",
            before=WEEKDAYS[number - 1],
            after=WEEKDAYS[(number + 1) % 7],
        )
        draft.say("Counted from Monday, it is the {rank} day of the week.", rank=ordinal_in_words(number + 1))
        yield draft


def lists() -> Iterator[Draft]:
    """Write a chronology for each century."""
    by_century: dict[str, list[Event]] = defaultdict(list)
    for event in EVENTS:
        by_century[century(int(event.year))].append(event)
    for name, events in by_century.items():
        draft = Draft(f"Chronology of {name}")
        draft.say(
            "This chronology tells of {count} events of {name}."
            if len(events) > 1
            else "This chronology tells of one event of {name}.",
            count=in_words(len(events)),
            name=name,
        )
        for place, event in enumerate(events):
            if place % 5 == 0:
                draft.paragraph()
            draft.say("In {year}, {about}.", "The year {year} saw {name}: {about}.", **event._asdict())
        yield draft
    leap = [str(year) for year in CALENDAR_YEARS if calendar.isleap(year)]
    draft = Draft("Leap year")
    draft.say("A leap year has 366 days, because February has 29 days.")
    draft.say(
        "A year that four divides is a leap year, unless a hundred divides it and four hundred does not."
    )
    draft.say("The leap years from 1900 to 2024 are {years}.", years=series(leap))
    yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about events, years, months and weekdays."""
    yield from map(event_article, EVENTS)
    yield from map(year_article, busy_years())
    yield from month_articles()
    yield from lists()
