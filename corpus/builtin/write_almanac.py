"""Almanac pages: each states a dozen facts from all tables, in the words of the other articles.

A fact that an article or two tell is seen too rarely for a small model to remember it. The almanac tells each of them
EDITIONS times more, each time beside other facts.
"""

from collections.abc import Iterator

from corpus.builtin.facts_countries import COUNTRIES
from corpus.builtin.facts_elements import ELEMENTS
from corpus.builtin.facts_history import EVENTS
from corpus.builtin.facts_works import WORKS
from corpus.builtin.sentences import Draft, a, shuffled
from corpus.builtin.write_elements import NUMBER, SYMBOL
from corpus.builtin.write_people import BY_NAME, PEOPLE, WAS, facts

EDITIONS = 10
FACTS_PER_PAGE, FACTS_PER_PARAGRAPH = 12, 4

Statement = tuple[tuple[str, ...], dict[str, str]]  # the patterns of a sentence, and what to fill in


def statements() -> Iterator[Statement]:
    """Yield every fact that the other articles state rarely: all but "the capital of X is Y"."""
    for country in COUNTRIES:
        known = country._asdict()
        yield ("{capital} is the capital of {name}.",), known
        yield ("{capital} is the capital city of {name}.",), known
        yield (
            ("The currency of {name} is the {currency}.", "People in {name} pay with the {currency}."),
            known,
        )
        if "," not in country.languages:
            yield (
                (
                    "The language of public life in {name} is {languages}.",
                    "The government of {name} works in {languages}.",
                    "Public offices in {name} use {languages}.",
                ),
                known,
            )
    for element in ELEMENTS:
        patterns = ("Chemists write {symbol} for {name}.", "In chemistry, {symbol} stands for {name}.")
        yield patterns, element._asdict()
        yield (SYMBOL,), element._asdict()
        yield (NUMBER,), element._asdict()
    for work in WORKS:
        known = work._asdict() | {"a_form": a(work.form), "craft": BY_NAME[work.author].occupation}
        yield ("{title} is {a_form} by {author}.",), known
        yield ("{title} is {a_form} by the {craft} {author}.",), known
    for event in EVENTS:
        yield ("{name} took place in {year}.",), event._asdict()
        yield ("{name} belongs to the year {year}.",), event._asdict()
    for person in PEOPLE:
        yield (WAS,), facts(person)


def drafts() -> Iterator[Draft]:
    """Write every page."""
    number = 0
    for edition in range(EDITIONS):
        in_order = shuffled(f"almanac, edition {edition}", statements())
        for start in range(0, len(in_order), FACTS_PER_PAGE):
            number += 1
            draft = Draft(f"Almanac, page {number}")
            for place, (patterns, known) in enumerate(in_order[start : start + FACTS_PER_PAGE]):
                if place % FACTS_PER_PARAGRAPH == 0:
                    draft.paragraph()
                draft.say(*patterns, **known)
            yield draft
