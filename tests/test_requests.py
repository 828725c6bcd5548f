"""Stopping in good order: whatever signal, whichever process it reaches and whenever, the run is saved and goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from conftest import (
    ALONE,
    CPU,
    ROOT,
    TWO,
    command,
    command_environment,
    complete,
    elsewhere,
    final_files,
    records,
    with_dropout,
)

from checkpointing import checkpoint
from system.signals import SIGNALS, Signals
from system.world import World
from train import Training, train
from training.config import TrainConfig
from training.log import RunLog
from training.requests import Requests
from training.shard_check import ShardCheck

NO_DAMAGE = cast(ShardCheck, SimpleNamespace(damage=""))


@pytest.fixture(autouse=True)
def signals_of_choice() -> Iterator[None]:
    """See that every test leaves the handlers as they were; begin with none that nohup set."""
    outside = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    signal.signal(signal.SIGHUP, outside)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, count: int, number: int) -> None:
    """Send this process a signal in the midst of the `count`-th call of a function."""
    real, calls = getattr(owner, name), []

    def interrupted(*arguments, **options):
        calls.append(name)
        if len(calls) == count:
            send(number)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


MOMENTS = {
    "before the first step": (Training, "build", 1, 0),
    "during the first step": (Training, "take_step", 1, 1),
    "during a step": (Training, "take_step", 7, 7),
    "during the evaluation at the start": (Training, "evaluate", 1, 1),
    "during a later evaluation": (Training, "evaluate", 2, 6),
    "during a save": (checkpoint, "save_file", 2, 6),
    "while an old checkpoint is removed": (checkpoint, "_remove_old", 1, 6),
    "during the last step": (Training, "take_step", 10, 10),
    "during the last save": (checkpoint, "save_file", 3, 10),
}


CASES = [(moment, signal.SIGTERM) for moment in MOMENTS] + [
    ("during a step", number) for number in SIGNALS[1:]
]


@pytest.mark.parametrize(
    ("moment", "number"), CASES, ids=[f"{moment}, {number.name}" for moment, number in CASES]
)
def test_stopped_and_continued_is_undisturbed(
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    moment: str,
    number: signal.Signals,
) -> None:
    owner, name, count, step = MOMENTS[moment]
    config = with_dropout(config)
    with monkeypatch.context() as patch:
        at(patch, owner, name, count, number)
        assert train(config).step == step
    said = capfd.readouterr()
    assert f"{number.name}: stopping" in said.err
    last = said.out.splitlines()[-1]
    where = f"after step {step}, which is saved" if step else "before its first step"
    expected = f"was stopped by {number.name} {where}: the same command goes on"
    assert ("is finished" if step == 10 else expected) in last
    train(config)
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    assert [record["step"] for record in records(config)] == list(range(11))


def test_stopped_before_a_step_of_its_own_a_run_is_where_it_was(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for moment in ("take_step", "build"):
        with monkeypatch.context() as patch:
            at(patch, Training, moment, 3 if moment == "take_step" else 1, signal.SIGTERM)
            assert train(config).step == 3
        assert "after step 3, which is saved: the same command goes on" in capfd.readouterr().out


def test_disk_that_refuses_the_last_save_is_no_good_end(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    at(monkeypatch, Training, "take_step", 3, signal.SIGTERM)
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(checkpoint.UserError, match=r"cannot write .*step_00000003 .*make room"):
        train(config)


@pytest.mark.parametrize(
    ("first", "second", "at_once"),
    [
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGINT, signal.SIGTERM, True),
        (signal.SIGTERM, signal.SIGINT, True),
        (signal.SIGTERM, signal.SIGTERM, False),
        (signal.SIGUSR1, signal.SIGTERM, False),
        (signal.SIGUSR1, signal.SIGUSR1, False),
    ],
)
def test_second_interrupt_stops_at_once(
    first: signal.Signals, second: signal.Signals, at_once: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with Signals() as signals:
        send(first)
        send(second)  # so soon, it is the same one that came two ways
        assert signals.name == first.name
        wait_for(lambda: signals.heard.name)
        signals.received.received_at -= 2  # its thread has heard of neither for so long
        if at_once:
            with pytest.raises(KeyboardInterrupt):
                send(second)
        else:
            send(second)
            assert signals.name == first.name
    assert capfd.readouterr().err.count("stopping") == 1


DEAF = """
import hashlib, signal
from system.signals import Signals
with Signals() as signals:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)  # the main thread hears of no signal meanwhile
"""


def test_second_interrupt_ends_a_process_that_is_deaf() -> None:
    words = [sys.executable, "-c", DEAF]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=ROOT, env=command_environment(), **pipes) as process:
        try:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stderr.readline() == "SIGINT: stopping after this step\n"
            time.sleep(1.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            assert process.stderr.read().startswith("interrupted: ")
        finally:
            process.kill()


def test_interrupts_do_not_wait_for_whoever_reads_of_them() -> None:
    """A paused reader whose pipe is full."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 65536):
            pass
    os.set_blocking(writing, True)
    words = [sys.executable, "-c", DEAF]
    with subprocess.Popen(
        words, cwd=ROOT, env=command_environment(), stdout=subprocess.PIPE, stderr=writing
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            time.sleep(1.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
            os.close(reading)
            os.close(writing)


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            send(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert not signals.name
    finally:
        signal.signal(signal.SIGHUP, before)


def test_late_signals_do_not_matter() -> None:
    code = "import os, signal, stopping; stopping.ignore_signals(); [os.kill(os.getpid(), s) for s in stopping.SIGNALS]"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=command_environment())
    assert done.returncode == 0


class Pair:
    """Two processes' requests, and an agreement that is their sum, once both have told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, minutes: float = 0.0) -> None:
        self.posted: dict[int, list[torch.Tensor]] = {0: [], 1: []}
        self.requests = [Requests(World(rank, 2, CPU), Signals(), minutes, NO_DAMAGE) for rank in range(2)]
        for rank, requests in enumerate(self.requests):
            monkeypatch.setattr(requests, "tell", self.teller(rank))

    def teller(self, rank: int) -> Callable:
        def tell(asked: torch.Tensor) -> object:
            number = len(self.posted[rank])
            self.posted[rank].append(asked.clone())

            class Work:
                def wait(_self) -> None:
                    asked.copy_(self.posted[0][number] + self.posted[1][number])

            return Work()

        return tell

    def agreed(self) -> tuple[bool, bool]:
        first, second = (requests.agreed() for requests in self.requests)
        assert first == second
        return first


def test_all_agree_a_step_late(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(monkeypatch)
    assert [pair.agreed() for _ in range(3)] == [(False, False)] * 3
    pair.requests[1].signals.received.name = "SIGTERM"
    assert [pair.agreed() for _ in range(2)] == [(False, False), (True, False)]


def test_a_request_to_save_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pair, saves = Pair(monkeypatch, minutes=1.0), []
    for step in range(30):
        _, save = pair.agreed()
        if save:
            saves.append(step)
            for requests in pair.requests:
                requests.saved()
        now += 10.0
    assert saves == [7, 14, 21, 28], "60 seconds are over at step 6, which all know at step 7"


def test_saved_by_the_clock(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """Besides the scheduled ones, with the same end."""
    timed = elsewhere(config, "timed", checkpoint_minutes=1e-9)
    train(timed)
    assert capsys.readouterr().out.count("saved ") == 10
    train(config)
    assert final_files(timed) == final_files(config)
    assert records(timed) == records(config)


def start(config: TrainConfig, *launcher: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(config, *launcher),
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ranks_of(agent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(agent), "-f", "train.py"], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def stop_at(
    config: TrainConfig, step: int, launcher: list[str], signals: Callable[[int], None]
) -> tuple[int, str]:
    """Start the command, let `signals` harm it once it has said that `step` is done; return its status and output."""
    with start(config, *launcher) as started:
        give_up = threading.Timer(120, lambda: os.killpg(started.pid, signal.SIGKILL))
        give_up.start()
        said = []
        assert started.stdout
        for line in started.stdout:
            said.append(line)
            words = line.split()
            if words[:1] == ["step"] and int(words[1].split("/")[0]) == step and "loss" in words:
                signals(started.pid)
        give_up.cancel()
    return started.returncode, "".join(said)


def test_signals_to_two_processes(config: TrainConfig) -> None:
    """One to either, then Ctrl-C to torchrun, which passes it on; then to the end."""
    config = replace(
        with_dropout(config), max_steps=1000, checkpoint_interval=400, eval_interval=400, log_interval=10
    )
    undisturbed = elsewhere(config, "undisturbed")
    status, said = stop_at(config, 50, TWO, lambda pid: os.kill(ranks_of(pid)[1], signal.SIGTERM))
    assert status == 0, said
    assert said.count("the same command goes on") == 1
    assert "by a signal to another process after step" in said or "by SIGTERM after step" in said
    status, said = stop_at(config, 300, TWO, lambda pid: os.kill(pid, signal.SIGINT))
    assert status == 1, "torchrun's own"
    assert "by SIGINT after step" in said
    assert "Traceback" not in said.split("the same command goes on")[0]
    assert "going on from" in complete(config, *TWO)
    complete(undisturbed, *TWO)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)


@pytest.mark.parametrize("harm", ["nobody reads", "full"])
def test_output_that_is_lost_costs_no_step(config: TrainConfig, harm: str) -> None:
    """As after Ctrl-C in `train.py | tee log`, which ends tee too."""
    config = replace(config, max_steps=100_000, checkpoint_interval=100_000, eval_interval=100_000)
    output = os.open("/dev/full", os.O_WRONLY) if harm == "full" else subprocess.PIPE
    with subprocess.Popen(
        command(config), env=command_environment(), stdout=output, stderr=subprocess.PIPE
    ) as process:
        metrics = Path(config.out_dir) / "metrics.jsonl"
        wait_for(lambda: metrics.is_file() and metrics.read_text().count("\n") > 20)
        if process.stdout:
            process.stdout.close()
        process.send_signal(signal.SIGINT)
        if harm == "full":
            os.close(output)
        assert process.stderr
        assert process.stderr.read() == b"SIGINT: stopping after this step\n"
    assert process.returncode == 0
    assert checkpoint.pointed(Path(config.out_dir), "last")


SLOW_TO_END = """
import atexit, runpy, sys, time
from training import optim
del sys.argv[0]
atexit.register(time.sleep, 300)
if "--seed=3" in sys.argv:
    optim.make_optimizer = None
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("seed", "status"), [(1, 0), (2, 2), (3, 1)])
def test_ends_though_a_library_does_not(config: TrainConfig, seed: int, status: int) -> None:
    """As Weights & Biases, whose own process may hang, and which waits for it: finished, refused, or by any error."""
    if seed != 3:
        train(config)
    words = [*command(replace(config, seed=seed))[1:]]
    done = subprocess.run(
        [sys.executable, "-c", SLOW_TO_END, *words],
        env=command_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr


def test_waiting_for_shards_is_no_standing_still(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with much data on a slow disk must not be taken for one that hangs."""
    training = Training(config, ALONE)
    rounds = iter([True, True, False])

    def slowly(seconds: float) -> None:
        check.goes_on = next(rounds)

    check = SimpleNamespace(damage="", goes_on=True, hurry_on=slowly)
    training.log = cast(RunLog, SimpleNamespace(say=print))
    training.check = cast(ShardCheck, check)
    training.requests = Requests(training.world, Signals(), 0.0, training.check)
    before = training.place()
    training.confirm_data()
    assert training.waits == 2
    assert training.place() != before
    assert training.requests.confirm_data(1.0), "once whole, they are not looked at again"


def test_interrupted_in_a_terminal(config: TrainConfig) -> None:
    """Ctrl-C reaches the whole foreground group: here the command alone."""
    config = replace(config, max_steps=100_000, checkpoint_interval=100_000)
    status, said = stop_at(config, 50, [], lambda pid: os.killpg(pid, signal.SIGINT))
    assert status == 0
    assert said.splitlines()[-1].endswith("which is saved: the same command goes on")
