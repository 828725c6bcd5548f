"""The settings of `tools.compare`. In a file of its own, so that a command line is read without other libraries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import UserError
from system.settings import PathText, checked

USAGE = "out/a [out/b ...] [--key=value ...]"


@checked
@dataclass(frozen=True)
class CompareConfig:
    """How to compare runs. Raises ValueError on invalid values."""

    reference: PathText = ""  # the run that the others are judged by; empty: the first
    tolerance: float = 0.01  # a run is worse if its bits per byte are higher by more than this share
    speed_tolerance: float = (
        0.0  # also worse if its tokens/s are lower by more than this share; 0: not judged
    )
    out: PathText = "compare.html"  # the page
    live: bool = False  # serve the page on this machine instead, and update it while runs train
    port: int = 8000  # of the live page; 0: any free one

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise ValueError(f"tolerance={self.tolerance}: must be at least 0, such as 0.01 for 1 %")
        if not 0 <= self.speed_tolerance < 1:
            raise ValueError(
                f"speed_tolerance={self.speed_tolerance}: must be in [0, 1), such as 0.1 for 10 %"
            )
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port}: must be in [0, 65535]")
        if self.live and self.out != CompareConfig.out:
            raise ValueError(f"out={self.out}, live=True: set only one: a live page is not written to a file")


def parse_command(argv: Sequence[str], description: str) -> tuple[list[Path], CompareConfig]:
    """Return the folders that a command line names, and its settings. Raises UserError."""
    folders, settings, rest = [], [], list(argv)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            settings.append(word)
            if word.startswith("--") and "=" not in word and rest and not rest[0].startswith("-"):
                settings.append(rest.pop(0))  # its value
        else:
            folders.append(Path(word))
    config = parse_config(CompareConfig(), settings, description, USAGE)
    if not folders:
        raise UserError("no run to compare", "name the folders of runs, such as `out/a out/b`")
    return folders, config
