"""The exercises of chapter 10, training in practice: write these functions, and check them with `python -m book.check 10`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def learning_rate(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    """Return the learning rate of the update after `step` finished ones, 0 <= step < max_steps: warm-up, then a cosine.

    In the warm-up, updates have 1/warmup_steps of the peak, then 2/warmup_steps, until the last has all of it. From
    step = warmup_steps on, the rate falls from the peak to final_fraction of it, which step = max_steps would have:
    along (1 + cos(pi progress)) / 2, where progress goes from 0 to 1.

    >>> [round(learning_rate(step, 6, 1.0, 2, 0.5), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.927, 0.75, 0.573]
    """
    raise NotImplementedError


def accumulated(
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor], weight: Tensor, parts: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """Return the gradient of the mean loss per token, of all parts of a batch together, in the shape of `weight`.

    `loss_of(weight, inputs, targets)` returns the sum of the losses of a part's tokens. The parts differ in size, and
    together they do not fit into memory, so call it for one part at a time. `weight` has requires_grad=True.

    >>> weight = torch.ones(1, requires_grad=True)
    >>> parts = [(torch.tensor([1.0, 2.0]), torch.zeros(2)), (torch.tensor([6.0]), torch.zeros(1))]
    >>> accumulated(lambda weight, inputs, targets: (weight * inputs - targets).sum(), weight, parts)
    tensor([3.])
    """
    raise NotImplementedError
