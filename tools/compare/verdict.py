"""Is a run worse than the reference? Judged by bits per byte at the last step that both evaluated, and by speed on request."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from system.errors import UserError
from tools.compare.config import CompareConfig
from tools.compare.runs import TrainedRun

Status = Literal["reference", "better", "as good", "worse", "not compared"]
PASSED: tuple[Status, ...] = ("reference", "better", "as good")
NOISE = "Each run is one seed: another seed alone changes bits per byte, so repeat a small difference with other seeds."


@dataclass(frozen=True)
class Verdict:
    """How a run compares with the reference. Changes are shares of the reference's value."""

    run: str
    status: Status
    reason: str = ""
    step: int | None = None  # that is compared
    bits_per_byte: float | None = None
    reference_bits: float | None = None  # at the same step
    bits_change: float | None = None
    tokens_per_second: float | None = None  # median up to that step
    speed_change: float | None = None


def find_reference(runs: Sequence[TrainedRun], name: str) -> TrainedRun:
    """Return the run that `name` is the folder of, the first for "". Raises UserError if none is."""
    if not name:
        return runs[0]
    for run in runs:
        if Path(run.name).resolve() == Path(name).resolve():
            return run
    raise UserError(f"reference={name}: is not one of the runs", "name its folder among them too")


def verdicts(runs: Sequence[TrainedRun], config: CompareConfig) -> list[Verdict]:
    """Return the verdict on each run, in order."""
    reference = find_reference(runs, config.reference)
    return [of_reference(run) if run is reference else judge(run, reference, config) for run in runs]


def passed(found: Sequence[Verdict]) -> bool:
    """Return whether every run was compared and none is worse: a check that did not happen is not passed."""
    return all(verdict.status in PASSED for verdict in found)


def of_reference(run: TrainedRun) -> Verdict:
    """Return the reference's own line: its last evaluation."""
    evaluated = run.evaluated()
    step = max(evaluated, default=None)
    bits = evaluated[step] if step is not None else None
    return Verdict(run.name, "reference", "", step, bits, tokens_per_second=speed(run, step))


def judge(run: TrainedRun, reference: TrainedRun, config: CompareConfig) -> Verdict:
    """Compare a run with the reference."""
    theirs, ours = reference.evaluated(), run.evaluated()
    if obstacle := why_not_comparable(run, reference):
        step = max(ours, default=None)
        bits = ours[step] if step is not None else None
        return Verdict(run.name, "not compared", obstacle, step, bits, tokens_per_second=speed(run, step))
    common = theirs.keys() & ours.keys()
    if not common:
        return Verdict(run.name, "not compared", "no step that both evaluated")
    step = max(common)
    bits, wanted = ours[step], theirs[step]
    if not wanted:
        return Verdict(run.name, "not compared", "the reference's loss is 0 or not finite", step, bits)
    tokens, usual = speed(run, step), speed(reference, step)
    speed_change = tokens / usual - 1 if tokens and usual else None
    if bits is None:
        reason = "its loss is not finite"
        return Verdict(run.name, "worse", reason, step, None, wanted, None, tokens, speed_change)
    change = bits / wanted - 1
    slow = config.speed_tolerance > 0 and speed_change is not None and speed_change < -config.speed_tolerance
    reasons = ["higher bits per byte"] if change > config.tolerance else []
    reasons += ["fewer tokens/s"] if slow else []
    status: Status = "worse" if reasons else "better" if change < -config.tolerance else "as good"
    reason = "; ".join(filter(None, [*reasons, note(run, reference)]))
    return Verdict(run.name, status, reason, step, bits, wanted, change, tokens, speed_change)


def speed(run: TrainedRun, step: int | None) -> float | None:
    """Return the median tokens/s up to a step; None without any."""
    speeds = [
        record["tokens_per_second"]
        for record in run.records
        if record.get("tokens_per_second") and (step is None or record["step"] <= step)
    ]
    return median(speeds) if speeds else None


def why_not_comparable(run: TrainedRun, reference: TrainedRun) -> str:
    """Return why the validation losses of two runs are not of the same text, "" if they are."""
    if run.data_hash and run.data_hash == reference.data_hash:
        return ""
    for unknown in (run, reference):
        if not unknown.data_hash:
            return f"{unknown.name} does not say what data it was trained on"
    ours, theirs = validation_text(run), validation_text(reference)
    if ours is None or theirs is None:
        missing = run if ours is None else reference
        return f"other data, and data_dir={missing.settings['data_dir']} is gone or has changed"
    return "" if ours == theirs else "other validation data"


def validation_text(run: TrainedRun) -> dict[str, Any] | None:
    """Return what determines the text of a run's validation split, whatever its tokenizer; None if it is not known."""
    if not run.manifest:
        return None
    split = run.manifest.splits["val"]
    options = {
        key: value for key, value in run.manifest.options.items() if key not in ("tokenizer", "shard_tokens")
    }
    text = {"documents": split.documents, "bytes": split.text_bytes}
    return {"source": run.manifest.source, "options": options, **text}


def note(run: TrainedRun, reference: TrainedRun) -> str:
    """Return what makes two runs' losses at the same step unequal in a way that their settings alone do not show."""
    keys = [key for key in ("eval_windows", "block_size") if run.settings[key] != reference.settings[key]]
    keys += ["tokenizer"] if run.data_hash != reference.data_hash else []
    notes = [f"other windows of the validation text, as {' and '.join(keys)} differ"] if keys else []
    if run.settings["max_steps"] != reference.settings["max_steps"]:
        notes.append("schedules end at different steps")
    return "; ".join(notes)
