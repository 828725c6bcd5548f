"""SIGTERM, SIGINT, SIGHUP and SIGUSR1 (Slurm's warning before a time limit): heard, kept until someone looks."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from system.errors import INTERRUPTED, INTERRUPTED_STATUS, say

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
AT_ONCE_AFTER = 1.0  # seconds: an interrupt sooner is the same one, which came two ways
DEAF_AFTER = 2.0  # seconds from when the process must be gone, if need be without a good end


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
