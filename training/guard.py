"""The guard: skip the update of a step whose loss or gradient is not finite, or whose loss is a spike.

It decides on the device, within the step; its verdicts are read one step late, so that nothing waits for the device.
What is written about a bad step is in autopsy.py.
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from checkpointing.checkpoint import Progress
from evaluation.losses import Losses
from system.errors import UserError, how_to_resume
from training.config import OnNonfinite

SPREAD_STEPS = 100  # steps over which the losses' mean and deviation are taken; earlier, no loss is a spike
SPIKE_DEVIATIONS = 10.0  # deviations above the mean from which a loss is a spike
MAX_RISE = 0.3  # nats by which the validation loss of good weights may rise from one evaluation to the next
# Nats by which it may be above the run's best. Overfitting rises further, and slowly: such weights stay good up to where
# each token is 7 times less probable than at best. The run's best checkpoint is then the better start.
MAX_RISE_FROM_BEST = 2.0
MAX_SKIPPED, WINDOW_STEPS = 10, 1000  # most steps skipped, in how many
GENTLER = "with a lower --learning_rate or more --warmup_steps"
BRANCH = f"branch from an earlier checkpoint (--branch_from=... --out_dir=...) {GENTLER}"
RESTART = f"start again in another --out_dir {GENTLER}"


@dataclass(frozen=True)
class Verdict:
    """The guard's decision about a step, read from the device."""

    step: int  # the step that the update leads to
    sequences: int  # consumed before it
    last_good_step: int  # the step of the weights it was computed with
    finished_at: float  # by time.perf_counter()
    skipped: bool  # neither weights nor optimizer state changed
    ends: bool  # the run stops here
    loss: float  # over all processes
    own_part_of_loss: float  # over this process's sequences; the parts add up to the loss
    grad_norm: float
    usual_loss: float  # mean of the losses before it
    usual_deviation: float
    figures: dict[str, float] = field(default_factory=dict)  # whatever else the loop gave to the log

    @property
    def reason(self) -> str:
        """Why the step was skipped."""
        if not math.isfinite(self.loss):
            return f"the loss of step {self.step} is {self.loss}"
        if not math.isfinite(self.grad_norm):
            return f"the gradient norm of step {self.step} is {self.grad_norm}"
        usual = f"{self.usual_loss:.4f} (deviation {self.usual_deviation:.4f})"
        return f"the loss of step {self.step} is {self.loss:.4f}, far above the recent mean {usual}"


