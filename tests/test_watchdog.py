"""Processes that die, hang or cannot begin: the others end soon, each with one line that names it and its step."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import CPU, ROOT, Ranks, command_environment, outcome

from system.errors import UserError
from system.world import World
from training.config import TrainConfig
from training.watchdog import Contact


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout
    assert any(re.match(rf"step +{step}/", line) for line in process.stdout), "it ended before"


def endless(config: TrainConfig) -> TrainConfig:
    return replace(config, max_steps=10**6, eval_interval=10**6, checkpoint_interval=10**6)


def test_process_that_dies_takes_the_other_with_it(config: TrainConfig, ranks: Ranks) -> None:
    first, second = ranks(endless(config), endless(config))
    wait_for_step(first, 20)
    second.kill()
    began = time.monotonic()
    status, errors = outcome(first)
    assert time.monotonic() - began < 10
    assert status == 2
    assert errors.count("\n") == 1
    assert (found := re.match(r"error: rank 0 of 2 on \S+: lost another process in step (\d+) \(", errors))
    assert int(found[1]) > 20
    assert "the same command goes on from the last checkpoint" in errors


def test_process_that_hangs_takes_the_other_with_it(config: TrainConfig, ranks: Ranks) -> None:
    first, second = ranks(*[replace(endless(config), timeout_minutes=0.05)] * 2)
    wait_for_step(first, 20)
    os.kill(second.pid, signal.SIGSTOP)
    status, errors = outcome(first)
    assert status == 1
    assert errors.count("\n") == 1
    assert re.match(r"error: rank 0 of 2 on \S+: step \d+ has not ended for 0.05 minutes, it is at ", errors)


def test_data_missing_for_one_process_end_all_of_them(
    config: TrainConfig, ranks: Ranks, tmp_path: Path
) -> None:
    elsewhere = replace(config, data_dir=str(tmp_path / "nowhere"))
    first, second = ranks(config, elsewhere)
    status, errors = outcome(second)
    assert (status, errors.count("\n")) == (2, 1)
    assert re.match(rf"error: rank 1 of 2 on \S+: no manifest.json in {elsewhere.data_dir}: run ", errors)
    status, errors = outcome(first)
    assert (status, errors.count("\n")) == (2, 1)
    assert re.match(r"error: rank 0 of 2 on \S+: 1 other process\(es\) cannot begin: each says why", errors)
    assert not Path(config.out_dir).exists()


def test_process_that_dies_while_the_other_waits_for_its_device(tmp_path: Path) -> None:
    """With nccl nothing else tells it: the device waits for the other's, and the main thread for the device."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    environment = command_environment() | place | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    first, second = (
        subprocess.Popen([sys.executable, "-c", DEAF], env=environment | {"RANK": rank}, **pipes)
        for rank in "01"
    )
    assert outcome(second)[0] == 7
    status, errors = outcome(first)
    assert status == 2
    assert re.match(r"error: rank 0 of 2 on \S+: lost another process in step 43 \(.*Connection", errors)


DEAF = """
import os, time
from types import SimpleNamespace
from training.watchdog import Contact
from system.world import start_world
from training.requests import Requests
from system.signals import Signals
world = start_world("cpu")
requests = Requests(world, Signals(), 0.0, SimpleNamespace(damage=""))
with Contact(world, minutes=1) as contact:
    contact.place, contact.loss = lambda: (42, None), requests.loss
    requests.agreed()
    world.wait()
    if world.rank == 1:
        os._exit(7)
    requests.agreed()
    time.sleep(60)
"""


HANGING = """
import sys, time, torch
from training.watchdog import Contact
from system.world import World
with Contact(World(1, int(sys.argv[1]), torch.device("cpu")), minutes=0.02):
    time.sleep(2)
"""


@pytest.mark.parametrize(("size", "status"), [(2, 1), (1, 0)])
def test_who_hangs_says_where(size: int, status: int, tmp_path: Path) -> None:
    environment = command_environment() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HANGING, str(size)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    if size > 1:
        assert "rank 1 of 2" in done.stderr
        assert "step 1 has not ended for 0.02 minutes" in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("[pair.cc:547] Connection closed by peer [10.0.0.1]:99. This error originated"), "lost another process in step 1 (Connection closed by peer [10.0.0.1]:99): "),
        (torch.distributed.DistBackendError("NCCL error in: x.cpp:1, invalid usage\nlong story"), "the processes cannot talk to each other (NCCL error in: x.cpp:1, invalid usage): NCCL_DEBUG=INFO says more"),
        (torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1.\nlong story"), "lost another process in step 1 (NCCL communicator was aborted on rank 1.)"),
        (UserError("no\nroom"), ": no room\n"),
    ],
)  # fmt: skip
def test_errors_say_whose_they_are(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as stop, Contact(World(3, 4, CPU), minutes=1):
        raise error
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: rank 3 of 4 on ")
    assert words in line
    assert line.count("\n") == 1


def test_other_errors_stay_what_they_are() -> None:
    for error, size in ((RuntimeError("shapes differ"), 2), (RuntimeError("gloo"), 1), (UserError("no"), 1)):
        with pytest.raises(type(error), match=f"^{error}$"), Contact(World(0, size, CPU), minutes=1):
            raise error
