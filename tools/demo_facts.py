"""Write the questions that measure what the demo's model knows: `python -m tools.demo_facts --out_dir=configs`.

`demo_facts.jsonl` has 300 prompts, 30 of each kind, drawn at random from all facts of the built-in corpus's tables that
the demo's training split states in the words of the prompt and its completion. `demo_facts_reworded.jsonl` asks for 100
such facts, 10 of each kind, in wordings that no article has.
"""

import itertools
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from corpus.articles import documents, read_batches
from corpus.builtin.facts_countries import COUNTRIES
from corpus.builtin.facts_elements import ELEMENTS
from corpus.builtin.facts_history import EVENTS
from corpus.builtin.facts_people import Person
from corpus.builtin.facts_works import WORKS, Work
from corpus.builtin.sentences import a, capitalized
from corpus.builtin.write_people import BY_NAME, PEOPLE
from corpus.sources import find_source
from system.command_line import parse_config
from system.errors import run_command, say
from system.files import write_jsonl
from system.settings import PathText, checked

VALIDATION_FRACTION = 0.05  # as in `make demo`
N_PROMPTS, N_REWORDED = 30, 10  # of each kind
SMALL_WORDS = {"and", "of", "the"}  # give no completion away

Fact = dict[str, str]


class Kind(NamedTuple):
    """One kind of question: wordings that the corpus has, one that it has not, the answer, and the facts to fill in."""

    name: str
    wordings: tuple[str, ...]
    rewording: str
    answer: str
    facts: list[Fact]


class Question(NamedTuple):
    """A prompt, and the completion that is right."""

    kind: str
    prompt: str
    completion: str


@checked
@dataclass(frozen=True)
class QuestionsConfig:
    """The settings of `tools.demo_facts`."""

    out_dir: PathText = "configs"  # folder for demo_facts.jsonl and demo_facts_reworded.jsonl


def kinds() -> list[Kind]:
    """Return the kinds of questions."""
    countries = [country._asdict() for country in COUNTRIES]
    elements = [element._asdict() for element in ELEMENTS]
    return [
        Kind(
            "capital",
            ("The capital of {name} is",),
            "The city that serves as the capital of {name} is",
            "{capital}",
            countries,
        ),
        Kind(
            "country",
            ("{capital} is the capital of", "{capital} is the capital city of"),
            "The country whose capital is {capital} is",
            "{name}",
            countries,
        ),
        Kind(
            "currency",
            ("The currency of {name} is the", "People in {name} pay with the"),
            "The money that is used in {name} is the",
            "{currency}",
            countries,
        ),
        Kind(
            "language",
            (
                "The language of public life in {name} is",
                "The government of {name} works in",
                "Public offices in {name} use",
            ),
            "The laws of {name} are written in",
            "{languages}",
            [country for country in countries if ", " not in country["languages"]],
        ),
        Kind(
            "symbol",
            ("The chemical symbol of {name} is",),
            "Chemists abbreviate {name} as",
            "{symbol}",
            elements,
        ),
        Kind(
            "number",
            ("The atomic number of {name} is",),
            "In the periodic table, {name} has the number",
            "{number}",
            elements,
        ),
        Kind(
            "element",
            ("Chemists write {symbol} for", "In chemistry, {symbol} stands for"),
            "The element whose symbol is {symbol} is",
            "{name}",
            elements,
        ),
        Kind(
            "author",
            ("{title} is {a_form} by", "{title} is {a_form} by the {craft}"),
            "The {form} {title} is the work of",
            "{author}",
            [work_fact(work) for work in WORKS],
        ),
        Kind(
            "year",
            ("{name} took place in", "An earlier event was {name} in", "A later event was {name} in"),
            "The year of {name} was",
            "{year}",
            [event._asdict() for event in EVENTS],
        ),
        Kind(
            "person",
            ("{name} was {article}",),
            "History remembers {name} as {article}",
            "{who}",
            [person_fact(person) for person in PEOPLE],
        ),
    ]


def work_fact(work: Work) -> Fact:
    """Return a work with what its author was."""
    return work._asdict() | {"a_form": a(work.form), "craft": BY_NAME[work.author].occupation}


def person_fact(person: Person) -> Fact:
    """Return who a person was, apart from the indefinite article: it belongs to the prompt."""
    article, who = a(f"{person.nationality} {person.occupation}").split(" ", 1)
    return {"name": person.name, "article": article, "who": who}


def training_text() -> str:
    """Return all articles that the demo trains on."""
    every = (
        document
        for batch in read_batches(find_source("builtin", "", "", 0))
        for document in documents(batch, VALIDATION_FRACTION)
    )
    return "\n".join(document.text for document in every if document.split == "train")


def questions() -> tuple[list[Question], list[Question]]:
    """Return the questions in the corpus's words and the reworded ones, the same on every call."""
    text = training_text()
    own: list[Question] = []
    reworded: list[Question] = []
    for kind in kinds():
        chooser = random.Random(f"facts of the demo: {kind.name}")
        stated = [[q for q in asked if is_stated(q, text)] for asked in fair(kind, kind.wordings)]
        others = fair(kind, (kind.rewording,))
        own += map(chooser.choice, chooser.sample([asked for asked in stated if asked], N_PROMPTS))
        known = [other for asked, other in zip(stated, others, strict=True) if asked and other]
        reworded += map(chooser.choice, chooser.sample(known, N_REWORDED))
    return own, reworded


def fair(kind: Kind, wordings: Iterable[str]) -> list[list[Question]]:
    """Return the questions for each fact, without those that have two answers or give theirs away."""
    every = [
        [
            Question(kind.name, capitalized(wording.format(**fact)), " " + kind.answer.format(**fact))
            for wording in wordings
        ]
        for fact in kind.facts
    ]
    answers = defaultdict(set)
    for question in itertools.chain(*every):
        answers[question.prompt].add(question.completion)
    return [[q for q in asked if len(answers[q.prompt]) == 1 and not gives_away(q)] for asked in every]


def gives_away(question: Question) -> bool:
    """Return whether the completion, or a word of it, is in the prompt: "The capital of Mexico is" Mexico City."""
    prompt, completion = (set(re.findall(r"\w+", part.casefold())) for part in question[1:])
    return question.completion in question.prompt or bool(prompt & completion - SMALL_WORDS)


def is_stated(question: Question, text: str) -> bool:
    """Return whether the text has the prompt, each time with its completion after it."""
    followed = re.findall(
        re.escape(question.prompt) + "(" + re.escape(question.completion) + r"(?!\w))?", text
    )
    return bool(followed) and all(followed)


def main() -> None:
    out_dir = Path(
        parse_config(QuestionsConfig(), sys.argv[1:], __doc__ or "", main_setting="out_dir").out_dir
    )
    for name, rows in zip(("demo_facts", "demo_facts_reworded"), questions(), strict=True):
        path = out_dir / f"{name}.jsonl"
        write_jsonl(path, [row._asdict() for row in rows])
        say(f"{path}: {len(rows)} prompts, the first {rows[0].prompt!r} -> {rows[0].completion!r}")


if __name__ == "__main__":
    run_command(main)
