"""Articles about the chemical elements, and the rows, columns, families and lists that gather them."""

from collections.abc import Iterator

from corpus.builtin.facts_elements import CATEGORIES, ELEMENTS, ISOLATED, Element, group, period
from corpus.builtin.sentences import Draft, a, capitalized, in_words, ordinal_in_words, series

SYMBOL = "The chemical symbol of {name} is {symbol}."
NUMBER = "The atomic number of {name} is {number}."


def facts(element: Element) -> dict[str, str]:
    """Return what the sentence patterns about an element may name."""
    number = int(element.number)
    return element._asdict() | {
        "a_category": a(element.category),
        "words": in_words(number),
        "row": str(period(number)),
        "row_words": ordinal_in_words(period(number)),
        "column": str(group(number)),
    }


def say_discovery(draft: Draft, element: Element) -> None:
    """Tell who found the element, and when."""
    year, _, people = element.discovery.partition(" ")
    known = facts(element) | {"year": year, "people": people}
    made = "discovered"
    if element.symbol in ISOLATED:
        made = "isolated"
    elif element.number in ("43", "61", "85") or int(element.number) > 92:
        made = "made"
    if year == "antiquity":
        draft.say(
            "{name} has been known since antiquity.",
            "People have known {name} since antiquity.",
            "{name} was already known in antiquity.",
            **known,
        )
    elif int(element.number) == 33:
        draft.say("{people} is said to have isolated {name} about {year}.", **known)
    elif year:
        draft.say(
            "{name} was first {made} in {year} by {people}."
            if made == "made"
            else "{name} was {made} in {year} by {people}.",
            "{people} {made} {name} in {year}.",
            "In {year}, {people} {made} {name}.",
            made=made,
            **known,
        )


def say_place(draft: Draft, element: Element) -> None:
    """Tell the row and column of the periodic table."""
    known = facts(element)
    if group(int(element.number)) is None:
        draft.say(
            "It belongs to period {row} of the periodic table.",
            "In the periodic table it stands in period {row}.",
            **known,
        )
    else:
        draft.say(
            "In the periodic table, {name} stands in group {column} and period {row}.",
            "It belongs to group {column} and period {row} of the periodic table.",
            **known,
        )


def say_neighbours(draft: Draft, element: Element) -> None:
    """Name the elements before and after."""
    place = int(element.number) - 1
    if place > 0:
        draft.say(
            "The element before it is {other}, with the atomic number {n}.",
            "It follows {other}, the element number {n}.",
            other=ELEMENTS[place - 1].name,
            n=place,
        )
    if place < 117:
        draft.say(
            "The next element is {other}, with the atomic number {n}.",
            "It is followed by {other}, the element number {n}.",
            other=ELEMENTS[place + 1].name,
            n=place + 2,
        )


def element_article(element: Element) -> Draft:
    """Write the main article of an element."""
    # Mercury is a planet too, and lead many things.
    ambiguous = {"mercury": "Mercury (element)"}
    draft, known = Draft(ambiguous.get(element.name, capitalized(element.name))), facts(element)
    draft.say("{name} is a chemical element.", "{name} is one of the chemical elements.", **known)
    draft.say(SYMBOL, **known)
    draft.say(NUMBER, **known)
    draft.say("{name} {about}.", "The element {about}.", **known)
    draft.section("Properties")
    draft.say(
        "{name} is {a_category}.",
        "Chemists class {name} as {a_category}.",
        "It is {a_category}.",
        **known,
    )
    if element.phase:
        draft.say(
            "At room temperature it is a {phase}.",
            "{name} is a {phase} at room temperature.",
            "Under normal conditions {name} is a {phase}.",
            **known,
        )
    draft.say(
        "An atom of {name} has {words} protons."
        if element.number != "1"
        else "An atom of {name} has one proton.",
        "Each atom of {name} has {number} protons in its nucleus."
        if element.number != "1"
        else "Each atom of {name} has one proton in its nucleus.",
        **known,
    )
    if element.mass:
        draft.say(
            "Its standard atomic weight is about {mass}.",
            "The atomic weight of {name} is about {mass}.",
            **known,
        )
    say_place(draft, element)
    draft.section("History")
    say_discovery(draft, element)
    draft.say(
        "Chemists write {symbol} for {name}.",
        "In formulas {name} is written {symbol}.",
        "In chemistry, {symbol} stands for {name}.",
        **known,
    )
    say_neighbours(draft, element)
    return draft


