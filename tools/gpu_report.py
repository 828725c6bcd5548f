"""Measure training on this machine's GPU in at most 9 minutes, and write docs/gpu.md: `python -m tools.gpu_report`.

It runs the tests that need a GPU, trains GPT-2 124M for a few steps, alone and as one process of DDP and of FSDP, samples,
and resumes after a kill.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import harmonic_mean, mean

from system.command_line import parse_config, read_command
from tools.gpu_report_config import ReportConfig

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(partial(parse_config, ReportConfig()), __doc__ or "")

import torch

from system import hardware
from system.errors import UserError, first_line, run_command, say
from tools.faults.commands import Command
from training.plot import METRICS, read_metrics

LIMIT_SECONDS = 9 * 60
WARM_UP_STEPS, STEPS = 10, 50
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]


class Failed(Exception):
    """A part of the report did not work; the message says why."""


class Report:
    """The parts of a report, each of which returns its result, and the time that is left for them."""

    def __init__(self, config: ReportConfig) -> None:
        self.config, self.out_dir = config, Path(config.out_dir)
        self.give_up = time.monotonic() + LIMIT_SECONDS
        self.rows: list[tuple[str, str, float]] = []

    def start(self, name: str, words: list[str], folder: Path | None = None) -> Command:
        """Start Python with these words."""
        threads = os.environ.get("OMP_NUM_THREADS", str(torch.get_num_threads()))
        command = (
            [sys.executable, *words]
            if not folder
            else ["/usr/bin/env", "-C", str(folder), sys.executable, *words]
        )
        return Command.start(command, self.out_dir / f"{name}.log", OMP_NUM_THREADS=threads)

    def wait(self, command: Command, until: Callable[[], bool] | None = None) -> None:
        """Wait for a command's end, or until something holds; raise Failed if it fails or the time is over."""
        while not command.has_ended():
            if until and until():
                return
            if time.monotonic() > self.give_up:
                command.kill()
                raise Failed(f"not done after {LIMIT_SECONDS / 60:.0f} minutes")
            time.sleep(0.02)
        if command.exit_status:
            raise Failed((command.output().strip() or f"status {command.exit_status}").splitlines()[-1])

    def run(self, name: str, words: list[str], folder: Path | None = None) -> str:
        """Run Python with these words to its end; return what it prints."""
        command = self.start(name, words, folder)
        self.wait(command)
        return command.output()

    def tests(self) -> str:
        """Run the tests that need a GPU."""
        return self.run("tests", ["-m", "pytest", "-q", "-m", "gpu", "tests"]).strip().splitlines()[-1]

    def data(self) -> str:
        """Prepare the data, if they are not there."""
        if not (Path(self.config.data_dir) / "manifest.json").exists():
            options = ["--source=builtin", "--tokenizer=gpt2", "--validation_fraction=0.05"]
            self.run("data", ["prepare_data.py", *options, f"--out_dir={self.config.data_dir}"])
        return self.config.data_dir

    def training_words(self, run: str) -> list[str]:
        steps = WARM_UP_STEPS + STEPS
        settings = {
            **{"data_dir": self.config.data_dir, "out_dir": self.out_dir / run, "max_steps": steps},
            **{"batch_size": 0, "batch_tokens": self.config.batch_tokens, "micro_batch_size": "auto"},
            **{"warmup_steps": WARM_UP_STEPS, "log_interval": WARM_UP_STEPS, "eval_interval": steps},
            **{"eval_windows": 32, "checkpoint_interval": steps // 2},
        }
        return ["train.py", self.config.config, *(f"--{key}={value}" for key, value in settings.items())]

    def training(self) -> str:
        """Train, and return tokens/s and MFU after the warm-up, and the memory that it took."""
        return self.figures("undisturbed", self.run("training", self.training_words("undisturbed")))

    def launched(self, parallel: str) -> str:
        """Train as the only process of DDP or FSDP, and return the same, and how far the losses are from those without."""
        words = [*TORCHRUN, *self.training_words(parallel), f"--parallel={parallel}"]
        return f"{self.figures(parallel, self.run(parallel, words))}, {self.difference(parallel)}"

    def figures(self, run: str, output: str) -> str:
        """Return tokens/s, MFU and memory of a run, from its records and what it printed."""
        records = [record for record in self.records(run) if record["step"] > WARM_UP_STEPS]
        speed = harmonic_mean([record["tokens_per_second"] for record in records if "loss" in record])
        shares = [record["mfu"] for record in records if "mfu" in record]
        memory = re.search(r"tensors took at most (\S+ GiB) of GPU memory", output)
        micro_batch = re.search(r"micro-batch (\d+)", output)
        return (
            f"{speed:,.0f} tokens/s, MFU {f'{mean(shares):.1%}' if shares else 'unknown'},"
            f" {memory[1] if memory else 'unknown'} of GPU memory, micro-batch {micro_batch and micro_batch[1]}"
        )

    def sampling(self) -> str:
        """Sample from the model that was trained."""
        words = ["--prompt=The history of", "--max_new_tokens=40", "--seed=1"]
        text = self.run("sampling", ["sample.py", f"--checkpoint={self.out_dir / 'undisturbed'}", *words])
        return repr(" ".join(text.split())[:200])

    def resuming(self) -> str:
        """Kill a run after its first checkpoint, resume it, and compare its losses with the undisturbed run's."""
        killed = self.start("killed", self.training_words("killed"))
        self.wait(killed, until=lambda: "saved " in killed.output())
        killed.kill()
        killed.status()  # until it has left the folder
        if "resuming from " not in self.run("resumed", self.training_words("killed")):
            raise Failed("the run was not killed in time: it was at its end")
        return f"killed and resumed at step {(WARM_UP_STEPS + STEPS) // 2}: {self.difference('killed')}"

    def difference(self, run: str) -> str:
        """Return how far a run's losses are from the undisturbed one's; raise Failed if that is too far."""
        losses = [[record.get("loss", 0.0) for record in self.records(each)] for each in ("undisturbed", run)]
        difference = max(abs(ours - theirs) for ours, theirs in zip(*losses, strict=True))
        if difference > 0.05:
            raise Failed(f"losses differ by {difference:.4f} nats from those of the undisturbed run")
        return f"losses differ by at most {difference:.4f} nats"

    def nanogpt(self) -> str:
        """Run nanoGPT's own benchmark of the same network, on its made-up data."""
        if not self.config.nanogpt:
            return "not run: pass --nanogpt=FOLDER"
        batch_size = 32
        words = ["bench.py", "--real_data=False", f"--batch_size={batch_size}"]
        output = self.run("nanogpt", words, Path(self.config.nanogpt))
        found = re.findall(r"time per iteration: ([\d.]+)ms, MFU: ([\d.]+)%", output)
        if not found:
            raise Failed("bench.py printed no time per iteration")
        milliseconds, mfu = map(float, found[-1])
        return f"{batch_size * 1024 / milliseconds * 1000:,.0f} tokens/s, MFU {mfu:.1f}% of an A100, micro-batch {batch_size}"

    def records(self, run: str) -> list[dict]:
        return read_metrics(self.out_dir / run / METRICS)

    def measure(self, name: str, part: Callable[[], str]) -> bool:
        """Add a part to the report and write it; return whether it worked."""
        began = time.monotonic()
        try:
            found = part()
        except Exception as error:  # of any kind: the other parts are measured all the same
            found = f"FAILED: {error if isinstance(error, Failed) else first_line(error)}"
        self.rows.append((name, found, time.monotonic() - began))
        say(f"{name}: {found}")
        lines = [
            f"| {name} | {found.replace('|', '/')} | {seconds:.0f} |" for name, found, seconds in self.rows
        ]
        head = f"# This GPU\n\nWritten by `python -m tools.gpu_report` on {machine()}.\n\n| what | result | seconds |\n|---|---|---|\n"
        try:
            Path(self.config.out).write_text(head + "\n".join(lines) + "\n")
        except OSError as error:
            reason = f"cannot write {self.config.out} ({error.strerror})"
            raise UserError(reason, "choose another --out") from None
        return not found.startswith("FAILED")


def machine() -> str:
    """Return the device and the version of torch."""
    return f"{hardware.describe(hardware.choose_device('auto'))}, torch {torch.__version__}"


def main(config: ReportConfig) -> None:
    report = Report(config)
    if report.out_dir.exists():
        raise UserError(f"out_dir={config.out_dir}: must be a new folder", "delete it, or choose another")
    report.out_dir.mkdir(parents=True)
    parts = {
        "tests": report.tests,
        "data": report.data,
        "training": report.training,
        "samples": report.sampling,
    }
    parts |= {parallel: partial(report.launched, parallel) for parallel in ("ddp", "fsdp")}
    parts |= {"resuming": report.resuming, "nanoGPT's bench.py": report.nanogpt}
    worked = [report.measure(name, part) for name, part in parts.items()]
    sys.exit(0 if all(worked) else 1)


if __name__ == "__main__":
    run_command(lambda: main(CONFIG))
