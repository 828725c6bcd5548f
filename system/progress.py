"""What is shown while something takes long: a line about it, and on a terminal a bar."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from system.errors import say

PATIENCE_SECONDS = 2.0

T = TypeVar("T")


def say_above_bars(line: str) -> None:
    """Print a line at once; a bar on the terminal moves below it."""
    with tqdm.external_write_mode(sys.stdout):
        say(line)


@contextmanager
def announced(doing: str, active: bool = True) -> Iterator[None]:
    """Print what the block is doing if it takes longer than `PATIENCE_SECONDS`. The main process is `active`."""
    timer = threading.Timer(PATIENCE_SECONDS, say_above_bars, [f"{doing} ..."])
    timer.daemon = True
    if active:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tracked(items: Sequence[T], doing: str, active: bool = True) -> Iterator[T]:
    """Yield the items; if that takes longer than `PATIENCE_SECONDS`, say so: with a bar on a terminal, else by a line."""
    steps = bar(active, desc=doing, iterable=items, delay=PATIENCE_SECONDS)
    with steps, announced(doing, active and steps.disable):
        yield from steps


def bar(active: bool, **options: Any) -> tqdm:
    """Return a tqdm bar that is shown on a terminal only, and leaves no trace there."""
    return tqdm(**options, file=sys.stdout, leave=False, disable=None if active else True)
