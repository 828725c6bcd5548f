"""A question's answer: what the page and the command line show."""

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.search.config import MOST_WORDS
from apps.search.database import Database, titled
from apps.search.embedders import open_embedder, table_of
from apps.search.extract import extract
from apps.search.near import NearWords
from apps.search.passages import sentences
from apps.search.ranking import Found, Weights, evidence, ranked, searched
from apps.search.spelling import corrections
from apps.search.words import content_words, forms, stem, words

if TYPE_CHECKING:
    from apps.search.written import Written

SNIPPET_WORDS = 60
LOST = 0.5  # of a query's words
SHOWN_WORDS = 5
IN_TITLE = re.compile(r'\bintitle:("[^"]*"|\S+)', re.IGNORECASE)
TOKEN = re.compile(r"[^\W_]+")


class Result(NamedTuple):
    """An article as it is shown."""

    title: str
    url: str
    section: str
    snippet: str  # of its best passage
    marks: list[tuple[int, int]]  # where the snippet has words of the query: start and end of each
    missing: list[str]  # words of the query that the passage does not have
    score: float


class Answer(NamedTuple):
    """What is shown for a question. Each sentence names its source by its place in the results, from 1."""

    query: str
    sentences: list[dict[str, Any]]
    results: list[Result]
    note: str  # what the reader should know, such as that nothing fits
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self._asdict(), "results": [result._asdict() for result in self.results]}


class Searcher:
    """An open index with the embedder that wrote it."""

    def __init__(self, folder: Path, checkpoint: str = "") -> None:
        """Open an index and, to write summaries, a model. Raises UserError if either is not there or does not fit."""
        self.database = Database(folder)
        self.embedder = open_embedder(self.database.info.embedder)
        words = table_of(self.embedder)
        self.database.check_models(self.embedder, words)
        self.near = NearWords(words)
        self.weights = Weights()
        self.writer = None
        if checkpoint:
            from apps.search.written import Writer  # which loads torch
            from sampling.sampler import Sampler

            self.writer = Writer(Sampler.load(checkpoint, rows=1), self.embedder)

    def find(self, query: str) -> tuple[str, list[Found], dict[str, str]]:
        """Return the words that were searched for, the articles they find, best first, and which words were spelled anew."""
        query, where = conditions(query)
        found = self._ranked(query, where)
        seen = [hit for article in found for hit in article.passages]
        spelled = corrections(self.database, searched(query), seen)
        if spelled:
            query = spelled_anew(query, spelled)
            found = self._ranked(query, where)
        return query, found, spelled

    def _ranked(self, query: str, where: str) -> list[Found]:
        return ranked(evidence(self.database, self.embedder, self.near, query, where), self.weights)

    def ask(self, query: str, n_results: int) -> Answer:
        """Return the answer to a question: a few sentences and the best articles."""
        began = time.perf_counter()
        note = ""
        if not words(query):
            return Answer(query, [], [], "There is no word in this question." if query.strip() else "", 0.0)
        if len(words(query)) > MOST_WORDS:
            note = f"Only the first {MOST_WORDS} words were searched for."
        query, found, spelled = self.find(query)
        if spelled:
            pairs = "; ".join(f"“{other}”, as “{word}” is in no article" for word, other in spelled.items())
            note = f"Searched for {pairs}. {note}".strip()
        found = found[:n_results]
        results = [result(one, query) for one in found]
        note = f"{note} {unfound(query, results) if results else 'Nothing was found.'}".strip()
        chosen = extract(query, found, self.embedder)
        shown = [{"text": one.text, "source": one.source + 1} for one in chosen]
        return Answer(query, shown, results, note, time.perf_counter() - began)

    def summary(self, query: str, n_results: int) -> "Iterator[Written]":
        """Yield the sentences of a summary as the model writes them; their sources are as in `ask`."""
        assert self.writer, "without a checkpoint there is nothing that writes"
        query, found, _ = self.find(query)
        yield from self.writer.write(query, found[:n_results])


def conditions(query: str) -> tuple[str, str]:
    """Return a query without its `intitle:word` or `intitle:"some words"`, and the condition in SQL that they are."""
    parts = [part.strip('"') for part in IN_TITLE.findall(query) if part.strip('"')]
    rest = IN_TITLE.sub(" ", query)
    return rest if words(rest) else " ".join(parts) or query, titled(parts)


def left_out(n_written: int, n_shown: int) -> str:
    """Return what a reader should know of the sentences that no source supports."""
    if not n_written:
        return "The model wrote no whole sentence."
    if not n_shown:
        return f"The model wrote {n_written} sentences: the articles support none, so these are theirs."
    if n_written > n_shown:
        return f"{n_written - n_shown} more were left out, as no article supports them."
    return ""


def spelled_anew(query: str, spelled: dict[str, str]) -> str:
    """Return the words of a query with other spellings of some."""
    return " ".join(spelled.get(word, word) for word in words(query))


def result(found: Found, query: str) -> Result:
    """Return an article as it is shown: a part of its best passage, with the query's words marked."""
    best = found.passages[0]
    wanted = set(content_words(query)) or {stem(word) for word in words(query)}
    text = snippet(best.text, wanted)
    return Result(
        best.title,
        web_address(best.url),
        best.section,
        text,
        marks(text, wanted),
        missing(query, f"{best.title} {best.section} {best.text}"),
        found.score,
    )


def missing(query: str, text: str) -> list[str]:
    """Return the words of a query that a text has in no form, function words left out."""
    present = set(content_words(text))
    different = dict.fromkeys(words(query)[:MOST_WORDS])
    return [word for word in different if content_words(word) and stem(word) not in present]


def unfound(query: str, results: Sequence[Result]) -> str:
    """Return a note if half of a query's words or more are in none of the results; else an empty text."""
    wanted = [word for word in dict.fromkeys(words(query)[:MOST_WORDS]) if content_words(word)]
    lost = [word for word in wanted if all(word in one.missing for one in results)]
    if not lost or len(lost) < LOST * len(wanted):
        return ""
    return f"No good match: none of these has {', '.join(f'“{word}”' for word in lost[:SHOWN_WORDS])}."


def snippet(text: str, wanted: set[str]) -> str:
    """Return the sentences of a passage, in a row and up to SNIPPET_WORDS, that have the most of the wanted words."""
    parts = sentences(text)
    lengths = [len(part.split()) for part in parts]
    found = [wanted & set(content_words(part)) for part in parts]
    best, most = text, -1
    for start in range(len(parts)):
        end = start + 1
        while end < len(parts) and sum(lengths[start : end + 1]) <= SNIPPET_WORDS:
            end += 1
        count = len(set().union(*found[start:end]))
        if count > most:
            best, most = " ".join(parts[start:end]), count
    return best


def marks(text: str, wanted: set[str]) -> list[tuple[int, int]]:
    """Return where a text has the wanted words, in any of their forms."""
    return [match.span() for match in TOKEN.finditer(text) if wanted.intersection(forms(match[0]))]


def web_address(url: str) -> str:
    """Return an address that a link may have; empty for any other, such as one with a script."""
    return url if url.startswith(("https://", "http://")) else ""
