"""Draw a run's losses, while it trains or after: `python -m tools.plot out/demo [--out=loss.png]`."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import UserError, run_command
from system.recipes import training
from system.settings import PathText, checked
from training.plot import METRICS, PLOT, plot_losses


@checked
@dataclass(frozen=True)
class PlotConfig:
    """What to draw, and where to."""

    run: PathText = "out/demo"  # the run's folder; may also be given without --run=
    out: PathText = ""  # the PNG to write; default: loss.png in the run's folder


def main() -> None:
    argv = sys.argv[1:]
    if argv and not argv[0].startswith("-"):
        argv[0] = f"--run={argv[0]}"
    config = parse_config(PlotConfig(), argv, __doc__ or "", usage="[out/x] [--key=value ...]")
    run_dir, path = Path(config.run), Path(config.out or Path(config.run) / PLOT)
    if not (run_dir / METRICS).is_file():
        raise UserError(
            f"no {METRICS} in {run_dir}: pass the folder of a run, or run {training(run_dir)} first"
        )
    if path.is_dir():
        raise UserError(
            f"out={path} is a folder: set a file in it, such as --out={shlex.quote(str(path / PLOT))}"
        )
    try:
        plot_losses(run_dir, path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another --out") from None
    print(path)


if __name__ == "__main__":
    run_command(main, resumes=False)