class Guard:
    """Judges each step on the device, the same in all processes, and holds the verdicts until they are read.

    A step is bad if its loss or gradient norm is not finite, or if its loss is `SPIKE_DEVIATIONS` above the mean of recent
    ones. A bad step is skipped; with `stop`, or after too many skips, all steps after it are skipped too.
    """

    def __init__(
        self,
        device: torch.device,
        on_nonfinite: OnNonfinite,
        sequences_per_step: int,
        progress: Progress,
        vocab_size: int,
    ) -> None:
        """Start after the step of `progress`, with the guard's state that it holds, if any."""
        state = progress.guard or {"spread": [0.0, 0.0, 0.0], "skipped": []}
        skipped = [-WINDOW_STEPS] * (MAX_SKIPPED - len(state["skipped"])) + state["skipped"]
        self.on_nonfinite, self.n_skipped = on_nonfinite, len(state["skipped"])
        # None: of a new run, or after a change of windows. Older checkpoints lack one or both.
        good, best = (state.get(key, progress.best_val_loss) for key in ("val_loss", "best_val_loss"))
        self.good_val_loss: float = good or math.log(vocab_size)
        self.best_val_loss: float = best or math.log(vocab_size)
        self.last_good_step = progress.step
        while self.last_good_step in state["skipped"]:
            self.last_good_step -= 1
        # Of the losses: their count (up to SPREAD_STEPS), mean and variance.
        self.spread = torch.tensor(state["spread"], device=device)
        self.skipped = torch.tensor(skipped, device=device)  # the latest skipped steps, oldest first
        self.ended = torch.zeros((), dtype=torch.bool, device=device)
        # Mean losses of sequences deviate by about 1 nat, so those of steps by less; 0.1 remains for the largest batches.
        self.least_deviation = 0.1 + sequences_per_step**-0.5
        self.held: deque[tuple[int, int, Tensor, torch.cuda.Event | float, tuple[str, ...]]] = deque()

    def judge(
        self, progress: Progress, loss: Tensor, own_loss: Tensor, grad_norm: Tensor, **figures: Tensor
    ) -> Tensor:
        """Return whether to skip the update after `progress`: a boolean on the device, which is not waited for.

        `loss` is over all processes, `own_loss` this one's part of it. Other `figures` (scalars) only travel to the log,
        with the verdict.
        """
        step = progress.step + 1
        n, mean, variance = self.spread.unbind()
        deviation = variance.sqrt().clamp(min=self.least_deviation)
        usual = (loss <= mean + SPIKE_DEVIATIONS * deviation) | (n < SPREAD_STEPS)
        bad = ~(usual & torch.isfinite(loss + grad_norm))
        if self.on_nonfinite == "skip":
            self.ended = self.ended | (bad & (step - self.skipped[0] < WINDOW_STEPS))
            latest = torch.cat([self.skipped[1:], torch.full_like(self.skipped[:1], step)])
            self.skipped = torch.where(bad & ~self.ended, latest, self.skipped)
        else:
            self.ended = self.ended | bad
        skip = bad | self.ended
        self.spread = torch.where(skip, self.spread, spread_with(loss, n, mean, variance))
        found = torch.stack([skip, self.ended, loss, own_loss, grad_norm, mean, deviation, *figures.values()])
        is_cuda = found.is_cuda
        found = found.to("cpu", non_blocking=is_cuda)  # into pinned memory, while the device continues
        done = torch.cuda.Event(blocking=True) if is_cuda else time.perf_counter()  # others keep a core busy
        if not isinstance(done, float):
            done.record()
        self.held.append((step, progress.sequences, found, done, tuple(figures)))
        return skip

    def verdicts(self, late: int) -> Iterator[Verdict]:
        """Yield the verdicts not read yet, except the last `late`; wait until the device has computed them."""
        while len(self.held) > late:
            step, sequences, found, done, names = self.held.popleft()
            if not isinstance(done, float):
                done.synchronize()
                done = time.perf_counter()
            skipped, ends, loss, own_loss, grad_norm, mean, deviation, *others = found.tolist()
            verdict = Verdict(
                *(step, sequences, self.last_good_step, done, bool(skipped), bool(ends)),
                *(loss, own_loss, grad_norm, mean, deviation),
                figures=dict(zip(names, others, strict=True)),
            )
            if skipped:
                self.n_skipped += 1
            else:
                self.last_good_step = step
            yield verdict

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs to judge the same, as numbers that survive JSON exactly.

        After a step that ends the run, this is still the state before it.
        """
        return {
            "spread": self.spread.tolist(),
            "skipped": [step for step in self.skipped.tolist() if step > 0],
            "val_loss": self.good_val_loss,
            "best_val_loss": self.best_val_loss,
        }

    def checked(self, losses: Losses, step: int) -> Losses:
        """Return the validation losses, and remember the latest of good weights; raise UserError if they are not finite."""
        if not math.isfinite(losses.nats_per_token):
            raise UserError(
                f"the validation loss of step {step} is {losses.nats_per_token}, so the step is not saved: {BRANCH}, or {RESTART}"
            )
        if self.are_good(losses.nats_per_token):
            self.good_val_loss = losses.nats_per_token
            self.best_val_loss = min(self.best_val_loss, losses.nats_per_token)
        return losses

    def are_good(self, val_loss: float) -> bool:
        """Return whether weights with this validation loss are good: not far above the latest good ones, nor the best.

        All evaluations are over the same windows, so neither the batch nor the choice of sequences moves their losses: if
        they rise at all, as in overfitting, they do so slowly. A new run begins with the loss of a guess among all tokens.
        """
        limit = min(self.good_val_loss + MAX_RISE, self.best_val_loss + MAX_RISE_FROM_BEST)
        return val_loss <= limit  # never true of nan

    def error(self, verdict: Verdict, val_loss: float, good: bool, has_checkpoint: bool) -> UserError:
        """Return the error that ends the run after `verdict`, with the ways to resume.

        `val_loss` is that of the weights before the step: it tells whether they or the step's sequences are to blame.
        """
        found = f"{verdict.reason}; the update was skipped"
        if self.on_nonfinite == "skip":
            found += f", as were {MAX_SKIPPED} of the {WINDOW_STEPS} steps before"
        other = BRANCH if has_checkpoint else RESTART
        if not good:
            return UserError(
                f"{found}; the weights before it were bad already (validation loss {val_loss:.4f}): {other}"
            )
        skip = " (--on_nonfinite=skip leaves such steps out)" if self.on_nonfinite == "stop" else ""
        return UserError(
            f"{found}; the weights before it are good (validation loss {val_loss:.4f}):"
            f" {how_to_resume()}{skip}; if it happens again, {other}"
        )


def spread_with(loss: Tensor, n: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return count, mean and variance (3,) with one more loss: plain up to SPREAD_STEPS losses, then exponentially weighted.

    Source: Finch, "Incremental calculation of weighted mean and variance", 2009, section 9.
    """
    n = (n + 1).clamp(max=SPREAD_STEPS)
    difference = loss - mean
    step = difference / n
    return torch.stack([n, mean + step, (1 - 1 / n) * (variance + difference * step)])
