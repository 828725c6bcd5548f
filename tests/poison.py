"""Shared by the tests of the guard and of the autopsy: runs in which a few sequences do harm, and what they leave to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import train as train_module
from checkpointing import sharded
from corpus.dataset import TokenDataset, batch
from system.errors import UserError
from training.config import TrainConfig
from training.learner import Learner

SetAttribute = Callable[..., None]  # of a monkeypatch, or the builtin
BATCH = 8  # of the config that tests share
NAN = float("nan")


class Enough(Exception):
    """Ends a training from inside."""


def for_each_learner(set_attribute: SetAttribute, change: Callable[[Learner], object]) -> None:
    """Let each training that starts call `change` with its learner, before its first step."""
    build = train_module.build_learner

    def build_and_change(*arguments: Any) -> Learner:
        learner = build(*arguments)
        change(learner)
        return learner

    set_attribute(train_module, "build_learner", build_and_change)


def add_poison(
    set_attribute: SetAttribute,
    config: TrainConfig,
    factors: dict[int, float],
    place: str = "transformer.h.1.mlp",
) -> None:
    """Multiply the output of a module by `factors`, for these sequences of the run, whenever it computes with them."""
    T, dataset = config.model.block_size, TokenDataset(config.data_dir)
    rows = {
        number: batch(dataset, dataset.training_starts(T, config.seed, number, 1), T)[0] for number in factors
    }

    def poison(learner: Learner) -> None:
        computed: list[torch.Tensor] = []
        transformer = learner.model.transformer

        def multiply(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            factor = torch.ones(len(computed[-1]))
            for number, row in rows.items():
                factor[(computed[-1] == torch.from_numpy(row)).all(dim=1)] = factors[number]
            return output * factor[:, None, None] if (factor != 1).any() else output

        transformer.register_forward_pre_hook(lambda _module, inputs: computed.append(inputs[0]))
        learner.model.get_submodule(place).register_forward_hook(multiply)

    for_each_learner(set_attribute, poison)


def add_bad_norm(set_attribute: SetAttribute, step: int) -> None:
    """Let this process find a gradient norm of NaN in a step (0: in none), though its gradients are fine."""
    norm, calls = train_module.gradient_norm, []

    def norm_or_nan(model: nn.Module) -> torch.Tensor:
        calls.append(1)
        return norm(model) * (NAN if len(calls) == step else 1.0)

    set_attribute(train_module, "gradient_norm", norm_or_nan)


def sequence_of(step: int, place: int = 3) -> int:
    """Return the number of one of the sequences of the update that leads to `step`."""
    return (step - 1) * BATCH + place


def train_until(error: type[Exception], config: TrainConfig) -> tuple[Learner, str]:
    """Train until `error` ends it; return the learner as it is then, and the error's message."""
    learners: list[Learner] = []
    with pytest.MonkeyPatch.context() as patch:
        for_each_learner(patch.setattr, learners.append)
        with pytest.raises(error) as found:
            train_module.train(config)
    return learners[0], str(found.value)


def train_until_stopped(config: TrainConfig) -> tuple[Learner, str]:
    """Train until the guard stops the run, and return the same."""
    return train_until(UserError, config)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    """Return everything that an update changes."""
    state = sharded.optimizer_tensors(learner.model, learner.optimizer)
    return {**learner.model.weights(), **state}


def strict_json(text: str) -> Any:
    """Read JSON as other programs do: NaN and Infinity are errors."""

    def reject(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=reject)


def strict_records(config: TrainConfig) -> list[dict]:
    return [strict_json(line) for line in (Path(config.out_dir) / "metrics.jsonl").read_text().splitlines()]


def read_autopsy(
    config: TrainConfig, step: int, rank: str = ""
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the report and the sequences in a step's autopsy."""
    folder = Path(config.out_dir) / f"autopsy_step_{step:08d}"
    lines = (folder / f"batch{rank}.jsonl").read_text().splitlines()
    return strict_json((folder / f"report{rank}.json").read_text()), [strict_json(line) for line in lines]
