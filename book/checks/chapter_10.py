"""The checks of chapter 10: the learning rate's schedule, and a gradient computed in parts."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from book.checks.exercise import Exercise, Wrong, random
from training.config import OptimizerConfig
from training.optim import learning_rate

Parts = list[tuple[Tensor, Tensor]]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def _moments() -> Iterator[tuple[Any, ...]]:
    for step in (0, 3, 10, 11, 37, 59):
        yield step, 60, 2.0, 10, 0.1


def _rate(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    config = OptimizerConfig(
        learning_rate=peak, warmup_steps=warmup_steps, final_fraction=final_fraction, schedule="cosine"
    )
    return learning_rate(step, max_steps, config)


def _from_zero(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    return (
        peak * step / warmup_steps
        if step < warmup_steps
        else _rate(step, max_steps, peak, warmup_steps, final_fraction)
    )


def _late(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    """Return the rate of a reader whose cosine begins at step 0."""
    height = (1 + math.cos(math.pi * step / max_steps)) / 2
    falling = peak * (final_fraction + (1 - final_fraction) * height)
    return _rate(step, max_steps, peak, warmup_steps, final_fraction) if step < warmup_steps else falling


def _linear(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    if step < warmup_steps:
        return _rate(step, max_steps, peak, warmup_steps, final_fraction)
    return peak * (1 - (1 - final_fraction) * (step - warmup_steps) / (max_steps - warmup_steps))


def _batches() -> Iterator[tuple[Any, ...]]:
    for V, sizes in ((5, (7, 2, 3)), (4, (1, 6))):
        pairs = [(torch.randint(V, (n,)), torch.randint(V, (n,))) for n in sizes]
        yield _loss_of_at_most(max(sizes)), random(V, V).requires_grad_(), pairs


def _loss_of_at_most(n: int) -> Loss:
    """Return a bigram model's loss that takes no more than n tokens at a time."""

    def loss_of(weight: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        if len(inputs) > n:
            raise Wrong(
                "it gives `loss_of` more than one part at a time, for which there is no memory: go through the parts"
            )
        return F.cross_entropy(weight[inputs], targets, reduction="sum")

    return loss_of


def _gradients(loss_of: Loss, weight: Tensor, parts: Parts) -> list[Tensor]:
    return [torch.autograd.grad(loss_of(weight, *part), weight)[0] for part in parts]


def _accumulated(loss_of: Loss, weight: Tensor, parts: Parts) -> Tensor:
    n_tokens = sum(targets.numel() for _, targets in parts)
    return torch.stack(_gradients(loss_of, weight, parts)).sum(0) / n_tokens


def _mean_of_means(loss_of: Loss, weight: Tensor, parts: Parts) -> Tensor:
    gradients = _gradients(loss_of, weight, parts)
    means = [gradient / targets.numel() for gradient, (_, targets) in zip(gradients, parts, strict=True)]
    return torch.stack(means).mean(0)


EXERCISES = {
    "learning_rate": Exercise(
        inputs=_moments,
        right=_rate,
        mistakes=[
            (_late, "the cosine begins at step 0: let it begin at its peak when the warm-up ends"),
            (
                _from_zero,
                "the warm-up begins at zero, so that the first step changes nothing: use (step + 1) / warmup_steps",
            ),
            (
                lambda step, max_steps, peak, warmup_steps, final_fraction: _rate(
                    step, max_steps, peak, 0, final_fraction
                ),
                "there is no warm-up: before warmup_steps, the rate rises in a straight line",
            ),
            (_linear, "it falls in a straight line: use (1 + cos(pi * progress)) / 2"),
            (
                lambda step, max_steps, peak, warmup_steps, final_fraction: _rate(
                    step, max_steps, peak, warmup_steps, 0.0
                ),
                "it falls to zero: let it fall to final_fraction of the peak",
            ),
            (
                lambda step, max_steps, peak, warmup_steps, final_fraction: _rate(
                    step, max_steps, 1.0, warmup_steps, final_fraction
                ),
                "it returns a fraction: multiply by the peak",
            ),
        ],
        results=("the learning rate",),
    ),
    "accumulated": Exercise(
        inputs=_batches,
        right=_accumulated,
        mistakes=[
            (
                _mean_of_means,
                "the mean of the parts' means is wrong where parts differ in size: divide by the tokens of all parts",
            ),
            (
                lambda loss_of, weight, parts: torch.stack(_gradients(loss_of, weight, parts)).sum(0),
                "the gradients are only added up: divide by the tokens of all parts",
            ),
            (
                lambda loss_of, weight, parts: torch.stack(_gradients(loss_of, weight, parts)).mean(0),
                "the sum is divided by the number of parts: divide by the tokens of all parts",
            ),
            (
                lambda loss_of, weight, parts: (
                    _gradients(loss_of, weight, parts)[-1] / sum(len(part[1]) for part in parts)
                ),
                "only the last part counts: add up the gradients of all parts",
            ),
        ],
        results=("the gradient",),
    ),
}
