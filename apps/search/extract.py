"""A short answer that cannot lie: sentences of the passages that were found, as they are, each with its source.

Sentences are chosen one by one: near to the query, in words and in meaning, and unlike those already chosen (maximal marginal
relevance, Carbonell and Goldstein 1998). They are shown in reading order.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from apps.search.embedders import Embedder
from apps.search.passages import sentences
from apps.search.ranking import Found
from apps.search.words import content_words, words

MAX_SOURCES, PASSAGES_OF_EACH = 4, 2  # that sentences are taken from
MAX_SENTENCES, MAX_WORDS = 4, 90  # of the answer
MIN_SENTENCE, MAX_SENTENCE = 4, 60  # words: shorter ones say too little, longer ones are lists
ASIAN = re.compile(r"[\u2e80-\ud7ff]")  # characters of Chinese, Japanese and Korean: two stand for a word
# What a sentence's score is made of.
VECTOR, OVERLAP, SOURCE, OPENING = 1.0, 0.8, 0.5, 0.15
DEPENDENT = 0.25  # off for a sentence that begins as if another came before it
ALIKE = 0.6  # off for one that says what a chosen one says
SAME_PART = 0.8  # of a sentence's words that a chosen one has too: it is left out
LEAST_PART = 0.6  # of the best sentence's score, for further ones
REFERRING = frozenset(
    "he she it they this these that those such his her its their however also but then there".split()
)


class Sentence(NamedTuple):
    """A sentence of the answer."""

    text: str
    source: int  # which of the articles, from 0


class Candidate(NamedTuple):
    """A sentence that may become a part of the answer."""

    sentence: Sentence
    order: tuple[int, int, int]  # source, passage, place in it
    words: set[str]
    score: float
    vector: np.ndarray


def extract(query: str, found: Sequence[Found], embedder: Embedder) -> list[Sentence]:
    """Return the sentences of the best articles that answer the query, in reading order; none if nothing was found."""
    candidates = scored(query, found[:MAX_SOURCES], embedder)
    chosen: list[Candidate] = []
    total = 0
    while candidates and len(chosen) < MAX_SENTENCES:

        def gain(one: Candidate) -> float:
            return one.score - ALIKE * max(
                (max(0.0, float(one.vector @ other.vector)) for other in chosen), default=0.0
            )

        best = max(candidates, key=gain)
        candidates.remove(best)
        if chosen and best.score < LEAST_PART * chosen[0].score:
            break
        length = n_words(best.sentence.text)
        if chosen and (total + length > MAX_WORDS or any(says_the_same(best, other) for other in chosen)):
            continue
        chosen.append(best)
        total += length
    return [one.sentence for one in sorted(chosen, key=lambda one: one.order)]


def n_words(text: str) -> int:
    """Return how many words a text has, about, in any script."""
    return max(len(text.split()), len(ASIAN.findall(text)) // 2)


def says_the_same(one: Candidate, other: Candidate) -> bool:
    """Return whether most words of the shorter sentence are in the other one."""
    return len(one.words & other.words) >= SAME_PART * max(1, min(len(one.words), len(other.words)))


def scored(query: str, found: Sequence[Found], embedder: Embedder) -> list[Candidate]:
    """Return the sentences of the best passages with their scores."""
    places: list[tuple[Sentence, tuple[int, int, int], bool]] = []
    for source, article in enumerate(found):
        for hit in article.passages[:PASSAGES_OF_EACH]:
            for place, text in enumerate(sentences(hit.text)):
                if MIN_SENTENCE <= n_words(text) <= MAX_SENTENCE:
                    opens = hit.number == 0 and place == 0
                    places.append((Sentence(text, source), (source, hit.number, place), opens))
    if not places:
        return []
    titles = [article.passages[0].title for article in found]
    vectors = embedder.passages([f"{titles[one.source]}. {one.text}" for one, _, _ in places])
    near = vectors @ embedder.queries([query])[0]
    contents = [content_words(one.text) for one, _, _ in places]
    weights = rarity(contents)
    wanted = set(content_words(query))
    total = sum(weights.get(word, 0.0) for word in wanted) or 1.0
    best = found[0].score or 1.0
    candidates = []
    for (sentence, order, opens), vector, similarity, content in zip(
        places, vectors, near, contents, strict=True
    ):
        overlap = sum(weights[word] for word in wanted & set(content)) / total
        score = VECTOR * float(similarity) + OVERLAP * overlap + SOURCE * found[sentence.source].score / best
        opening = words(sentence.text)[:1]
        score += OPENING * opens - DEPENDENT * bool(REFERRING.intersection(opening))
        candidates.append(Candidate(sentence, order, set(content), score, vector))
    return candidates


def rarity(contents: Sequence[list[str]]) -> dict[str, float]:
    """Return how much each word tells: more if few of the sentences have it (inverse document frequency)."""
    counts = Counter(word for content in contents for word in set(content))
    return {word: math.log(1 + len(contents) / count) for word, count in counts.items()}
