"""What is shown while something takes long: a line about it, and on a terminal a bar."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TextIO, TypeVar

from system.errors import say

# tqdm reads TQDM_NCOLS and its like as it is imported, and would end the command at an invalid one.
_settings = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("TQDM_")}
from tqdm import tqdm  # noqa: E402

os.environ.update(_settings)
# By default, bars share a lock with forked processes: one that is killed while it holds the lock blocks all others for ever.
tqdm.set_lock(threading.RLock())
tqdm.monitor_interval = 0  # its thread could hold the lock while the process forks; see miniters below

PATIENCE_SECONDS = 2.0

T = TypeVar("T")


def say_above_bars(line: str, file: TextIO | None = None) -> None:
    """Print a line at once; a bar on the terminal moves below it."""
    with tqdm.external_write_mode(file or sys.stdout):
        say(line, file)


@contextmanager
def announced(doing: str, active: bool = True, file: TextIO | None = None) -> Iterator[None]:
    """Print what the block is doing if it takes longer than `PATIENCE_SECONDS`. The main process is `active`."""
    with _if_slow(lambda: say_above_bars(f"{doing} ...", file), active):
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


def tracked(items: Sequence[T], doing: str, active: bool = True, file: TextIO | None = None) -> Iterator[T]:
    """Yield the items; if that takes longer than `PATIENCE_SECONDS`, say so: with a bar on a terminal, else by a line."""
    steps = bar(active, desc=doing, iterable=items, delay=PATIENCE_SECONDS, file=file or sys.stdout)
    # tqdm itself shows a bar once an item is done.
    waiting = announced(doing, active, file) if steps.disable else _if_slow(lambda: steps.update(0), active)
    with steps, waiting:
        yield from steps


def bar(active: bool, **options: Any) -> tqdm:
    """Return a tqdm bar that is shown on a terminal only, and leaves no trace there."""
    # miniters=0: each update may draw, however fast the ones before were.
    return tqdm(
        **{"file": sys.stdout, "miniters": 0, **options}, leave=False, disable=None if active else True
    )


def part_bar(doing: str) -> tqdm:
    """Return a bar for what is known as a part, in [0, 1], of the whole."""
    form = "{desc}: {percentage:3.0f}% {bar} {remaining} left"
    return bar(True, total=1.0, desc=doing, bar_format=form)


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
