"""What is reported about training: speed, the parts of a step, use of the machine, memory, start-up, operations."""

import gc
import re
from pathlib import Path
from statistics import median

import torch

from system import hardware
from system.memory import peak_memory
from system.progress import announced_on_stderr
from tools.bench.config import BenchCommand
from tools.bench.fresh import fresh_speed, startup_seconds
from tools.bench.sweep import Choices, choices_of, sweep
from tools.bench.trainer import PARTS, Trainer, with_data
from tools.bench.versus import compare_training, peer_words
from tools.report import Report, spread
from training.log import header

MATRIX_SHARE = 0.25  # of a repeat's time, for the matrix products
MOST_STARTS = 3  # of train.py: one takes many seconds


def measure_speed(command: BenchCommand, report: Report, folder: Path) -> None:
    """Measure tokens/s once, in this process, or in turn with a peer."""
    if command.bench.versus:
        compare_training(command, report)
        return
    trainer = Trainer(command.training, folder)
    rate = trainer.tokens_per_second(trainer.warm_up(command.bench.seconds))
    memory = peak_memory(trainer.world.device) / 2**30
    report.table("Speed", "what", "figure")
    report.row("training", f"{rate:,.1f} tokens/s, {memory:.2f} GiB at most")


def measure_training(command: BenchCommand, report: Report, folder: Path) -> None:
    """Measure everything about training: here, in fresh processes, with other choices, beside a peer."""
    if command.bench.versus:
        peer_words(command.bench.versus)  # its mistakes are answered first
    choices = measure_here(command, report, folder)
    _free_memory()  # for the fresh processes
    report.table("A fresh process", "what", "figure")
    with announced_on_stderr("starting fresh processes"):
        _, memory = fresh_speed(command.words, command.bench.seconds)
    report.row("peak memory", memory)
    words = [*command.words, f"--data_dir={with_data(command.training, folder).data_dir}"]
    starts = [
        startup_seconds(words, folder / f"start_{n}") for n in range(min(command.bench.repeats, MOST_STARTS))
    ]
    report.row("start to first step", f"{spread(starts, '{:.1f}')} s of a train.py process")
    if command.bench.sweep:
        sweep(command, choices, report)
    if command.bench.versus:
        compare_training(command, report)


def measure_here(command: BenchCommand, report: Report, folder: Path) -> Choices:
    """Measure in this process; return the choices of the config, resolved for this machine."""
    bench = command.bench
    trainer = Trainer(command.training, folder)
    report.table("Training", "what", "figure")
    for line in header(trainer.run, trainer.learner, trainer.world):
        report.row(*line.split(maxsplit=1))
    with announced_on_stderr("training the first steps"):
        n_steps = trainer.warm_up(bench.seconds)
    measure_rates(trainer, report, bench.repeats, n_steps, bench.seconds)
    parts = trainer.seconds_by_part(n_steps)
    whole = sum(parts.values())
    shares = (f"{part} {parts[part] * 1000:,.1f} ms ({parts[part] / whole:.1%})" for part in PARTS)
    report.row("time per step", f"{whole * 1000:,.1f} ms: {', '.join(shares)}")
    operations = trainer.costliest(min(n_steps, 3))
    choices = choices_of(trainer)
    report.table("The ten costliest operations", "operation", "share of the step", "calls per step")
    for name, share, calls in operations:
        name = re.sub(r" \w{40,}", "", name).strip("# ")  # compiled code has its hash in its name
        report.row(name, f"{share:.1%}", f"{calls:,.0f}")
    return choices


def measure_rates(trainer: Trainer, report: Report, repeats: int, n_steps: int, seconds: float) -> None:
    """Measure tokens/s and the rate of matrix products in turn, and report what share of it training reaches."""
    rates, products, shape = [], [], ""
    for _ in range(repeats):
        rates.append(trainer.tokens_per_second(n_steps))
        flops, shape = trainer.product_flops(seconds * MATRIX_SHARE)
        products.append(flops)
    flops = trainer.flops_per_token
    used = [rate * flops / best for rate, best in zip(rates, products, strict=True)]
    report.row("speed", f"{spread(rates)} tokens/s in {repeats} x {n_steps} steps")
    report.row("operations per token", f"{flops / 1e6:,.1f} MFLOP")
    gigaflops = spread([rate / 1e9 for rate in products])
    report.row("fastest matrix product", f"{gigaflops} GFLOP/s, measured in turn with the steps, {shape}")
    report.row("training's share of it", spread(used, "{:.1%}"))
    peak = hardware.peak_flops(trainer.world.device, trainer.learner.dtype)
    known = f"{median(rates) * flops / peak:.1%} of {peak / 1e12:,.0f} TFLOP/s" if peak else ""
    report.row("share of published peak", known or "no peak is known for this device and precision")


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
