"""Is the command's run the one in its folder? The settings that define a run, compared, and what to do if they differ."""

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from checkpointing import checkpoint
from model import GPTConfig
from system.errors import UserError
from training.config import OPERATIONAL, TrainConfig, identity


def take_fixed_steps(
    config: TrainConfig, earlier: dict[str, Any] | None
) -> tuple[TrainConfig, dict[str, int], list[str]]:
    """Return the config with the steps that max_minutes fixed when the run began, what was requested then, and notes.

    A command that requests the same gets them: `earlier`, the run's record, has both. The command's own max_steps counts
    where --extend is new, or without max_minutes.
    """
    requested = dict((earlier or {}).get("requested", {}))
    if not earlier:
        return config, requested, []
    fixed, before = earlier["identity"], earlier["config"]
    if config.optimizer.warmup_steps == requested.get("warmup_steps"):
        config = replace(config, optimizer=replace(config.optimizer, warmup_steps=fixed["warmup_steps"]))
    extends = config.extend and not before.get("extend")
    same = config.max_minutes > 0 and config.max_steps == requested.get("max_steps") and not extends
    if same:
        config = replace(config, max_steps=fixed["max_steps"])
    elif requested and config.max_steps > fixed["max_steps"]:
        requested["max_steps"] = config.max_steps
    ignores = config.max_minutes > 0 and not (same and config.max_minutes == before.get("max_minutes"))
    end = f"it fixes the steps of a new run only, and this one ends at step {config.max_steps}"
    return config, requested, [f"max_minutes={config.max_minutes:g} is ignored: {end}"] if ignores else []


def reject_other_run(
    out_dir: Path, theirs: dict[str, Any], ours: dict[str, Any], extend: bool, folder: Path | None
) -> None:
    """Raise UserError if the run in the folder has another identity; with `extend`, max_steps may grow.

    `folder` is its last checkpoint.
    """
    theirs = recorded_identity(TrainConfig()) | theirs  # a newer field's default is the old behaviour
    is_longer = ours["max_steps"] > theirs["max_steps"]
    allowed = {"max_steps"} if extend and is_longer else set()
    differing = [key for key in ours if ours[key] != theirs.get(key) and key not in allowed]
    if not differing:
        return
    if differing == ["max_steps"] and not is_longer:
        max_steps = theirs["max_steps"]
        raise UserError(
            f"max_steps={ours['max_steps']}: the run in {out_dir} has max_steps={max_steps}: set --max_steps={max_steps}"
        )
    listed = ", ".join(f"{key}={_short(theirs.get(key))} (not {_short(ours[key])})" for key in differing)
    fixes = {"max_steps": "add --extend to train it longer", "data": "use the data_dir it started with"}
    fix = fixes.get(",".join(differing), "choose another --out_dir or delete that run with --overwrite")
    branch = _branching(out_dir, differing, ours["max_steps"], folder)
    raise UserError(f"{out_dir} holds another run, with {listed}: {fix}{branch}")


def _branching(out_dir: Path, differing: list[str], max_steps: int, folder: Path | None) -> str:
    """Return the advice to branch, "" where a branch would be rejected: it has its run's network, optimizer and origin."""
    network = {item.name for item in fields(GPTConfig)} - {"dropout"}
    if (
        not folder
        or not network.isdisjoint(differing)
        or not {"init_from", "optimizer"}.isdisjoint(differing)
    ):
        return ""
    step = checkpoint.read_info(folder)["step"]
    longer = "" if step < max_steps else f" --max_steps=... (above {step})"
    branch = f"--branch_from={shlex.quote(str(out_dir))} --out_dir=...{longer}"
    return f", or start a new run from it with {branch}"


def recorded_identity(config: TrainConfig) -> dict[str, Any]:
    """Return the config's identity as JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(identity(config)))


def changes(earlier: dict[str, Any], about: dict[str, Any]) -> list[str]:
    """Return a note on the operational settings that differ from last time."""
    once = {"extend", "branch_from", "overwrite", "plan", "price_per_hour"}  # these ask for something once
    settings = OPERATIONAL - once
    before = {key: value for key, value in earlier["config"].items() if key in settings}
    now = dict(about["config"])
    for key in ("processes", "threads"):  # sums in another order: equal up to rounding, no longer bit for bit
        now[key], before[key] = about[key], earlier.get(key, about[key])
    changed = [f"{key} {value} -> {now.get(key)}" for key, value in before.items() if value != now.get(key)]
    return [f"changed since last time: {', '.join(changed)}"] if changed else []


def _short(value: Any) -> str:
    """Return the value as text, a hash by its first characters."""
    return value[:12] + "..." if isinstance(value, str) and len(value) == 64 else str(value)
