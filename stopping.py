"""Stopping in good order: a signal to any process, agreed on by all of them, between two steps.

Owns what SIGTERM, SIGINT and SIGUSR1 (Slurm's warning before a time limit) do to a training, and how the processes come
to the same decision at the same step: each tells the others what it knows over a side channel on the CPU, and what was
told in one step is looked at in the next, so that nothing waits for a device.
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

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, which came two ways
STOP, SAVE = 0, 1


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
    """What a training is asked for from outside: to stop (signals), to save (the clock of the main process)."""

    def __init__(self, world: World, signals: Signals, checkpoint_minutes: float) -> None:
        self.world, self.signals, self.save_seconds = world, signals, 60 * checkpoint_minutes
        self.saved_at = time.monotonic()
        self.save_is_done = (
            False  # the one that may have been asked for when the processes last told each other
        )
        # nccl has no operations on the CPU; where the processes talk by gloo anyway, that is the channel.
        needs_channel = world.size > 1 and world.device.type == "cuda"
        self.channel = dist.new_group(backend="gloo") if needs_channel else None
        self.told: tuple[torch.Tensor, dist.Work] | None = None

    def agreed(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save now: the same answer in every process at the same step.

        All processes call this once between two steps.
        """
        stop, minutes = bool(self.signals.name), time.monotonic() - self.saved_at
        save = self.world.is_main and 0 < self.save_seconds <= minutes
        if self.world.size == 1:
            return stop, save
        before, self.told = self.told, self.tell(stop, save)
        if before is None:
            return False, False
        answer, work = before
        work.wait()
        save_is_done, self.save_is_done = self.save_is_done, False
        return bool(answer[STOP]), bool(answer[SAVE]) and not save_is_done

    def tell(self, stop: bool, save: bool) -> tuple[torch.Tensor, dist.Work]:
        """Begin to add up what the processes are asked for."""
        asked = torch.tensor([float(stop), float(save)])
        work = dist.all_reduce(asked, group=self.channel, async_op=True)
        assert work is not None
        return asked, work

    def saved(self) -> None:
        """Count the minutes to the next checkpoint from now on."""
        self.saved_at, self.save_is_done = time.monotonic(), True

    def finish(self) -> None:
        """Wait for what was told last, so that no process leaves while another still listens."""
        if self.told:
            self.told[1].wait()
