"""Processes that die, hang or cannot start: the others end soon, each with one line that names it and its step."""

import os
import re
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import CPU, ROOT, Ranks, outcome, wait_for_step

from system.errors import UserError
from system.world import World
from train import train
from training.config import TrainConfig
from training.watchdog import Watchdog


def endless(config: TrainConfig) -> TrainConfig:
    return replace(config, max_steps=10**6, eval_interval=10**6, checkpoint_interval=10**6)


@pytest.mark.serial
def test_process_that_dies_ends_the_other(config: TrainConfig, ranks: Ranks) -> None:
    first, second = ranks(endless(config), endless(config))
    wait_for_step(first, 20)
    os.kill(second.pid, signal.SIGKILL)
    began = time.monotonic()
    status, errors = outcome(first)
    assert time.monotonic() - began < 20
    assert status == 2
    assert errors.count("\n") == 1
    assert (found := re.match(r"error: rank 0 of 2 on \S+: lost another process in step (\d+) \(", errors))
    assert int(found[1]) > 20
    assert errors.endswith("; rerun the same command to resume from the last checkpoint\n")


IMPATIENT = """
import os, sys
sys.path.insert(0, {root!r})
import train
from system.errors import run_command
from training.watchdog import Watchdog
update, observe, watchdogs = train.update, Watchdog.observe, []
def update_impatiently(*arguments):
    watchdogs[0].seconds = 3.0
    update(*arguments)
Watchdog.observe = lambda watchdog, *places: (watchdogs.append(watchdog), observe(watchdog, *places))
train.update = update_impatiently
run_command(train.main, os._exit)
"""


