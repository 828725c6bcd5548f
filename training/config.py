"""What a run and a sampling are made of: TrainConfig, SampleConfig, config files, and a run's identity.

Owns the fields of the two commands and reading them from files. The command line's form is `command_line.py`'s;
the network's and the optimizer's fields are GPTConfig's and OptimizerConfig's, in the modules that use them.
"""

import dataclasses
import re
import runpy
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from model import Attention, GPTConfig
from system.command_line import flat_fields, mistyped, nearest, parse_config
from system.errors import UserError
from system.hardware import Precision
from training.guard import OnNonfinite
from training.optim import OptimizerConfig


@dataclass(frozen=True)
class TrainConfig:
    """What a training run is: the settings of `train.py`. Raises ValueError for what makes no sense."""

    data_dir: str = "data/wikipedia"  # folder written by prepare_data.py
    out_dir: str = "out/wikipedia"  # the run's folder: checkpoints, metrics.jsonl, loss.png
    model: GPTConfig = field(default_factory=GPTConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    seed: int = 1  # of initial weights, data order and dropout
    max_steps: int = 10000  # optimizer steps, the schedule's end
    batch_size: int = 0  # sequences per step, of all processes and micro-batches; 0: batch_tokens, else 32
    batch_tokens: int = 0  # the batch in tokens, in place of batch_size
    micro_batch_size: int | Literal["auto"] = 0  # sequences at a time, 0: a process's share, auto: what fits
    eval_interval: int = 250  # steps between evaluations
    eval_windows: int = 200  # validation windows of block_size tokens, evenly spaced, 0: all
    checkpoint_interval: int = 1000  # steps between checkpoints, each evaluated as it is written
    checkpoint_minutes: float = 0.0  # most minutes without a checkpoint, 0: any; these are not evaluated
    keep_checkpoints: int = 2  # newest checkpoints kept, besides the best, 0: all
    log_interval: int = 10  # steps between printed lines
    on_nonfinite: OnNonfinite = "stop"  # or skip, a few: steps whose loss is no number, or far above others'
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of the matrix products; weights stay float32
    attention: Attention = "auto"  # flash insists on CUDA's fused kernels, math is the plain formula
    timeout_minutes: float = 20.0  # longest step, evaluation or checkpoint before several processes give up
    compile: bool | Literal["auto"] = "auto"  # torch.compile; auto: where it works
    wandb: Literal["online", "offline", "disabled"] = "disabled"  # Weights & Biases logging
    wandb_project: str = "wikigpt"  # its project there
    extend: bool = False  # allow max_steps to differ from the run's in out_dir
    init_from: str = ""  # begin with this model's weights: a checkpoint, a Hugging Face folder or a hub name
    branch_from: str = ""  # start a new run in out_dir from this checkpoint, weights and optimizer state

    def __post_init__(self) -> None:
        if min(self.batch_size, self.batch_tokens) < 0 or (self.batch_size and self.batch_tokens):
            found = f"batch_size={self.batch_size}, batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: give one of the two and set the other to 0")
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
        """The global batch in sequences, however it was given."""
        return self.batch_size or self.batch_tokens // self.model.block_size or 32


# How a run is run, not what it computes: these may change when it is continued. All other fields are its identity,
# eval_windows too: what `best` compares are losses over the same windows.
OPERATIONAL = frozenset(
    """data_dir out_dir micro_batch_size eval_interval checkpoint_interval checkpoint_minutes keep_checkpoints log_interval
    on_nonfinite device precision attention timeout_minutes compile wandb wandb_project extend branch_from""".split()
)


def parse_train_config(argv: Sequence[str], description: str) -> TrainConfig:
    """Return the config of `[config.py] [--key=value ...]`; the file may stand anywhere."""
    paths = [word for word in argv if not word.startswith("-") and (word == argv[0] or word.endswith(".py"))]
    if len(paths) > 1:
        raise UserError(f"{' and '.join(paths)}: give one config file")
    default = load_config_file(paths[0]) if paths else TrainConfig()
    settings = [word for word in argv if word not in paths]
    keys = [word.partition("=")[0].replace("-", "_") for word in settings]
    for given, other in (("batch_size", "batch_tokens"), ("batch_tokens", "batch_size")):
        if f"__{given}" in keys and f"__{other}" not in keys:
            settings.append(f"--{other}=0")  # the command line's way of giving the batch replaces the file's
    return parse_config(default, settings, description)


def load_config_file(path: str | Path) -> TrainConfig:
    """Run the user's config file and return its `config`.

    Raises UserError where the file is missing, defines no TrainConfig, names an unknown field or a bad value. What
    else its code raises is the user's to see in full.
    """
    if not Path(path).is_file():
        close = nearest(str(path), [str(file) for file in sorted(Path("configs").glob("*.py"))])
        raise UserError(f"no config file {path}{f', did you mean {close[0]}?' if close else ''}")
    try:
        config = runpy.run_path(str(path)).get("config")
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except ImportError as error:
        raise UserError(f"{path}: {error}") from None
    except (TypeError, AttributeError, ValueError) as error:
        refusal = _unknown_field(error) or _refused_by_a_config(error)
        if refusal is None:
            raise
        raise UserError(f"{path}: {refusal}") from None
    if not isinstance(config, TrainConfig):
        found = "no `config`" if config is None else type(config).__name__
        raise UserError(f"{path}: must define `config = TrainConfig(...)`, found {found}")
    if refusal := mistyped(config):
        raise UserError(f"{path}: {refusal}")
    return config


def _unknown_field(error: Exception) -> str | None:
    """Return the refusal of a field that a config class has not, with where it or the nearest belongs."""
    places = {
        TrainConfig: "TrainConfig",
        GPTConfig: "model=GPTConfig",
        OptimizerConfig: "optimizer=OptimizerConfig",
    }
    match = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if not match or match[1] not in [cls.__name__ for cls in places]:
        return None
    known = {item.name: place for cls, place in places.items() for item in dataclasses.fields(cls)}
    close = " or ".join(f"{known[name]}({name}=...)" for name in nearest(match[2], list(known)))
    return f"{match[1]} has no field {match[2]}{f', did you mean {close}?' if close else ''}"


def _refused_by_a_config(error: Exception) -> str | None:
    """Return the refusal of a value by a config's own checks, also where they stumbled over its type."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "__post_init__":
            own_words = str(error) if isinstance(error, ValueError) else None
            return mistyped(frame.f_locals["self"]) or own_words
    return None


def identity(config: TrainConfig) -> dict[str, Any]:
    """Return the fields that define the run, flat: model, batch, optimizer, schedule, seed."""
    fields = {key: value for key, value, _ in flat_fields(config) if key not in OPERATIONAL}
    fields["batch_size"] = config.sequences_per_step
    del fields["batch_tokens"]
    if (
        not config.init_from
    ):  # then it is no part of what the run is, nor was it before there was such a setting
        del fields["init_from"]
    return fields
