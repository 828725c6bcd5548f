"""Stopping in good order: a signal to any process, agreed on by all of them, between two steps.

Owns what SIGTERM, SIGINT, SIGHUP and SIGUSR1 (Slurm's warning before a time limit) do to a training, and how the processes come
to the same decision at the same step: each tells the others what it knows, of damaged shards too, over a side channel on
the CPU, and what was told in one step is looked at in the next, so that nothing waits for a device.
"""

import time

import torch
import torch.distributed as dist

from system.signals import Signals
from system.world import World
from training.shard_check import ShardCheck

STOP, SAVE, DAMAGED = 0, 1, 2


class Requests:
    """What a training is asked for from outside: to stop (signals), to save (the clock of the main process).

    Where the shards turn out to be damaged on any machine, it ends with a UserError, in all processes.
    """

    def __init__(self, world: World, signals: Signals, checkpoint_minutes: float, check: ShardCheck) -> None:
        self.world, self.signals, self.save_seconds = world, signals, 60 * checkpoint_minutes
        self.check, self.data_is_whole = check, False
        self.saved_at = time.monotonic()
        # nccl has no operations on the CPU; where the processes talk by gloo anyway, that is the channel.
        needs_channel = world.size > 1 and world.device.type == "cuda"
        self.channel = dist.new_group(backend="gloo", timeout=world.timeout) if needs_channel else None
        self.told: tuple[torch.Tensor, dist.Work] | None = None

    def agreed(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save now: the same answer in every process at the same step.

        All processes call this once between two steps.
        """
        minutes_are_over = 0 < self.save_seconds <= time.monotonic() - self.saved_at
        asked = torch.zeros(3)
        asked[STOP], asked[SAVE] = bool(self.signals.name), minutes_are_over and self.world.is_main
        asked[DAMAGED] = bool(self.check.damage)
        answer = self.answer(asked)
        if answer[DAMAGED]:
            self.finish()  # all must have heard, before one is gone
            raise self.check.refusal()
        return bool(answer[STOP]), bool(answer[SAVE])

    def answer(self, asked: torch.Tensor) -> torch.Tensor:
        """Return what all processes are asked for, in sum; where they are several, a step ago, and tell them this."""
        if self.world.size == 1:
            return asked
        before, self.told = self.told, (asked, self.tell(asked))
        if before is None:
            return torch.zeros(len(asked))
        answer, work = before
        work.wait()
        return answer

    def tell(self, asked: torch.Tensor) -> dist.Work:
        """Begin to add up what the processes are asked for."""
        work = dist.all_reduce(asked, group=self.channel, async_op=True)
        assert work is not None
        return work

    def confirm_data(self, seconds: float) -> bool:
        """Check the shards for so long; return whether all are, on all machines: then what was learned may be kept.

        All processes call this before a checkpoint. Raises UserError for damage.
        """
        if not self.data_is_whole:
            self.check.hurry_on(seconds)
            found = torch.tensor([bool(self.check.damage), self.check.goes_on], dtype=torch.float32)
            if self.world.size > 1:
                dist.all_reduce(found, group=self.channel)
            n_damaged, n_unfinished = found.tolist()
            if n_damaged:
                raise self.check.refusal()
            self.data_is_whole = not n_unfinished
        return self.data_is_whole

    def loss(self) -> RuntimeError | None:
        """Return what is wrong with what was told last: another process is gone. Any thread may ask."""
        told = self.told
        if told and (future := told[1].get_future()).done():
            try:
                future.value()
            except RuntimeError as error:
                return error
        return None

    def saved(self) -> None:
        """Count the minutes to the next checkpoint from now on; what was told before is answered, or told again."""
        self.finish()
        self.saved_at, self.told = time.monotonic(), None

    def finish(self) -> None:
        """Wait for what was told last, so that no process leaves while another still listens."""
        if self.told:
            self.told[1].wait()
