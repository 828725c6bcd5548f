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

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, passed on by torchrun
STOP, SAVE = 0, 1


class Requests:
    """What a training is asked for from outside: to stop (signals), to save (the clock of the main process)."""

    def __init__(self, world: World, checkpoint_minutes: float) -> None:
        self.world, self.save_seconds = world, 60 * checkpoint_minutes
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
        asked = torch.tensor([float(bool(self.signal_name)), float(minutes_are_over and self.world.is_main)])
        if self.world.size == 1:
            return bool(asked[STOP]), bool(asked[SAVE])
        answer, self.told = self.told, (asked, self.tell(asked))
        if answer is None:
            return False, False
        answer[1].wait()
        return bool(answer[0][STOP]), bool(answer[0][SAVE])

    def tell(self, asked: torch.Tensor) -> dist.Work:
        """Begin to add up what the processes were asked for."""
        work = dist.all_reduce(asked, group=self.channel, async_op=True)
        assert work is not None
        return work

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
