"""Stopping in good order: a signal to any process, agreed on by all of them, between two steps.

Owns what SIGTERM, SIGINT and SIGUSR1 (Slurm's warning before a time limit) do to a training, and how the processes come
to the same decision at the same step: each tells the others what it knows over a side channel on the CPU, and what was
told in one step is looked at in the next, so that nothing waits for a device.
"""

import os
import signal
import time
from types import FrameType

import torch
import torch.distributed as dist

from distributed import World
from errors import UserError
from shard_check import ShardCheck

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, passed on by torchrun
STOP, SAVE, DAMAGED = 0, 1, 2


class Requests:
    """What a training is asked for from outside: to stop (signals), to save (the clock of the main process).

    Where the shards turn out to be damaged on any machine, it ends with a UserError, in all processes.
    """

    def __init__(self, world: World, checkpoint_minutes: float, check: ShardCheck) -> None:
        self.world, self.save_seconds, self.check = world, 60 * checkpoint_minutes, check
        self.data_is_whole = False
        self.saved_at = time.monotonic()
        self.signal_name, self.received_at = "", 0.0
        # nccl has no operations on the CPU; where the processes talk by gloo anyway, that is the channel.
        needs_channel = world.size > 1 and world.device.type == "cuda"
        self.channel = dist.new_group(backend="gloo") if needs_channel else None
        self.told: tuple[torch.Tensor, dist.Work] | None = None
        self.before = {number: signal.signal(number, self.receive) for number in SIGNALS}

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; a second interrupt ends the process at once, as if there were no handler."""
        if (
            self.signal_name
            and number == signal.SIGINT
            and time.monotonic() > self.received_at + AT_ONCE_AFTER
        ):
            signal.signal(number, signal.default_int_handler)
            raise KeyboardInterrupt
        if not self.signal_name:
            self.signal_name, self.received_at = signal.Signals(number).name, time.monotonic()
            os.write(2, f"{self.signal_name}: stopping after this step, then saving\n".encode())

    def agreed(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save now: the same answer in every process at the same step.

        All processes call this once between two steps.
        """
        minutes_are_over = 0 < self.save_seconds <= time.monotonic() - self.saved_at
        asked = torch.zeros(3)
        asked[STOP], asked[SAVE] = bool(self.signal_name), minutes_are_over and self.world.is_main
        asked[DAMAGED] = bool(self.check.damage)
        answer = self.answer(asked)
        if answer[DAMAGED]:
            raise self.refusal()
        return bool(answer[STOP]), bool(answer[SAVE])

    def answer(self, asked: torch.Tensor) -> torch.Tensor:
        """Return what all processes were asked for, in sum, a step ago where they are several; tell them this."""
        if self.world.size == 1:
            return asked
        before, self.told = self.told, (asked, self.tell(asked))
        if before is None:
            return torch.zeros(len(asked))
        before[1].wait()
        return before[0]

    def tell(self, asked: torch.Tensor) -> dist.Work:
        """Begin to add up what the processes were asked for."""
        work = dist.all_reduce(asked, group=self.channel, async_op=True)
        assert work is not None
        return work

    def confirm_data(self) -> None:
        """Wait until all shards are checked, on all machines: only then may what was learned from them be kept.

        All processes call this before a checkpoint. Raises UserError for damage.
        """
        if self.data_is_whole:
            return
        n_damaged = torch.tensor(float(bool(self.check.wait())))
        if self.world.size > 1:
            dist.all_reduce(n_damaged, group=self.channel)
        if n_damaged:
            raise self.refusal()
        self.data_is_whole = True

    def refusal(self) -> UserError:
        """Return what to say of damaged data: the steps done with them are not kept."""
        found = self.check.damage or "another process found its shards damaged and says which"
        return UserError(
            f"{found}: nothing since the last checkpoint is kept; prepare the data again, then the same command goes on"
        )

    def saved(self) -> None:
        """Count the minutes to the next checkpoint from now on."""
        self.saved_at = time.monotonic()

    def __enter__(self) -> "Requests":
        return self

    def __exit__(self, exception: type[BaseException] | None, *_details: object) -> None:
        """Finish what was told last, unless something failed, and give the signals back to whoever had them."""
        if self.told and exception is None:
            self.told[1].wait()
        for number, handler in self.before.items():
            signal.signal(number, handler)
