"""The checks of chapter 6: attention, its causal weights, heads, a sliding mask."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from book.attention import MultiHeadAttention, attend, causal_mask, weighted
from book.checks.exercise import Exercise, random, rows_add_up


def _lookups() -> Iterator[tuple[Any, ...]]:
    yield random(4, 3), random(4, 3), random(4, 3)  # first one where a transposed matrix has the right shape
    yield random(2, 3, 4), random(2, 5, 4), random(2, 5, 6)
    yield random(2, 3, 5, 8), random(2, 3, 5, 8), random(2, 3, 5, 8)


def _along_queries(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    weights = (queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])).softmax(-2)
    return weights @ values, weights


def _scaled_late(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    weights = attend(queries, keys, values, scale=1.0)[1] / math.sqrt(queries.shape[-1])
    return weights @ values, weights


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    return weighted(scores, scores, mask)[1]


def _mask(T: int, n_back: int) -> Tensor:
    return causal_mask(T) & ~causal_mask(T).tril(-n_back - 1)


def _both_ways(T: int, n_back: int) -> Tensor:
    return (torch.arange(T)[:, None] - torch.arange(T)).abs() <= n_back


EXERCISES = {
    "attention": Exercise(
        inputs=_lookups,
        right=attend,
        mistakes=[
            (
                lambda q, k, v: attend(q, k, v, scale=1.0),
                "the scores are not divided by the root of D, the size of a query",
            ),
            (
                lambda q, k, v: attend(q, k, v, scale=1 / q.shape[-1]),
                "the scores are divided by D: divide by its root",
            ),
            (_scaled_late, "the weights are divided by the root of D: divide the scores, before the softmax"),
            (
                _along_queries,
                "the columns of the weights add up to one, not the rows: take the softmax along the last dimension",
            ),
            (
                lambda q, k, v: attend(k, q, v),
                "queries and keys are swapped: a row of the scores belongs to a query",
            ),
            (lambda q, k, v: attend(q, k, v)[::-1], "it returns the weights first: swap the two"),
        ],
        results=("the output", "the weights"),
        advice=rows_add_up,
    ),
    "causal_weights": Exercise(
        inputs=lambda: [(random(4, 4),), (random(2, 3, 5, 5),)],
        right=lambda scores: _masked(scores, causal_mask(scores.shape[-1])),
        mistakes=[
            (
                lambda scores: scores.softmax(-1).tril(),
                "the later tokens are hidden after the softmax, so the rows do not add up to one: mask the scores, before it",
            ),
            (
                lambda scores: scores.tril().softmax(-1),
                "the scores of later tokens are set to zero, which still gives them a weight: set them to minus infinity",
            ),
            (
                lambda scores: _masked(scores, causal_mask(scores.shape[-1]).tril(-1)),
                "a token must also see itself: hide only those after it, and the first row is not empty",
            ),
            (
                lambda scores: _masked(scores, causal_mask(scores.shape[-1]).T),
                "the past is hidden instead of the future: row t may see the columns 0 to t",
            ),
            (
                lambda scores: scores.softmax(-1),
                "nothing is hidden: set the scores of later tokens to minus infinity before the softmax",
            ),
        ],
        results=("the weights",),
        advice=rows_add_up,
    ),
    "in_heads": Exercise(
        inputs=lambda: [(random(2, 5, 8), 4), (random(3, 4, 6), 2)],
        right=lambda x, n_head: MultiHeadAttention(x.shape[-1], n_head).in_heads(x),
        mistakes=[
            (
                lambda x, n_head: x.view(len(x), n_head, x.shape[1], -1),
                "`view(B, H, T, D)` mixes tokens and channels: view as (B, T, H, D), then `transpose(1, 2)`",
            ),
            (
                lambda x, n_head: x.unflatten(-1, (n_head, -1)),
                "the heads come after the tokens: `transpose(1, 2)` brings them before",
            ),
            (
                lambda x, n_head: x.unflatten(-1, (-1, n_head)).permute(0, 3, 1, 2),
                "a head's channels must stand side by side in x: view the channels as (H, D), not as (D, H)",
            ),
        ],
        results=("the heads",),
    ),
    "sliding_mask": Exercise(
        inputs=lambda: [(6, 2), (5, 1), (4, 0), (3, 7)],
        right=_mask,
        mistakes=[
            (
                lambda T, n_back: causal_mask(T) & ~causal_mask(T).tril(-n_back),
                "it sees one token too few: itself and n_back before it are n_back + 1 tokens",
            ),
            (
                lambda T, n_back: causal_mask(T) & ~causal_mask(T).tril(-n_back - 2),
                "it sees one token too many: itself and n_back before it are n_back + 1 tokens",
            ),
            (_both_ways, "it sees tokens after it: the mask must be causal too"),
            (
                lambda T, n_back: ~_mask(T, n_back),
                "True and False are swapped: True is where a token may look",
            ),
            (
                lambda T, n_back: _mask(T, n_back).T,
                "rows and columns are swapped: a row is the token that looks",
            ),
        ],
        results=("the mask",),
    ),
}
