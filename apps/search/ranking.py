"""From a query to articles in order: words and vectors together.

Three searches find passages: by the words of the text, by those of the title, and by their vectors. Words find names and
rare terms, vectors find what is meant. The best of each are read and compared with the query word by word (near.py), and
get a weighted sum of it all. An article is as good as its best passage, and a little better for the second one. Rank fusion
with equal weights was worse than words alone. The weights are chosen on the development queries: apps/search/evaluate.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from apps.search.database import Database, Hit, Matches
from apps.search.embedders import Embedder
from apps.search.near import NearWords
from apps.search.words import content_words, words

N_FOUND = 200  # passages by each search
N_TEXT, N_VECTOR, N_TITLE = 30, 15, 5  # of them that are read

searching = ThreadPoolExecutor(thread_name_prefix="search")


@dataclass(frozen=True)
class Weights:
    """What each kind of evidence counts."""

    text: float = 1.0
    title: float = 0.04
    vector: float = 0.3
    near: float = 2.0
    title_within: float = 0.2  # all words of the title are in the query
    same_title: float = 1.0  # and the other way round
    second: float = 0.1  # of an article's second best passage


WORDS_ALONE = Weights(title=0.01, vector=0.0, near=0.0)
VECTORS_ALONE = Weights(text=0.0, title=0.0, vector=1.0, near=0.0, title_within=0.0, same_title=0.0)


class Evidence(NamedTuple):
    """What speaks for a passage: numbers in [0, 1] or, for vectors and near words, in [-1, 1]."""

    hit: Hit
    text: float  # BM25, as a part of the query's best
    title: float  # BM25, likewise
    vector: float  # dot product
    near: float
    has_title: bool  # whether the query has all words of the title
    is_title: bool  # whether it has no others
    by_words: bool  # whether it is among the best by text or title
    by_vector: bool  # whether it is among the best by vector


class Found(NamedTuple):
    """An article that was found."""

    score: float
    passages: list[Hit]  # best first


def evidence(
    database: Database, embedder: Embedder, near: NearWords, query: str, where: str = ""
) -> list[Evidence]:
    """Return the passages that a query finds, with all that speaks for each; `where` is a condition in SQL."""
    wanted = " ".join(words(query))
    if not wanted:
        return []
    text = searching.submit(database.by_words, wanted, "text", N_FOUND, where=where)
    title = searching.submit(database.by_words, wanted, "title", N_FOUND, where=where)
    by_vector = database.by_vector(embedder.queries([query])[0], N_FOUND, where)
    by_text, by_title = text.result(), title.result()
    with_words = np.union1d(by_text.rows[:N_TEXT], by_title.rows[:N_TITLE])
    with_vector = by_vector.rows[:N_VECTOR]
    rows = np.union1d(with_words, with_vector)
    hits = database.hits(rows)
    columns = [
        as_part(by_text, rows),
        as_part(by_title, rows),
        of_rows(by_vector, rows),
        near.compare(query, [hit.tokens for hit in hits]) if hits else rows,
        *title_matches(query, [hit.title for hit in hits]),
        np.isin(rows, with_words),
        np.isin(rows, with_vector),
    ]
    return list(map(Evidence, hits, *(column.tolist() for column in columns)))


def as_part(found: Matches, rows: np.ndarray) -> np.ndarray:
    """Return the scores of some rows as parts of the best one."""
    return of_rows(found, rows) / (found.scores.max(initial=0.0) or 1.0)


def of_rows(found: Matches, rows: np.ndarray) -> np.ndarray:
    """Return the scores of some rows; of those not found, the lowest, or 0 if there are no more to find."""
    lowest = found.scores.min() if len(found.rows) >= N_FOUND else 0.0
    scores = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    return np.array([scores.get(row, lowest) for row in rows.tolist()])


def ranked(found: Sequence[Evidence], weights: Weights) -> list[Found]:
    """Return the articles of some evidence, the best one first."""
    articles: dict[str, list[tuple[float, Hit]]] = {}
    for one in found:
        score = weights.text * one.text + weights.title * one.title + weights.vector * one.vector
        score += (
            weights.near * one.near + weights.title_within * one.has_title + weights.same_title * one.is_title
        )
        articles.setdefault(one.hit.article, []).append((score, one.hit))
    return sorted((of_article(scored, weights) for scored in articles.values()), key=place)


def of_article(scored: Sequence[tuple[float, Hit]], weights: Weights) -> Found:
    """Return an article with its passages and their scores taken together."""
    scored = sorted(scored, key=lambda pair: (-pair[0], pair[1].number))
    second = scored[1][0] if len(scored) > 1 else -math.inf
    return Found(scored[0][0] + weights.second * max(0.0, second), [passage for _, passage in scored])


def place(found: Found) -> tuple[float, str]:
    """Return what articles are sorted by."""
    return -found.score, found.passages[0].article


def title_matches(query: str, titles: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each title whether the query has all its words, and whether it has no others, each (N,) bool.

    The order of words does not matter, nor do their endings, nor words that say little, unless the title has only those.
    """
    content, every = set(content_words(query)), set(words(query))
    found = {title: (set(content_words(title)), set(words(title))) for title in set(titles)}
    same = {title: own == content if own else all_own == every for title, (own, all_own) in found.items()}
    within = {title: same[title] or bool(own and own <= content) for title, (own, _) in found.items()}
    return np.array([within[title] for title in titles]), np.array([same[title] for title in titles])
