"""A summary that a model writes over what was found. A sentence is shown only if a source supports it.

A sentence of a source supports it if that has all its numbers and names and nearly all of its other words, denies if it
does, and is near to it in meaning. So invented facts are found, and those that are mixed from several sentences. True words
in a false order are not.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from apps.search.embedders import Embedder
from apps.search.passages import sentences, summary_prompt
from apps.search.ranking import Found
from apps.search.words import WORD, content_words, stem, words
from sampling.chat import Message
from sampling.config import Sampling
from sampling.sampler import Sampler

MAX_SOURCES, PASSAGES_OF_EACH = 3, 2  # that the model sees
MAX_NEW_TOKENS = 160
MIN_PART = 0.85  # of a sentence's words that one of its source must have
LEAST_WORDS = 2  # of a sentence, function words left out
MIN_DIFFERENT = 0.5  # of its words: small models repeat themselves
ITSELF = frozenset(
    map(stem, "question answer source text passage article".split())
)  # what a summary should not speak of
MIN_NEARNESS = 0.5  # of the two sentences: the dot product of their vectors
INSTRUCTION = (
    "You answer a question in at most three short sentences. Use only what the given text says, in its own words. If it does "
    "not answer the question, summarize what it says about it."
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
DENIAL = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nor|neither|without|cannot)\b|n[^\w\s]t\b", re.IGNORECASE
)
# Of a text whose last sentence is complete: a full stop of some script, and closing quotes.
LAST = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][^\w\s]*\s*$")


class Written(NamedTuple):
    """A sentence that a model wrote, and the place in the results of the article that supports it; None if none does."""

    text: str
    source: int | None


class Statement(NamedTuple):
    """What the words of a sentence say."""

    stems: set[str]
    numbers: set[str]
    denies: bool


class Source(NamedTuple):
    """An article that a summary is written over."""

    title: str
    sentences: list[str]  # of its best passages
    statements: list[Statement]  # of the sentences, each with the title
    vectors: np.ndarray  # of the sentences (N, D)


def source_of(article: Found, embedder: Embedder) -> Source:
    """Return what a sentence is checked against."""
    passages = sorted(article.passages[:PASSAGES_OF_EACH], key=lambda hit: hit.number)
    title = passages[0].title
    parts = [sentence for hit in passages for sentence in sentences(hit.text)]
    statements = [statement(f"{title} {part}")._replace(denies=denies(part)) for part in parts]
    return Source(title, parts, statements, embedder.passages(parts))


def statement(text: str) -> Statement:
    """Return what the words of a text say."""
    return Statement(set(map(stem, words(text))), set(NUMBER.findall(text)), denies(text))


def denies(text: str) -> bool:
    """Return whether a sentence has a word such as "not"."""
    return DENIAL.search(text) is not None


def supports(source: Source, sentence: str, embedder: Embedder) -> bool:
    """Return whether a source says what a sentence says, as far as this can be seen from its words."""
    content = content_words(sentence)
    if len(set(content)) < max(LEAST_WORDS, MIN_DIFFERENT * len(content)) or sentence.count('"') % 2:
        return False
    names = {word for text in WORD.findall(sentence) if text[0].isupper() for word in content_words(text)}
    names |= ITSELF.intersection(content)
    own = statement(sentence)
    nearness = source.vectors @ embedder.passages([sentence])[0]  # (N,)
    return any(
        near >= MIN_NEARNESS
        and names <= one.stems
        and own.numbers <= one.numbers
        and own.denies == one.denies
        and sum(word in one.stems for word in content) >= MIN_PART * len(content)
        for one, near in zip(source.statements, nearness, strict=True)
    )


def messages(query: str, sources: Sequence[Source]) -> list[Message]:
    """Return what a chat model is asked."""
    texts = [f"{one.title}: {' '.join(one.sentences)}" for one in sources]
    asked = "\n\n".join([*texts, f"Question: {query}"])
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": asked}]


class Writer:
    """Writes summaries with a model."""

    def __init__(self, sampler: Sampler, embedder: Embedder) -> None:
        self.sampler, self.embedder = sampler, embedder

    def write(self, query: str, found: Sequence[Found]) -> Iterator[Written]:
        """Yield the sentences of a summary as they are written, none twice.

        A chat model sees the best articles and the question; our own summarizer the best article.
        """
        is_chat = self.sampler.template is not None
        sources = [source_of(article, self.embedder) for article in found[: MAX_SOURCES if is_chat else 1]]
        if not sources:
            return
        written: set[str] = set()
        for sentence in self._sentences(self.prompt(query, sources)):
            if sentence not in written:
                written.add(sentence)
                by = (n for n, one in enumerate(sources) if supports(one, sentence, self.embedder))
                yield Written(sentence, next(by, None))

    def prompt(self, query: str, sources: Sequence[Source]) -> str | list[Message]:
        """Return what the model continues: as many sentences of each source as fit into its context."""

        def of(n: int) -> str | list[Message]:
            kept = [one._replace(sentences=one.sentences[:n]) for one in sources]
            if self.sampler.template is not None:
                return messages(query, kept)
            return summary_prompt(kept[0].title, " ".join(kept[0].sentences))

        def n_tokens(n: int) -> int:
            return len(self.sampler.begin(of(n), Sampling(), thinking=False).text.prompt)

        room = self.sampler.model.config.block_size - MAX_NEW_TOKENS
        most = max(len(one.sentences) for one in sources)
        return of(bisect_right(range(1, most + 1), room, key=n_tokens))

    def _sentences(self, prompt: str | list[Message]) -> Iterator[str]:
        """Yield each sentence once it is complete."""
        sampling = Sampling(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0)
        text, n_complete = "", 0
        for _, piece in self.sampler.in_order([self.sampler.begin(prompt, sampling, thinking=False)]):
            text += piece
            *complete, _ = sentences(text) or [""]
            yield from complete[n_complete:]
            n_complete = len(complete)
        if LAST.search(text):
            yield from sentences(text)[n_complete:]
