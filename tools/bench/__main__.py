"""Measure how fast this machine trains, reads data and samples: `python -m tools.bench train --config=configs/x.py`.

train: speed, parts of a step, share of the machine's matrix products, memory, start-up, costliest operations, and the
fastest settings. data: reading and preparing tokens. sample: tokens/s. all: the three. speed: tokens/s of training alone.

A config that sets vocab_size is measured with made-up tokens, any other with its data. With --versus='command' a peer is
timed in turn with us, each time in a fresh process. It must print its speed as "1234.5 tokens/s" or "tokens/s: 1234.5".
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from system.command_line import read_command
from tools.bench.config import BenchCommand, parse_bench_command

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    COMMAND = read_command(parse_bench_command, __doc__ or "")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler prints lines of its own

from system import hardware
from system.errors import run_command
from tools.bench.data import measure_data
from tools.bench.sampling import measure_sampling
from tools.bench.training import measure_speed, measure_training
from tools.report import Report, hardware_name, machine

PARTS: dict[str, Callable[[BenchCommand, Report, Path], None]] = {
    "train": measure_training,
    "data": measure_data,
    "sample": measure_sampling,
    "speed": measure_speed,
}


def main(command: BenchCommand) -> None:
    bench = command.bench
    device = hardware.choose_device(command.training.device)
    report = Report(f"{bench.part}, {Path(bench.config).stem}, {hardware_name(device)}", bench.out)
    report.paragraph(f"`{shlex.join(['python', '-m', 'tools.bench', *sys.argv[1:]])}` on {machine(device)}.")
    parts = ("train", "data", "sample") if bench.part == "all" else (bench.part,)
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="bench_") as folder:
            PARTS[part](command, report, Path(folder))


if __name__ == "__main__":
    run_command(lambda: main(COMMAND), resumes=False)
