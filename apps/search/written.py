"""A summary that a model writes over what was found. A sentence is shown only if a source supports it.

An article supports a sentence if its passages have all the numbers and names of it and most of its other words, if words that
follow each other in it stand together in one of theirs, and if one of theirs is near to it in meaning. So invented facts are
found, and words that are thrown together; a false order of true words is not.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from apps.search.embedders import Embedder
from apps.search.passages import sentences, summary_prompt
from apps.search.ranking import Found
from apps.search.words import content_words, stem, words
from sampling.chat import Message
from sampling.config import Sampling
from sampling.sampler import Sampler

MAX_SOURCES, PASSAGES_OF_EACH = 3, 2  # that the model sees
MAX_NEW_TOKENS = 160
MIN_PART = 0.75  # of a sentence's words that its source must have
MIN_TOGETHER = 0.5  # of its pairs of words that follow each other: they must be in one sentence of the source
MIN_DIFFERENT = 0.5  # of its words: small models repeat themselves
MIN_NEARNESS = 0.5  # of a sentence to the nearest one of its source: the dot product of their vectors
INSTRUCTION = (
    "Answer the question in at most three short sentences. Use only what the sources say. If they do not answer it, say what "
    "they do tell about it. Write plain sentences, without lists."
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NAME = re.compile(r"(?<=\s)[^\W\d_a-z][^\W_]*")  # with a capital, and not the first word


class Written(NamedTuple):
    """A sentence that a model wrote, and the place in the results of the article that supports it; None if none does."""

    text: str
    source: int | None


class Source(NamedTuple):
    """An article that a summary is written over."""

    title: str
    sentences: list[str]  # of its best passages
    stems: set[str]  # of all its words, title included
    stems_of_each: list[set[str]]  # sentence, with the title
    numbers: set[str]
    vectors: np.ndarray  # of the sentences (N, D)


def source_of(article: Found, embedder: Embedder) -> Source:
    """Return what a sentence is checked against."""
    passages = sorted(article.passages[:PASSAGES_OF_EACH], key=lambda hit: hit.number)
    title = passages[0].title
    parts = [sentence for hit in passages for sentence in sentences(hit.text)]
    text = " ".join([title, *parts])
    of_each = [set(map(stem, words(f"{title} {part}"))) for part in parts]
    numbers = set(NUMBER.findall(text))
    return Source(title, parts, set().union(*of_each), of_each, numbers, embedder.passages(parts))


def supports(source: Source, sentence: str, embedder: Embedder) -> bool:
    """Return whether a source says what a sentence says, as far as this can be seen from its words."""
    names = {stem(word) for name in NAME.findall(sentence) for word in words(name)}
    content = content_words(sentence)
    part = sum(word in source.stems for word in content) / max(1, len(content))
    if not names <= source.stems or not set(NUMBER.findall(sentence)) <= source.numbers or part < MIN_PART:
        return False
    if len(set(content)) < MIN_DIFFERENT * len(content):
        return False
    pairs = [{a, b} for a, b in pairwise(content)]
    if sum(any(pair <= one for one in source.stems_of_each) for pair in pairs) < MIN_TOGETHER * len(pairs):
        return False
    return float((source.vectors @ embedder.passages([sentence])[0]).max(initial=-1.0)) >= MIN_NEARNESS


def messages(query: str, sources: Sequence[Source]) -> list[Message]:
    """Return what a chat model is asked."""
    texts = [f"Source {n}: {one.title}\n{' '.join(one.sentences)}" for n, one in enumerate(sources, 1)]
    return [{"role": "user", "content": "\n\n".join([*texts, f"Question: {query}", INSTRUCTION])}]


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
        if text.rstrip().endswith((".", "!", "?", '"')):
            yield from sentences(text)[n_complete:]
