"""Checkpoints: written whole or not at all, self-describing, and nothing in them is ever executed.

A checkpoint is a folder `step_00001000/`: weights and optimizer state as safetensors (sharded.py), checkpoint.json,
tokenizer.json. The pointer files `last` and `best` beside it name two of them. The rest of a run's folder is in
training/run.py.
"""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from checkpointing import sharded
from checkpointing.sharded import OPTIMIZER, OTHER, SHARD_NAME, WEIGHTS
from corpus.tokenizer import Tokenizer
from model import GPT, GPTConfig
from system.errors import UserError, how_to_resume
from system.files import (
    cannot_read,
    file_hash,
    flush_to_disk,
    open_to_readers,
    reject_lfs_pointer,
    replace_file,
)
from system.parallel import first_row, own, shard_place, sharded_like
from system.recipes import training
from system.world import SideChannel

FORMAT_VERSION, SHARDED_VERSION = 2, 3
NAME = re.compile(r"step_\d+")
READABLE = (1, 2, 3)  # format 1 had no hash of checkpoint.json itself
TOKENIZER, INFO = "tokenizer.json", "checkpoint.json"


@dataclass(frozen=True)
class Progress:
    """Where a run stands: what a checkpoint holds beside weights and optimizer state."""

    step: int = 0  # updates done
    sequences: int = 0  # consumed in training, by all processes: the position in the data
    val_loss: float | None = None  # nats per token at this step
    best_val_loss: float | None = None  # the lowest so far, including this step's
    val_bits_per_byte: float | None = None  # this step's loss per UTF-8 byte of text
    # Known when a checkpoint is saved: the state of training/guard.py, and the last step in metrics.jsonl.
    guard: dict[str, Any] | None = field(default=None, compare=False)
    recorded: int = field(default=0, compare=False)

    def stepped(self, n_sequences: int) -> "Progress":
        """Return the progress after one more update, over `n_sequences` sequences."""
        return self.rewound(self.step + 1, self.sequences + n_sequences)

    def rewound(self, step: int, sequences: int) -> "Progress":
        """Return the progress at another step, which has not been evaluated."""
        return replace(self, step=step, sequences=sequences, val_loss=None, val_bits_per_byte=None)

    def evaluated(self, val_loss: float, val_bits_per_byte: float) -> "Progress":
        """Return the progress with this step's validation loss."""
        best = val_loss if self.best_val_loss is None else min(val_loss, self.best_val_loss)
        return replace(self, val_loss=val_loss, val_bits_per_byte=val_bits_per_byte, best_val_loss=best)


def save(
    out_dir: Path,
    model: GPT,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer,
    progress: Progress,
    about: dict[str, Any],
    keep: int,
    protected: Path | None = None,
    channel: SideChannel | None = None,
) -> Path:
    """Write the checkpoint of `progress.step`, point `last` (and `best`) to it, remove old ones; return its folder.

    `about` is added to checkpoint.json: config, versions, the data's hash. The `keep` newest are kept (0: all), the best,
    and the `protected` one. A reader, or a run killed at any moment, sees a whole checkpoint or none. With a `channel`, all
    processes call this, each writes its shard, and the main one does the rest. Raises UserError, in all of them, if it
    cannot be written.
    """
    folder = folder_of(out_dir, progress.step)
    partial = folder.with_suffix(".tmp")
    files = sharded.own_tensors(model, optimizer)
    is_main = channel is None or channel.rank == 0
    try:
        with _writing(folder, channel):
            if is_main:
                for abandoned in out_dir.glob("step_*.tmp"):  # by killed runs
                    shutil.rmtree(abandoned, ignore_errors=True)
                partial.mkdir(parents=True)
        with _writing(folder, channel):
            hashes = _write_tensors(partial, files)
        count = shard_place(next(model.parameters())).n_shards
        hashes = _all_hashes(hashes, count, channel) if channel else hashes
        with _writing(folder, channel):
            if is_main:
                version = FORMAT_VERSION if count == 1 else SHARDED_VERSION
                info = {"format_version": version, **asdict(progress), **about, "model": asdict(model.config)}
                _write_rest(partial, tokenizer, info, hashes)
                _publish(partial, folder, keep, protected)
    except UserError:
        if is_main:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


