"""Stopping in good order: a signal to any process, agreed on by all of them, between two steps.

Owns what SIGTERM, SIGINT and SIGUSR1 (Slurm's warning before a time limit) do to a training, and how the processes come
to the same decision at the same step: each tells the others what it knows, of damaged shards too, over a side channel on
the CPU, and what was told in one step is looked at in the next, so that nothing waits for a device.
"""

import contextlib
import os
import signal
import time
from types import FrameType
from typing import Self

import torch
import torch.distributed as dist

from distributed import World
from shard_check import ShardCheck

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, which came two ways
STOP, SAVE, DAMAGED = 0, 1, 2


class Signals:
    """The first signal to stop that this process gets, kept until someone looks; handlers hold while it is entered."""

    def __init__(self) -> None:
        self.name, self.received_at = "", 0.0

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self.receive) for number in SIGNALS}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; whoever interrupts a second time does not want to wait.

        torchrun passes the first Ctrl-C on as SIGINT and the second as SIGTERM. After a warning, SIGTERM is no more
        than another one: the processes are saving by then.
        """
        name = signal.Signals(number).name
        if not self.name:
            self.name, self.received_at = name, time.monotonic()
            with contextlib.suppress(OSError):  # nobody may read it
                os.write(2, f"{name}: stopping after this step, which will be saved\n".encode())
        elif "SIGINT" in (name, self.name) and time.monotonic() > self.received_at + AT_ONCE_AFTER:
            raise KeyboardInterrupt


def ignore_signals() -> None:
    """Let no signal make a failure of a process that has done its work and is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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
            raise self.check.refusal()
        self.data_is_whole = True

    def saved(self) -> None:
        """Count the minutes to the next checkpoint from now on; what was told before is answered, or told again."""
        self.finish()
        self.saved_at, self.told = time.monotonic(), None

    def finish(self) -> None:
        """Wait for what was told last, so that no process leaves while another still listens."""
        if self.told:
            self.told[1].wait()
