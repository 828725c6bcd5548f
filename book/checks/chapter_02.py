"""The checks of chapter 2: a step of a recurrent network, clipped gradients."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from book.checks.exercise import Exercise, random


def _steps() -> Iterator[tuple[Any, ...]]:
    for B, n_in, C in ((2, 4, 4), (3, 5, 2)):  # first one where a transposed matrix has the right shape
        yield random(B, n_in), random(B, C), random(C, n_in), random(C, C), random(C)


def _step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh_cell(x, h, W, U, b, torch.zeros_like(b))


def _clipped(gradients: list[Tensor], longest: float) -> list[Tensor]:
    holders = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for holder, gradient in zip(holders, gradients, strict=True):
        holder.grad = gradient.clone()
    nn.utils.clip_grad_norm_(holders, longest)
    return [holder.grad for holder in holders if holder.grad is not None]


def _always_scaled(gradients: list[Tensor], longest: float) -> list[Tensor]:
    return [gradient * longest / nn.utils.get_total_norm(gradients) for gradient in gradients]


EXERCISES = {
    "rnn_step": Exercise(
        inputs=_steps,
        right=_step,
        mistakes=[
            (lambda x, h, W, U, b: x @ W.T + h @ U.T + b, "the tanh is missing"),
            (lambda x, h, W, U, b: _step(x, h, W, U, 0 * b), "the bias `b` is missing"),
            (lambda x, h, W, U, b: _step(x, 0 * h, W, U, b), "the old state is not used: add `h @ U.T`"),
            (
                lambda x, h, W, U, b: (x @ W + h @ U + b).tanh(),
                "`x @ W` multiplies by the columns of W: use `x @ W.T`, as W has a row for each number of the state",
            ),
            (
                lambda x, h, W, U, b: (x @ W.T).tanh() + (h @ U.T).tanh() + b,
                "the tanh goes around the sum of all three",
            ),
        ],
        results=("the state",),
    ),
    "clipped": Exercise(
        inputs=lambda: [
            ([random(3, 4), random(5)], 1.0),
            ([random(2), random(2, 2)], 100.0),
            ([random(6)], 0.5),
        ],
        right=_clipped,
        mistakes=[
            (
                lambda gradients, longest: [_clipped([gradient], longest)[0] for gradient in gradients],
                "each gradient is cut by its own length, which changes the direction: use one length, of all numbers together",
            ),
            (
                lambda gradients, longest: [gradient.clamp(-longest, longest) for gradient in gradients],
                "each number is cut by itself, which changes the direction: multiply all by the same factor",
            ),
            (_always_scaled, "a gradient that is short enough must stay as it is"),
            (lambda gradients, longest: gradients, "nothing is cut though the gradient is too long"),
        ],
    ),
}
