"""The checks of chapter 11: top-k and top-p, which must be those of sampling/probabilities.py, and attention with a cache."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.attention import attend
from book.checks.exercise import Exercise, random
from model import cached_attention
from sampling.probabilities import candidates


def _distributions(*settings: Any) -> Iterator[tuple[Any, ...]]:
    for i, setting in enumerate(settings):
        yield (2 * random(3, 6 + i)).softmax(-1), setting


def _kept(p: Tensor, **settings: Any) -> Tensor:
    """Return p with zeros where the settings of sample.py would keep no token."""
    kept, ids = candidates(p.log(), **settings)
    return p * torch.zeros_like(p).scatter(-1, ids, (kept > 0).to(p))


def _renormalized(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True)


def _one_row(p: Tensor, k: int) -> Tensor:
    return p.where(p >= p.flatten().topk(k).values[-1], 0)


def _before_it_is_reached(p: Tensor, reach: float) -> Tensor:
    values, ids = p.sort(-1, descending=True)
    return torch.zeros_like(p).scatter(-1, ids, values.where(values.cumsum(-1) < reach, 0))


def _least_probable_first(p: Tensor, reach: float) -> Tensor:
    values, ids = p.sort(-1)
    return torch.zeros_like(p).scatter(-1, ids, values.where(values.cumsum(-1) - values < reach, 0))


def _steps() -> Iterator[tuple[Any, ...]]:
    for B, n_head, S, D in ((2, 3, 5, 4), (1, 2, 1, 8)):
        new = (random(B, n_head, 1, D) for _ in "qkv")
        yield *new, random(B, n_head, S, D), random(B, n_head, S, D)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    sees_itself: bool = True,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    longer = torch.cat([keys, k], 2), torch.cat([values, v], 2)
    seen = longer if sees_itself else (keys, values)
    return cached_attention(q, *seen, None), *longer


def _new_first(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    longer = torch.cat([k, keys], 2), torch.cat([v, values], 2)
    return attend(q, *longer)[0], *longer


EXERCISES = {
    "top_k": Exercise(
        inputs=lambda: _distributions(2, 1, 5),
        right=lambda p, k: _kept(p, top_k=k),
        mistakes=[
            (
                lambda p, k: _renormalized(_kept(p, top_k=k)),
                "the rest is divided by its sum: leave the probabilities as they are",
            ),
            (_one_row, "the k most probable of all rows together are kept: take k of each row"),
            (
                lambda p, k: p.where(p > p.topk(k).values[..., -1:], 0),
                "the k-th itself is dropped: keep what is at least as probable",
            ),
            (
                lambda p, k: _kept(p, top_k=k).sort(-1, descending=True).values,
                "they are sorted: leave each probability in its token's place",
            ),
            (
                lambda p, k: p.topk(k).values,
                "only the k probabilities are returned: return all, with zeros for the others",
            ),
        ],
        results=("the probabilities",),
    ),
    "top_p": Exercise(
        inputs=lambda: _distributions(0.7, 0.9, 0.05),
        right=lambda p, reach: _kept(p, top_p=reach),
        mistakes=[
            (
                _before_it_is_reached,
                "the token that reaches the probability is dropped: keep it, so look at the sum *before* each token",
            ),
            (
                lambda p, reach: _renormalized(_kept(p, top_p=reach)),
                "the rest is divided by its sum: leave the probabilities as they are",
            ),
            (_least_probable_first, "it begins with the least probable: sort with `descending=True`"),
            (
                lambda p, reach: _kept(p, top_p=reach).sort(-1, descending=True).values,
                "they are sorted: put each probability back into its token's place, with `scatter`",
            ),
            (
                lambda p, reach: p.where(p >= reach, 0),
                "each token is compared alone: add up the probabilities, the most probable first, with `cumsum`",
            ),
        ],
        results=("the probabilities",),
    ),
    "attend_with_cache": Exercise(
        inputs=_steps,
        right=_attend,
        mistakes=[
            (
                partial(_attend, sees_itself=False),
                "the new token does not see itself: append its key and value before the attention",
            ),
            (_new_first, "the new token comes first in the cache: append it at the end"),
            (
                lambda q, k, v, keys, values: _attend(q * math.sqrt(q.shape[-1]), k, v, keys, values),
                "the scores are not divided by the root of D",
            ),
            (
                lambda *arguments: (
                    _attend(*arguments)[0],
                    *arguments[3:],
                ),
                "the cache is returned without the new token",
            ),
        ],
        results=("the output", "the keys", "the values"),
    ),
}
