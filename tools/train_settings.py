"""Command lines that take the settings of train.py beside a tool's own."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from system.errors import UserError
from system.settings import did_you_mean, flat_fields
from training.config import TrainConfig

QUIET = {"wandb": "disabled", "tensorboard": False, "task_items": 1}  # of a run that is only timed


def split_settings(argv: Sequence[str], own: Any) -> tuple[list[str], list[str]]:
    """Return the words of a tool's own settings, which are the fields of the dataclass `own`, and those of train.py.

    A config file, which may stand anywhere, becomes the tool's `config`. Raises UserError for a name that is neither's
    but resembles one of the tool's.
    """
    own_names = {field.name: field.name for field in fields(own)}
    train_names = {key for key, _, _ in flat_fields(TrainConfig())}
    ours: list[str] = []
    theirs: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        key = word.removeprefix("--").partition("=")[0].replace("-", "_")
        if word.endswith(".py") and not word.startswith("-"):
            ours.append(f"--config={word}")
            continue
        target = ours if key in (*own_names, "help") or word == "-h" else theirs
        hint = did_you_mean(key, own_names)
        if target is theirs and hint and key not in train_names:
            raise UserError(f"unknown setting {word.partition('=')[0]}{hint}")
        target.append(word)
        is_value = rest and not rest[0].startswith("--") and (key == "config" or not rest[0].endswith(".py"))
        if word.startswith("--") and "=" not in word and is_value:
            target.append(rest.pop(0))
    return ours, theirs
