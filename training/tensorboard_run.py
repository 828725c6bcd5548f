"""TensorBoard: the run's figures in its folder, as event files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from system.errors import UserError
from training.config import TrainConfig
from training.tracker import Sink, Tracker

FOLDER = "tensorboard"  # in the run's


def open_tensorboard(
    config: TrainConfig, about: dict[str, Any], step: int, say: Callable[[str], None], may_raise: bool
) -> Tracker:
    """Open the event files of a run that goes on after `step`. Raises UserError if `may_raise`."""
    return Tracker("TENSORBOARD", lambda: start_tensorboard(config, about, step), say, may_raise)


def start_tensorboard(config: TrainConfig, about: dict[str, Any], step: int) -> Sink:
    """Return what writes them. Raises UserError if the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        problem = "tensorboard=True: the package is missing"
        raise UserError(problem, "`pip install tensorboard`") from None
    # A resumed run goes back to its checkpoint: later steps of earlier event files no longer count.
    writer = SummaryWriter(str(Path(config.out_dir) / FOLDER), purge_step=step + 1)
    writer.add_text(
        "config", "".join(f"    {key}: {value}\n" for key, value in about["config"].items()), step
    )
    return Events(writer)


class Events:
    """A SummaryWriter as a sink."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def log(self, values: dict[str, float]) -> None:
        """Write the figures of a step."""
        for name, value in values.items():
            if name != "step":
                self.writer.add_scalar(name, value, int(values["step"]))

    def finish(self, exit_code: int) -> None:
        """Write what is left; event files have no place for an exit code."""
        self.writer.close()
