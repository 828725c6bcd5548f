"""BenchConfig, the settings of `tools.bench`, and its command line, which takes those of train.py too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from system.command_line import parse_config
from system.settings import PathText, checked
from tools.train_settings import split_settings
from training.config import TrainConfig, parse_train_config

USAGE = "[train|data|sample|all|speed] [--key=value ...]"
HELP = "All settings of train.py work too, for example --micro_batch_size=4."


@checked
@dataclass(frozen=True)
class BenchConfig:
    """What to measure, and for how long. Raises ValueError on invalid values."""

    part: Literal["train", "data", "sample", "all", "speed"] = (
        "all"  # or as the first word; speed: only tokens/s
    )
    config: PathText = "configs/bench_gpt2_small.py"  # the training that is measured
    versus: str = ""  # command of a peer that prints tokens/s, timed in turn with ours (all parts but data)
    sampling: str = ""  # settings of tools.sampling_speed for ours beside the peer (sample)
    sweep: bool = (
        True  # also try other micro-batches, attention, precision, with and without compile (train, all)
    )
    repeats: int = 5  # measurements of each figure
    seconds: float = 4.0  # time that each of them takes, at least
    out: PathText = ""  # Markdown file that also gets the results, such as docs/benchmarks.md

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats={self.repeats}: must be at least 1")
        if self.seconds <= 0:
            raise ValueError(f"seconds={self.seconds}: must be above 0")
        if self.versus and self.part == "data":
            raise ValueError(
                f"versus={self.versus}: reading data is not compared: use train, sample, all or speed"
            )
        if self.part == "sample" and bool(self.versus) != bool(self.sampling):
            raise ValueError("versus and sampling belong together: set both to compare sampling, or none")


class BenchCommand(NamedTuple):
    """A command line, read."""

    bench: BenchConfig
    training: TrainConfig
    words: tuple[str, ...]  # that make the training: the config file and the settings of train.py


def parse_bench_command(argv: Sequence[str], description: str) -> BenchCommand:
    """Return what to measure. The first word may be the part; a config file may stand anywhere, as for train.py."""
    part = [f"--part={argv[0]}"] if argv and argv[0].isalpha() else []
    own, others = split_settings(argv[len(part) :], BenchConfig)
    bench = parse_config(BenchConfig(), part + own, f"{description.strip()}\n\n{HELP}", USAGE)
    words = (bench.config, *others)
    return BenchCommand(bench, parse_train_config(words, description), words)
