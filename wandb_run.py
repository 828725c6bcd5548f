"""Weights & Biases: a run's figures there too, without a training ever ending or waiting because of it.

Owns everything that is said to wandb. What is logged, and when, is `metrics.py`'s and `train.py`'s.
"""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import TrainConfig
from errors import UserError
from server import reachable

START_SECONDS, FINISH_SECONDS = 30.0, 60.0  # more than this is not waited for wandb and its server


class WandbRun:
    """The run there. A thread of its own talks to wandb: what fails or hangs costs figures there, and is said once."""

    def __init__(self, config: TrainConfig, about: dict[str, Any], say: Callable[[str], None]) -> None:
        """Open the run, by `start_wandb`; `say` prints a line."""
        self.say = say
        self.run = start_wandb(config, about, say)
        self.waiting: queue.SimpleQueue[dict[str, float] | int] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def log(self, values: dict[str, float]) -> None:
        """Hand over figures; they are a step's, which is among them."""
        if self.thread.is_alive():
            self.waiting.put(values)

    def finish(self, exit_code: int) -> None:
        """Let wandb send what it has, for a while; the run is a failed one there for any other code than 0."""
        self.waiting.put(exit_code)
        self.thread.join(FINISH_SECONDS + 5)
        if self.thread.is_alive():
            self.say("WANDB does not finish: not waiting any longer; metrics.jsonl has all figures")

    def work(self) -> None:
        """Pass on what is handed over, up to the exit code."""
        if not self.run:
            return
        try:
            while not isinstance(item := self.waiting.get(), int):
                self.run.log(item)
            self.run.finish(exit_code=item)
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
