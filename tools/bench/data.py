"""How fast tokens reach training, and how fast articles become tokens."""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from corpus.manifest import Manifest
from tools.bench.config import BenchCommand
from tools.bench.fresh import ROOT, output_of
from tools.bench.trainer import Trainer
from tools.report import Report, spread


def measure_data(command: BenchCommand, report: Report, folder: Path) -> None:
    """Measure how fast training's micro-batches are read, and how fast articles are prepared."""
    trainer = Trainer(replace(command.training, compile=False), folder)  # nothing is computed
    report.table("Data", "what", "figure")
    rates = []
    for _ in range(command.bench.repeats):
        n_steps, began = 0, time.perf_counter()
        while time.perf_counter() < began + command.bench.seconds:
            trainer.read()
            n_steps += 1
        rates.append(n_steps / (time.perf_counter() - began))
    size = trainer.run.config.sequences_per_step
    micro_batch = trainer.learner.micro_batch_size
    report.row(
        "tokens/s read for training", f"{spread([rate * trainer.tokens_per_step for rate in rates])} tokens/s"
    )
    report.row("windows/s", spread([rate * size for rate in rates]))
    report.row(f"micro-batches/s of {micro_batch}", spread([rate * size / micro_batch for rate in rates]))
    report.row(
        "articles/s prepared", spread([articles_per_second(folder) for _ in range(command.bench.repeats)])
    )


def articles_per_second(folder: Path) -> float:
    """Prepare the built-in encyclopedia, a token for each byte, and return articles/s, the start of Python included."""
    out_dir = folder / "prepared"
    options = ["--source=builtin", "--tokenizer=bytes", "--validation_fraction=0.05", f"--out_dir={out_dir}"]
    began = time.perf_counter()
    output_of([sys.executable, str(ROOT / "prepare_data.py"), *options], "prepare_data.py")
    seconds = time.perf_counter() - began
    n_articles = sum(split.documents for split in Manifest.read(out_dir).splits.values())
    shutil.rmtree(out_dir)
    return n_articles / seconds
