"""The checks of chapter 5: additive scores, the context, the loss of REINFORCE."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from book.attention import AdditiveAttention, reinforce, weighted
from book.checks.exercise import Exercise, Wrong, random


def _score_inputs() -> Iterator[tuple[Any, ...]]:
    for B, S, C, K in ((2, 5, 4, 4), (3, 4, 6, 5)):
        yield random(B, C), random(B, S, C), random(K, C), random(K, C), random(K), random(K)


def _scores(h: Tensor, memory: Tensor, W: Tensor, U: Tensor, b: Tensor, v: Tensor) -> Tensor:
    layer = AdditiveAttention(W.shape[1], U.shape[1], len(v)).double()
    layer.from_query.weight.data, layer.from_key.weight.data = W, U
    layer.from_key.bias.data, layer.score.weight.data = b, v[None]
    return layer.scores(h[:, None], memory)[:, 0]


def _tanh_outside(h: Tensor, memory: Tensor, W: Tensor, U: Tensor, b: Tensor, v: Tensor) -> Tensor:
    return (((h @ W.T)[:, None] + memory @ U.T + b) @ v).tanh()


def _without_tanh(h: Tensor, memory: Tensor, W: Tensor, U: Tensor, b: Tensor, v: Tensor) -> Tensor:
    return ((h @ W.T)[:, None] + memory @ U.T + b) @ v


def _mean_by(weights: Tensor, memory: Tensor) -> Tensor:
    return (weights[:, :, None] * memory).sum(1)


def _draws() -> Iterator[tuple[Any, ...]]:
    for B, baseline in ((4, 0.7), (6, -1.0)):
        yield random(B).requires_grad_(), random(B).requires_grad_(), baseline


def _with_gradients(loss: Any, arguments: Any) -> tuple[Tensor, ...]:
    """Return a loss and its gradients by the log-probabilities and by the rewards."""
    if not isinstance(loss, Tensor) or loss.shape or not loss.requires_grad:
        raise Wrong(
            "the loss must be a tensor with one number, computed from log_p so that it has a gradient"
        )
    gradients = torch.autograd.grad(loss, arguments[:2], allow_unused=True)
    return loss, *(torch.zeros(len(arguments[0])) if gradient is None else gradient for gradient in gradients)


EXERCISES = {
    "additive_scores": Exercise(
        inputs=_score_inputs,
        right=_scores,
        mistakes=[
            (_without_tanh, "the tanh is missing: take it of the sum, before v"),
            (_tanh_outside, "the tanh comes after v: take it before, of each number of the hidden layer"),
            (lambda h, memory, W, U, b, v: _scores(h, memory, W, U, 0 * b, v), "the bias `b` is missing"),
            (
                lambda h, memory, W, U, b, v: _scores(0 * h, memory, W, U, b, v),
                "the decoder's state is not used: add `h @ W.T` to each place",
            ),
            (
                lambda *arguments: _scores(*arguments).softmax(-1),
                "that is the softmax of the scores: return the scores themselves",
            ),
        ],
        results=("the scores",),
    ),
    "context": Exercise(
        inputs=lambda: [(random(3, 5), random(3, 5, 4)), (random(2, 7), random(2, 7, 1))],
        right=lambda scores, memory: weighted(scores[:, None], memory)[0][:, 0],
        mistakes=[
            (
                lambda scores, memory: _mean_by(scores.softmax(0), memory),
                "the weights of a place add up to one over the batch: take the softmax along the last dimension",
            ),
            (_mean_by, "the scores are used as weights: take their softmax first"),
            (
                lambda scores, memory: memory.mean(1),
                "all places count the same: multiply each by its weight, and add up",
            ),
            (
                lambda scores, memory: _mean_by(scores.softmax(-1), memory) / scores.shape[1],
                "the weights add up to one, so the weighted sum is the mean: do not divide by the number of places",
            ),
        ],
        results=("the context",),
    ),
    "reinforce_loss": Exercise(
        inputs=_draws,
        right=reinforce,
        mistakes=[
            (
                lambda log_p, rewards, baseline: -reinforce(log_p, rewards, baseline),
                "the sign is wrong: going down the loss must make good draws more probable, so take minus the mean",
            ),
            (
                lambda log_p, rewards, baseline: reinforce(log_p, rewards),
                "the baseline is not subtracted from the rewards",
            ),
            (
                lambda log_p, rewards, baseline: -((rewards - baseline) * log_p).mean(),
                "the loss also has a gradient by the rewards: `detach()` them, as only the draws are to be learned here",
            ),
            (
                lambda log_p, rewards, baseline: reinforce(log_p, rewards, baseline) * len(log_p),
                "the loss is a sum: take the mean over the batch",
            ),
            (
                lambda log_p, rewards, baseline: reinforce(log_p.exp(), rewards, baseline),
                "it multiplies by the probability: multiply by its logarithm",
            ),
        ],
        results=("the loss", "the gradient of log_p", "the gradient of the rewards"),
        observed=_with_gradients,
    ),
}
