"""Runs to do harm to: a tiny GPT on a few words, started in many ways, and compared with an undisturbed one.

Owns the processes, what a run's folder must hold at any time, and the comparison at a run's end. The harm itself is
`faults.py`'s.
"""

import contextlib
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Loaded here so that a run forked from this process starts at once.
import matplotlib.pyplot  # noqa: F401
import torch
from safetensors.torch import load_file

from checkpointing import (
    checkpoint,
    pretrained,  # noqa: F401
)
from system.errors import UserError
from training import requests  # noqa: F401
from training.log import METRICS, read_metrics

ROOT = Path(__file__).parents[2]
WORDS = "the river runs north past old stone walls where café owners learn 数字 and sing".split()
SETTINGS = {
    **{"block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32, "dropout": 0.1, "warmup_steps": 5},
    **{"max_steps": 120, "batch_size": 8, "eval_interval": 20, "eval_windows": 11, "checkpoint_interval": 15},
    **{"log_interval": 1, "device": "cpu", "precision": "float32", "compile": False},
}
CLOCK = {"tokens_per_second", "mfu"}  # what differs from run to run
PATIENCE = 120.0  # seconds that no part of a run takes


class NotSurvived(Exception):
    """A fault did what it must not do; the message says what."""


def expect(condition: object, words: str) -> None:
    """Raise NotSurvived with these words if the condition does not hold."""
    if not condition:
        raise NotSurvived(words)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition; raise NotSurvived if it takes too long."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < give_up, f"{what} did not happen within {PATIENCE:.0f} s")
        time.sleep(0.002)


@dataclass
class Tally:
    """What came of one kind of fault."""

    tried: int = 0
    survived: int = 0
    skipped: str = ""  # why it was not tried
    seen: list[str] = field(default_factory=list)  # what else is worth saying
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


class Life:
    """One command from its start to its end, by itself or by a signal."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self.log = pid, log
        self.ended_with: int | None = None

    def has_ended(self) -> bool:
        """Say whether it has."""
        if self.ended_with is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.ended_with = os.waitstatus_to_exitcode(status) if pid else None
        return self.ended_with is not None

    def status(self) -> int:
        """Wait for the end; return the exit status, the negative number of a signal that ended it."""
        until(self.has_ended, f"the end of the run that writes {self.log}")
        assert self.ended_with is not None
        return self.ended_with

    def output(self) -> str:
        """Return what it has said so far, on stdout and stderr."""
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str) -> bool:
        """Wait until it says these words; return whether it did before it ended."""
        until(lambda: words in self.output() or self.has_ended(), f"{words!r} in {self.log}")
        return words in self.output()

    def ranks(self) -> list[int]:
        """Return the processes that torchrun has started."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.pid), "-f", "train.py"], capture_output=True, text=True
        )
        return [int(word) for word in found.stdout.split()]

    def end(self) -> None:
        """Leave nothing behind."""
        if not self.has_ended():
            for pid in (*self.ranks(), self.pid):
                os.kill(pid, signal.SIGKILL)


@dataclass
class Run:
    """A training run in a folder of its own."""

    out_dir: Path
    logs: Path
    settings: dict[str, object]
    lives: list[Life]

    def start(self, launcher: tuple[str, ...] = (), fork: bool = True, script: str = "train.py") -> Life:
        """Start the command, as a copy of this process, or `fork=False`: anew, or by `torchrun` with these arguments.

        A copy has torch loaded; whatever the command itself does is the same.
        """
        argv = [script, f"--out_dir={self.out_dir}", *(f"--{key}={self.settings[key]}" for key in self.settings)]  # fmt: skip
        log = self.logs / f"{self.out_dir.name}.{len(self.lives)}.log"
        if launcher:
            command = [sys.executable, "-m", "torch.distributed.run", *launcher, *argv]
        else:
            command = [] if fork else [sys.executable, *argv]
        life = Life(_spawned(command, log) if command else _forked(argv, log), log)
        self.lives.append(life)
        return life

    def last_step(self) -> int:
        """Return the step of the last checkpoint, 0 without one; every one that a pointer names must be whole."""
        try:
            found = [checkpoint.pointed(self.out_dir, pointer) for pointer in ("best", "last")]
            steps = [checkpoint.read_checked(folder)["step"] for folder in found if folder]
        except UserError as error:
            raise NotSurvived(str(error)) from None
        return steps[-1] if found[-1] else 0

    def records(self) -> list[dict[str, float]]:
        """Return metrics.jsonl without what the clock says."""
        return [
            {key: value for key, value in record.items() if key not in CLOCK}
            for record in read_metrics(self.out_dir / METRICS)
        ]

    def last_files(self) -> dict[str, Path]:
        """Return the files of the last checkpoint that hold numbers."""
        folder = checkpoint.pointed(self.out_dir, "last")
        assert folder is not None
        return {name: folder / name for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER)}

    def expect_no_gaps(self) -> None:
        """Raise NotSurvived unless the run has ended, with a record of each step."""
        max_steps = int(str(self.settings["max_steps"]))
        steps = [record["step"] for record in self.records()]
        expect(steps == list(range(max_steps + 1)), "metrics.jsonl has gaps or doubles")
        expect(self.last_step() == max_steps, f"the last checkpoint is of step {self.last_step()}")

    def expect_same(self, other: "Run", exactly: bool = True) -> None:
        """Raise NotSurvived unless the run has ended where the other has: bit for bit, or `exactly=False`: nearly."""
        self.expect_no_gaps()
        ours, theirs = self.records(), other.records()
        for name, path in self.last_files().items():
            their_path = other.last_files()[name]
            if exactly:
                expect(path.read_bytes() == their_path.read_bytes(), f"{name} is not the undisturbed run's")
            else:
                mine, reference = load_file(path), load_file(their_path)
                for key, tensor in reference.items():
                    expect(
                        torch.allclose(mine[key], tensor, rtol=1e-3, atol=1e-4), f"{key} in {name} differs"
                    )
        if exactly:
            expect(ours == theirs, "metrics.jsonl is not the undisturbed run's")
        for mine_, their in zip(ours, theirs, strict=True):
            for key, value in their.items():
                expect(abs(mine_[key] - value) <= 1e-4 * abs(value), f"{key} of step {their['step']} differs")


