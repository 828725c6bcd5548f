"""AblateConfig, the settings of `tools.ablate`; the choices; the command line, with those of train.py."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corpus.manifest import Manifest
from system.command_line import parse_config
from system.errors import UserError
from system.settings import PathText, checked
from tools.train_settings import split_settings
from training.config import TrainConfig, parse_train_config

USAGE = "[configs/x.py] --choices='key=value; key=value,key=value; ...' [--key=value ...]"
HELP = "All settings of train.py work too, for the config and every choice, for example --data_dir=data/mine."
# A comma before `key=` separates two settings; one within a value, as in betas=0.9,0.95, does not.
SEPARATOR = re.compile(r",\s*(?=[\w-]+=)")
# The same in all runs of a table, or set by the tool.
NO_CHOICE = frozenset(
    """out_dir seed max_steps max_minutes eval_interval eval_windows checkpoint_interval checkpoint_minutes
    keep_checkpoints log_interval timeout_minutes wandb wandb_project tensorboard
    eval_tasks task_items extend branch_from overwrite""".split()
)
# Settings that leave the work of a step as it is: as many steps take as long as the config's.
SAME_WORK = frozenset(
    """learning_rate matrix_learning_rate final_fraction schedule warmup_steps cooldown_fraction weight_decay
    betas epsilon grad_clip""".split()
)


@checked
@dataclass(frozen=True)
class AblateConfig:
    """What to compare, and for how long. Raises ValueError on invalid values."""

    config: PathText = "configs/wikipedia_cpu.py"  # or as the first word: what each choice is compared with
    choices: str = ""  # separated by semicolons, each tried alone: optimizer=muon; n_layer=6,n_embd=160
    minutes: float = 2.0  # time of a run
    seeds: int = 3  # the config's seed, and those after it
    out_dir: PathText = "out/ablate"  # folder for the runs; finished ones there are not run again
    out: PathText = "docs/experiments.md"  # Markdown file that gets the table

    def __post_init__(self) -> None:
        if self.minutes <= 0:
            raise ValueError(f"minutes={self.minutes}: must be above 0")
        if self.seeds < 1:
            raise ValueError(f"seeds={self.seeds}: must be at least 1")


class Choice(NamedTuple):
    """Settings of train.py that are switched together; none for the config itself."""

    name: str
    words: tuple[str, ...]  # of the command line of train.py, the config's included
    config: TrainConfig
    has_same_work: bool  # as the config, in every step


class AblateCommand(NamedTuple):
    """A command line, read."""

    ablate: AblateConfig
    base: Choice
    choices: tuple[Choice, ...]
    line: str  # as it was typed


def parse_ablate_command(argv: Sequence[str], description: str) -> AblateCommand:
    """Return what to compare. The config file may stand anywhere. Raises UserError if a choice cannot be compared."""
    own, others = split_settings(argv, AblateConfig)
    ablate = parse_config(AblateConfig(), own, f"{description.strip()}\n\n{HELP}", USAGE)
    words = (ablate.config, *others)
    base = Choice("the config", words, parse_train_config(words, ""), has_same_work=True)
    if base.config.branch_from:
        raise UserError(
            f"branch_from={base.config.branch_from}: runs must be new: leave it out, or use init_from"
        )
    if any(word.startswith(("--max_minutes", "--max-minutes")) for word in others):
        raise UserError("max_minutes: here it is minutes, the time that each run has")
    if not ablate.choices.strip(" ;"):
        raise UserError(
            "no choices: set some, for example --choices='learning_rate=1e-3; n_layer=6,n_embd=160'"
        )
    Manifest.read(base.config.data_dir)  # so that missing data are known at once
    choices: list[Choice] = []
    for text in filter(None, map(str.strip, ablate.choices.split(";"))):
        choice = read_choice(text, base)
        for other in (base, *choices):
            if choice.config == other.config:
                raise UserError(f"choices: {choice.name} is the same as {other.name}: leave it out")
        choices.append(choice)
    return AblateCommand(ablate, base, tuple(choices), shlex.join(["python", "-m", "tools.ablate", *argv]))


def read_choice(text: str, base: Choice) -> Choice:
    """Return the choice that a text such as `n_layer=6,n_embd=160` means. Raises UserError for mistakes in it."""
    settings = [setting.strip().removeprefix("--") for setting in SEPARATOR.split(text)]
    keys = {setting.partition("=")[0].strip().replace("-", "_") for setting in settings}
    for setting in settings:
        if "=" not in setting:
            raise UserError(
                f"choices: cannot read {setting!r}: write key=value, with a semicolon between choices"
            )
    if fixed := sorted(keys & NO_CHOICE):
        raise UserError(f"choices: {fixed[0]} must be the same in all runs: leave it out of {text!r}")
    words = (*base.words, *(f"--{setting}" for setting in settings))
    choice = Choice(", ".join(settings), words, parse_train_config(words, ""), keys <= SAME_WORK)
    check_validation(choice, base.config)
    return choice


def check_validation(choice: Choice, base: TrainConfig) -> None:
    """Raise UserError unless a choice is validated on the same text as the config."""
    ours = choice.config
    if (ours.data_dir, ours.model.block_size) == (base.data_dir, base.model.block_size):
        return
    if base.eval_windows:
        fix = "add --eval_windows=0, so that every run is validated on all of the text"
        raise UserError(f"choices: {choice.name} changes the validation windows: {fix}")
    sizes = [Manifest.read(folder).splits["val"].text_bytes for folder in (ours.data_dir, base.data_dir)]
    if sizes[0] != sizes[1]:
        found = f"{ours.data_dir} has {sizes[0]:,} bytes of validation text, {base.data_dir} {sizes[1]:,}"
        raise UserError(
            f"choices: {found}: prepare both from the same articles, with the same validation_fraction"
        )
