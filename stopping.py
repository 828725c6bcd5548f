"""Stopping in good order: a signal to any process, agreed on by all of them, between two steps.

Owns what SIGTERM, SIGINT, SIGHUP and SIGUSR1 (Slurm's warning before a time limit) do to a training, and how the processes come
to the same decision at the same step: each tells the others what it knows, of damaged shards too, over a side channel on
the CPU, and what was told in one step is looked at in the next, so that nothing waits for a device.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

import torch
import torch.distributed as dist

from distributed import World
from errors import INTERRUPTED, INTERRUPTED_STATUS, say
from shard_check import ShardCheck

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, which came two ways
DEAF_AFTER = 2.0  # seconds from when the process must be gone, if need be without a good end
STOP, SAVE, DAMAGED = 0, 1, 2


class Notice:
    """The first signal to stop, and whether one that comes later says that nobody wants to wait.

    torchrun passes the first Ctrl-C on as SIGINT and the second as SIGTERM. After a warning, SIGTERM is no more than
    another one: the processes are saving by then.
    """

    def __init__(self) -> None:
        self.name, self.received_at = "", 0.0

    def take(self, number: int) -> bool:
        """Note a signal; return whether it is a second interrupt."""
        name = signal.Signals(number).name
        if not self.name:
            self.name, self.received_at = name, time.monotonic()
            return False
        return "SIGINT" in (name, self.name) and time.monotonic() > self.received_at + AT_ONCE_AFTER


class Signals:
    """The first signal to stop that this process gets, kept until someone looks, while the block runs.

    Python tells its main thread of a signal when that comes back from a call: from one that waits for a device or for
    another process, perhaps never. So a thread hears of each signal too, by way of a pipe.
    """

    def __init__(self) -> None:
        self.received, self.heard = Notice(), Notice()  # by the main thread, by the other one
        self.over = threading.Event()

    @property
    def name(self) -> str:
        """The first signal's name, empty for none."""
        return self.received.name

    def __enter__(self) -> Self:
        # nohup's SIGHUP stays ignored; a shell's SIGINT, for what it starts with &, does not.
        wanted = [n for n in SIGNALS if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
        reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.other_end = signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        threading.Thread(target=self.listen, args=(reading,), daemon=True).start()
        self.before = {number: signal.signal(number, self.receive) for number in wanted}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.other_end)
        self.over.set()
        os.close(self.writing)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal, in the main thread; whoever interrupts a second time does not want to wait."""
        if self.received.take(number):
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        """Print a line on stderr, and do not wait long for whoever reads it: it may be what stands still."""
        printing = threading.Thread(target=say, args=(line, sys.stderr), daemon=True)
        printing.start()
        printing.join(0.5)

    def listen(self, reading: int) -> None:
        """Say that a signal came; end the process where it does not end by itself after a second interrupt."""
        while numbers := os.read(reading, 1):
            if numbers[0] not in SIGNALS:
                continue
            is_first, is_urgent = not self.heard.name, self.heard.take(numbers[0])
            if is_first:
                self.say(f"{self.heard.name}: stopping after this step")
            if is_urgent and not self.over.wait(DEAF_AFTER):
                self.say(INTERRUPTED)
                os._exit(INTERRUPTED_STATUS)
        os.close(reading)


@contextmanager
def deadly_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process in the block at once: it waits for others there, where Python does not hear it."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
