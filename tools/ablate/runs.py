"""The runs of an ablation: each a train.py process with a folder of its own, from which it is read."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

from corpus.dataset import TokenDataset
from corpus.manifest import MANIFEST_FILE
from system.errors import UserError
from system.progress import announced_on_stderr
from tools.ablate.config import AblateCommand, Choice
from tools.ablate.table import Outcome, Reading
from tools.bench.fresh import ROOT, environment, last_line
from tools.train_settings import QUIET
from training.budget import with_steps
from training.config import TrainConfig, parse_train_config
from training.plot import METRICS, read_metrics
from training.run import CONFIG

TOLERANCE = 0.01  # tokens that differ by no more are read as equal
NEVER = 10**9  # steps: each run is evaluated and saved at its end, which its time decides
ALWAYS = {"eval_interval": NEVER, "checkpoint_interval": NEVER, "checkpoint_minutes": 0, **QUIET}


class Failed(Exception):
    """A run has not reached its end; the message says why."""


class Runs:
    """Trains what an ablation needs, unless it is there already."""

    def __init__(self, command: AblateCommand) -> None:
        self.settings, self.base = command.ablate, command.base

    def config_reading(self, seed: int) -> Reading:
        """Train the config for the time. Raises UserError if that fails, as nothing can be compared then."""
        try:
            return self.timed(self.base, seed)
        except Failed as reason:
            raise UserError(f"the config without choices failed with seed {seed}: {reason}") from None

    def outcome(self, choice: Choice, seed: int, base: Reading) -> Outcome | str:
        """Train a choice for the time and for the tokens of the config, `base`; return why if a run fails.

        One run serves both if the choice leaves the work of a step as it is, or if its time gave it as many tokens.
        """
        try:
            if choice.has_same_work:
                both = self.fixed(choice, seed, base.steps)
                return Outcome(both, both)
            by_time = self.timed(choice, seed)
            if abs(by_time.tokens / base.tokens - 1) <= TOLERANCE:
                return Outcome(by_time, by_time)
            steps = round(base.tokens / by_time.tokens * by_time.steps)
            return Outcome(by_time, self.fixed(choice, seed, max(1, steps)))
        except Failed as reason:
            return str(reason)

    def timed(self, choice: Choice, seed: int) -> Reading:
        """Train a choice for the time."""
        return self.reading(choice, seed, f"--max_steps={NEVER}", f"--max_minutes={self.settings.minutes}")

    def fixed(self, choice: Choice, seed: int, steps: int) -> Reading:
        """Train a choice for so many steps, with the warm-up that a run limited to the time would have."""
        own, base = (with_steps(replace(each.config, max_steps=NEVER), steps) for each in (choice, self.base))
        if own == base:
            raise Failed(f"the same as the config: warm-up takes at most a tenth of the {steps} steps")
        warmup = f"--warmup_steps={own.optimizer.warmup_steps}"
        return self.reading(choice, seed, f"--max_steps={steps}", warmup, "--max_minutes=0")

    def reading(self, choice: Choice, seed: int, *length: str) -> Reading:
        """Return what a run reached. Trains it, or the rest of it, if it is not finished. Raises Failed."""
        always = (f"--{key}={value}" for key, value in ALWAYS.items())
        words = [*choice.words, *always, *length, f"--seed={seed}"]
        folder = self.folder(choice, parse_train_config(words, ""))
        if not read(folder):
            with announced_on_stderr(f"training {choice.name}, seed {seed}, in {folder}"):
                train([*words, f"--out_dir={folder}"], Path(f"{folder}.log"))
        if not (found := read(folder)):
            raise Failed(f"it was stopped, or not scored: see {folder}.log")
        return found

    def folder(self, choice: Choice, config: TrainConfig) -> Path:
        """Return the folder of a run: named after all of its settings and data, so that it is no other's."""
        content = json.dumps({**asdict(config), "out_dir": ""}, sort_keys=True).encode()
        content += (Path(config.data_dir) / MANIFEST_FILE).read_bytes()
        words = [word for word in choice.words if word not in self.base.words]
        name = re.sub(r"[^\w.=]+", "_", "".join(words).lstrip("-") or "config")[:80]
        digest = hashlib.sha256(content).hexdigest()[:8]
        return Path(self.settings.out_dir) / f"{name}-seed{config.seed}-{digest}"


def read(folder: Path) -> Reading | None:
    """Return what the run in a folder reached, None if it is not finished."""
    with suppress(OSError, ValueError, KeyError):
        about = json.loads((folder / CONFIG).read_text())
        identity, data = about["identity"], TokenDataset(about["config"]["data_dir"], "train")
        steps, T = identity["max_steps"], data.tokens_per_sequence(identity["block_size"])
        tokens_per_step = identity["batch_size"] * T
        records = read_metrics(folder / METRICS)
        ends = [0] + [record["step"] for record in records if "tokens_per_second" in record]
        rates = [record["tokens_per_second"] for record in records if "tokens_per_second" in record]
        parts = zip(pairwise(ends), rates, strict=True)
        seconds = sum((end - start) * tokens_per_step / rate for (start, end), rate in parts)
        if records and records[-1]["step"] == steps and records[-1]["val_bits_per_byte"]:
            return Reading(records[-1]["val_bits_per_byte"], steps, round(steps * tokens_per_step), seconds)
    return None


def train(words: Sequence[str], log: Path) -> None:
    """Run train.py to its end, in a process of its own that writes to `log`. Raises Failed if it fails.

    Ctrl-C lets it save first.
    """
    command = [sys.executable, str(ROOT / "train.py"), *words]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.poll() is None:  # at Ctrl-C, wait() would wait a little for the process first
                time.sleep(0.05)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # a terminal just sent it too: train.py counts both as one
            process.wait()
            raise
    if process.returncode < 0:
        raise Failed(f"it was ended by {signal.Signals(-process.returncode).name}")
    if process.returncode:
        raise Failed(last_line(log.read_text(errors="replace")).partition(";")[0])  # advice follows