@contextlib.contextmanager
def _writing(folder: Path, channel: SideChannel | None) -> Iterator[None]:
    """Raise UserError for a disk that does not take a checkpoint, in all processes if one fails."""
    with channel.all_or_none("save") if channel else contextlib.nullcontext():
        try:
            yield
        except (OSError, SafetensorError) as error:
            fix = f"make room, then {how_to_resume()}"
            raise UserError(f"cannot write {folder} ({error})", fix) from None


def _write_tensors(partial: Path, files: dict[str, dict[str, torch.Tensor]]) -> dict[str, str]:
    """Write this process's tensors; return the files' hashes by name."""
    hashes = {}
    for name, tensors in files.items():
        save_file(tensors, partial / name)
        flush_to_disk(partial / name)
        hashes[name] = file_hash(partial / name)
    return hashes


def _all_hashes(own: dict[str, str], count: int, channel: SideChannel) -> dict[str, str]:
    """Return the hashes of all shards' files, of which each process knows its own."""
    names = [name for pair in sharded.shard_names(count) for name in pair]
    digests = torch.zeros(len(names), 32, dtype=torch.int32)
    for name, digest in own.items():
        digests[names.index(name)] = torch.tensor(list(bytes.fromhex(digest)), dtype=torch.int32)
    channel.sum(digests)
    return {name: bytes(row).hex() for name, row in zip(names, digests.tolist(), strict=True)}


def _write_rest(partial: Path, tokenizer: Tokenizer, info: dict[str, Any], hashes: dict[str, str]) -> None:
    """Write the tokenizer, and checkpoint.json with the hashes of all files."""
    tokenizer.save(partial / TOKENIZER)
    hashes = {**hashes, TOKENIZER: file_hash(partial / TOKENIZER)}
    info = {**info, "tokenizer_hash": tokenizer.hash, "sha256": hashes}
    info["sha256"][INFO] = _hash_of_others(info)
    (partial / INFO).write_text(json.dumps(info, indent=2) + "\n")
    open_to_readers(partial)
    for file in (partial / TOKENIZER, partial / INFO, partial):
        flush_to_disk(file)


def _publish(partial: Path, folder: Path, keep: int, protected: Path | None) -> None:
    """Give a whole checkpoint its name, point `last` (and `best`) to it, and remove old ones."""
    out_dir = folder.parent
    if _name(out_dir, "best") == folder.name:
        (out_dir / "best").unlink()
    shutil.rmtree(folder, ignore_errors=True)  # from before the run went back to an earlier checkpoint
    partial.rename(folder)
    flush_to_disk(out_dir)
    _point(out_dir, "best", _best(folder))
    _point(out_dir, "last", folder)  # at the end: if killed before, the step is done again
    _remove_old(folder, keep, protected)


