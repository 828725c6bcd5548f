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
from typing import Any, Literal, get_args, get_origin, get_type_hints

from command_line import flat_fields, nearest, parse_config
from errors import UserError
from generate import check_sampling
from model import Attention, GPTConfig
from optim import OptimizerConfig

Precision = Literal["auto", "float32", "bfloat16"]


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
    micro_batch_size: int = 0  # sequences per forward pass in each process, 0: its whole share of the batch
    eval_interval: int = 250  # steps between evaluations
    eval_windows: int = 200  # validation windows of block_size tokens, evenly spaced, 0: all
    checkpoint_interval: int = 1000  # steps between checkpoints, each evaluated as it is written
    keep_checkpoints: int = 2  # newest checkpoints kept, besides the best, 0: all
    log_interval: int = 10  # steps between printed lines
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of the matrix products; weights stay float32
    attention: Attention = "auto"  # flash insists on CUDA's fused kernels, math is the plain formula
    compile: bool | Literal["auto"] = "auto"  # torch.compile; auto: where it works
    wandb: Literal["online", "offline", "disabled"] = "disabled"  # Weights & Biases logging
    wandb_project: str = "wikigpt"  # its project there
    extend: bool = False  # allow max_steps to differ from the run's in out_dir
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
        for name in ("micro_batch_size", "eval_windows", "keep_checkpoints", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be below 0")

    @property
    def sequences_per_step(self) -> int:
        """The global batch in sequences, however it was given."""
        return self.batch_size or self.batch_tokens // self.model.block_size or 32


# How a run is run, not what it computes: these may change when it is continued. All other fields are its identity.
OPERATIONAL = frozenset(
    """data_dir out_dir micro_batch_size eval_interval eval_windows checkpoint_interval keep_checkpoints log_interval
    device precision attention compile wandb wandb_project extend branch_from""".split()
)


@dataclass(frozen=True)
class SampleConfig:
    """What is sampled, from where and how: the settings of `sample.py`. Raises ValueError for what makes no sense."""

    checkpoint: str = "out/demo"  # a run's folder (its best checkpoint, else the last) or one step_... folder
    prompt: str = "The history of"  # text to continue
    prompt_file: str = ""  # file with a prompt per line, instead of prompt
    n_samples: int = 1  # continuations of each prompt
    max_new_tokens: int = 100  # tokens per continuation, fewer where the text ends
    temperature: float = 0.8  # 0: always the most probable token
    top_k: int = 200  # sample among the k most probable tokens, 0: all
    top_p: float = 1.0  # sample among the most probable tokens that reach this probability together
    seed: int = 1  # same seed, same text
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of the matrix products

    def __post_init__(self) -> None:
        check_sampling(self.temperature, self.top_k, self.top_p)
        for name, least in (("n_samples", 1), ("max_new_tokens", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")


def parse_train_config(argv: Sequence[str], description: str) -> TrainConfig:
    """Return the config of `[config.py] [--key=value ...]`."""
    path = argv[0] if argv and not argv[0].startswith("-") else None
    default = load_config_file(path) if path else TrainConfig()
    settings = list(argv[1:] if path else argv)
    for given, other in (("batch_size", "batch_tokens"), ("batch_tokens", "batch_size")):
        keys = [word.partition("=")[0].replace("-", "_") for word in settings]
        if f"__{given}" in keys and f"__{other}" not in keys:
            settings.append(f"--{other}=0")  # the command line's way of giving the batch replaces the file's
    return parse_config(default, settings, description)


def load_config_file(path: str | Path) -> TrainConfig:
    """Run the user's config file and return its `config`.

    Raises UserError where the file is missing, defines no TrainConfig, names an unknown field or a bad value. What
    else its code raises is the user's to see in full.
    """
    if not Path(path).is_file():
        known = [str(file) for file in sorted(Path("configs").glob("*.py"))]
        raise UserError(f"no config file {path}{nearest(str(path), known)}")
    try:
        config = runpy.run_path(str(path)).get("config")
    except (TypeError, AttributeError) as error:
        refusal = _unknown_field(path, error) or _mistyped_in(path, error)
        if refusal:
            raise refusal from None
        raise
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(config, TrainConfig):
        raise UserError(f"{path}: must define `config = TrainConfig(...)`, found {type(config).__name__}")
    for part in (config, config.model, config.optimizer):
        _refuse_mistyped(path, part)
    return config


def _unknown_field(path: str | Path, error: Exception) -> UserError | None:
    match = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    classes = {cls.__name__: cls for cls in (TrainConfig, GPTConfig, OptimizerConfig)}
    if not match or match[1] not in classes:
        return None
    known = [item.name for item in dataclasses.fields(classes[match[1]])]
    return UserError(f"{path}: {match[1]} has no field {match[2]}{nearest(match[2], known)}")


def _mistyped_in(path: str | Path, error: Exception) -> UserError | None:
    """Return the refusal of the mistyped field over which a config's own checks stumbled, None if they did not."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "__post_init__":
            try:
                _refuse_mistyped(path, frame.f_locals["self"])
            except UserError as refusal:
                return refusal
    return None


def _refuse_mistyped(path: str | Path, config: Any) -> None:
    """Raise UserError for a field whose value is not of its type: Python itself takes any value for any field."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if not _fits(value, hint):
            wanted = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
            raise UserError(f"{path}: {name}={value!r} must be {wanted.replace('typing.', '')}")


def _fits(value: Any, hint: Any) -> bool:
    kind, options = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in options
    if kind is tuple:
        return isinstance(value, tuple) and len(value) == len(options) and all(map(_fits, value, options))
    if options:  # a union
        return any(_fits(value, option) for option in options)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def identity(config: TrainConfig) -> dict[str, Any]:
    """Return the fields that define the run, flat: model, batch, optimizer, schedule, seed."""
    fields = {key: value for key, value, _ in flat_fields(config) if key not in OPERATIONAL}
    fields["batch_size"] = config.sequences_per_step
    del fields["batch_tokens"]
    return fields


def with_vocabulary(config: TrainConfig, vocab_size: int) -> TrainConfig:
    """Return the config with the model's vocab_size taken from the data's tokenizer; refuse another one."""
    if config.model.vocab_size not in (0, vocab_size):
        found = f"vocab_size={config.model.vocab_size}"
        raise UserError(
            f"{found}: the tokenizer of {config.data_dir} has {vocab_size} tokens: set 0 to take that"
        )
    return dataclasses.replace(config, model=dataclasses.replace(config.model, vocab_size=vocab_size))


def share_batch(config: TrainConfig, n_processes: int) -> tuple[int, int]:
    """Return each process's sequences per step, and those of one forward pass.

    The global batch is the same for any number of processes. Raises UserError for what does not divide, with the
    nearest values that do.
    """
    total = config.sequences_per_step
    share = total // n_processes
    if total % n_processes:
        near = " or ".join(str(n) for n in (share * n_processes, (share + 1) * n_processes) if n)
        raise UserError(
            f"batch_size={total}: cannot be shared equally by {n_processes} processes: use {near}"
        )
    micro = config.micro_batch_size or share
    if share % micro:
        divisors = [n for n in range(1, share + 1) if share % n == 0]
        lower, upper = (
            max(n for n in divisors if n <= micro),
            min((n for n in divisors if n >= micro), default=share),
        )
        near = f"{lower} or {upper}" if upper != lower else str(lower)
        raise UserError(
            f"micro_batch_size={micro}: does not divide the {share} sequences of each process's step: use {near}"
        )
    return share, micro
