"""Ending in good time, and with a line that says so, where other processes are gone or nothing goes on.

Owns two cases. A process that died: its connections close, and what the others do together with it fails, also while
they wait for a device that does not tell. A process that hangs: then no step ends any more, in any of them.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch.distributed as dist

from system.errors import UserError, print_error
from system.world import World

# What gloo and nccl say where a process is gone or does not answer: errors without a type of their own.
LOST = (
    *("Connection closed by peer", "Connection reset by peer", "Timed out waiting", "pair closure"),
    *("ncclRemoteError", "remote process exit", "communicator was aborted"),
)
NETWORK = "NCCL_DEBUG=INFO says more, NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME choose the network"
GO_ON = "the same command goes on from the last checkpoint"


class Contact:
    """Watches over what one of several processes does in the block; alone, it changes nothing."""

    def __init__(self, world: World, minutes: float) -> None:
        """`minutes` is the longest that a step, an evaluation or a checkpoint may take."""
        self.world, self.seconds = world, 60 * minutes
        self.place: Callable[[], tuple[int, object]] = lambda: (0, None)  # steps done, and what else changes
        self.loss: Callable[[], RuntimeError | None] = lambda: (
            None
        )  # the error of a process that does not answer
        self.ends = threading.Lock()
        self.over = threading.Event()
        self.main_thread = threading.get_ident()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Contact":
        if self.world.size > 1:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the process with one line where it is refused something, or has lost another; the line says whose it is."""
        self.over.set()
        if self.world.size == 1:
            return
        if isinstance(error, UserError):
            self.end(str(error), status=2)
        if isinstance(error, RuntimeError) and is_loss_of_contact(error):
            self.end_lost(error)
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            found = f"the processes cannot talk to each other ({first_sentence(error)})"
            self.end(f"{found}: {NETWORK}", status=2)
        self.thread.join()  # it holds the training, and with it the process group, which must not outlive Python

    def end(self, line: str, status: int) -> None:
        """Say the line and leave at once: waiting for what is under way with the others may take for ever, or crash."""
        with self.ends:  # whichever thread comes first
            print_error(f"{self.world.name}: {line}")
            os._exit(status)

    def end_lost(self, error: RuntimeError) -> None:
        """End for want of another process."""
        found = f"lost another process in step {self.place()[0] + 1} ({first_sentence(error)})"
        self.end(f"{found}: why, that one says, unless it was killed; {GO_ON}", status=2)

    def watch(self) -> None:
        """End this process when another is gone, or its training has stood still for too long, wherever it stands."""
        seen, since = self.place(), time.monotonic()
        while not self.over.wait(min(1.0, self.seconds / 20)):
            if (error := self.loss()) and not self.over.wait(1.0):  # unless the main thread ends by itself
                self.end_lost(error)
            if self.place() != seen:
                seen, since = self.place(), time.monotonic()
            elif time.monotonic() - since > self.seconds:
                found = f"step {seen[0] + 1} has not ended for {self.seconds / 60:g} minutes"
                remedy = (
                    "another process hangs if this one waits; for slow steps give a longer --timeout_minutes"
                )
                self.end(f"{found}, it is at {self.line()}: {remedy}; {GO_ON}", status=1)

    def line(self) -> str:
        """Return in words which line of ours the main thread is at."""
        here, frame = Path(__file__).parents[1], sys._current_frames().get(self.main_thread)
        while frame and here not in Path(frame.f_code.co_filename).parents[:2]:
            frame = frame.f_back
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "an unknown line"


def is_loss_of_contact(error: RuntimeError) -> bool:
    """Return whether an error is torch's for a process that does not answer."""
    return any(words in str(error) for words in LOST)


def first_sentence(error: BaseException) -> str:
    """Return the words of an error without C++ source lines before them and advice after them."""
    return str(error).partition("\n")[0].rpartition("] ")[2].partition(". ")[0]
