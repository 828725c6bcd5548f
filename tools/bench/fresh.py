"""Commands in processes of their own: how fast we train there, how fast a peer does, and how soon train.py starts."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from system.errors import UserError
from tools.train_settings import QUIET

ROOT = Path(__file__).parents[2]
NUMBER = r"(\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?)"
SPEED = re.compile(rf"{NUMBER} *tokens/s|tokens/s *[:=]? *{NUMBER}")
FIRST_STEP = "the first step took"  # what train.py prints after it


def output_of(words: Sequence[str], name: str, *, ours: bool = True) -> str:
    """Run a command to its end and return what it prints. Raises UserError with its last line if it fails."""
    try:
        done = subprocess.run(
            words,
            env=environment() if ours else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UserError(f"{name}: cannot start {words[0]!r} ({error.strerror})") from None
    if done.returncode:
        raise UserError(f"{name} failed with status {done.returncode}: {last_line(done.stdout)}")
    return done.stdout


def tokens_per_second(output: str, name: str) -> float:
    """Return the last number before or after `tokens/s` in what a command prints. Raises UserError if there is none."""
    found = list(SPEED.finditer(output))
    if not found:
        expected = 'must print its speed as "1234.5 tokens/s" or "tokens/s: 1234.5"; the last one counts'
        printed = f"its last line is {last_line(output)!r}" if output.strip() else "it printed nothing"
        raise UserError(f"{name} {expected}: {printed}")
    return float((found[-1][1] or found[-1][2]).replace(",", ""))


def fresh_speed(words: Sequence[str], seconds: float) -> tuple[float, str]:
    """Train in a new process, `python -m tools.bench speed`; return tokens/s and the most memory that it had in use."""
    command = [sys.executable, "-m", "tools.bench", "speed", *words, f"--seconds={seconds}"]
    output = output_of(command, "our speed")
    memory = re.search(r"([\d.]+ GiB) at most", output)
    return tokens_per_second(output, "our speed"), memory[1] if memory else "unknown"


def startup_seconds(words: Sequence[str], out_dir: Path) -> float:
    """Return the seconds from the start of a train.py process to the end of its first step. Then it is killed."""
    # Evaluating after the first step makes its line come at once, not a step late.
    settings = {"out_dir": out_dir, "eval_interval": 1, "eval_windows": 1, **QUIET}
    settings |= {"max_minutes": 0}  # which would time other steps first
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        *words,
        *(f"--{key}={settings[key]}" for key in settings),
    ]
    lines = []
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if FIRST_STEP in line:
                seconds = time.perf_counter() - began
                process.kill()
                return seconds
            lines.append(line)
    raise UserError(f"train.py ended before its first step: {last_line(''.join(lines))}")


def environment() -> dict[str, str]:
    """Return the environment for a command of ours, which is found from any folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def last_line(output: str) -> str:
    """Return the last line that a command has printed, which tells why it failed."""
    lines = output.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
