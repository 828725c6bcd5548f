"""The guard of a run: nothing is learned from a step whose loss or gradient is no number, or whose loss is absurd.

Owns that decision, made on the device in each step and looked at a step late, and how many steps may be skipped. What
is written about such a step is `autopsy.py`'s.
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from system.errors import UserError

OnNonfinite = Literal["stop", "skip"]

RECENT = 100  # steps that the spread of the losses is over; until there were as many, no loss is absurd
FAR = 10.0  # deviations above the mean, from where on it is
MAX_SKIPPED, WINDOW = 10, 1000  # the most steps skipped, among how many
GENTLER = "with a lower --learning_rate or more --warmup_steps"
BRANCH = f"branch from an earlier checkpoint (--branch_from=... --out_dir=...) {GENTLER}"
ANEW = f"begin anew in another --out_dir {GENTLER}"


@dataclass(frozen=True)
class Verdict:
    """What the device found of a step, now on the host."""

    step: int  # updates done, had it been one
    sequences: int  # consumed before it
    last_good_step: int  # the weights' step, when it was computed
    finished_at: float  # by time.perf_counter()
    skipped: bool  # it changed neither weights nor optimizer
    ends: bool  # the run ends with it
    loss: float  # of all processes
    own_part_of_loss: float  # over this process's sequences; the parts add up to the loss
    grad_norm: float
    usual_loss: float  # the mean of the losses before it
    usual_deviation: float

    @property
    def reason(self) -> str:
        """Why the step was skipped, in words."""
        if not math.isfinite(self.loss):
            return f"the loss of step {self.step} is {self.loss}"
        if not math.isfinite(self.grad_norm):
            return f"the gradient norm of step {self.step} is {self.grad_norm}"
        spread = f"the {self.usual_loss:.4f} of the steps before (deviation {self.usual_deviation:.4f})"
        return f"the loss of step {self.step} is {self.loss:.4f}, far above {spread}"


class Guard:
    """Judges each step on the device, the same in all processes, and keeps the verdicts until they are looked at.

    A step is bad if its loss or gradient norm is not finite, or its loss `FAR` deviations above the mean of recent
    ones. A bad step is skipped; with `stop`, or where too many were, all after it are skipped too.
    """

    def __init__(
        self,
        device: torch.device,
        on_nonfinite: OnNonfinite,
        sequences_per_step: int,
        step: int,
        state: dict[str, Any] | None,
    ) -> None:
        """Go on after `step` with the `state` that was saved of it, None where there is none."""
        state = state or {"spread": [0.0, 0.0, 0.0], "skipped": []}
        skipped = [-WINDOW] * (MAX_SKIPPED - len(state["skipped"])) + state["skipped"]
        self.on_nonfinite, self.n_skipped = on_nonfinite, len(state["skipped"])
        self.last_good_step = step
        while self.last_good_step in state["skipped"]:
            self.last_good_step -= 1
        self.spread = torch.tensor(state["spread"], device=device)  # losses (up to RECENT), mean, variance
        self.skipped = torch.tensor(skipped, device=device)  # the latest, the oldest first
        self.ended = torch.zeros((), dtype=torch.bool, device=device)
        # A sequence's mean loss deviates by about 1 nat from others, so a step's by less; 0.1 for the largest batches.
        self.least_deviation = 0.1 + sequences_per_step**-0.5
        self.held: deque[tuple[int, int, Tensor, torch.cuda.Event | float]] = deque()

    def judge(self, step: int, sequences: int, loss: Tensor, own_loss: Tensor, grad_norm: Tensor) -> Tensor:
        """Return whether to skip the update that leads to `step`, on the device and without waiting for it.

        `loss` is of all processes, `own_loss` this one's part, `sequences` those consumed before.
        """
        n, mean, variance = self.spread.unbind()
        deviation = variance.sqrt().clamp(min=self.least_deviation)
        usual = (loss <= mean + FAR * deviation) | (n < RECENT)
        bad = ~(usual & torch.isfinite(loss + grad_norm))
        if self.on_nonfinite == "skip":
            self.ended = self.ended | (bad & (step - self.skipped[0] < WINDOW))
            latest = torch.cat([self.skipped[1:], torch.full_like(self.skipped[:1], step)])
            self.skipped = torch.where(bad & ~self.ended, latest, self.skipped)
        else:
            self.ended = self.ended | bad
        skip = bad | self.ended
        self.spread = torch.where(skip, self.spread, spread_with(loss, n, mean, variance))
        found = torch.stack([skip, self.ended, loss, own_loss, grad_norm, mean, deviation])
        is_cuda = found.is_cuda
        found = found.to("cpu", non_blocking=is_cuda)  # into pinned memory, while the device goes on
        done = torch.cuda.current_stream().record_event() if is_cuda else time.perf_counter()
        self.held.append((step, sequences, found, done))
        return skip

    def verdicts(self, late: int) -> Iterator[Verdict]:
        """Look at the steps judged and not looked at yet, but the last `late`; wait until the device has done them."""
        while len(self.held) > late:
            step, sequences, found, done = self.held.popleft()
            if not isinstance(done, float):
                done.synchronize()
                done = time.perf_counter()
            skipped, ends, *figures = found.tolist()
            verdict = Verdict(step, sequences, self.last_good_step, done, bool(skipped), bool(ends), *figures)
            if skipped:
                self.n_skipped += 1
            else:
                self.last_good_step = step
            yield verdict

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on must know to judge the same, as numbers that JSON gives back exactly.

        Once a step has ended the run, it is what held before that.
        """
        return {
            "spread": self.spread.tolist(),
            "skipped": [step for step in self.skipped.tolist() if step > 0],
        }

    def are_good(self, val_loss: float, best: float | None) -> bool:
        """Return whether weights with this validation loss have learned: it is not far above the best one."""
        return math.isfinite(val_loss) and (best is None or val_loss <= best + FAR * self.least_deviation)

    def refusal(self, verdict: Verdict, place: str, val_loss: float, good: bool, is_first: bool) -> UserError:
        """Return the error that ends the run after `verdict`: where its autopsy is, and how to go on.

        `val_loss` is of the weights before it: it tells whether they, or the step's sequences, are to blame. `is_first`
        says that there is no checkpoint.
        """
        found = f"{verdict.reason}: nothing was learned from it, {place}"
        if self.on_nonfinite == "skip":
            found += f", and {MAX_SKIPPED} steps were skipped among the {WINDOW} before"
        other = ANEW if is_first else BRANCH
        if not good:
            return UserError(
                f"{found}; the weights before it are bad already (validation loss {val_loss:.4f}): {other}"
            )
        skip = "; with --on_nonfinite=skip it leaves such steps out" if self.on_nonfinite == "stop" else ""
        way_on = f"the same command goes on{'' if is_first else ' from the last checkpoint'}{skip}"
        return UserError(
            f"{found}; the weights before it are good (validation loss {val_loss:.4f}): {way_on}; "
            f"if it comes again, {other}"
        )


def spread_with(loss: Tensor, n: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return count, mean and variance with one more loss: of all of them up to RECENT, then exponentially forgetting.

    (3,). Source: Finch, "Incremental calculation of weighted mean and variance", 2009, section 9.
    """
    n = (n + 1).clamp(max=RECENT)
    difference = loss - mean
    step = difference / n
    return torch.stack([n, mean + step, (1 - 1 / n) * (variance + difference * step)])


def refuse_nonfinite(val_loss: float, step: int) -> None:
    """Raise UserError for a validation loss that is infinite or no number."""
    if not math.isfinite(val_loss):
        raise UserError(
            f"the validation loss of step {step} is {val_loss}: it was not saved; {BRANCH} or {ANEW}"
        )
