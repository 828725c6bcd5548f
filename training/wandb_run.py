"""Weights & Biases: the run's figures there too."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system.errors import UserError
from system.network import reachable
from training import tracker
from training.config import TrainConfig
from training.tracker import Tracker, given_up, one_line

NAME = "WANDB"  # in the log


def open_wandb(
    config: TrainConfig, about: dict[str, Any], say: Callable[[str], None], may_raise: bool
) -> Tracker:
    """Open the run there. Raises UserError if `may_raise`."""
    return Tracker(NAME, lambda: start_wandb(config, about, say), say, may_raise)


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
    ) as error:  # of any kind, as in `Tracker.work`: a failure there must not become one of the training
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
        say(given_up(NAME, error))
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
        settings=wandb.Settings(init_timeout=tracker.START_SECONDS, finish_timeout=tracker.FINISH_SECONDS),
    )
    # Steps are their own axis: wandb's counter only rises, while a resumed run goes back to its checkpoint.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
