"""MeasureConfig, the settings of `book.measure`. Without torch, so that a mistake in a command is found at once."""

from dataclasses import dataclass
from typing import Literal, get_args

from system.settings import PathText, checked

Kind = Literal["rnn", "lstm", "lstm_attention", "transformer"]
Part = Literal["speed", "cost", "recall", "recall_far", "language", "choices"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PARTS: tuple[Part, ...] = get_args(Part)


@checked
@dataclass(frozen=True)
class MeasureConfig:
    """What to measure. Raises ValueError on invalid values."""

    parts: str = ",".join(PARTS)  # what to measure, comma-separated; each part writes a file
    data_dir: PathText = ""  # prepared tokens for `language`; "": the built-in encyclopedia
    out_dir: PathText = "book/measured"  # the folder for the JSON files
    seeds: int = 3  # trainings of each network, with seeds 1, 2 ... for weights and data
    budget: float = 1.0  # factor for the processor time of each training, such as 0.1 for a quick try

    def __post_init__(self) -> None:
        if self.budget <= 0:
            raise ValueError(f"budget={self.budget}: must be above 0")
        if self.seeds < 1:
            raise ValueError(f"seeds={self.seeds}: must be at least 1")
        if unknown := set(self.parts.split(",")) - set(PARTS):
            raise ValueError(f"parts={self.parts}: {min(unknown)!r} must be one of {', '.join(PARTS)}")

    @property
    def chosen(self) -> list[Part]:
        """The parts to measure, in our order."""
        return [part for part in PARTS if part in self.parts.split(",")]

    @property
    def all_seeds(self) -> range:
        return range(1, self.seeds + 1)
