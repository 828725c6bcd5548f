"""The runs that faults are injected into: a tiny GPT on a few words, started in several ways, compared with an undisturbed run."""

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from checkpointing import checkpoint
from checkpointing.sharded import read_stored
from system.errors import UserError
from tools.faults.commands import ROOT, Command, NotSurvived, Together, expect
from training.plot import METRICS, read_metrics

WORDS = "the river runs north past old stone walls where café owners learn 数字 and sing".split()
SETTINGS = {
    **{"block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32, "dropout": 0.1, "warmup_steps": 5},
    **{"max_steps": 120, "batch_size": 8, "eval_interval": 20, "eval_windows": 11, "checkpoint_interval": 15},
    **{"log_interval": 1, "device": "cpu", "precision": "float32", "compile": False},
    "attention": "sdpa",  # not timed: all runs must compute alike
}
CLOCK = {"tokens_per_second", "mfu"}  # records that differ from run to run
SCRIPT = """import os, sys
sys.path.insert(0, {root!r})
import train
from system.errors import run_command
{patch}
run_command(train.main, os._exit)
"""


@dataclass
class Tally:
    """The results of one kind of fault."""

    tried: int = 0
    survived: int = 0
    skipped: str = ""  # why it was not tried
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Count the block as one fault, survived unless it raises."""
        self.tried += 1
        try:
            yield
            self.survived += 1
        except (NotSurvived, UserError) as error:
            print(f"  NOT SURVIVED: {what}: {error}", flush=True)


@dataclass
class Run:
    """A training run in a folder of its own, and the commands that have trained it."""

    out_dir: Path
    logs: Path
    settings: dict[str, object]
    commands: list[Command]

    def start(
        self, launcher: tuple[str, ...] | None = None, fork: bool = True, script: str = "train.py"
    ) -> Command:
        """Start the command: forked from this process, as a new process (`fork=False`), or by torchrun with these arguments.

        A forked one has torch loaded already; it does the same. Without a launcher, it is one process, but two that share
        the model if it is sharded.
        """
        if launcher is None and self.settings["parallel"] != "ddp":
            command: Command = Together(self.start_together(2, script))
            return command
        argv, log = self.argv(script), self.next_log()
        if launcher:
            command = Command.torchrun([*launcher, str(ROOT / argv[0]), *argv[1:]], log)
        else:
            command = Command.fork(argv, log) if fork else Command.start([sys.executable, *argv], log)
        self.commands.append(command)
        return command

    def start_together(self, n_processes: int, script: str = "train.py") -> list[Command]:
        """Start the command as torchrun would, in processes forked from this one."""
        logs = [self.next_log(rank) for rank in range(n_processes)]
        started = Command.fork_together([self.argv(script)] * n_processes, logs, logs)
        self.commands += started
        return started

    def argv(self, script: str) -> list[str]:
        """Return the words of the run's command, after `python`."""
        return [script, f"--out_dir={self.out_dir}", *(f"--{key}={self.settings[key]}" for key in self.settings)]  # fmt: skip

    def next_log(self, rank: int = 0) -> Path:
        """Return the file for what the next command prints."""
        return self.logs / f"{self.out_dir.name}.{len(self.commands) + rank}.log"

    def last_step(self) -> int:
        """Return the step of the last checkpoint, 0 without one; raise NotSurvived if `last` or `best` names a corrupt one."""
        try:
            found = [checkpoint.pointed(self.out_dir, pointer) for pointer in ("best", "last")]
            steps = [checkpoint.read_checked(folder)["step"] for folder in found if folder]
        except UserError as error:
            raise NotSurvived(str(error)) from None
        return steps[-1] if found[-1] else 0

    def checkpoints(self, suffix: str = "") -> set[str]:
        """Return the names of the finished checkpoints, or of those with a suffix, without it."""
        return {path.stem for path in self.out_dir.glob("step_*") if path.suffix == suffix}

    def records(self) -> list[dict[str, float]]:
        """Return metrics.jsonl without the measured times."""
        return [
            {key: value for key, value in record.items() if key not in CLOCK}
            for record in read_metrics(self.out_dir / METRICS)
        ]

    def last_files(self) -> dict[str, Path]:
        """Return the last checkpoint's files that hold tensors."""
        folder = checkpoint.pointed(self.out_dir, "last")
        assert folder is not None
        return {path.name: path for path in sorted(folder.glob("*.safetensors"))}

    def last_tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the last checkpoint, however many files they are in."""
        folder = checkpoint.pointed(self.out_dir, "last")
        assert folder is not None
        stored = read_stored(folder, checkpoint.WEIGHTS) | read_stored(folder, checkpoint.OPTIMIZER)
        return {key: tensor.rows(0, tensor.shape[0] if tensor.shape else 0) for key, tensor in stored.items()}

    def expect_no_gaps(self) -> None:
        """Raise NotSurvived unless the run is finished, with one record for each step."""
        max_steps = int(str(self.settings["max_steps"]))
        steps = [record["step"] for record in self.records()]
        expect(steps == list(range(1, max_steps + 1)), "metrics.jsonl has gaps or doubles")
        expect(self.last_step() == max_steps, f"the last checkpoint is of step {self.last_step()}")

    def expect_same(self, other: "Run", exactly: bool = True) -> None:
        """Raise NotSurvived unless the run ended like the other: bit for bit, or with `exactly=False` up to rounding."""
        self.expect_no_gaps()
        ours, theirs = self.records(), other.records()
        if exactly:
            expect(self.last_files().keys() == other.last_files().keys(), "the checkpoint has other files")
            for name, path in self.last_files().items():
                is_same = path.read_bytes() == other.last_files()[name].read_bytes()
                expect(is_same, f"{name} is not the undisturbed run's")
        else:
            mine, reference = self.last_tensors(), other.last_tensors()
            for key, tensor in reference.items():
                expect(torch.allclose(mine[key], tensor, rtol=1e-3, atol=1e-4), f"{key} differs")
        if exactly:
            expect(ours == theirs, "metrics.jsonl is not the undisturbed run's")
        for mine_, their in zip(ours, theirs, strict=True):
            for key, value in their.items():
                expect(abs(mine_[key] - value) <= 1e-4 * abs(value), f"{key} of step {their['step']} differs")


class Lab:
    """A folder with data and runs, and the random choices of one session."""

    def __init__(self, folder: Path, seed: int, parallel: str = "ddp") -> None:
        """`parallel` is the setting of all runs: fsdp for sharded models, in two processes."""
        self.folder, self.chooser, self.runs = folder, random.Random(seed), list[Run]()
        self.parallel = parallel
        self.undisturbed_runs: dict[object, Run] = {}
        self.data_dir = folder / "data"

    def prepare(self) -> None:
        """Prepare the data: random words as bytes, in a few shards."""
        texts = [" ".join(self.chooser.choices(WORDS, k=60)) for _ in range(120)]
        for number, text in enumerate(texts):
            (self.folder / f"{number:03}.txt").write_text(text)
        options = {"source": self.folder / "*.txt", "out_dir": self.data_dir, "tokenizer": "bytes"}
        options |= {"validation_fraction": 0.1, "shard_tokens": 10_000, "workers": 1}
        words = [sys.executable, str(ROOT / "prepare_data.py"), *(f"--{key}={options[key]}" for key in options)]  # fmt: skip
        subprocess.run(words, check=True, capture_output=True)

    def run(self, place: Path | None = None, **settings: object) -> Run:
        """Return a run that has not started, in a folder of its own in `place`."""
        settings = {**SETTINGS, "data_dir": self.data_dir, "parallel": self.parallel, **settings}
        out_dir = (place or self.folder) / f"run_{len(self.runs):03}"
        self.runs.append(Run(out_dir, self.folder, settings, []))
        return self.runs[-1]

    def copy(self, run: Run, **settings: object) -> Run:
        """Return a run that stands where another one does."""
        copied = self.run(None, **settings)
        shutil.copytree(run.out_dir, copied.out_dir)
        return copied

    def script(self, name: str, patch: str) -> str:
        """Write a script that patches `train`, then does what train.py does; return its path."""
        path = self.folder / f"{name}_train.py"
        path.write_text(SCRIPT.format(root=str(ROOT), patch=patch))
        return str(path)

    def undisturbed(self, n_processes: int = 0, **settings: object) -> Run:
        """Return the finished run without faults; it is trained once. 0 processes: as many as `Run.start` uses."""
        n_processes = n_processes or (1 if self.parallel == "ddp" else 2)
        key = (n_processes, *settings.items())
        if key not in self.undisturbed_runs:
            run = self.run(None, **settings)
            for command in run.start_together(n_processes) if n_processes > 1 else [run.start()]:
                command.expect_success()
            self.undisturbed_runs[key] = run
        return self.undisturbed_runs[key]

    def clean_up(self) -> None:
        """Kill the commands that still run, and remove all runs except the undisturbed ones."""
        for run in self.runs:
            for command in run.commands:
                command.kill()
            if run not in self.undisturbed_runs.values():
                shutil.rmtree(run.out_dir, ignore_errors=True)
