"""What all processes of a run must have in common before it is opened: the command, the data, torch, the run's folder."""

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any, get_type_hints

import torch

from system.errors import UserError
from system.files import cannot_write
from system.settings import PATH_STARTS, flat_fields
from system.world import World
from training.config import TrainConfig


def check_agreement(config: TrainConfig, data_hash: str, world: World) -> None:
    """Raise UserError in all processes unless each has the settings, data, torch and folder of the main process.

    Only paths may differ: a node may keep its data anywhere. `data_hash` is the manifest's.
    """
    if world.size == 1:
        return
    _check_same_facts(config, data_hash, world)
    if not config.plan:  # which changes nothing in the folder
        _check_shared(Path(config.out_dir), world)


def facts(config: TrainConfig, data_hash: str) -> dict[str, Any]:
    """Return what must be the same in all processes, as JSON holds it."""
    hints = get_type_hints(TrainConfig, include_extras=True)  # of its nested configs none has a path
    settings = {key: value for key, value, _ in flat_fields(config) if hints.get(key) not in PATH_STARTS}
    found: dict[str, Any] = json.loads(
        json.dumps({"data": data_hash[:12], "torch": torch.__version__, **settings})
    )
    return found


def _check_same_facts(config: TrainConfig, data_hash: str, world: World) -> None:
    own = facts(config, data_hash)
    theirs = json.loads(world.from_main(json.dumps(own)))
    with world.all_or_none():
        differing = [key for key in {**own, **theirs} if own.get(key) != theirs.get(key)]
        listed = ", ".join(f"{key}={own.get(key)} (not {theirs.get(key)})" for key in differing)
        if differing == ["data"]:
            fix = "copy the same data to all nodes"
            raise UserError(f"data_dir={config.data_dir}: other data than rank 0 has, {listed}", fix)
        if differing:
            fix = "use the same command, code and versions on all nodes"
            raise UserError(f"rank 0 has other settings or versions, here {listed}", fix)


def _check_shared(out_dir: Path, world: World) -> None:
    """Raise UserError in all processes unless each sees a file that the main process makes in its `out_dir`.

    The name is new, so that no network file system remembers that it was not there.
    """
    name = world.from_main(f".seen_by_all_{uuid.uuid4().hex[:8]}")
    with contextlib.ExitStack() as stack:
        with world.all_or_none():
            if world.is_main:
                try:
                    (out_dir / name).touch()
                except OSError as error:
                    raise cannot_write(out_dir, error) from None
                stack.callback((out_dir / name).unlink, missing_ok=True)
        with world.all_or_none():
            if not (out_dir / name).exists():
                fix = "use a folder that all nodes share"
                raise UserError(f"out_dir={out_dir}: is not the folder that rank 0 has under this name", fix)
