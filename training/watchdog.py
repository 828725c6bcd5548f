"""The watchdog: end this process, with a line that says why, when another process is lost or no step ends any more."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from torch.distributed import DistBackendError

from system.errors import UserError, how_to_resume, print_error
from system.world import World, is_from_collective

ROOT = Path(__file__).parents[1]


class Watchdog:
    """Watches the training in the block when there are several processes; alone, it does nothing.

    If another process dies, its connections close and communication fails, even while the main thread waits for a
    device. If one hangs, no process finishes its step.
    """

    def __init__(self, world: World, minutes: float) -> None:
        """`minutes` is the longest that a step, an evaluation or a checkpoint may take."""
        self.world, self.seconds = world, 60 * minutes
        self.place: Callable[[], tuple[int | None, object]] = lambda: (None, None)  # no step while it starts
        self.lost_contact: Callable[[], RuntimeError | None] = lambda: None
        self.exiting = threading.Lock()
        self.is_over = threading.Event()
        self.main_thread = threading.get_ident()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def observe(
        self, place: Callable[[], tuple[int | None, object]], lost_contact: Callable[[], RuntimeError | None]
    ) -> None:
        """Start observing: `place` returns the step and anything else that changes as training proceeds."""
        self.place, self.lost_contact = place, lost_contact

    def __enter__(self) -> "Watchdog":
        if self.world.has_group:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Leave the process group at a good end; exit with one line, with rank and host, at a UserError or a lost process.

        A single process has no others to wait for: it leaves its group at any end, and raises its errors.
        """
        if error is None or self.world.size == 1:
            self.world.stop()  # still watched: nccl waits for the others
        self.is_over.set()
        if not self.world.has_group:
            return
        if isinstance(error, UserError) and self.world.size > 1:
            self.exit(str(error), status=2)
        if isinstance(error, RuntimeError) and self.world.size > 1 and is_from_collective(error):
            self.exit_lost(error)
        self.thread.join()  # it refers to the training, and so to the process group, which must not outlive Python

    def exit(self, line: str, status: int) -> None:
        """Print the line and exit at once: waiting for pending communication may take forever, or crash."""
        with self.exiting:  # the first thread to get here
            print_error(line, self.world.name)
            os._exit(status)

    def exit_lost(self, error: RuntimeError) -> None:
        """Exit because another process is lost."""
        more = "; NCCL_DEBUG=INFO prints more" if isinstance(error, DistBackendError) else ""
        self.exit(
            f"lost another process in {doing(self.place()[0])} ({first_sentence(error)}): look for its error line (a killed"
            f" process prints none){more}; {how_to_resume()} from the last checkpoint",
            status=2,
        )

    def watch(self) -> None:
        """Exit when another process is lost, or when this one has not moved for too long."""
        seen, since = self.place(), time.monotonic()
        while not self.is_over.wait(min(1.0, self.seconds / 20)):
            error = self.lost_contact()
            if error and not self.is_over.wait(1.0):  # give the main thread time to exit by itself
                self.exit_lost(error)
            if self.place() != seen:
                seen, since = self.place(), time.monotonic()
            elif time.monotonic() - since > self.seconds:
                self.exit(
                    f"{doing(seen[0])} has been running for {self.seconds / 60:g} minutes, now in {self.line()}:"
                    " another process may hang, or its node or network be down; if steps are just slow, set a longer"
                    " --timeout_minutes;"
                    f" {how_to_resume()} from the last checkpoint",
                    status=1,
                )

    def line(self) -> str:
        """Return the file and line of ours that the main thread is in."""
        frame = sys._current_frames().get(self.main_thread)
        while frame and ROOT not in Path(frame.f_code.co_filename).parents[:2]:  # at the top, or in a room
            frame = frame.f_back
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "an unknown line"


def doing(step: int | None) -> str:
    """Return what follows `step` finished steps, for messages; None: training has not begun."""
    return "the start of training" if step is None else f"step {step + 1}"


def first_sentence(error: BaseException) -> str:
    """Return an error's message without C++ source lines before it and advice after it."""
    return str(error).partition("\n")[0].rpartition("] ")[2].partition(". ")[0]
