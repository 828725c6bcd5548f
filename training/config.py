"""TrainConfig, the settings of a training run; config files; and which settings define a run."""

import runpy
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from model import Attention, GPTConfig
from system.command_line import SettingError, checked, did_you_mean, flat_fields, parse_config
from system.errors import UserError
from system.hardware import Precision
from training.guard import OnNonfinite
from training.optim import OptimizerConfig

__all__ = [
    *("GPTConfig", "OptimizerConfig", "TrainConfig"),  # all that a config file needs
    *("OPERATIONAL", "identity", "load_config_file", "parse_train_config"),
]
IMPORT = "from training.config import GPTConfig, OptimizerConfig, TrainConfig"
OLD_MODULES = ("config", "optim")  # which older config files import these classes from


@checked  # checks GPTConfig and OptimizerConfig too: model.py must import nothing of ours
@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run. Raises SettingError for unknown fields and invalid values."""

    data_dir: str = "data/wikipedia"  # folder written by prepare_data.py
    out_dir: str = "out/wikipedia"  # folder for checkpoints, metrics.jsonl and loss.png
    model: GPTConfig = field(default_factory=GPTConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    seed: int = 1  # random seed of initial weights, data order and dropout
    max_steps: int = 10000  # optimizer steps; the learning-rate schedule ends here
    batch_size: int = 0  # sequences per step, over all processes; 0: set by batch_tokens, else 32
    batch_tokens: int = 0  # tokens per step, instead of batch_size
    micro_batch_size: int | Literal["auto"] = (
        0  # sequences per forward pass; 0: a process's whole share, auto: what fits
    )
    eval_interval: int = 250  # steps between evaluations
    eval_windows: int = 200  # validation windows of block_size tokens, evenly spaced; 0: all
    checkpoint_interval: int = 1000  # steps between checkpoints, each evaluated
    checkpoint_minutes: float = 0.0  # also save after this many minutes, without evaluating; 0: never
    keep_checkpoints: int = 2  # newest checkpoints to keep, besides the best; 0: all
    log_interval: int = 10  # steps between printed lines
    on_nonfinite: OnNonfinite = (
        "stop"  # on a non-finite or spiking loss: stop, or skip it (at most 10 in 1000)
    )
    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps
    precision: Precision = "auto"  # of matrix multiplications; weights stay float32
    attention: Attention = "auto"  # flash requires CUDA's fused kernels; math is the plain formula
    timeout_minutes: float = 20.0  # several processes stop if a step, evaluation or save takes longer
    compile: bool | Literal["auto"] = "auto"  # use torch.compile; auto: where it works and, on CPUs, pays
    wandb: Literal["online", "offline", "disabled"] = "disabled"  # log to Weights & Biases
    wandb_project: str = "wikigpt"  # Weights & Biases project
    extend: bool = False  # allow a larger max_steps than the run in out_dir has
    init_from: str = ""  # start with these weights: a checkpoint, a Hugging Face folder or a hub name
    branch_from: str = ""  # start a new run in out_dir from this checkpoint, with its optimizer state

    def __post_init__(self) -> None:
        if min(self.batch_size, self.batch_tokens) < 0 or (self.batch_size and self.batch_tokens):
            found = f"batch_size={self.batch_size}, batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: set one of the two and leave the other at 0")
        if self.batch_tokens % self.model.block_size:
            lower = self.batch_tokens // self.model.block_size * self.model.block_size
            near = " or ".join(str(n) for n in (lower, lower + self.model.block_size) if n)
            found = f"batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: must be a multiple of block_size={self.model.block_size}: use {near}")
        for name in ("max_steps", "eval_interval", "checkpoint_interval", "log_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.timeout_minutes <= 0:
            raise ValueError(f"timeout_minutes={self.timeout_minutes}: must be above 0")
        for name in ("micro_batch_size", "eval_windows", "checkpoint_minutes", "keep_checkpoints", "seed"):
            if getattr(self, name) != "auto" and getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be below 0")

    @property
    def sequences_per_step(self) -> int:
        """The global batch in sequences, whichever way it was set."""
        return self.batch_size or self.batch_tokens // self.model.block_size or 32


# How a run is executed, not what it computes: these may change when it is resumed. All other fields are its identity.
OPERATIONAL = frozenset(
    """data_dir out_dir micro_batch_size eval_interval eval_windows checkpoint_interval checkpoint_minutes keep_checkpoints
    log_interval on_nonfinite device precision attention timeout_minutes compile wandb wandb_project extend
    branch_from""".split()
)


def parse_train_config(argv: Sequence[str], description: str) -> TrainConfig:
    """Return the config of `[config.py] [--key=value ...]`; the file may stand anywhere."""
    paths = [word for word in argv if not word.startswith("-") and (word == argv[0] or word.endswith(".py"))]
    if len(paths) > 1:
        raise UserError(f"{' and '.join(paths)}: use one config file")
    default = load_config_file(paths[0]) if paths else TrainConfig()
    settings = [word for word in argv if word not in paths]
    keys = {word.partition("=")[0].replace("-", "_") for word in settings}
    if keys & {"__batch_size", "__batch_tokens"}:  # either replaces whichever of them the file sets
        default = replace(default, batch_size=0, batch_tokens=0)
    return parse_config(default, settings, description, usage="[configs/x.py] [--key=value ...]")


def load_config_file(path: str | Path) -> TrainConfig:
    """Run the user's config file and return its `config`.

    Raises UserError if the file is missing, cannot be parsed or imported, has a wrong setting or defines no
    TrainConfig. Any other exception of its code is passed on with its traceback.
    """
    if not Path(path).is_file():
        known = {str(file): str(file) for file in sorted(Path("configs").glob("*.py"))}
        raise UserError(f"no config file {path}{did_you_mean(str(path), known)}")
    try:
        config = runpy.run_path(str(path)).get("config")
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except (ImportError, SettingError) as error:
        moved = isinstance(error, ImportError) and error.name in OLD_MODULES
        found = f"the import is now `{IMPORT}`" if moved else error
        frames = traceback.extract_tb(error.__traceback__)
        line = [frame.lineno for frame in frames if frame.filename == str(path)][-1]
        raise UserError(f"{path}:{line}: {found}") from None
    if not isinstance(config, TrainConfig):
        found = "no `config`" if config is None else type(config).__name__
        raise UserError(f"{path}: must define `config = TrainConfig(...)`, found {found}")
    return config


def identity(config: TrainConfig) -> dict[str, Any]:
    """Return the fields that define the run, flat: model, batch, optimizer, schedule, seed."""
    fields = {key: value for key, value, _ in flat_fields(config) if key not in OPERATIONAL}
    fields["batch_size"] = config.sequences_per_step
    del fields["batch_tokens"]
    return fields
