"""Checkpoints: written whole or not at all, self-describing, holding nothing that is ever executed.

Owns one checkpoint folder `step_00001000/` (weights and optimizer state as safetensors, checkpoint.json,
tokenizer.json), the pointers `last` and `best` beside it, and which checkpoints are kept. What makes two runs the
same run, and the rest of the run's folder, is `run_folder.py`'s.
"""

import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from errors import UserError
from files import file_hash, flush_to_disk, open_to_readers, replace_file
from model import GPT, GPTConfig
from tokenizer import Tokenizer

FORMAT_VERSION = 1
WEIGHTS, OPTIMIZER, TOKENIZER, INFO = (
    "model.safetensors",
    "optimizer.safetensors",
    "tokenizer.json",
    "checkpoint.json",
)


@dataclass(frozen=True)
class Progress:
    """Where a run stands: what a checkpoint must know beside weights and optimizer state."""

    step: int = 0  # updates done
    sequences: int = (
        0  # training sequences consumed: the position in the data, whatever the number of processes
    )
    val_loss: float | None = None  # nats per token at this step
    best_val_loss: float | None = None  # the lowest so far, this step's included
    val_bits_per_byte: float | None = None  # this step's loss per UTF-8 byte of text


def save(
    out_dir: Path,
    model: GPT,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer,
    progress: Progress,
    about: dict[str, Any],
    keep: int,
) -> Path:
    """Write the checkpoint of `progress.step`, point `last` (and `best`) to it, remove old ones; return its folder.

    `about` is added to checkpoint.json: config, versions, the data's hash. The `keep` newest are kept (0: all) and
    the best. A reader, or a run killed at any moment, sees a whole checkpoint or none. Raises UserError where the
    disk refuses.
    """
    folder = out_dir / f"step_{progress.step:08d}"
    partial = folder.with_suffix(".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_files(partial, model, optimizer, tokenizer, {**asdict(progress), **about})
        if pointed(out_dir, "best") == folder:
            (out_dir / "best").unlink()
        shutil.rmtree(folder, ignore_errors=True)  # left by a run that was cut back to an earlier checkpoint
        partial.rename(folder)
        flush_to_disk(out_dir)
        if _is_best(out_dir, progress):
            replace_file(out_dir / "best", folder.name + "\n")
        replace_file(out_dir / "last", folder.name + "\n")  # at the end: what is missing now is done again
        _remove_old(out_dir, keep)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"cannot write {folder} ({error}): make room, then give the same command to go on"
        ) from None
    return folder


def _write_files(
    partial: Path, model: GPT, optimizer: torch.optim.Optimizer, tokenizer: Tokenizer, info: dict[str, Any]
) -> None:
    partial.mkdir(parents=True)
    save_file(model.weights(), partial / WEIGHTS)
    save_file(_optimizer_tensors(model, optimizer), partial / OPTIMIZER)
    tokenizer.save(partial / TOKENIZER)
    info = {
        "format_version": FORMAT_VERSION,
        **info,
        "model": asdict(model.config),
        "tokenizer_hash": tokenizer.hash,
        "sha256": {name: file_hash(partial / name) for name in (WEIGHTS, OPTIMIZER, TOKENIZER)},
    }
    (partial / INFO).write_text(json.dumps(info, indent=2) + "\n")
    open_to_readers(partial)
    for file in (*partial.iterdir(), partial):
        flush_to_disk(file)


def _is_best(out_dir: Path, progress: Progress) -> bool:
    """Return whether no checkpoint is better: an evaluation between checkpoints may have been, but cannot be had."""
    best = pointed(out_dir, "best")
    if progress.val_loss is None or best is None:
        return progress.val_loss is not None
    return progress.val_loss <= json.loads((best / INFO).read_text())["val_loss"]


def find(spec: str | Path) -> Path:
    """Return the checkpoint folder that `spec` names: itself, or its run's best, or last where none is best.

    Raises UserError where there is none.
    """
    path = Path(spec)
    if (path / INFO).is_file():
        return path
    found = pointed(path, "best") or pointed(path, "last")
    if found:
        return found
    others = _all(path.parent)
    if not path.is_dir() and others:
        raise UserError(
            f"no checkpoint {path}: {path.parent} has {', '.join(other.name for other in others)}"
        )
    if path.is_file():
        raise UserError(f"{path} is a file: give the folder it is in")
    if not path.is_dir():
        raise UserError(
            f"no checkpoint folder {path}: train one with `python train.py --out_dir={path}` first"
        )
    raise UserError(
        f"no finished checkpoint in {path}: a run's first one comes after checkpoint_interval steps; a model of another"
        " project is begun from with --init_from, and needs its config.json"
    )


def pointed(out_dir: Path, pointer: str) -> Path | None:
    """Return the checkpoint that the pointer file `last` or `best` names, None where there is no such file."""
    try:
        name = (out_dir / pointer).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    folder = out_dir / name
    if not (folder / INFO).is_file():
        raise UserError(
            f"{out_dir / pointer} names {name!r}, but there is no such checkpoint: write another's name there"
        )
    return folder


def read_info(folder: Path) -> dict[str, Any]:
    """Return checkpoint.json after comparing every file of the checkpoint with its hash there.

    Raises UserError for a damaged file or another format.
    """
    try:
        info = json.loads((folder / INFO).read_text())
        version, hashes = info["format_version"], dict(info["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read {folder / INFO} ({error}): choose another checkpoint") from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{folder}: checkpoint format {version}, this version of wikigpt reads {FORMAT_VERSION}"
        )
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder}: {name} is missing: choose another checkpoint")
        if file_hash(folder / name) != expected:
            raise UserError(f"{folder}: {name} is damaged (its sha256 differs): choose another checkpoint")
    return info


def progress_of(info: dict[str, Any]) -> Progress:
    """Return the progress that checkpoint.json records."""
    return Progress(**{field.name: info[field.name] for field in fields(Progress) if field.name in info})


def read_config(folder: Path) -> GPTConfig:
    """Return the network that a checkpoint describes."""
    try:
        return GPTConfig(**read_info(folder)["model"])
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / INFO}: its model cannot be built ({error}): choose another checkpoint"
        ) from None


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights, as the model that was saved gave them."""
    return _load_tensors(folder / WEIGHTS)


def load_weights(folder: Path, model: GPT) -> None:
    """Copy a checkpoint's weights into the model; raise UserError where names or shapes differ."""
    try:
        model.load_weights(read_weights(folder))
    except ValueError as error:
        raise UserError(f"{folder / WEIGHTS}: {error}") from None


def load_optimizer(folder: Path, model: GPT, optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer the state of a checkpoint, parameter by parameter."""
    tensors = _load_tensors(folder / OPTIMIZER)
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition("/")
        if name not in parameters:
            raise UserError(f"{folder / OPTIMIZER}: state of {name}, which this model does not have")
        parameter = parameters[name]
        optimizer.state[parameter][entry] = tensor.to(parameter.device, copy=True)


def _optimizer_tensors(model: GPT, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{entry}": tensor
        for name, parameter in model.named_parameters()
        for entry, tensor in optimizer.state[parameter].items()
    }


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {path} ({error}): choose another checkpoint") from None


def _all(out_dir: Path) -> list[Path]:
    """Return the run's finished checkpoints, the oldest first."""
    return sorted(folder for folder in out_dir.glob("step_*") if folder.suffix != ".tmp")


def _remove_old(out_dir: Path, keep: int) -> None:
    folders = _all(out_dir)
    kept = {pointed(out_dir, "best"), pointed(out_dir, "last"), *folders[-keep:]}
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder)
