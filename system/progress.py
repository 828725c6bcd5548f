"""What is shown while something takes long: a line about it, and on a terminal a bar."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Self, TextIO, TypeVar

from system import errors
from system.errors import say

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_SECONDS = 2.0
DRAW_INTERVAL = 0.2  # seconds from one drawing of a bar to the next, at least

T = TypeVar("T")

_lock = threading.RLock()  # a timer may show a bar, and any thread may print
_bars: "Progress | None" = None  # while any are shown


@contextmanager
def _drawing() -> Iterator[None]:
    """Let one thread draw at a time. If the terminal is gone, go on without bars."""
    global _bars
    with _lock:
        try:
            yield
        except (OSError, ValueError):
            _bars = None


def _forget_bars() -> None:
    """Leave the bars to the parent process. One of its threads may have held the lock at the fork."""
    global _lock, _bars
    _lock, _bars = threading.RLock(), None


os.register_at_fork(after_in_child=_forget_bars)


def _say_above_bars(line: str, file: TextIO | None) -> bool:
    """Print a line above the bars, if there are any and the file is a terminal too; return whether it was."""
    with _drawing():
        if _bars and is_terminal(file):
            from rich.text import Text

            _bars.console.print(Text(line), soft_wrap=True)
            return True
    return False


errors.say_above_bars = _say_above_bars


def is_terminal(file: TextIO | None) -> bool:
    """Return whether a file is a terminal that can move its cursor, whatever FORCE_COLOR says."""
    return file is not None and file.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class Bar(AbstractContextManager["Bar"]):
    """How much of something is done: on a terminal from `show` to `close`, without a trace afterwards."""

    def __init__(self, doing: str, total: float, done: float = 0) -> None:
        """A `total` of 1 means that `done` is a share, which is shown as a percentage only."""
        self.doing, self.total, self.done = doing, total, done
        self.bars: Progress | None = None
        self.next_drawing = 0.0

    @property
    def is_shown(self) -> bool:
        """Whether it is on a terminal."""
        return self.bars is not None and self.bars is _bars

    def figures(self, note: str = "") -> str:
        """Return what stands behind the bar."""
        return " | ".join(filter(None, (f"{self.done:,}/{self.total:,}" if self.total != 1 else "", note)))

    def show(self, file: TextIO | None = None) -> Self:
        """Show it, if the file (stdout by default) is a terminal."""
        global _bars
        if is_terminal(file := file or sys.stdout):
            from system.bars import open_bars

            with _drawing():
                self.bars = _bars = _bars or open_bars(file)
                self.task = _bars.add_task(
                    self.doing, total=self.total, completed=int(self.done), figures=self.figures()
                )
        return self

    def update(self, done: float, note: str = "") -> None:
        """Set what is done, and what else to show; draw it, unless that was just done."""
        self.done = done
        if self.bars and self.is_shown and (now := time.monotonic()) >= self.next_drawing:
            self.next_drawing = now + DRAW_INTERVAL
            with _drawing():
                self.bars.update(self.task, completed=done, figures=self.figures(note), refresh=True)

    def close(self) -> None:
        """Remove it from the terminal."""
        global _bars
        with _drawing():
            if self.bars and self.is_shown:
                if len(self.bars.tasks) > 1:
                    self.bars.remove_task(self.task)
                    self.bars.refresh()
                else:
                    _bars = None
                    self.bars.stop()  # which erases it
            self.bars = None

    def __exit__(self, *_exception: object) -> None:
        self.close()


@contextmanager
def announced(doing: str, active: bool = True, file: TextIO | None = None) -> Iterator[None]:
    """Print what the block is doing if it takes longer than `PATIENCE_SECONDS`. The main process is `active`."""
    with _if_slow(lambda: say(f"{doing} ...", file), active):
        yield


def announced_on_stderr(doing: str) -> AbstractContextManager[None]:
    """Announce on stderr what the block is doing, if that is a terminal: for commands whose output is a text."""
    return announced(doing, bool(sys.stderr and sys.stderr.isatty()), sys.stderr)


@contextmanager
def _if_slow(show: Callable[[], object], active: bool) -> Iterator[None]:
    """Call `show`, from another thread, if the block takes longer than `PATIENCE_SECONDS`."""
    timer = threading.Timer(PATIENCE_SECONDS, show)
    timer.daemon = True
    if active:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if active:
            timer.join()  # so that nothing is shown later


def tracked(items: Sequence[T], doing: str, active: bool = True, file: TextIO | None = None) -> Iterator[T]:
    """Yield the items; if that takes longer than `PATIENCE_SECONDS`, say so: with a bar on a terminal, else by a line."""
    bar = Bar(doing, len(items))
    file = file or sys.stdout
    shown = _if_slow(lambda: bar.show(file), active) if is_terminal(file) else announced(doing, active, file)
    with bar, shown:
        for n_before, item in enumerate(items):
            yield item
            bar.update(n_before + 1)


def duration(seconds: float) -> str:
    """Return seconds as `42s`, `3m 05s`, `2h 10m` or `3d 04h`."""
    whole = round(seconds)
    for name, size, smaller, smaller_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{name} {whole % size // smaller_size:02d}{smaller}"
    return f"{whole}s"
