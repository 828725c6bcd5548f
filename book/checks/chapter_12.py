"""The checks of chapter 12: attention rollout, the surprisal without a token, the score of an induction head."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.attention import causal_mask
from book.checks.exercise import Exercise, random
from book.transformer import Block, sinusoids

Model = Callable[[Tensor, Tensor], Tensor]


def _attentions() -> Iterator[tuple[Tensor]]:
    for n_layer, T in ((3, 4), (1, 5), (4, 6)):
        scores = 2 * random(n_layer, T, T)
        yield (scores.masked_fill(~causal_mask(T), -math.inf).softmax(-1),)


def _rollout(weights: Tensor, kept: float = 0.5) -> Tensor:
    """Return the product of all layers' weights, each mixed with the identity, the last layer on the left."""
    total = torch.eye(weights.shape[-1], dtype=weights.dtype)
    for layer in weights:
        total = ((1 - kept) * layer + kept * torch.eye(len(layer), dtype=layer.dtype)) @ total
    return total


def _models() -> Iterator[tuple[Any, ...]]:
    for T, left_out in ((6, 2), (5, 0), (4, 2)):
        yield _model(9, 8), torch.randint(9, (T,)), left_out


def _model(V: int, C: int) -> Model:
    """Return a small causal transformer with random weights."""
    table, block = random(V, C), Block(C, 2).double().requires_grad_(False)

    def logits_of(tokens: Tensor, positions: Tensor) -> Tensor:
        x = table[tokens] + sinusoids(64, C)[positions]
        return block(x[None], causal_mask(len(tokens)))[0] @ table.T

    return logits_of


def _without(
    logits_of: Model, tokens: Tensor, left_out: int | None, renumbers: bool = False, sees_answer: bool = False
) -> float:
    """Return the surprisal in bits of the last token, if `left_out` is deleted (None: nothing)."""
    kept = torch.tensor([t for t in range(len(tokens)) if t != left_out])
    seen = kept if sees_answer else kept[:-1]
    positions = torch.arange(len(seen)) if renumbers else seen
    return -logits_of(tokens[seen], positions)[-1].log_softmax(-1)[tokens[-1]].item() / math.log(2)


def _heads() -> Iterator[tuple[Tensor, int]]:
    for n_head, n in ((2, 4), (3, 5)):
        yield random(n_head, 2 * n, 2 * n).softmax(-1), n


def _score(weights: Tensor, n: int, back: int) -> Tensor:
    """Return the mean weight that the second half gives to the token `back` tokens before: (H,)."""
    rows = torch.arange(n, 2 * n)
    return weights[:, rows, rows - back].mean(-1)


EXERCISES = {
    "rollout": Exercise(
        inputs=_attentions,
        right=_rollout,
        mistakes=[
            (
                lambda weights: _rollout(weights.flip(0)),
                "the layers are multiplied in the wrong order: the first layer is nearest to the tokens, so it stands on the right",
            ),
            (
                lambda weights: _rollout(weights, kept=0.0),
                "what a token keeps of itself is missing: mix each layer's weights with the identity, half and half",
            ),
            (
                lambda weights: _rollout(weights) * 2 ** len(weights),
                "weights and identity are added, so that rows add up to 2: take half of each",
            ),
            (
                lambda weights: (0.5 * weights + 0.5 * torch.eye(weights.shape[-1])).mean(0),
                "the layers are averaged: multiply them",
            ),
        ],
        results=("the rollout",),
    ),
    "surprisal_without": Exercise(
        inputs=_models,
        right=_without,
        mistakes=[
            (
                lambda *arguments: _without(*arguments) * math.log(2),
                "the surprisal is in nats: divide by ln 2 for bits",
            ),
            (
                partial(_without, renumbers=True),
                "the other tokens do not keep their positions: leave a gap where the token was",
            ),
            (
                partial(_without, sees_answer=True),
                "the model sees the last token, which it is to predict: give it only those before",
            ),
            (lambda logits_of, tokens, left_out: _without(logits_of, tokens, None), "no token is left out"),
            (
                lambda logits_of, tokens, left_out: (
                    _without(logits_of, tokens, left_out) - _without(logits_of, tokens, None)
                ),
                "that is the change of the surprisal: return the surprisal without the token",
            ),
            (
                lambda *arguments: 2 ** -_without(*arguments),
                "that is a probability: return minus its logarithm to base 2",
            ),
        ],
        results=("the surprisal",),
    ),
    "induction_score": Exercise(
        inputs=_heads,
        right=lambda weights, n: _score(weights, n, n - 1),
        mistakes=[
            (
                lambda weights, n: _score(weights, n, n),
                "that is the weight of the same token, n back: an induction head looks at the token *after* that one",
            ),
            (
                lambda weights, n: weights.diagonal(1 - n, 1, 2).mean(-1),
                "the last token of the first half is counted too: only the second half has an earlier copy",
            ),
            (
                lambda weights, n: _score(weights.transpose(1, 2), n, n - 1),
                "rows and columns are swapped: the row is the token that looks",
            ),
            (
                lambda weights, n: _score(weights, n, n - 1) * n,
                "it is a sum: take the mean over the second half",
            ),
            (
                lambda weights, n: _score(weights, n, n - 1).mean(),
                "that is one score for all heads: take the mean for each",
            ),
        ],
        results=("the scores",),
    ),
}