def set_aside(out_dir: Path, newest_trusted: Path | None) -> None:
    """Rename the checkpoints after `newest_trusted` (None: all) to `step_....suspect`, and point `last` to it.

    `best` points to the best one up to there. Nothing resumes from a suspect checkpoint.
    """
    _point(out_dir, "last", newest_trusted)  # first: if killed in between, the others are not resumed from
    _point(out_dir, "best", newest_trusted and (_best(newest_trusted) or newest_trusted))
    for folder in _all(out_dir):
        if newest_trusted is None or folder.name > newest_trusted.name:
            suspect = folder.with_suffix(".suspect")
            shutil.rmtree(suspect, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                folder.rename(suspect)


def _point(out_dir: Path, pointer: str, folder: Path | None) -> None:
    """Make a pointer file name a checkpoint, or remove it for None."""
    if folder is None:
        (out_dir / pointer).unlink(missing_ok=True)
    elif _name(out_dir, pointer) != folder.name:
        replace_file(out_dir / pointer, folder.name + "\n")


def _hash_of_others(info: dict[str, Any]) -> str:
    """Return the sha256 of all of checkpoint.json except this hash."""
    hashes = {name: value for name, value in info["sha256"].items() if name != INFO}
    return hashlib.sha256(json.dumps({**info, "sha256": hashes}).encode()).hexdigest()


def _best(newest: Path) -> Path | None:
    """Return the checkpoint up to `newest` with the lowest validation loss, the later of equals; None without losses.

    Later checkpoints are of steps that are being done again.
    """
    losses = {}
    for folder in reversed(_up_to(newest)):
        with contextlib.suppress(UserError):  # corrupt: reported when it is read
            loss = read_info(folder)["val_loss"]
            if loss is not None:
                losses[folder] = loss
    return min(losses, key=losses.__getitem__, default=None)


def last_whole(out_dir: Path) -> tuple[Path | None, str]:
    """Return the checkpoint to resume from (None: none), and what is corrupt in newer ones.

    It is the one that `last` names, or without that file the newest; if it is corrupt, the newest intact one before it.
    Raises UserError if all are corrupt.
    """
    folders, damage = _all(out_dir), []
    if not folders and not any(_name(out_dir, pointer) for pointer in ("last", "best")):
        return None, ""
    try:
        last = pointed(out_dir, "last")
        folders = _up_to(last) if last else folders
    except UserError as error:
        damage.append(error.problem)
    for folder in reversed(folders):
        try:
            read_checked(folder)
            return folder, "; ".join(damage)
        except UserError as error:
            damage.append(error.problem)
    raise UserError(
        f"{'; '.join(damage)}: no checkpoint is left to resume from: delete {out_dir} to start again, or choose another"
        " --out_dir"
    )


def find(spec: str | Path) -> Path:
    """Return the checkpoint folder that `spec` names: itself, or its run's best, else last, else newest one.

    Raises UserError if there is none.
    """
    path = Path(spec)
    if (path / INFO).is_file():
        return path
    found = pointed(path, "best") or pointed(path, "last")
    if found or _all(path):
        return found or _all(path)[-1]
    others = _all(path.parent)
    if not path.is_dir() and others:
        raise UserError(
            f"no checkpoint {path}: {path.parent} has {', '.join(other.name for other in others)}"
        )
    if path.is_file():
        raise UserError(f"{path} is a file: pass the folder it is in")
    if not path.is_dir():
        raise UserError(f"no checkpoint folder {path}: run {training(path)} first")
    raise UserError(
        f"no finished checkpoint in {path}: a run writes its first one after checkpoint_interval steps; another model is a"
        " folder with config.json and model.safetensors"
    )


def is_last(out_dir: Path, step: int) -> bool:
    """Return whether `last` names the checkpoint of this step."""
    return _name(out_dir, "last") == folder_of(out_dir, step).name


def folder_of(out_dir: Path, step: int) -> Path:
    """Return the place of a step's checkpoint, whether there is one or not."""
    return out_dir / f"step_{step:08d}"


def step_of(folder: Path) -> int:
    """Return the step of a checkpoint by its name."""
    return int(folder.name.removeprefix("step_"))


def pointed(out_dir: Path, pointer: str) -> Path | None:
    """Return the checkpoint that the pointer file `last` or `best` names, None if there is no such file."""
    name = _name(out_dir, pointer)
    if name is None:
        return None
    folder = out_dir / name
    if not NAME.fullmatch(name) or not (folder / INFO).is_file():
        raise UserError(
            f"{out_dir / pointer} names {name[:40]!r}, which does not exist",
            "write the name of a checkpoint into it",
        )
    return folder


def _name(out_dir: Path, pointer: str) -> str | None:
    try:
        return (out_dir / pointer).read_bytes().decode(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # it exists, but is not text
        return ""


def read_info(folder: Path) -> dict[str, Any]:
    """Return checkpoint.json; raise UserError if it is corrupt or of another format."""
    try:
        info = json.loads((folder / INFO).read_text())
        version = info["format_version"]
        whole = info["sha256"].get(INFO) == _hash_of_others(info) or version == 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise cannot_read(folder / INFO, error, OTHER) from None
    if version not in READABLE:
        raise UserError(
            f"{folder}: checkpoint format {version}, this version of wikigpt reads"
            f" {' and '.join(map(str, READABLE))}",
            OTHER,
        )
    if not whole:
        raise UserError(f"{folder}: {INFO} is corrupt (its sha256 differs)", OTHER)
    return info


def read_checked(folder: Path, optimizer: bool = True) -> dict[str, Any]:
    """Return checkpoint.json, after checking the files of the checkpoint against their hashes there.

    `optimizer=False` leaves out its state, two thirds of the bytes. Raises UserError for a corrupt file or another format.
    """
    info = read_info(folder)
    for name, expected in info["sha256"].items():
        if name == INFO or (name.startswith(Path(OPTIMIZER).stem) and not optimizer):
            continue
        if not (folder / name).is_file():
            shard = SHARD_NAME.fullmatch(name)
            whose = f", which rank {shard[2]} wrote," if shard else ""
            raise UserError(f"{folder}: {name}{whose} is missing", OTHER)
        if file_hash(folder / name) != expected:
            reject_lfs_pointer(folder / name)
            raise UserError(f"{folder}: {name} is corrupt (its sha256 differs)", OTHER)
    return info


def progress_of(info: dict[str, Any]) -> Progress:
    """Return the progress that checkpoint.json records."""
    return Progress(**{item.name: info[item.name] for item in fields(Progress) if item.name in info})


def network_of(info: dict[str, Any], folder: Path) -> GPTConfig:
    """Return the network that the checkpoint.json of `folder` describes."""
    try:
        return GPTConfig(**info["model"])
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / INFO}: its model cannot be built ({error}): {_changed_code(info)}"
        ) from None


