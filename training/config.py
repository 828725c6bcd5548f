"""TrainConfig, the settings of a training run; config files; and which settings define a run."""

import math
import os
import runpy
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from model_config import Attention, GPTConfig
from system.command_line import parse_config
from system.errors import UserError
from system.precision import Precision
from system.settings import PathsText, PathText, SettingError, checked, did_you_mean, flat_fields
from training.other_names import OTHER_NAMES

__all__ = [
    *("GPTConfig", "OptimizerConfig", "TrainConfig"),  # all that a config file needs
    *("OPERATIONAL", "identity", "load_config_file", "parse_train_config"),
]
IMPORT = "from training.config import GPTConfig, OptimizerConfig, TrainConfig"
OnNonfinite = Literal["stop", "skip"]
Parallel = Literal["auto", "ddp", "fsdp", "hsdp"]
# Larger numbers overflow somewhere: in a float, in torch's random numbers, in the memory for a step's places in the data.
LARGEST = {"seed": 2**64 - 1, "timeout_minutes": 10**6}
NOT_NEGATIVE = (
    *("batch_size", "batch_tokens", "micro_batch_size", "eval_windows", "task_items"),
    *("checkpoint_minutes", "keep_checkpoints", "max_minutes", "price_per_hour", "seed"),
)
LARGEST_NUMBER, LARGEST_BATCH = 10**12, 10**7
OLD_MODULES = ("config", "optim")  # which older config files import these classes from


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer, gradient clipping and the schedule. Raises ValueError on invalid values."""

    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the blocks' matrices, with AdamW for all else
    learning_rate: float = 6e-4  # peak, reached at the end of warm-up
    matrix_learning_rate: float = 0.0  # peak of the matrices that Muon updates; 0: learning_rate
    final_fraction: float = 0.1  # learning rate at max_steps, as a fraction of the peak
    schedule: Literal["cosine", "trapezoid"] = "cosine"  # shape between warm-up and max_steps
    warmup_steps: int = 100  # steps of linear warm-up
    cooldown_fraction: float = 0.2  # share of max_steps the trapezoid's linear fall takes
    weight_decay: float = 0.1  # on matrices and embeddings, not on biases and norms
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW's averaging of gradients and of their squares
    epsilon: float = 1e-8  # AdamW's term against division by zero
    grad_clip: float = 1.0  # largest global gradient norm, 0: no clipping

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be above 0")
        for name in ("final_fraction", "cooldown_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be between 0 and 1")
        for name in ("matrix_learning_rate", "warmup_steps", "weight_decay", "grad_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be below 0")
        if self.matrix_learning_rate and self.optimizer != "muon":
            found = f"matrix_learning_rate={self.matrix_learning_rate}"
            fix = "only Muon has two rates: add --matrix_learning_rate=0"
            raise ValueError(f"{found}: must be 0 with optimizer={self.optimizer}: {fix}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas}: must be two numbers in [0, 1)")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon}: must be above 0")


@checked  # checks GPTConfig and OptimizerConfig too: model_config.py must import nothing of ours
@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run. Raises SettingError for unknown fields and invalid values."""

    data_dir: PathText = "data/wikipedia"  # folder written by prepare_data.py
    out_dir: PathText = "out/wikipedia"  # folder for checkpoints, metrics.jsonl and loss.png
    model: GPTConfig = field(default_factory=GPTConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    seed: int = 1  # random seed of initial weights, data order and dropout
    max_steps: int = 10000  # optimizer steps; the learning-rate schedule ends here
    max_minutes: float = (
        0.0  # fix a new run's steps by timing some, so that it ends in this time; 0: no limit
    )
    batch_size: int = 0  # sequences per step, over all processes; 0: set by batch_tokens, else 32
    batch_tokens: int = 0  # tokens per step, instead of batch_size
    micro_batch_size: int | Literal["auto"] = (
        0  # sequences per forward pass; 0: a process's whole share, auto: what fits
    )
    eval_interval: int = 250  # steps between evaluations
    eval_windows: int = 200  # validation windows of block_size tokens, evenly spaced; 0: all
    eval_tasks: PathsText = ""  # tasks to solve at each evaluation, comma-separated: docs/evaluating.md
    task_items: int = 200  # items of each of these tasks, evenly spaced; 0: all
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
    parallel: Parallel = (
        "auto"  # several processes each train a copy (ddp) or hold a shard (fsdp; hsdp: of a node's copy)
    )
    activation_checkpointing: Literal["none", "block"] = (
        "none"  # block: compute a layer's activations twice, to keep fewer
    )
    timeout_minutes: float = 20.0  # several processes stop if a step, evaluation or save takes longer
    compile: bool | Literal["auto"] = "auto"  # use torch.compile; auto: where it works and, on CPUs, pays
    wandb: Literal["online", "offline", "disabled"] = "disabled"  # log to Weights & Biases
    wandb_project: str = "wikigpt"  # Weights & Biases project
    tensorboard: bool = False  # write TensorBoard's event files into out_dir
    extend: bool = False  # allow a larger max_steps than the run in out_dir has
    init_from: PathText = ""  # start with these weights: a checkpoint, a Hugging Face folder or a hub name
    branch_from: PathText = ""  # start a new run in out_dir from this checkpoint, with its optimizer state
    overwrite: bool = False  # delete the run in out_dir first, after asking twice on a terminal
    plan: bool = False  # only print what the run is and will cost, after timing ten steps; writes nothing
    price_per_hour: float = 0.0  # of all machines together, for the cost that plan prints

    other_names = OTHER_NAMES

    def __post_init__(self) -> None:
        self._check_range()
        if self.batch_size and self.batch_tokens:
            found = f"batch_size={self.batch_size}, batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: set one of the two and leave the other at 0")
        if self.batch_tokens % self.model.block_size:
            lower = self.batch_tokens // self.model.block_size * self.model.block_size
            near = " or ".join(str(n) for n in (lower, lower + self.model.block_size) if n)
            found = f"batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: must be a multiple of block_size={self.model.block_size}: use {near}")
        if self.sequences_per_step > LARGEST_BATCH:
            found = f"batch_size={self.batch_size}, batch_tokens={self.batch_tokens}"
            raise ValueError(f"{found}: must be at most {LARGEST_BATCH} sequences")
        if self.price_per_hour and not self.plan:
            raise ValueError(f"price_per_hour={self.price_per_hour}: only --plan prints a cost: add it")
        if self.plan and self.overwrite:
            fix = "leave out --overwrite, and set another --out_dir to plan a new run"
            raise ValueError(
                f"overwrite=True: must not be combined with plan=True, which writes nothing: {fix}"
            )
        if self.init_from in ("scratch", "resume"):  # nanoGPT's words
            starts = (
                "random weights"
                if self.init_from == "scratch"
                else "the run's last checkpoint, if it has one"
            )
            raise ValueError(f"init_from={self.init_from}: leave it out to start from {starts}")

    def _check_range(self) -> None:
        """Raise ValueError if a number is too small or too large."""
        for name in ("max_steps", "eval_interval", "checkpoint_interval", "log_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.timeout_minutes <= 0:
            raise ValueError(f"timeout_minutes={self.timeout_minutes}: must be above 0")
        for name in NOT_NEGATIVE:
            if getattr(self, name) != "auto" and getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be below 0")
        for name, value, _ in flat_fields(self):
            largest = LARGEST.get(name, LARGEST_NUMBER if isinstance(value, int) else math.inf)
            if isinstance(value, int | float) and value > largest:
                raise ValueError(f"{name}={value}: must be at most {largest}")

    @property
    def sequences_per_step(self) -> int:
        """The global batch in sequences, whichever way it was set."""
        return self.batch_size or self.batch_tokens // self.model.block_size or 32


# How a run is executed, not what it computes: these may change when it is resumed. All other fields are its identity.
OPERATIONAL = frozenset(
    """data_dir out_dir max_minutes micro_batch_size eval_interval eval_windows checkpoint_interval checkpoint_minutes keep_checkpoints
    log_interval on_nonfinite device precision attention timeout_minutes compile wandb wandb_project tensorboard eval_tasks task_items extend
    branch_from overwrite plan price_per_hour parallel activation_checkpointing""".split()
)


def parse_train_config(argv: Sequence[str], description: str) -> TrainConfig:
    """Return the config of `[config.py] [--key=value ...]`; the file may stand anywhere."""
    words = [word for word in argv if not word.startswith("-") and "=" not in word]
    paths = [word for word in words if word == argv[0] or word.endswith(".py")]
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

    Raises UserError, with the line, if the file is missing, fails in any way or defines no TrainConfig.
    """
    if not os.path.isfile(path):  # unlike Path, it takes any text
        known = {file.stem: str(file) for file in sorted(Path("configs").glob("*.py"))}
        raise UserError(f"no config file {path}{did_you_mean(Path(path).stem, known)}")
    try:
        config = runpy.run_path(str(path)).get("config")
    except SyntaxError as error:
        raise UserError(f"{error.filename or path}:{error.lineno or 1}: {error.msg}") from None
    except (Exception, SystemExit) as error:  # of any kind: it is the user's code
        found = f"{type(error).__name__}: {error}"
        if isinstance(error, SettingError | ImportError):
            moved = isinstance(error, ImportError) and error.name in OLD_MODULES
            found = f"the import is now `{IMPORT}`" if moved else str(error)
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f":{frame.lineno}" for frame in frames if frame.filename == str(path)]
        raise UserError(f"{path}{lines[-1] if lines else ''}: {found}") from None
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
