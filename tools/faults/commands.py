"""Training commands in processes of their own: forked, new or under torchrun; what they print, and how they end."""

import importlib
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# Loaded here so that a run forked from this process starts at once.
import matplotlib.backends.backend_agg  # noqa: F401
import torch
import torch.distributed.run

import train  # noqa: F401

ROOT = Path(__file__).parents[2]
TWO = ("--standalone", "--nproc_per_node=2")  # arguments of torchrun, for two processes
PATIENCE = 120.0  # seconds: no part of a run takes that long


class NotSurvived(Exception):
    """A fault has done damage that it must not do; the message says what."""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def expect(condition: object, message: str) -> None:
    """Raise NotSurvived with this message if the condition is false."""
    if not condition:
        raise NotSurvived(message)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition; raise NotSurvived if that takes longer than PATIENCE."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < give_up, f"{what} did not happen within {PATIENCE:.0f} s")
        time.sleep(0.002)


class Command:
    """One training command, from its start until it exits."""

    def __init__(self, pid: int, log: Path, error_log: Path | None = None) -> None:
        self.pid, self.log, self.error_log = pid, log, error_log or log
        self.exit_status: int | None = None

    @classmethod
    def start(cls, words: list[str], log: Path, **environment: str) -> "Command":
        """Start a new process that writes to `log`. subprocess is not used, as it would wait for the process as well."""
        words = [str(ROOT / word) if word == "train.py" else word for word in words]
        output = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        actions = [output, (os.POSIX_SPAWN_DUP2, 1, 2)]
        settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment}
        return cls(
            os.posix_spawn(words[0], words, {**os.environ, **settings}, file_actions=actions, setpgroup=0),
            log,
        )

    @classmethod
    def torchrun(cls, words: list[str], log: Path) -> "Command":
        """Run `torchrun words`, whose agent is forked from this process; the processes that it starts are new ones."""
        return cls.fork([torch.distributed.run.__file__, *words], log, OMP_NUM_THREADS="1")  # as all others

    @classmethod
    def fork_together(cls, argvs: list[list[str]], logs: list[Path], errors: list[Path]) -> list["Command"]:
        """Run scripts as the processes of one torchrun command, forked, without an agent that ends them."""
        importlib.import_module(
            "torch._dynamo"
        )  # takes seconds, and DDP imports it: once for all that are forked
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(len(argvs))}
        numbers = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(len(argvs))]
        each = zip(argvs, logs, errors, numbers, strict=True)
        return [cls.fork(argv, log, error_log, **{**place, **own}) for argv, log, error_log, own in each]

    @classmethod
    def fork(cls, argv: list[str], log: Path, error_log: Path | None = None, **environment: str) -> "Command":
        """Run a script as `python argv` does, in a process forked from this one, which has torch loaded already."""
        for path in (log, error_log or log):
            path.touch()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.environ.update(environment)
            os._exit(_status_of_script(argv, log, error_log or log))
        return cls(pid, log, error_log)

    def has_ended(self) -> bool:
        """Return whether the process has exited."""
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.exit_status = os.waitstatus_to_exitcode(status) if pid else None
        return self.exit_status is not None

    def status(self) -> int:
        """Wait for the end; return the exit status, or minus the number of the signal that killed it."""
        wait_until(self.has_ended, f"the end of the run that writes {self.log}")
        assert self.exit_status is not None
        return self.exit_status

    def output(self) -> str:
        """Return what it has printed so far, errors too unless they have a log of their own."""
        return self.log.read_text(errors="replace")

    def errors(self) -> str:
        """Return what it has printed to stderr so far."""
        return self.error_log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> bool:
        """Wait until it prints what a regular expression matches; return False if it ended without."""
        found = re.compile(pattern).search
        wait_until(lambda: found(self.output()) or self.has_ended(), f"{pattern!r} in {self.log}")
        return bool(found(self.output()))

    def expect_success(self) -> None:
        """Raise NotSurvived unless it ends with status 0."""
        expect(self.status() == 0, f"status {self.status()}: {self.output()[-2000:]}")

    def ranks(self) -> list[int]:
        """Return the processes that torchrun has started."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.pid), "-f", "train.py"], capture_output=True, text=True
        )
        return [int(word) for word in found.stdout.split()]

    def strike(self) -> None:
        """Send SIGKILL to the process, without those it has started."""
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill what is left of it."""
        if not self.has_ended():
            for pid in (*self.ranks(), self.pid):
                os.kill(pid, signal.SIGKILL)


class Together(Command):
    """The processes of one training command, without an agent, as one command."""

    def __init__(self, commands: list[Command]) -> None:
        super().__init__(commands[0].pid, commands[0].log)
        self.commands = commands

    def has_ended(self) -> bool:
        """Return whether all processes have exited; their status is the first one that is not 0."""
        if all(command.has_ended() for command in self.commands):
            self.exit_status = next((each.exit_status for each in self.commands if each.exit_status), 0)
        return self.exit_status is not None

    def output(self) -> str:
        """Return what all of them have printed so far, one after the other."""
        return "".join(command.output() for command in self.commands)

    def ranks(self) -> list[int]:
        """Return the processes that still run."""
        return [command.pid for command in self.commands if not command.has_ended()]

    def strike(self) -> None:
        """Send SIGKILL to all of them."""
        for command in self.commands:
            command.strike()

    def kill(self) -> None:
        """Kill what is left of them."""
        self.strike()


def _status_of_script(argv: list[str], log: Path, error_log: Path) -> int:
    """Run a script in this process like Python does in a new one; return its exit status."""
    os.setpgid(0, 0)
    for number, path in ((1, log), (2, error_log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
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