@pytest.mark.serial
def test_process_that_hangs_ends_the_other(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    """The time limit is short only after the first step, as starting may take longer than that."""
    script = tmp_path / "impatient.py"
    script.write_text(IMPATIENT.format(root=str(ROOT)))
    first, second = ranks(endless(config), endless(config), script=script)
    wait_for_step(first, 20)
    os.kill(second.pid, signal.SIGSTOP)
    status, errors = outcome(first)
    assert status == 1
    assert errors.count("\n") == 1
    expected = r"error: rank 0 of 2 on \S+: step \d+ has been running for 0.05 minutes, now in \w+.py:\d+: "
    assert re.match(expected, errors)
    assert "set a longer --timeout_minutes; rerun the same command to resume" in errors


@pytest.mark.serial
def test_data_missing_for_one_process_ends_all_of_them(
    config: TrainConfig, ranks: Ranks, tmp_path: Path
) -> None:
    elsewhere = replace(config, data_dir=str(tmp_path / "nowhere"))
    first, second = ranks(config, elsewhere)
    status, errors = outcome(second)
    assert (status, errors.count("\n")) == (2, 1)
    assert re.match(rf"error: rank 1 of 2 on \S+: no manifest.json in {elsewhere.data_dir}: run ", errors)
    status, errors = outcome(first)
    assert (status, errors.count("\n")) == (2, 1)
    assert re.match(r"error: rank 0 of 2 on \S+: cannot start: see the error line of rank 1$", errors)
    assert not Path(config.out_dir).exists()


BUG = """
import os, sys
sys.path.insert(0, {root!r})
import torch, train
from evaluation.losses import language_model_loss
from system.errors import run_command
from training.config import parse_train_config
steps = []
def objective(network, batch):
    steps.extend([1] * network.training)
    if len(steps) == 3 and os.environ["RANK"] == "1":
        torch.nn.Linear(3, 2)(batch[0].float())
    return language_model_loss(network, batch)
run_command(lambda: train.train(parse_train_config(sys.argv[1:], ""), objective), os._exit)
"""


@pytest.mark.serial
def test_bug_in_one_process_shows_its_traceback(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    """Although it is a RuntimeError, like those of lost connections; the other process has lost this one."""
    script = tmp_path / "bug.py"
    script.write_text(BUG.format(root=str(ROOT)))
    first, second = ranks(config, config, script=script)
    status, errors = outcome(second)
    assert status == 1
    assert "Traceback (most recent call last)" in errors
    assert re.search(r'bug.py", line \d+, in objective', errors)
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in errors
    status, errors = outcome(first)
    assert status == 2
    assert errors.count("\n") == 1
    assert re.match(r"error: rank 0 of 2 on \S+: lost another process in step 3 \(", errors)


DEAF = """
import os, time
from types import SimpleNamespace
from training import requests
from training.watchdog import Watchdog
from system.world import start_world
from system.signals import Signals
requests.ShardCheck = lambda *arguments, active: SimpleNamespace(damage="")
world = start_world("cpu")
config = SimpleNamespace(data_dir="", checkpoint_minutes=0.0)
data = SimpleNamespace(train=SimpleNamespace(manifest=None))
run = SimpleNamespace(config=config, data=data, progress=SimpleNamespace(step=0))
requests = requests.Requests(run, world, Signals())
with Watchdog(world, minutes=1) as watchdog:
    watchdog.observe(lambda: (42, None), requests.lost_contact)
    requests.agreed()
    world.wait()
    if world.rank == 1:
        os._exit(7)
    requests.agreed()
    time.sleep(60)
"""


@pytest.mark.serial
def test_process_that_dies_while_the_other_waits_for_its_device(
    config: TrainConfig, ranks: Ranks, tmp_path: Path
) -> None:
    """With nccl nothing else reports it: the device waits for the other's, and the main thread for the device."""
    script = tmp_path / "deaf.py"
    script.write_text(DEAF)
    first, second = ranks(config, config, script=script)
    assert outcome(second)[0] == 7
    status, errors = outcome(first)
    assert status == 2
    assert re.match(r"error: rank 0 of 2 on \S+: lost another process in step 43 \(\S", errors)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses with which the process would have exited; instead, the thread ends."""
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        sys.exit(status)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(World, "stop", lambda _world: None)  # there is no process group here
    return statuses


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # the SystemExit of `exits`
@pytest.mark.parametrize(("step", "doing"), [(6, "step 7"), (None, "the start of training")])
def test_process_that_hangs_exits_and_says_where(
    exits: list[int], capsys: pytest.CaptureFixture[str], step: int | None, doing: str
) -> None:
    with Watchdog(World(1, 2, CPU), minutes=0.005) as watchdog:
        if step is not None:
            watchdog.observe(lambda: (step, None), lambda: None)
        watchdog.thread.join(60)
    assert exits == [1]
    line = capsys.readouterr().err
    found = rf"{doing} has been running for 0.005 minutes, now in test_watchdog.py:\d+: another process may hang, or its node"
    assert re.match(rf"error: rank 1 of 2 on \S+: {found}", line)
    assert line.count("\n") == 1


@pytest.mark.parametrize("size", [1, 2], ids=["alone", "in motion"])
def test_process_that_moves_or_is_alone_does_not_exit(size: int, exits: list[int]) -> None:
    places = iter(range(10**9))
    with Watchdog(World(0, size, CPU), minutes=0.005) as watchdog:
        if size > 1:
            watchdog.observe(lambda: (0, next(places)), lambda: None)
        assert watchdog.thread.is_alive() == (size > 1)
        time.sleep(1)
    assert exits == []
    assert not watchdog.thread.is_alive(), "it refers to the training"


def test_process_group_is_left_at_a_good_end_only(exits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the others are still watched: nccl waits for them."""
    is_over: list[bool] = []
    watchdog = Watchdog(World(0, 2, CPU), minutes=1)
    monkeypatch.setattr(World, "stop", lambda _world: is_over.append(watchdog.is_over.is_set()))
    with watchdog:
        pass
    assert is_over == [False]
    with pytest.raises(ValueError, match="bug"), Watchdog(World(0, 2, CPU), minutes=1):
        raise ValueError("bug")
    assert is_over == [False]


SEE = "look for its error line (a killed process prints none)"
RESUME = "rerun the same command to resume from the last checkpoint"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("[/third_party/gloo/tcp/pair.cc:547] Connection closed by peer [10.0.0.1]:99. This error"), f"lost another process in the start of training (Connection closed by peer [10.0.0.1]:99): {SEE}; {RESUME}"),
        (torch.distributed.DistBackendError("NCCL error in: x.cpp:1, invalid usage\nlong story"), f"lost another process in the start of training (NCCL error in: x.cpp:1, invalid usage): {SEE}; NCCL_DEBUG=INFO prints more; {RESUME}"),
        (UserError("no\nroom"), "no room"),
    ],
    ids=["gloo", "nccl", "user"],
)  # fmt: skip
def test_error_is_one_line_with_rank_and_host(
    error: Exception, message: str, exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), Watchdog(World(3, 4, CPU), minutes=1):
        raise error
    assert exits == [2]
    assert capsys.readouterr().err == f"error: rank 3 of 4 on {socket.gethostname()}: {message}\n"


@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.parametrize(
    ("error", "size"),
    [
        (RuntimeError("shapes differ"), 2),
        (torch.OutOfMemoryError("CUDA out of memory"), 2),
        (ValueError("gloo"), 2),
        (RuntimeError("gloo"), 1),
        (UserError("no"), 1),
    ],
)
def test_other_errors_stay_what_they_are(
    error: Exception, size: int, launched: bool, exits: list[int]
) -> None:
    world = World(0, size, CPU, launched=launched)
    with pytest.raises(type(error), match=f"^{error}$"), Watchdog(world, minutes=1):
        raise error
    assert exits == []


def test_a_single_process_under_torchrun_can_catch_its_errors(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And train again: it has left its process group."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(UserError, match=r"no manifest\.json in nowhere"):
            train(replace(config, data_dir="nowhere"))
