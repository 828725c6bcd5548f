"""Training for a given processor time, the same loop for all networks."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

WARMUP, FINAL = (
    0.05,
    0.1,
)  # share of the time in which the rate rises; where it falls to, as a share of its peak
CLIP = 1.0  # longest gradient
LOOKS = 6  # that are taken at a network while it is trained


class Trained(NamedTuple):
    """What a training took."""

    seconds: float  # of processor time
    steps: int
    was_stopped: bool  # before the time was over


def train(
    model: nn.Module,
    loss_of_batch: Callable[[], Tensor],
    learning_rate: float,
    seconds: float,
    is_done: Callable[[], bool] = lambda: False,
    look: Callable[[], None] = lambda: None,
) -> Trained:
    """Take steps of Adam until `seconds` of this process's processor time are over or `is_done` says so, one at least.

    With one thread, processor time is what a quiet machine's clock would show, whatever else runs beside. The learning
    rate follows the share of it that is used: up for 5%, then down in a line to a tenth. `look` is called LOOKS times, the
    last time at the end, and its time does not count.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    began, steps, used, looks = time.process_time(), 0, 0.0, 0
    while used < seconds:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(max(used / seconds, 0.1 * WARMUP))
        optimizer.zero_grad()
        loss_of_batch().backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        steps, used = steps + 1, time.process_time() - began
        if is_done():
            return Trained(used, steps, was_stopped=True)
        if (due := int(LOOKS * used / seconds)) > looks:
            looks = due
            look()
            began = time.process_time() - used
    return Trained(used, steps, was_stopped=False)


def rate(used: float) -> float:
    """Return the learning rate as a share of its peak, after a share of the time."""
    if used < WARMUP:
        return used / WARMUP
    return 1 - (1 - FINAL) * (used - WARMUP) / (1 - WARMUP)


def best_rate(rates: Iterable[float], score: Callable[[float], float]) -> tuple[float, dict[str, float]]:
    """Return the learning rate with the lowest score, and the scores of all."""
    scores = {value: score(value) for value in rates}
    return min(scores, key=lambda value: scores[value]), {str(key): round(x, 4) for key, x in scores.items()}
