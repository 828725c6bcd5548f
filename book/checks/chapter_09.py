"""The checks of chapter 9: two parts of an attention merged, and what attention costs."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from book.checks.exercise import Exercise, random
from model import GPT, GPTConfig

# The largest score, the sum of exponentials and the mean: (T,), (T,), (T, D).
Part = tuple[Tensor, Tensor, Tensor]


def part_of(scores: Tensor, values: Tensor) -> Part:
    """Return what a part of the keys gives for each query: (T, S), (S, D)."""
    largest = scores.amax(-1)
    return largest, (scores - largest[:, None]).exp().sum(-1), scores.softmax(-1) @ values


def _pairs() -> Iterator[tuple[Any, ...]]:
    for T, D, size in ((3, 4, 1.0), (4, 2, 3.0), (5, 3, 1000.0)):
        yield part_of(size * random(T, 5), random(5, D)), part_of(size * random(T, 2), random(2, D))


def _merged(first: Part, second: Part) -> Part:
    """Merge by the logarithms of the parts' sums, which torch adds without overflow."""
    sums = [largest + total.log() for largest, total, _ in (first, second)]
    both, largest = torch.logaddexp(*sums), torch.maximum(first[0], second[0])
    shares = [(one - both).exp()[:, None] for one in sums]
    return largest, (both - largest).exp(), shares[0] * first[2] + shares[1] * second[2]


def _by_totals(first: Part, second: Part, a: Any = 1.0, b: Any = 1.0) -> Part:
    """Return what a reader gets who weights the means by their totals, times a and b."""
    a, b = a * first[1], b * second[1]
    mean = (a[:, None] * first[2] + b[:, None] * second[2]) / (a + b)[:, None]
    return torch.maximum(first[0], second[0]), a + b, mean


def _overflowing(first: Part, second: Part) -> Part:
    largest, total, mean = _by_totals(first, second, first[0].exp(), second[0].exp())
    return largest, total / largest.exp(), mean


def _plain_mean(first: Part, second: Part) -> Part:
    largest, total, _ = _merged(first, second)
    return largest, total, (first[2] + second[2]) / 2


def _undivided(first: Part, second: Part) -> Part:
    largest, total, mean = _merged(first, second)
    return largest, total, mean * total[:, None]


def _operations(T: int, C: int, n_head: int) -> int:
    """Return what model.py counts per token, forward and backward, for the attention of one layer; forward is a third."""
    model = GPT(GPTConfig(vocab_size=1, block_size=1, n_layer=1, n_head=n_head, n_embd=C))
    return T * (model.flops_per_token(T) - model.flops_per_token(0)) // 3


EXERCISES = {
    "merged": Exercise(
        inputs=_pairs,
        right=_merged,
        mistakes=[
            (_plain_mean, "both means count the same: weight each by its part of the sum of exponentials"),
            (
                _by_totals,
                "the sums are added as they are, but each leaves out its own largest score: multiply each by exp(own - common)",
            ),
            (
                _overflowing,
                "exp of a large score is infinite: only take exp of the difference to the larger of the two",
            ),
            (_undivided, "the mean is not divided by the new sum"),
        ],
        results=("the largest score", "the sum", "the mean"),
    ),
    "attention_flops": Exercise(
        inputs=lambda: [(8, 6, 3), (100, 64, 4), (256, 32, 1)],
        right=_operations,
        mistakes=[
            (
                lambda T, C, n_head: 2 * T * T * C,
                "that is half: there are two products, and for each multiplication there is an addition",
            ),
            (
                lambda T, C, n_head: T * T * C,
                "that is a quarter: there are two products, and for each multiplication there is an addition",
            ),
            (
                lambda T, C, n_head: 4 * T * T * C * n_head,
                "each head has only C / n_head channels, so the number of heads does not matter",
            ),
            (lambda T, C, n_head: 4 * T * T * C // n_head, "that is for one head: there are n_head of them"),
            (lambda T, C, n_head: 4 * T * C, "that is for one token: each of T tokens is compared with T"),
        ],
        results=("the number of operations",),
    ),
}