def chemistry_article(element: Element) -> Draft:
    """Write a second article, which says how an element is written and what it is for."""
    draft, known = Draft(f"Symbol of {element.name}"), facts(element)
    draft.say(SYMBOL, **known)
    draft.say(
        "Chemists all over the world use the symbol {symbol}, whatever language they speak.",
        "The symbol {symbol} is the same in every language.",
        "One atom of {name} is written {symbol} in a formula.",
        **known,
    )
    draft.say(NUMBER, **known)
    draft.say("The element {about}.", "{name} {about}.", **known)
    say_place(draft, element)
    return draft


def entry(draft: Draft, element: Element) -> None:
    """Say symbol and number in a list."""
    known = facts(element)
    draft.say(SYMBOL, **known)
    draft.say(NUMBER, **known)


def short_entry(draft: Draft, element: Element) -> None:
    """Say symbol and number in one sentence, in several ways."""
    draft.say(
        "{name} has the symbol {symbol} and the atomic number {number}.",
        "The element number {number} is {name}, with the symbol {symbol}.",
        "{symbol} is the symbol of {name}, the element number {number}.",
        **facts(element),
    )


def list_article(title: str, lead: str, members: list[Element], short: bool = False) -> Draft:
    """Write a list of elements, five to a paragraph."""
    draft = Draft(title)
    draft.say(lead)
    for place, element in enumerate(members):
        if place % 5 == 0:
            draft.paragraph()
        (short_entry if short else entry)(draft, element)
    return draft


def lists() -> Iterator[Draft]:
    """Write every list of elements."""
    for category, trait in CATEGORIES.items():
        members = [e for e in ELEMENTS if e.category == category]
        plural = category + ("es" if category.endswith("s") else "s")
        names = series(e.name for e in members)
        lead = f"The {plural} {trait}. The {in_words(len(members))} {plural} are {names}."
        yield list_article(capitalized(category), lead, members)
    for row in range(1, 8):
        members = [e for e in ELEMENTS if period(int(e.number)) == row]
        lead = f"Period {row} of the periodic table has {in_words(len(members))} elements, from {members[0].name} to {members[-1].name}."
        yield list_article(f"Period {row} element", lead, members, short=True)
    for column in range(1, 19):
        members = [e for e in ELEMENTS if group(int(e.number)) == column]
        names = series(e.name for e in members)
        yield list_article(
            f"Group {column} element", f"Group {column} of the periodic table holds {names}.", members
        )
    for letter in sorted({e.name[0] for e in ELEMENTS}):
        members = sorted((e for e in ELEMENTS if e.name[0] == letter), key=lambda e: e.name)
        if len(members) == 1:
            continue
        lead = f"These are the chemical elements whose English name begins with the letter {letter.upper()}."
        yield list_article(f"Elements that begin with {letter.upper()}", lead, members)
    for phase in ("gas", "liquid"):
        members = [e for e in ELEMENTS if e.phase == phase]
        plural = {"gas": "gases", "liquid": "liquids"}[phase]
        lead = f"At room temperature these {in_words(len(members))} elements are {plural}."
        yield list_article(f"Elements that are {plural}", lead, members, short=True)
    yield history()


def history() -> Draft:
    """Write the story of the discoveries, century by century."""
    draft = Draft("Discovery of the chemical elements")
    draft.say("The chemical elements were discovered one after another over many centuries.")
    draft.section("Antiquity")
    for element in ELEMENTS:
        if element.discovery == "antiquity":
            say_discovery(draft, element)
    for first, heading in (
        (1600, "17th century"),
        (1700, "18th century"),
        (1800, "19th century"),
        (1900, "20th century"),
    ):
        draft.section(heading)
        years = sorted((int(e.discovery[:4]), int(e.number)) for e in ELEMENTS if e.discovery[:1].isdigit())
        for year, number in years:
            if first <= year < first + 100:
                say_discovery(draft, ELEMENTS[number - 1])
    return draft


def drafts() -> Iterator[Draft]:
    """Write all articles about elements."""
    for element in ELEMENTS:
        yield element_article(element)
        yield chemistry_article(element)
    yield from lists()
