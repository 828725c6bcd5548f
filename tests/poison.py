"""What the tests of the guard and of the autopsy share: a run that a few sequences harm, and what it leaves to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ALONE

from corpus.dataset import TokenDataset, batch
from system.errors import UserError
from system.signals import Signals
from train import Training
from training.config import TrainConfig
from training.watchdog import Contact

Poison = Callable[..., None]
BATCH = 8  # of the config that tests share
NAN = float("nan")


def add_poison(
    set_attribute: Poison, config: TrainConfig, factors: dict[int, float], place: str = "transformer.h.1.mlp"
) -> None:
    """Multiply what a module makes of these of the run's sequences, whenever it computes with them."""
    T, dataset = config.model.block_size, TokenDataset(config.data_dir)
    rows = {
        number: batch(dataset, dataset.training_starts(T, config.seed, number, 1), T)[0] for number in factors
    }
    build = Training.build

    def poisoned(training: Training) -> None:
        build(training)
        computed: list[torch.Tensor] = []
        transformer = training.model.transformer

        def multiply(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            factor = torch.ones(len(computed[-1]))
            for number, row in rows.items():
                factor[(computed[-1] == torch.from_numpy(row)).all(dim=1)] = factors[number]
            return output * factor[:, None, None] if (factor != 1).any() else output

        transformer.register_forward_pre_hook(lambda _module, inputs: computed.append(inputs[0]))
        training.model.get_submodule(place).register_forward_hook(multiply)

    set_attribute(Training, "build", poisoned)


def sequence_of(step: int, place: int = 3) -> int:
    """Return the number of one of the sequences of the update that leads to `step`."""
    return (step - 1) * BATCH + place


def ended(config: TrainConfig) -> tuple[Training, str]:
    """Train until the guard ends it; return the run in memory and the words."""
    training = Training(config, ALONE)
    training.build()
    with pytest.raises(UserError) as error:
        training.run_to_end(Signals(), Contact(ALONE, 1.0))
    return training, str(error.value)


def strict_json(text: str) -> Any:
    """Read JSON as other programs do: without the numbers that it has no words for."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def read_autopsy(
    config: TrainConfig, step: int, rank: str = ""
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the report and the sequences in a step's autopsy."""
    folder = Path(config.out_dir) / f"autopsy_step_{step:08d}"
    lines = (folder / f"batch{rank}.jsonl").read_text().splitlines()
    return strict_json((folder / f"report{rank}.json").read_text()), [strict_json(line) for line in lines]
