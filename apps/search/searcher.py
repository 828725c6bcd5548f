"""A question's answer: what the page and the command line show."""

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from apps.search.config import MOST_WORDS
from apps.search.database import INDEX_FILE, Database, damaged, titled
from apps.search.embedders import open_embedder, table_of
from apps.search.extract import extract
from apps.search.near import NearWords
from apps.search.passages import sentences
from apps.search.ranking import Found, Weights, evidence, ranked
from apps.search.spelling import Vocabulary, corrections
from apps.search.words import WORD, content_words, first_words, forms, stem, words

if TYPE_CHECKING:
    from apps.search.written import Written

SNIPPET_WORDS = 60
LOST = 0.5  # of a query's words
SHOWN_WORDS = 5
IN_TITLE = re.compile(r'\bintitle:(?:"([^"]*)"|(\S*\w))', re.IGNORECASE)
MOST_TITLES = 8  # conditions of them


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

    query: str  # as it was asked
    searched_for: str  # what was searched for instead, after correcting its spelling; else empty
    sentences: list[dict[str, Any]]
    results: list[Result]
    note: str  # what the reader should know, such as that nothing fits
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self._asdict(), "results": [result._asdict() for result in self.results]}


class Searched(NamedTuple):
    """What was searched for, and what that found."""

    query: str
    found: list[Found]  # best first
    corrected: dict[str, str]  # words that are in no article, and those that were taken instead


class Searcher:
    """An open index with the embedder that wrote it."""

    def __init__(self, folder: Path, checkpoint: str = "") -> None:
        """Open an index and, to write summaries, a model. Raises UserError if either is not there or does not fit."""
        self.folder, self.state = folder, state(folder)
        self.database = Database(folder)
        self.vocabulary = Vocabulary(folder)
        self.embedder = open_embedder(self.database.info.embedder)
        self.table = table_of(self.embedder)
        self.database.check_models(self.embedder, self.table)
        self.near = NearWords(self.table)
        self.weights = Weights()
        self.writer = None
        if checkpoint:
            from apps.search.written import Writer  # which loads torch
            from sampling.sampler import Sampler

            self.writer = Writer(Sampler.load(checkpoint, rows=1), self.embedder)

    def refresh(self) -> None:
        """Open the index anew if another command has changed it."""
        now = state(self.folder)
        if now and now != self.state:
            database = Database(self.folder)
            database.check_models(self.embedder, self.table)
            self.state, self.database, self.vocabulary = now, database, Vocabulary(self.folder)

    def find(self, query: str) -> Searched:
        """Return what a query finds. Raises UserError if the index cannot be read."""
        self.refresh()
        query, where = conditions(query)
        query = first_words(query, MOST_WORDS)
        database = self.database
        try:
            found = self._ranked(database, query, where)
            seen = [hit for article in found for hit in article.passages]
            corrected = corrections(database, self.vocabulary, self.table, query, seen)
            if corrected:
                query = " ".join(corrected.get(word, word) for word in words(query))
                found = self._ranked(database, query, where)
        except (RuntimeError, OSError, pa.ArrowInvalid) as error:
            raise damaged(self.folder, error) from None
        return Searched(query, found, corrected)

    def _ranked(self, database: Database, query: str, where: str) -> list[Found]:
        return ranked(evidence(database, self.embedder, self.near, query, where), self.weights)

    def ask(self, query: str, n_results: int) -> Answer:
        """Return the answer to a question: a few sentences and the best articles."""
        began = time.perf_counter()
        if not words(query):
            note = "There is no word in this question." if query.strip() else ""
            return Answer(query, "", [], [], note, 0.0)
        wanted, found, corrected = self.find(query)
        found = found[:n_results]
        results = [result(one, wanted) for one in found]
        lost = unfound(wanted, results)
        chosen = [] if lost else extract(wanted, found, self.embedder)
        shown = [{"text": one.text, "source": one.source + 1} for one in chosen]
        notes = [
            corrected_note(corrected),
            f"Only the first {MOST_WORDS} words were searched for." if len(words(query)) > MOST_WORDS else "",
            lost if results else "Nothing was found.",
        ]
        note = " ".join(filter(None, notes))
        searched_for = wanted if corrected else ""
        return Answer(query, searched_for, shown, results, note, time.perf_counter() - began)

    def summary(self, query: str, n_results: int) -> "Iterator[Written]":
        """Yield the sentences of a summary as the model writes them; their sources are as in `ask`."""
        assert self.writer, "without a checkpoint there is nothing that writes"
        wanted, found, _ = self.find(query)
        yield from self.writer.write(wanted, found[:n_results])


