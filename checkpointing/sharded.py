"""Checkpoints of sharded models: each process writes its rows of each tensor, and reads the rows that it needs.

Shard 1 of 4 is in `model_shard_1_of_4.safetensors` and `optimizer_shard_1_of_4.safetensors`; they count from 0. All shards
of a tensor, one after the other, are its rows. A model that is not sharded is one shard, in `model.safetensors`.
"""

import re
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from checkpointing.tensors import load_tensors
from model import GPT, PADDED
from system.files import cannot_read
from system.parallel import first_row, own, shard_place

WEIGHTS, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
SHARD_NAME = re.compile(r"(model|optimizer)_shard_(\d+)_of_(\d+)\.safetensors")
OTHER = "choose another checkpoint"


class Rows(NamedTuple):
    """The rows of a parameter that this process has: a view, and the number of the first one."""

    values: Tensor
    first: int


class Stored:
    """A tensor in a checkpoint, of which the rows that are used are read."""

    def __init__(self) -> None:
        self.pieces: list[Tensor] = []  # one after the other

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all pieces together."""
        first = self.pieces[0].shape
        return (sum(map(len, self.pieces)), *first[1:]) if first else ()

    def rows(self, first: int, n: int) -> Tensor:
        """Return `n` rows from row `first` on; of a single number, that number."""
        if not self.shape:
            return self.pieces[0]
        found = []
        for piece in self.pieces:
            found.append(piece[max(0, first) : max(0, first + n)])
            first -= len(piece)
        return found[0] if len(found) == 1 else torch.cat(found)


def shard_name(name: str, number: int, count: int) -> str:
    """Return the name of one shard's file: of WEIGHTS or OPTIMIZER."""
    return name if count == 1 else name.replace(".", f"_shard_{number}_of_{count}.")


def shard_names(count: int) -> list[tuple[str, str]]:
    """Return the names of each shard's two files."""
    return [(shard_name(WEIGHTS, n, count), shard_name(OPTIMIZER, n, count)) for n in range(count)]


def own_weights(model: GPT) -> dict[str, Rows]:
    """Return this process's rows of the model's weights, without the vocabulary's padding."""
    found = {}
    for name, parameter in model.named_parameters():
        values, first = own(parameter.detach()), first_row(parameter)
        end = model.config.vocab_size if name in PADDED else len(parameter)
        found[name] = Rows(values[: max(0, end - first)], first)
    return found


def own_tensors(model: GPT, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Return this process's tensors of a checkpoint by the names of the files, none if another process writes them."""
    place = shard_place(next(model.parameters()))
    if not place.writes:
        return {}
    weights, state = shard_names(place.n_shards)[place.number]
    return {
        weights: {name: rows.values for name, rows in own_weights(model).items()},
        state: optimizer_tensors(model, optimizer),
    }


def optimizer_tensors(model: GPT, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return this process's rows of the optimizer's state, as `parameter/entry`."""
    return {
        f"{name}/{entry}": own(tensor)
        for name, parameter in model.named_parameters()
        for entry, tensor in optimizer.state[parameter].items()
    }


def read_stored(folder: Path, name: str) -> dict[str, Stored]:
    """Return the tensors of a checkpoint's WEIGHTS or OPTIMIZER by name, however many shards they are in.

    Raises UserError if a file is missing or cannot be read.
    """
    stored: dict[str, Stored] = {}
    for path in files_of(folder, name):
        try:
            tensors = load_tensors(path)
        except (OSError, SafetensorError) as error:
            raise cannot_read(path, error, OTHER) from None
        for key, tensor in tensors.items():
            stored.setdefault(key, Stored()).pieces.append(tensor)
    return stored


def files_of(folder: Path, name: str) -> list[Path]:
    """Return the files of a checkpoint's WEIGHTS or OPTIMIZER, in the order of their rows, whether they are there or not."""
    for path in folder.glob(f"{Path(name).stem}_shard_*"):
        if found := SHARD_NAME.fullmatch(path.name):
            count = int(found[3])
            return [folder / shard_name(name, number, count) for number in range(count)]
    return [folder / name]
