"""Weights & Biases: the run's figures there too, without ever ending the training or making it wait."""

import os
import queue
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system.errors import UserError
from system.network import reachable
from training.config import TrainConfig

START_SECONDS, FINISH_SECONDS = 30.0, 60.0  # that wandb itself waits for its server
HANGS_AFTER = 5.0  # seconds more before we stop waiting for wandb


class WandbRun:
    """A run there. A thread talks to wandb, whose process can hang: then only figures are lost, and the log says so once."""

    def __init__(
        self, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None], may_raise: bool
    ) -> None:
        """Open the run; `say` prints a line. Raises UserError if `may_raise`, else prints it."""
        self.say = say
        self.error: UserError | None = None
        self.waiting: queue.SimpleQueue[dict[str, float] | int] = queue.SimpleQueue()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.work, args=(config, about), daemon=True)
        self.thread.start()
        if not self.started.wait(2 * START_SECONDS + HANGS_AFTER):  # online, then offline
            say("WANDB does not start, training continues without it; metrics.jsonl has all figures")
        if self.error and may_raise:
            raise self.error
        if self.error:  # a run that resumes by itself, perhaps on another machine
            say(failed(self.error))

    def log(self, values: dict[str, float]) -> None:
        """Hand over the figures of a step, its number among them."""
        if self.thread.is_alive():
            self.waiting.put(values)

    def finish(self, exception: type[BaseException] | None) -> None:
        """Let wandb send what it has, for a limited time; after an exception the run is marked as failed, and time is short."""
        self.waiting.put(0 if exception is None else 1)
        patience = HANGS_AFTER + (FINISH_SECONDS if exception is None else 0)
        self.thread.join(0.5 if exception is KeyboardInterrupt else patience)
        if self.thread.is_alive():
            self.say("WANDB does not finish, not waiting for it any longer; metrics.jsonl has all figures")

    def work(self, config: TrainConfig, about: dict[str, Any]) -> None:
        """Open the run, and pass on what is handed over, until the exit code."""
        try:
            run = start_wandb(config, about, self.say)
            self.started.set()
            if run:
                while not isinstance(item := self.waiting.get(), int):
                    run.log(item)
                run.finish(exit_code=item)
        except UserError as error:
            self.error = error
        except BaseException as error:  # of any kind: a package that does not import, a broken pipe, an exit
            self.say(failed(error))
        finally:
            self.started.set()


def start_wandb(config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run under its own id, so that a resumed run continues there; None if wandb fails even offline.

    Without a server the run is kept offline, and `say` tells how to send it later. Raises UserError if the package or
    the login is missing.
    """
    try:
        import wandb
    except ImportError:
        raise UserError(f"wandb={config.wandb}: the package is missing: `pip install wandb`") from None
    run = online(wandb, config, about, say) if config.wandb == "online" else None
    return run or offline(wandb, config, about, say)


def online(wandb: Any, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run on the server; None, and a line about it, if the server does not answer."""
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    try:
        if reachable(server):
            return opened(wandb, "online", config, about)
        obstacle = f"{server} does not answer"
    except wandb.errors.UsageError as error:  # its message names the fix, such as `wandb login`
        found = f"wandb={config.wandb}: {str(error).rstrip('.')}"
        raise UserError(f"{found}; --wandb=offline needs no connection") from None
    except (
        Exception
    ) as error:  # of any kind, as in `work`: a failure there must not become one of the training
        obstacle = one_line(error)
    later = f"`wandb sync {shlex.quote(config.out_dir)}/wandb/offline-run-*` sends it later"
    say(f"WANDB is offline ({obstacle}): {later}")
    return None


def offline(wandb: Any, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run in its folder only; None, and a line about it, if even that fails."""
    try:
        if config.wandb == "online":
            wandb.teardown()  # of what was started, which still holds the run's id
        return opened(wandb, "offline", config, about)
    except Exception as error:  # as above
        say(failed(error))
        return None


def opened(wandb: Any, mode: str, config: TrainConfig, about: dict[str, Any]) -> Any:
    """Return the run, open in the given mode."""
    run = wandb.init(
        project=config.wandb_project,
        name=Path(config.out_dir).name,
        id=about["run_id"],
        resume="allow",
        mode=mode,
        dir=config.out_dir,
        config=about["config"],
        settings=wandb.Settings(init_timeout=START_SECONDS, finish_timeout=FINISH_SECONDS),
    )
    # Steps are their own axis: wandb's counter only rises, while a resumed run goes back to its checkpoint.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def failed(error: BaseException) -> str:
    """Return the line that says that Weights & Biases is given up."""
    return f"WANDB failed ({one_line(error)}), training continues without it; metrics.jsonl has all figures"


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