def state(folder: Path) -> tuple[int, int] | None:
    """Return what changes when an index is completed anew; None without an index."""
    try:
        found = (folder / INDEX_FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def conditions(query: str) -> tuple[str, str]:
    """Return a query without its `intitle:word` or `intitle:"some words"`, and the condition in SQL that they are."""
    parts = [quoted or word for quoted, word in IN_TITLE.findall(query) if quoted or word][:MOST_TITLES]
    rest = IN_TITLE.sub(" ", query)
    return rest if words(rest) else " ".join(parts) or query, titled(parts)


def left_out(n_written: int, n_shown: int) -> str:
    """Return what a reader should know of the sentences that no source supports."""
    if not n_written:
        return "The model wrote no whole sentence."
    if not n_shown:
        return f"{counted(n_written)} written, but no article supports {'it' if n_written == 1 else 'any'}."
    if n_written > n_shown:
        return f"{counted(n_written - n_shown)} left out, as no article supports {'it' if n_written - n_shown == 1 else 'them'}."
    return ""


def counted(n: int) -> str:
    """Return how many sentences there were, with their verb."""
    return "1 sentence was" if n == 1 else f"{n} sentences were"


def corrected_note(corrected: dict[str, str]) -> str:
    """Return a note on words that are in no article, and what was searched for instead."""
    if not corrected:
        return ""
    pairs = [f"“{other}” instead of “{word}”" for word, other in corrected.items()]
    return f"Searched for {' and '.join(pairs)}, which {'is' if len(pairs) == 1 else 'are'} in no article."


def result(found: Found, query: str) -> Result:
    """Return an article as it is shown: a part of its best passage, with the query's words marked."""
    best = found.passages[0]
    wanted = set(content_words(query))
    parts = sentences(best.text)
    stems = [set(content_words(part)) for part in parts]
    text = snippet(parts, stems, wanted)
    around = f"{best.title} {best.section}"
    return Result(
        best.title,
        web_address(best.url),
        best.section,
        text,
        marks(text, wanted),
        missing(query, set(content_words(around)).union(*stems), f"{around} {best.text}"),
        found.score,
    )


def missing(query: str, present: set[str], text: str) -> list[str]:
    """Return the words of a query that a text, whose stems are `present`, has in no form, function words left out."""
    different = [word for word in dict.fromkeys(words(query)) if content_words(word)]
    lost = [word for word in different if stem(word) not in present]
    # A script without spaces may have the word within a longer one.
    return [word for word in lost if word.isascii() or word not in text.casefold()]


def unfound(query: str, results: Sequence[Result]) -> str:
    """Return a note if half of a query's words or more are in none of the results; else an empty text."""
    wanted = [word for word in dict.fromkeys(words(query)) if content_words(word)]
    lost = [word for word in wanted if all(word in one.missing for one in results)]
    if not lost or len(lost) < LOST * len(wanted):
        return ""
    return f"No good match: none of these has {', '.join(f'“{word}”' for word in lost[:SHOWN_WORDS])}."


def snippet(parts: Sequence[str], stems: Sequence[set[str]], wanted: set[str]) -> str:
    """Return the sentences of a passage, in a row and up to SNIPPET_WORDS, that have the most of the wanted stems."""
    lengths = [len(part.split()) for part in parts]
    found = [wanted & own for own in stems]
    best, most = "", -1
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
    return [match.span() for match in WORD.finditer(text) if wanted.intersection(forms(match[0]))]


def web_address(url: str) -> str:
    """Return an address that a link may have; empty for any other, such as one with a script."""
    return url if url.startswith(("https://", "http://")) else ""
