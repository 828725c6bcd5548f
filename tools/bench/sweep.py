"""Other choices around a config, one at a time: what is fastest on this machine."""

import shlex
from dataclasses import dataclass
from statistics import median

import torch

from model import flash_obstacle
from system import hardware
from system.errors import UserError
from system.progress import announced_on_stderr
from tools.bench.config import BenchCommand
from tools.bench.fresh import fresh_speed
from tools.bench.trainer import Trainer
from tools.report import Report, spread
from training.micro_batch import divisors

PASSES = 2  # over the values of a setting, in turn
MARGIN = 1.03  # a choice must be this much faster to replace the config's


@dataclass(frozen=True)
class Choices:
    """The settings to try: for each, the config's value, resolved for this machine, and all that the machine supports."""

    current: dict[str, object]
    supported: dict[str, list[object]]


def choices_of(trainer: Trainer) -> Choices:
    """Return the choices around a trainer's config."""
    learner, config, device = trainer.learner, trainer.run.config, trainer.world.device
    current: dict[str, object] = {
        "precision": learner.precision,
        "attention": learner.attention,
        "compile": learner.is_compiled,
        "micro_batch_size": learner.micro_batch_size,
    }
    native, _ = hardware.set_precision("auto", device)  # only fresh processes compute from here on
    has_bfloat16 = native == torch.bfloat16
    flash = not flash_obstacle(config.model, device, native)
    near = {learner.micro_batch_size * 4, learner.micro_batch_size * 2, learner.micro_batch_size}
    near |= {learner.micro_batch_size // 2, learner.micro_batch_size // 4}
    supported: dict[str, list[object]] = {
        "precision": ["float32", *(["tf32"] if has_bfloat16 and device.type == "cuda" else [])],
        "attention": ["math", "sdpa", *(["flash"] if flash else [])],
        "compile": [False, True],
        "micro_batch_size": [size for size in divisors(learner.share) if size in near],
    }
    supported["precision"] += ["bfloat16"] if has_bfloat16 else []
    return Choices(current, supported)


def sweep(command: BenchCommand, choices: Choices, report: Report) -> None:
    """Try the values of one setting after the other, keep the fastest each time, and report the best command line."""
    report.table("Sweep", "setting", "tokens/s", "peak memory")
    best = dict(choices.current)
    for key, values in choices.supported.items():
        tried = [value for value in values if value != best[key]]
        if tried:
            with announced_on_stderr(f"trying {key}={best[key]} against {', '.join(map(str, tried))}"):
                best[key] = fastest(command, best, key, [best[key], *tried], report)
        if best["precision"] != "bfloat16" and best["attention"] == "flash":
            best["attention"] = "sdpa"  # flash has no other precision
    words = ["python", "train.py", *command.words, *(f"--{key}={best[key]}" for key in best)]
    report.paragraph(f"Best: `{shlex.join(words)}`")


def fastest(
    command: BenchCommand, best: dict[str, object], key: str, values: list[object], report: Report
) -> object:
    """Train with each value of a setting in turn, `PASSES` times, each time in a fresh process; return the fastest.

    The first of the values stays unless another one is faster by `MARGIN`. A value that does not work is reported.
    """
    speeds: dict[object, list[float]] = {value: [] for value in values}
    memory: dict[object, str] = {}
    for _ in range(PASSES):
        for value in list(speeds):
            chosen = {**best, key: value}
            if key == "precision":
                del chosen["attention"]  # what is fastest in one may not exist in another
            settings = [f"--{name}={chosen[name]}" for name in chosen]
            try:
                speed, memory[value] = fresh_speed([*command.words, *settings], command.bench.seconds)
            except UserError as error:
                if value == values[0]:
                    raise
                report.row(f"{key}={value}", f"does not work here: {error}", "")
                del speeds[value]
                continue
            speeds[value].append(speed)
    for value, found in speeds.items():
        report.row(f"{key}={value}", spread(found), memory[value])
    first, winner = values[0], max(speeds, key=lambda value: median(speeds[value]))
    return winner if median(speeds[winner]) > MARGIN * median(speeds[first]) else first
