"""What differs between runs, and what tools.evaluate measured of them, as tables of text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.compare.runs import TrainedRun
from training.config import OPERATIONAL

NO_SETTINGS = {"out_dir", "overwrite", "extend"}  # which say where and how the command ran, once
NOT_ON_RECORD = "not recorded"


@dataclass(frozen=True)
class Table:
    """A heading, the columns' names, and rows of text; the first cell of a row is its name."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class SettingTables:
    """Settings and surroundings that differ, and those that all runs share."""

    differing: Table
    same: Table


def setting_tables(runs: Sequence[TrainedRun]) -> SettingTables:
    """Return what was set, first what defines a run, then how it ran and in which surroundings."""
    values = [described(run) for run in runs]
    keys = list(dict.fromkeys(key for found in values for key in found))
    differing, same = [], []
    for key in keys:
        cells = [found.get(key, NOT_ON_RECORD) for found in values]
        if len(set(cells)) == 1:
            same.append([key, cells[0]])
        else:
            differing.append([key, *cells])
    names = [run.name for run in runs]
    return SettingTables(
        Table("Settings that differ", ["setting", *names], differing),
        Table("Settings that are the same", ["setting", "value"], same),
    )


def described(run: TrainedRun) -> dict[str, str]:
    """Return a run's settings and surroundings as text, by name."""
    keys = [key for key in run.settings if key not in NO_SETTINGS]
    keys.sort(key=lambda key: key in OPERATIONAL)  # stable: each part keeps its order
    about = run.about
    found = {key: text(run.settings[key]) for key in keys}
    found |= {f"data: {key.replace('_', ' ')}": text(value) for key, value in part(about, "data").items()}
    if run.data_hash:
        found["data: hash"] = run.data_hash[:12]
    found |= {key: text(about[key]) for key in ("processes", "threads") if key in about}
    if attention := part(about, "attention"):
        found["computed on"] = "; ".join(attention)
    found |= {f"version: {key}": text(value) for key, value in part(about, "versions").items()}
    if about.get("git_commit"):
        commit, dash, dirty = str(about["git_commit"]).partition("-")
        found["git commit"] = f"{commit[:10]}{dash}{dirty}"
    return found


def part(about: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a part of a run's record; nothing for a run of an older version, which lacks it."""
    value = about.get(key)
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Return a value as the command line spells it: text as it is, tuples with commas, numbers briefly."""
    if isinstance(value, str):
        return value or "(empty)"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(text, value))
    return json.dumps(value, ensure_ascii=False)


def evaluation_tables(runs: Sequence[TrainedRun]) -> list[Table]:
    """Return a table for each measure: a row for each model of each run, a column for each value."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for run in runs:
        for checkpoint, models in run.evaluations.items():
            for model, measures in models.items():
                for measure, values in measures.items() if isinstance(measures, dict) else ():
                    own = model.removeprefix(run.name).removeprefix(",").strip()
                    name = ", ".join(one for one in (run.name, checkpoint, own) if one)
                    found.setdefault(measure, []).append((name, flat(values)))
    tables = []
    for measure, rows in found.items():
        keys = list(dict.fromkeys(key for _, values in rows for key in values))
        cells = [[name, *(values.get(key, "") for key in keys)] for name, values in rows]
        tables.append(Table(measure, ["model", *(key.replace("_", " ") for key in keys)], cells))
    return tables


def flat(values: Any, prefix: str = "") -> dict[str, str]:
    """Return measured values as text by name, those of nested objects under their path."""
    if not isinstance(values, dict):
        return {prefix or "value": text(values)}
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix} {key}".strip())
    return found
