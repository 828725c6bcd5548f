"""Reading runs as they are on disk, while they train or after. Takes no lock: that could keep a trainer from starting."""

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.dataset import TokenDataset
from corpus.manifest import MANIFEST_FILE, Manifest
from system.errors import UserError
from system.progress import duration
from system.recipes import training
from system.settings import flat_fields
from training.config import TrainConfig
from training.plot import METRICS, read_metrics

CONFIG, EVALUATION = "config.json", "evaluation"
QUIET_SECONDS = 120.0  # without a new record, after which an unfinished run counts as stopped,
QUIET_INTERVALS = 10  # or so many times the usual time between two records, if that is longer
Record = dict[str, Any]


@dataclass(frozen=True)
class TrainedRun:
    """A run: what it was set to, what it recorded, what was measured of it."""

    name: str  # its folder, as the command names it
    about: dict[str, Any]  # config.json
    settings: dict[str, Any]  # flat, with the defaults of settings that are newer than the run
    records: list[Record]
    written_at: float | None  # when its last record was written, in seconds since 1970
    evaluations: dict[str, dict[str, Any]]  # by checkpoint, what tools.evaluate wrote

    @property
    def step(self) -> int:
        """The last step on record."""
        return self.records[-1]["step"] if self.records else 0

    @property
    def is_finished(self) -> bool:
        """Whether it did all its steps."""
        return self.step >= self.settings["max_steps"]

    @cached_property
    def manifest(self) -> Manifest | None:
        """What its data folder holds, if that is still the one it was trained on."""
        folder = Path(self.settings["data_dir"])
        with contextlib.suppress(OSError, UserError):
            content = (folder / MANIFEST_FILE).read_bytes()
            if hashlib.sha256(content).hexdigest() == self.data_hash:
                return Manifest.read(folder)
        return None

    @property
    def data_hash(self) -> str | None:
        """The hash of its data folder's manifest."""
        found = self.about.get("identity", {}).get("data")
        return found if isinstance(found, str) else None

    @property
    def sequences_per_step(self) -> int:
        """Its batch."""
        return (
            self.settings["batch_size"] or self.settings["batch_tokens"] // self.settings["block_size"] or 32
        )  # as TrainConfig has it

    @cached_property
    def tokens_per_step(self) -> float:
        """Its batch in tokens, an average where its sequences are pairs; without its data, as if they were text."""
        if tokens_per_step := self.about.get("tokens_per_step"):
            return float(tokens_per_step)
        tokens = float(self.settings["block_size"])  # of a run of an earlier version
        if self.manifest and self.manifest.has_pairs:
            with contextlib.suppress(OSError, UserError):
                data = TokenDataset(self.settings["data_dir"], "train")
                tokens = data.tokens_per_sequence(self.settings["block_size"])
        return tokens * self.sequences_per_step

    @cached_property
    def seconds(self) -> list[float | None]:
        """The training time at each record, without evaluations and checkpoints; None before a speed is known.

        Steps without a speed of their own, such as skipped ones, count with the next one that has it.
        """
        times: list[float | None] = []
        total, done, pace = 0.0, 0, None
        for record in self.records:
            speed = record.get("tokens_per_second")
            if speed:
                pace = self.tokens_per_step / speed  # seconds a step
                total += (record["step"] - done) * pace
                done = record["step"]
            times.append(None if pace is None else total + (record["step"] - done) * pace)
        return times

    def evaluated(self) -> dict[int, float | None]:
        """Return bits per byte by step, None where they are not finite."""
        return {
            record["step"]: record["val_bits_per_byte"]
            for record in self.records
            if "val_bits_per_byte" in record
        }

    def state(self, now: float) -> str:
        """Return in words whether it is finished, running or stopped, as far as its files tell."""
        if self.is_finished:
            return "finished"
        if self.written_at is None:
            return "no record yet"
        silent = max(0.0, now - self.written_at)
        times = [second for second in self.seconds if second is not None]
        usual = times[-1] / len(self.records) if times else 0.0
        ago = f"last record {duration(silent)} ago"
        return (
            f"running, {ago}" if silent < max(QUIET_SECONDS, QUIET_INTERVALS * usual) else f"stopped, {ago}"
        )


def read_runs(folders: Sequence[Path]) -> list[TrainedRun]:
    """Read runs. Raises UserError if a folder holds none, or is named twice."""
    seen: dict[Path, Path] = {}
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(f"{folder}: is the run {seen[folder.resolve()]} again", "name each run once")
        seen[folder.resolve()] = folder
    return [read_run(folder) for folder in folders]


def read_run(folder: Path) -> TrainedRun:
    """Read a run. Raises UserError if there is none, or if a file of it is corrupt."""
    if not folder.is_dir() and "," in folder.name:
        raise UserError(f"no folder {folder}", "put spaces between runs, not commas")
    if not folder.is_dir():
        raise UserError(f"no folder {folder}", f"name the folder of a run, or run {training(folder)} first")
    about = read_config(folder)
    path = folder / METRICS
    try:
        written_at = path.stat().st_mtime if path.is_file() and path.stat().st_size else None
        records = [finite(record) for record in read_metrics(path)]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror})", "make it readable") from None
    return TrainedRun(str(folder), about, settings_of(about), records, written_at, read_evaluations(folder))


def read_config(folder: Path) -> dict[str, Any]:
    """Return what a run's config.json holds. Raises UserError if there is none or it is corrupt."""
    path = folder / CONFIG
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about["config"], dict) or not isinstance(about.get("identity", {}), dict):
            raise ValueError("it holds no settings")
        settings = settings_of(about)
        for key, kind in {
            "max_steps": int,
            "batch_size": int,
            "batch_tokens": int,
            "block_size": int,
            "data_dir": str,
        }.items():
            if not isinstance(settings[key], kind) or not settings["block_size"]:
                raise ValueError(f"{key} is {settings[key]!r}")
    except FileNotFoundError:
        fix = f"name the folder of a run, or run {training(folder)} first"
        raise UserError(f"no {CONFIG} in {folder}, so it is no run", fix) from None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror})", "make it readable") from None
    except (ValueError, KeyError, TypeError) as error:
        fix = "resume the run, which writes it again, or leave this folder out"
        raise UserError(f"{path} is corrupt ({error})", fix) from None
    return about


def settings_of(about: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings, flat: those on record, and the default of each newer one, which is the old behaviour."""
    settings = json.loads(json.dumps({key: value for key, value, _ in flat_fields(TrainConfig())}))
    for key, value in about["config"].items():
        settings |= value if isinstance(value, dict) else {key: value}
    return settings


def finite(record: Record) -> Record:
    """Return a record with None for numbers that are not finite: runs of older versions recorded NaN."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }


def read_evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what tools.evaluate wrote about a run's checkpoints, by their names. Raises UserError."""
    found = {}
    for path in sorted((folder / EVALUATION).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path} ({error})", "delete it, then evaluate again") from None
        if isinstance(content, dict):
            found[path.stem] = content
    return found


def now() -> float:
    """Return the time in seconds since 1970."""
    return time.time()