def _changed_code(info: dict[str, Any]) -> str:
    """Return the fix for a checkpoint whose files are intact, but which model.py cannot take."""
    commit = info.get("git_commit")
    return f"the code changed since, use that of then{f' (git commit {commit})' if commit else ''}"


def load_weights(folder: Path, model: GPT) -> None:
    """Copy a checkpoint's weights into the model, or into this process's shard of it; raise UserError if names or shapes differ.

    If the model has fewer learned positions than the weights, it gets the first ones.
    """
    stored = sharded.read_stored(folder, WEIGHTS)
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    positions = shapes.get("transformer.wpe.weight")
    if positions is not None:
        shapes["transformer.wpe.weight"] = (min(positions[0], model.config.block_size), *positions[1:])
    try:
        model.check_shapes(shapes)
    except ValueError as error:
        found = f"{sharded.files_of(folder, WEIGHTS)[0]}: {error}"
        raise UserError(f"{found}: {_changed_code(read_info(folder))}") from None
    for name, rows in sharded.own_weights(model).items():
        rows.values.copy_(stored[name].rows(rows.first, len(rows.values)))


def load_optimizer(folder: Path, model: GPT, optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint's optimizer state, parameter by parameter."""
    parameters = dict(model.named_parameters())
    for key, stored in sharded.read_stored(folder, OPTIMIZER).items():
        name, _, entry = key.rpartition("/")
        if name not in parameters:
            raise UserError(f"{folder / OPTIMIZER}: state of {name}, which this model does not have")
        parameter = parameters[name]
        rows = stored.rows(first_row(parameter), len(own(parameter)))
        state = rows.to(parameter.device, copy=True)
        optimizer.state[parameter][entry] = sharded_like(parameter, state) if state.dim() else state


def _all(out_dir: Path) -> list[Path]:
    """Return the run's finished checkpoints, oldest first."""
    return sorted(folder for folder in out_dir.glob("step_*") if NAME.fullmatch(folder.name))


def _up_to(newest: Path) -> list[Path]:
    return [folder for folder in _all(newest.parent) if folder.name <= newest.name]


def _remove_old(newest: Path, keep: int, protected: Path | None) -> None:
    folders = _up_to(newest)
    kept = {
        newest,
        newest.with_name(_name(newest.parent, "best") or newest.name),
        protected,
        *folders[-keep:],
    }
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder)
