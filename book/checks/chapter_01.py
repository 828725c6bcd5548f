"""The checks of chapter 1: the bigram model's loss, bits per byte, the softmax."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from book.checks.exercise import Exercise, random, rows_add_up


def _texts() -> Iterator[tuple[Any, ...]]:
    for V, n, added in ((5, 40, 0.01), (9, 30, 1.0)):
        yield torch.randint(0, 4, (V, V)), torch.randint(V, (n,)), added


def _probabilities(counts: Tensor, added: float, dim: int = 1) -> Tensor:
    return (counts + added) / (counts + added).sum(dim, keepdim=True)


def _loss(probabilities: Tensor, tokens: Tensor) -> Tensor:
    return F.nll_loss(probabilities.log()[tokens[:-1]], tokens[1:])


def _added_late(counts: Tensor, tokens: Tensor, added: float) -> Tensor:
    return _loss(_probabilities(counts, 0.0) + added, tokens)


def _overflowing(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


EXERCISES = {
    "bigram_loss": Exercise(
        inputs=_texts,
        right=lambda counts, tokens, added: _loss(_probabilities(counts, added), tokens).item(),
        mistakes=[
            (
                lambda counts, tokens, added: _loss(_probabilities(counts, 0.0), tokens),
                "nothing is added to the counts, so a pair that was never seen makes the loss infinite: add `added` to all",
            ),
            (_added_late, "`added` goes to the counts, before they are divided by their sum"),
            (
                lambda counts, tokens, added: _loss(_probabilities(counts, added, 0), tokens),
                "the columns add up to one, not the rows: a row holds what follows one token, so divide by `sum(1, keepdim=True)`",
            ),
            (
                lambda counts, tokens, added: _loss(_probabilities(counts, added), tokens) / math.log(2),
                "the loss is in bits: use the natural logarithm for nats",
            ),
            (
                lambda counts, tokens, added: (
                    _loss(_probabilities(counts, added), tokens) * (len(tokens) - 1)
                ),
                "the loss is a sum: take the mean over the tokens",
            ),
            (
                lambda counts, tokens, added: -_loss(_probabilities(counts, added), tokens),
                "the loss is negative: take minus the logarithm",
            ),
            (
                lambda counts, tokens, added: _loss(_probabilities(counts, added), tokens.flip(0)),
                "it predicts the token before: the row is the last token, the column the next one",
            ),
        ],
        results=("the loss",),
    ),
    "bits_per_byte": Exercise(
        inputs=lambda: [(3.07, 1000, 2700), (2.5, 300, 1200)],
        right=lambda nats, n_tokens, n_bytes: nats * n_tokens / n_bytes / math.log(2),
        mistakes=[
            (
                lambda nats, n_tokens, n_bytes: nats * n_tokens / n_bytes,
                "these are nats per byte: divide by ln 2 for bits",
            ),
            (
                lambda nats, n_tokens, n_bytes: nats * n_tokens / n_bytes * math.log(2),
                "a nat is more than a bit, so the number must grow: divide by ln 2 instead of multiplying",
            ),
            (
                lambda nats, n_tokens, n_bytes: nats * n_bytes / n_tokens / math.log(2),
                "all the text's nats are the nats per token times the tokens: divide those by the bytes",
            ),
            (
                lambda nats, n_tokens, n_bytes: nats / math.log(2),
                "these are bits per token: multiply by the tokens and divide by the bytes",
            ),
        ],
    ),
    "softmax": Exercise(
        inputs=lambda: [(random(3, 5),), (random(2, 3, 4),), (1000 * random(3, 5),)],
        right=lambda logits: logits.softmax(-1),
        mistakes=[
            (
                lambda logits: logits.softmax(0),
                "the columns add up to one, not the rows: take the sum along the last dimension, with `keepdim=True`",
            ),
            (
                lambda logits: logits.flatten().softmax(0).view_as(logits),
                "all rows together add up to one: take the sum along the last dimension, with `keepdim=True`",
            ),
            (
                _overflowing,
                "exp of a large number is infinite: first subtract each row's largest logit, which changes no probability",
            ),
        ],
        results=("the softmax",),
        advice=rows_add_up,
    ),
}
