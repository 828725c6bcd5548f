"""Weights & Biases: a run's figures there too, without a training ever ending or waiting because of it.

Owns everything that is said to wandb. What is logged, and when, is `metrics.py`'s and `train.py`'s.
"""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system.errors import UserError
from system.network import reachable
from training.config import TrainConfig

START_SECONDS, FINISH_SECONDS = 30.0, 60.0  # what wandb itself waits for its server
HANGS_AFTER = 5.0  # seconds more, then wandb is not waited for


class WandbRun:
    """The run there. A thread of its own talks to wandb: what fails or hangs costs figures there, and is said once."""

    def __init__(
        self, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None], may_refuse: bool
    ) -> None:
        """Open the run, by `start_wandb`; `say` prints a line. Raises what that raises, if it may."""
        self.say = say
        self.refusal: UserError | None = None
        self.waiting: queue.SimpleQueue[dict[str, float] | int] = queue.SimpleQueue()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.work, args=(config, about), daemon=True)
        self.thread.start()
        if not self.started.wait(2 * START_SECONDS + HANGS_AFTER):  # online, then offline
            say("WANDB does not start: not waiting any longer; metrics.jsonl has all figures")
        if self.refusal and may_refuse:
            raise self.refusal
        if self.refusal:  # a run that goes on by itself, perhaps on another machine
            say(failed(self.refusal))

    def log(self, values: dict[str, float]) -> None:
        """Hand over figures; they are a step's, which is among them."""
        if self.thread.is_alive():
            self.waiting.put(values)

    def finish(self, exception: type[BaseException] | None) -> None:
        """Let wandb send what it has, for a while; the run is a failed one there where an exception ends it.

        Whoever is about to say what failed, or was told to stop at once, does not wait long.
        """
        self.waiting.put(0 if exception is None else 1)
        patience = HANGS_AFTER + (FINISH_SECONDS if exception is None else 0)
        self.thread.join(0.5 if exception is KeyboardInterrupt else patience)
        if self.thread.is_alive():
            self.say("WANDB does not finish: not waiting any longer; metrics.jsonl has all figures")

    def work(self, config: TrainConfig, about: dict[str, Any]) -> None:
        """Open the run, and pass on what is handed over, up to the exit code."""
        try:
            run = start_wandb(config, about, self.say)
        except UserError as error:
            self.refusal = error
            return
        finally:
            self.started.set()
        if not run:
            return
        try:
            while not isinstance(item := self.waiting.get(), int):
                run.log(item)
            run.finish(exit_code=item)
        except Exception as error:  # of any kind: a broken pipe, a bug there
            self.say(failed(error))


def start_wandb(config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run under its own id, so that a continued run goes on there; None where wandb cannot even be offline.

    Without a server it is kept offline, to be sent later, and `say` is told how. Raises UserError for what is to be
    mended here: the package or the login is missing.
    """
    try:
        import wandb
    except ImportError:
        raise UserError(f"wandb={config.wandb}: the package is missing: `pip install wandb`") from None
    run = online(wandb, config, about, say) if config.wandb == "online" else None
    return run or offline(wandb, config, about, say)


def online(wandb: Any, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run on the server; None, and words about it, where that cannot be had."""
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    try:
        if reachable(server):
            return opened(wandb, "online", config, about)
        obstacle = f"{server} does not answer"
    except wandb.errors.UsageError as error:  # its words name the remedy, as `wandb login`
        found = f"wandb={config.wandb}: {str(error).rstrip('.')}"
        raise UserError(f"{found}; --wandb=offline needs no connection") from None
    except Exception as error:  # of any kind, as in `work`: no failure there may be one of the training
        obstacle = one_line(error)
    later = f"`wandb sync {config.out_dir}/wandb/offline-run-*` sends it later"
    say(f"WANDB is not online ({obstacle}): this run is kept offline, {later}")
    return None


def offline(wandb: Any, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> Any:
    """Open the run in its folder; None, and words about it, where even that fails."""
    try:
        if config.wandb == "online":
            wandb.teardown()  # of what was begun, which keeps the run's id to itself
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
    # Steps are an axis of their own: wandb's counter only rises, and a continued run goes back to its checkpoint.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def failed(error: Exception) -> str:
    """Return what to say where Weights & Biases is given up."""
    return f"WANDB failed ({one_line(error)}): going on without it; metrics.jsonl has all figures"


def one_line(error: Exception) -> str:
    """Return what an error says, or its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
