"""From a query to articles in order: words and vectors together.

Words find names and rare terms, vectors find what is meant. Each passage gets a weighted sum of its BM25 scores (text and
title, as a part of the query's best) and its dot product; an article is as good as its best passage, and a little better for
each other one. Rank fusion with equal weights was worse than words alone. The weights are chosen on the development queries:
apps/search/evaluate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from apps.search.config import MOST_WORDS
from apps.search.database import Database, Hit
from apps.search.embedders import Embedder
from apps.search.words import content_words, words

N_FOUND, N_TITLES = 50, 20  # passages by text and by vector; by title


@dataclass(frozen=True)
class Weights:
    """What each kind of evidence counts."""

    text: float = 1.0
    title: float = 0.04
    vector: float = 0.3
    same_title: float = 1.0  # all words of the title are in the query, and the other way round
    others: float = 0.03  # of an article's second best passage


WORDS_ALONE = Weights(vector=0.0, others=0.1)
VECTORS_ALONE = Weights(text=0.0, title=0.0, vector=1.0, same_title=0.0)


class Found(NamedTuple):
    """An article that was found."""

    score: float
    passages: list[Hit]  # best first


class Evidence(NamedTuple):
    """What speaks for a passage, each in [0, 1] or, for vectors, [-1, 1]."""

    hit: Hit
    text: float
    title: float
    vector: float
    has_title: bool  # whether the query is the title
    is_near: bool  # whether it is among the nearest vectors


def searched(query: str) -> str:
    """Return the words of a query that are searched for."""
    return " ".join(words(query)[:MOST_WORDS])


def evidence(database: Database, embedder: Embedder, query: str) -> list[Evidence]:
    """Return all passages that a query finds by text, title or vector."""
    wanted = searched(query)
    if not wanted:
        return []
    by_text = database.by_words(wanted, "text", N_FOUND)
    by_title = database.by_words(wanted, "title", N_TITLES)
    vector = embedder.queries([" ".join(query.split()[:MOST_WORDS])])[0]  # capitals tell names from words
    by_vector = database.by_vector(vector, N_FOUND)
    text, title = (parts(found) for found in (by_text, by_title))
    same_title = {hit.article for hit in by_title if is_title(wanted, hit.title)}
    near = {key(hit) for hit in by_vector}
    titles = {hit.article: title[key(hit)] for hit in by_title}
    found = {key(hit): hit for hit in (*by_text, *by_vector)}
    known = {hit.article for hit in found.values()}
    found |= {key(hit): hit for hit in by_title if hit.article not in known}
    return [
        Evidence(
            hit,
            text.get(where, 0.0),
            titles.get(hit.article, 0.0),
            float(hit.vector @ vector),
            hit.article in same_title,
            where in near,
        )
        for where, hit in found.items()
    ]


def is_title(query: str, title: str) -> bool:
    """Return whether a query is a title, but for the order of its words, their endings, and those that say little."""
    content = set(content_words(query))
    return set(words(query)) == set(words(title)) or (bool(content) and content == set(content_words(title)))


def key(hit: Hit) -> tuple[str, int]:
    """Return what names a passage."""
    return hit.article, hit.number


def parts(hits: Sequence[Hit]) -> dict[tuple[str, int], float]:
    """Return scores as a part of the best one."""
    best = max((hit.score for hit in hits), default=1.0) or 1.0
    return {key(hit): hit.score / best for hit in hits}


def ranked(found: Sequence[Evidence], weights: Weights) -> list[Found]:
    """Return the articles of some evidence, the best one first."""
    articles: dict[str, list[tuple[float, Hit]]] = {}
    for one in found:
        score = weights.text * one.text + weights.title * one.title + weights.vector * one.vector
        score += weights.same_title * one.has_title
        articles.setdefault(one.hit.article, []).append((score, one.hit))
    results = []
    for scored in articles.values():
        scored.sort(key=lambda pair: (-pair[0], pair[1].number))
        second = scored[1][0] if len(scored) > 1 else -math.inf
        score = scored[0][0] + weights.others * max(0.0, second)
        results.append(Found(score, [hit for _, hit in scored]))
    return sorted(results, key=lambda result: (-result.score, result.passages[0].article))
