"""From a query to articles in order: words and vectors together.

Words find names and rare terms, vectors find what is meant. Each passage gets a weighted sum of its BM25 scores (text and
title, as a part of the query's best) and its dot product; an article is as good as its best passage, and a little better for
the second one. Rank fusion with equal weights was worse than words alone. The weights are chosen on the development queries:
apps/search/evaluate.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from apps.search.config import MOST_WORDS
from apps.search.database import Database, Hit, Matches
from apps.search.embedders import Embedder
from apps.search.words import content_words, words

N_FOUND = 500  # passages that each search finds
N_READ, N_TITLES = 60, 10  # of them that are read: the best ones, and the best by title

searching = ThreadPoolExecutor(thread_name_prefix="search")


@dataclass(frozen=True)
class Weights:
    """What each kind of evidence counts."""

    text: float = 1.0
    title: float = 0.04
    vector: float = 0.3
    same_title: float = 1.0  # all words of the title are in the query, and the other way round
    second: float = 0.1  # of an article's second best passage


WORDS_ALONE = Weights(vector=0.0)
VECTORS_ALONE = Weights(text=0.0, title=0.0, vector=1.0, same_title=0.0)


class Evidence(NamedTuple):
    """What speaks for the passages that a query found: N numbers of each kind, NaN where that search did not find it."""

    query: str
    rows: np.ndarray  # their ids
    text: np.ndarray  # BM25
    title: np.ndarray  # BM25
    vector: np.ndarray  # dot product

    def scores(self, weights: Weights) -> np.ndarray:
        """Return how well each passage fits, but for its whole title: (N,)."""
        text, title = (
            values / (values.max(initial=0.0) or 1.0) for values in map(filled, (self.text, self.title))
        )
        return weights.text * text + weights.title * title + weights.vector * filled(self.vector)


class Found(NamedTuple):
    """An article that was found."""

    score: float
    passages: list[Hit]  # best first


def searched(query: str) -> str:
    """Return the words of a query that are searched for."""
    return " ".join(words(query)[:MOST_WORDS])


def evidence(database: Database, embedder: Embedder, query: str) -> Evidence:
    """Return what speaks for all passages that a query finds by text, title or vector."""
    wanted = searched(query)
    if not wanted:
        nothing = np.empty(0, np.float32)
        return Evidence(query, np.empty(0, np.uint64), nothing, nothing, nothing)
    by_text = searching.submit(database.by_words, wanted, "text", N_FOUND)
    by_title = searching.submit(database.by_words, wanted, "title", N_FOUND)
    [vector] = embedder.queries([" ".join(query.split()[:MOST_WORDS])])  # capitals tell names from words
    found = [by_text.result(), by_title.result(), database.by_vector(vector, N_FOUND)]
    rows = np.unique(np.concatenate([matches.rows for matches in found]))
    return Evidence(query, rows, *(aligned(matches, rows) for matches in found))


def aligned(matches: Matches, rows: np.ndarray) -> np.ndarray:
    """Return the scores of some rows, which are sorted, in their order; NaN for those that were not found."""
    values = np.full(len(rows), np.nan, np.float32)
    values[np.searchsorted(rows, matches.rows)] = matches.scores
    return values


def filled(values: np.ndarray) -> np.ndarray:
    """Return scores with a number for those that were not found: the lowest found, or 0 if all there are were found."""
    found = values[~np.isnan(values)]
    return np.nan_to_num(values, nan=found.min() if len(found) >= N_FOUND else 0.0)


def ranked(found: Evidence, weights: Weights, read: Callable[[np.ndarray], list[Hit]]) -> list[Found]:
    """Return the articles of some evidence, the best one first. `read` returns the passages of some rows."""
    scores = found.scores(weights)
    best = np.argsort(-scores, kind="stable")[:N_READ]
    by_title = np.argsort(-found.title, kind="stable")[:N_TITLES]  # NaN comes last
    chosen = np.unique(np.concatenate([best, by_title]))
    articles: dict[str, list[tuple[float, Hit]]] = {}
    for score, passage in zip(scores[chosen].tolist(), read(found.rows[chosen]), strict=True):
        score += weights.same_title * is_title(found.query, passage.title)
        articles.setdefault(passage.article, []).append((score, passage))
    return sorted((of_article(scored, weights) for scored in articles.values()), key=place)


def of_article(scored: Sequence[tuple[float, Hit]], weights: Weights) -> Found:
    """Return an article with its passages and their scores taken together."""
    scored = sorted(scored, key=lambda pair: (-pair[0], pair[1].number))
    second = scored[1][0] if len(scored) > 1 else -math.inf
    return Found(scored[0][0] + weights.second * max(0.0, second), [passage for _, passage in scored])


def place(found: Found) -> tuple[float, str]:
    """Return what articles are sorted by."""
    return -found.score, found.passages[0].article


def is_title(query: str, title: str) -> bool:
    """Return whether a query is a title, but for the order of its words, their endings, and those that say little."""
    content = set(content_words(query))
    return set(words(query)) == set(words(title)) or (bool(content) and content == set(content_words(title)))
