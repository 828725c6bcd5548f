"""Where else a run's figures go, such as Weights & Biases: without ever ending the training or making it wait."""

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from system.errors import UserError

START_SECONDS, FINISH_SECONDS = 30.0, 60.0  # that a tracker itself may wait for its server
HANGS_AFTER = 5.0  # seconds more before we stop waiting for it
ALL_FIGURES = "metrics.jsonl has all figures"


class Sink(Protocol):
    """What takes the figures."""

    def log(self, values: dict[str, float]) -> object:
        """Take the figures of a step; its number is `step`."""

    def finish(self, exit_code: int) -> object:
        """Send what is left; 0 after a run that ended well."""


class Tracker:
    """A thread that talks to a sink, which can hang: then only figures are lost, and the log says so once."""

    def __init__(
        self, name: str, start: Callable[[], Sink | None], say: Callable[[str], None], may_raise: bool
    ) -> None:
        """Open the sink; `say` prints a line. Raises UserError if `start` does and `may_raise`, else prints it."""
        self.name, self.start, self.say = name, start, say
        self.error: UserError | None = None
        self.waiting: queue.SimpleQueue[dict[str, float] | int] = queue.SimpleQueue()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        if not self.started.wait(2 * START_SECONDS + HANGS_AFTER):  # online, then offline
            say(f"{name} does not start, training continues without it; {ALL_FIGURES}")
        if self.error and may_raise:
            raise self.error
        if self.error:  # a run that resumes by itself, perhaps on another machine
            say(given_up(name, self.error))

    def log(self, values: dict[str, float]) -> None:
        """Hand over the figures of a step, its number among them."""
        if self.thread.is_alive():
            self.waiting.put(values)

    def finish(self, exception: type[BaseException] | None) -> None:
        """Let the sink send what it has, for a limited time; after an exception the run is marked as failed, and time is short."""
        self.waiting.put(0 if exception is None else 1)
        patience = HANGS_AFTER + (FINISH_SECONDS if exception is None else 0)
        self.thread.join(0.5 if exception is KeyboardInterrupt else patience)
        if self.thread.is_alive():
            self.say(f"{self.name} does not finish, not waiting for it any longer; {ALL_FIGURES}")

    def work(self) -> None:
        """Open the sink, and pass on what is handed over, until the exit code."""
        try:
            sink = self.start()
            self.started.set()
            if sink:
                while not isinstance(item := self.waiting.get(), int):
                    sink.log(item)
                sink.finish(exit_code=item)
        except UserError as error:
            self.error = error
        except BaseException as error:  # of any kind: a package that does not import, a broken pipe, an exit
            self.say(given_up(self.name, error))
        finally:
            self.started.set()


def given_up(name: str, error: BaseException) -> str:
    """Return the line that says that a tracker is given up."""
    return f"{name} failed ({one_line(error)}), training continues without it; {ALL_FIGURES}"


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
