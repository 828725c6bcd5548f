"""Articles about people, their works and inventions, and the lists that gather them."""
# ruff: noqa: RUF001 (the dash between two years is the right one)

from collections import defaultdict
from collections.abc import Iterator

from corpus.builtin.facts_people import ARTISTS, LEADERS, SCIENTISTS, WRITERS, Person
from corpus.builtin.facts_works import INVENTIONS, WORKS, Invention, Work
from corpus.builtin.sentences import Draft, a, capitalized, ordinal, possessive, series

PEOPLE = SCIENTISTS + WRITERS + ARTISTS + LEADERS
BY_NAME = {person.name: person for person in PEOPLE}
WAS = "{name} was {a_kind}."


def facts(person: Person) -> dict[str, str]:
    """Return what the sentence patterns about a person may name."""
    return person._asdict() | {
        "a_kind": a(f"{person.nationality} {person.occupation}"),
        "They": capitalized(person.pronoun),
        "their": {"he": "his", "she": "her"}[person.pronoun],
        "owner": possessive(person.name),
    }


def born_year(person: Person) -> int:
    """Return the year of birth, negative before the common era."""
    words = person.born.split()
    number = int(next(word for word in words if word.isdigit()))
    return -number if "BC" in words else number


BORN = {person.name: born_year(person) for person in PEOPLE}


def century(year: int) -> str:
    """Name the century of a year: 1601 to 1700 is "the 17th century"."""
    return (
        f"the {ordinal((year - 1) // 100 + 1)} century"
        if year > 0
        else f"the {ordinal((-year - 1) // 100 + 1)} century BC"
    )


def say_dates(draft: Draft, person: Person) -> None:
    """Tell the years of birth and death."""
    known = facts(person)
    if "c." in person.born:
        draft.say("{They} was born about {year}.", year=person.born.removeprefix("c. "), **known)
    else:
        draft.say("{They} was born in {born}.", "{name} was born in {born}.", **known)
    if "c." in person.died:
        draft.say("{They} died about {year}.", year=person.died.removeprefix("c. "), **known)
    else:
        draft.say("{They} died in {died}.", "{name} died in {died}.", **known)


def person_article(person: Person) -> Draft:
    """Write the article of a person."""
    draft, known = Draft(person.name), facts(person)
    draft.say(
        "{name} ({born} – {died}) was {a_kind}."
        if " " in person.born + person.died
        else "{name} ({born}–{died}) was {a_kind}.",
        WAS,
        **known,
    )
    draft.say("{They} {about}.", "{name} {about}.", **known)
    draft.section("Life")
    say_dates(draft, person)
    say_contemporaries(draft, person)
    works = [work.title for work in WORKS if work.author == person.name]
    inventions = [invention for invention in INVENTIONS if invention.inventor == person.name]
    draft.section("Work")
    draft.say(WAS, **known)
    for invention in inventions:
        say_invention(draft, invention)
    if len(works) > 1:
        draft.say(
            "Among {their} works are {works}.", "{owner} works include {works}.", works=series(works), **known
        )
    elif works:
        draft.say(
            "One of {their} best-known works is {works}.",
            "{owner} best-known works include {works}.",
            works=works[0],
            **known,
        )
    others = [
        p.name
        for p in PEOPLE
        if p.occupation == person.occupation and p.nationality == person.nationality and p is not person
    ]
    if others:
        draft.section("See also")
        draft.say(
            "Other {nationality} people in the same field were {others}."
            if len(others) > 1
            else "Another {nationality} {occupation} was {others}.",
            others=series(others[:5]),
            **known,
        )
    return draft


def say_contemporaries(draft: Draft, person: Person) -> None:
    """Name the three people who were born nearest in time, at most ten years apart."""
    year = BORN[person.name]
    others = [p for p in PEOPLE if abs(BORN[p.name] - year) <= 10 and p is not person]
    if others:
        nearest = sorted(others, key=lambda p: abs(BORN[p.name] - year))[:3]
        draft.say(
            "Of about the same age {verb} {others}.",
            "{others} {verb} born at about the same time.",
            verb="was" if len(nearest) == 1 else "were",
            others=series(p.name for p in nearest),
        )


def say_work(draft: Draft, work: Work) -> None:
    """Say what a work is, by whom and from when."""
    known = work._asdict() | {"a_form": a(work.form), "when": when(work.year)}
    draft.say(
        "{title} is {a_form} by {author}.",
        "{title} is {a_form} by {author} that dates from {when}.",
        "{author} created {title} {in_when}.",
        in_when=in_year(work.year),
        **known,
    )


def when(year: str) -> str:
    """Say a year that may be uncertain: "1600" or "about 1600"."""
    return year.replace("c. ", "about ")


