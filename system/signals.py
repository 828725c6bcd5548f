"""Catch stop signals, so that a loop can finish its step: SIGTERM, SIGINT, SIGHUP, and SIGUSR1 (Slurm's warning)."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from system.errors import INTERRUPTED_STATUS, interrupted, say, signed

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
# An interrupt sooner than this is the same one, delivered twice: by the terminal, and by a wrapper that forwards it.
# Nobody presses Ctrl-C twice so fast.
SAME_INTERRUPT_SECONDS = 0.05
FORCED_EXIT_SECONDS = 2.0  # after a second interrupt, until the process is killed if it has not exited


class FirstSignal:
    """The first stop signal, and whether a later one is a second interrupt: the user does not want to wait.

    torchrun forwards the first Ctrl-C as SIGINT and the second as SIGTERM. SIGTERM after SIGUSR1 or SIGTERM does not
    count: the processes are saving by then.
    """

    def __init__(self) -> None:
        self.name, self.received_at = "", 0.0

    def note(self, number: int) -> bool:
        """Note a signal; return whether it is a second interrupt."""
        name = signal.Signals(number).name
        if not self.name:
            self.name, self.received_at = name, time.monotonic()
            return False
        return "SIGINT" in (name, self.name) and time.monotonic() > self.received_at + SAME_INTERRUPT_SECONDS


class Signals:
    """A context that catches stop signals; `name` is the first one's.

    Python runs signal handlers in the main thread only, after its current call returns; a call that waits for a device
    or another process may never return. So a listening thread reads each signal from a pipe.
    """

    def __init__(self) -> None:
        self.received, self.heard = (
            FirstSignal(),
            FirstSignal(),
        )  # by the main thread, by the listening thread
        self.closed = threading.Event()

    @property
    def name(self) -> str:
        """The first signal's name, empty if none came."""
        return self.received.name

    def __enter__(self) -> Self:
        # Ignored signals stay ignored (nohup's SIGHUP), except SIGINT, which shells ignore for jobs started with &.
        caught = [n for n in SIGNALS if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
        read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)
        self.wakeup_before = signal.set_wakeup_fd(self.write_end, warn_on_full_buffer=False)
        threading.Thread(target=self.listen, args=(read_end,), daemon=True).start()
        self.before = {number: signal.signal(number, self.receive) for number in caught}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup_before)
        self.closed.set()
        os.close(self.write_end)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal in the main thread; stop at once on a second interrupt."""
        if self.received.note(number):
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        """Print a line of this process on stderr; do not wait long for its reader, which may hang."""
        printing = threading.Thread(target=say, args=(signed(line), sys.stderr), daemon=True)
        printing.start()
        printing.join(0.5)

    def listen(self, read_end: int) -> None:
        """Print the first signal; exit the process if it does not exit by itself after a second interrupt."""
        while numbers := os.read(read_end, 1):
            if numbers[0] not in SIGNALS:
                continue
            is_first, is_urgent = not self.heard.name, self.heard.note(numbers[0])
            if is_first:
                self.say(f"{self.heard.name}: stopping after this step")
            if is_urgent and not self.closed.wait(FORCED_EXIT_SECONDS):
                self.say(interrupted())
                os._exit(INTERRUPTED_STATUS)
        os.close(read_end)


@contextmanager
def deadly_interrupts() -> Iterator[None]:
    """Let Ctrl-C kill the process at once in the block, which waits for other processes outside Python."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ignore_signals() -> None:
    """Ignore stop signals, so that none turns a finished process into a failed one."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