class Lab:
    """A folder with data and runs, and the random choices of one session."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chooser, self.runs = folder, random.Random(seed), list[Run]()
        self.undisturbed_runs: dict[object, Run] = {}
        self.data_dir = folder / "data"

    def prepare(self) -> None:
        """Make the data: random words in bytes, in a few shards."""
        texts = [" ".join(self.chooser.choices(WORDS, k=60)) for _ in range(120)]
        for number, text in enumerate(texts):
            (self.folder / f"{number:03}.txt").write_text(text)
        options = {"source": self.folder / "*.txt", "out_dir": self.data_dir, "tokenizer": "bytes"}
        options |= {"validation_fraction": 0.1, "shard_tokens": 10_000, "workers": 1}
        command = [
            sys.executable,
            str(ROOT / "prepare_data.py"),
            *(f"--{key}={options[key]}" for key in options),
        ]
        subprocess.run(command, check=True, capture_output=True)

    def run(self, place: Path | None = None, **settings: object) -> Run:
        """Return a run that has not begun, in a folder of its own in `place`."""
        settings = {**SETTINGS, "data_dir": self.data_dir, **settings}
        out_dir = (place or self.folder) / f"run_{len(self.runs):03}"
        self.runs.append(Run(out_dir, self.folder, settings, []))
        return self.runs[-1]

    def copy(self, run: Run, **settings: object) -> Run:
        """Return a run that stands where another does."""
        copied = self.run(None, **settings)
        shutil.copytree(run.out_dir, copied.out_dir)
        return copied

    def undisturbed(self, launcher: tuple[str, ...] = (), **settings: object) -> Run:
        """Return the finished run that nothing happened to; it is made once."""
        key = (launcher, *settings.items())
        if key not in self.undisturbed_runs:
            run = self.run(None, **settings)
            life = run.start(launcher)
            expect(life.status() == 0, f"the undisturbed run failed: {life.output()}")
            self.undisturbed_runs[key] = run
        return self.undisturbed_runs[key]

    def forget(self) -> None:
        """Remove the runs but the undisturbed ones, and end what still goes on."""
        for run in self.runs:
            for life in run.lives:
                life.end()
            if run not in self.undisturbed_runs.values():
                shutil.rmtree(run.out_dir, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def _spawned(command: list[str], log: Path) -> int:
    """Start a command whose end is left to Life to see: subprocess would wait for it as well."""
    command = [str(ROOT / word) if word == "train.py" else word for word in command]
    output = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    actions = [output, (os.POSIX_SPAWN_DUP2, 1, 2)]
    return os.posix_spawn(command[0], command, _environment(), file_actions=actions, setpgroup=0)


def _forked(argv: list[str], log: Path) -> int:
    log.touch()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os._exit(_status_of_command(argv, log))
    return pid


def _status_of_command(argv: list[str], log: Path) -> int:
    """Run train.py in this process as Python would in one of its own; return its exit status."""
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1)
    torch.set_num_threads(1)
    sys.argv = argv
    status = 0
    try:
        runpy.run_path(str(ROOT / argv[0]), run_name="__main__")
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    return status