def in_year(year: str) -> str:
    """Say "in 1600" or "about 1600"."""
    return when(year) if "c." in year else f"in {year}"


def work_article(work: Work) -> Draft:
    """Write the article of a work."""
    draft = Draft(work.title if work.title not in BY_NAME else f"{work.title} ({work.form})")
    author = BY_NAME[work.author]
    known = work._asdict() | {"a_form": a(work.form), "in_when": in_year(work.year)}
    draft.say(
        "{title} is {a_form} by {author}.",
        "{title} is {a_form} by the {craft} {author}.",
        craft=author.occupation,
        **known,
    )
    draft.say("It {about}.", "The {form} {about}.", **known)
    draft.say(
        "It dates from {when}.",
        "{author} finished it {in_when}." if "c." not in work.year else "It was finished {in_when}.",
        when=when(work.year),
        **known,
    )
    draft.section("Author")
    draft.say(WAS, **facts(author))
    draft.say("{They} {about}.", "{name} {about}.", **facts(author))
    others = [w.title for w in WORKS if w.author == work.author and w is not work]
    if others:
        draft.say(
            "Other works by {author} are {others}."
            if len(others) > 1
            else "Another work by {author} is {others}.",
            author=work.author,
            others=series(others),
        )
    return draft


def say_invention(draft: Draft, invention: Invention) -> None:
    """Say who made a thing, and when."""
    draft.say(
        "{inventor} {verb} {name} in {year}.",
        "In {year}, {inventor} {verb} {name}.",
        **invention._asdict(),
    )


def invention_article(invention: Invention) -> Draft:
    """Write the article of an invention or discovery."""
    draft = Draft("History of " + invention.name)
    person = BY_NAME[invention.inventor]
    draft.say("{name} {about}.", **invention._asdict())
    say_invention(draft, invention)
    draft.section("Inventor")
    draft.say(WAS, **facts(person))
    draft.say("{They} {about}.", **facts(person))
    say_dates(draft, person)
    return draft


def say_shortly(draft: Draft, person: Person) -> None:
    """Say who a person was in a list."""
    known = facts(person)
    draft.say(WAS, **known)
    draft.say("{They} {about}.", "{name} {about}.", **known)


def gathered(key: dict[str, list[Person]], heading: str, lead: str) -> Iterator[Draft]:
    """Write one list for each group of at least two people, five to a paragraph."""
    for name, members in sorted(key.items()):
        if len(members) < 2:
            continue
        draft = Draft(heading.format(name=name))
        draft.say(lead.format(name=name))
        for place, person in enumerate(members):
            if place % 5 == 0:
                draft.paragraph()
            say_shortly(draft, person)
        yield draft


def lists() -> Iterator[Draft]:
    """Write the lists of people by nationality, birth and field."""
    by_nationality: dict[str, list[Person]] = defaultdict(list)
    by_century: dict[str, list[Person]] = defaultdict(list)
    for person in PEOPLE:
        by_nationality[person.nationality].append(person)
        by_century[century(BORN[person.name])].append(person)
    yield from gathered(
        dict(by_nationality),
        "List of {name} people",
        "This list names {name} people of the past who became famous.",
    )
    for kinds, members in (
        ("scientists", SCIENTISTS),
        ("writers", WRITERS),
        ("artists", ARTISTS),
        ("leaders", LEADERS),
    ):
        by_letter: dict[str, list[Person]] = defaultdict(list)
        for person in members:
            by_letter[person.name[0]].append(person)
        yield from gathered(
            dict(by_letter),
            f"List of {kinds}: {{name}}",
            f"These {kinds} have names that begin with the letter {{name}}.",
        )
    for name, members in by_century.items():
        draft = Draft(f"People of {name}")
        draft.say("These people were born in {name}.", name=name)
        for place, person in enumerate(members):
            if place % 6 == 0:
                draft.paragraph()
            draft.say(WAS, "{name}, {a_kind}, was born {when}.", when=in_year(person.born), **facts(person))
        yield draft
    works_by_form: dict[str, list[Work]] = defaultdict(list)
    for work in WORKS:
        works_by_form[work.form].append(work)
    for form, works in works_by_form.items():
        if len(works) > 2:
            draft = Draft(f"Famous works: {form}")
            draft.say("Each work in this list is {a_form}.", a_form=a(form))
            for work in works:
                say_work(draft, work)
                draft.say("It {about}.", **work._asdict())
            yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about people and works."""
    yield from map(person_article, PEOPLE)
    yield from map(work_article, WORKS)
    yield from map(invention_article, INVENTIONS)
    yield from lists()
