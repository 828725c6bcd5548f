"""Stopping in good order: any signal, to any process, at any moment; the run is saved, and resuming it is undisturbed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from conftest import (
    ALONE,
    CPU,
    ROOT,
    Ranks,
    Start,
    arguments,
    command_environment,
    completed,
    elsewhere,
    final_files,
    outcome,
    records,
    send,
    wait_for,
    wait_for_step,
    with_dropout,
)

import train as train_module
from checkpointing import checkpoint
from system.errors import UserError
from system.signals import SIGNALS, Signals
from system.world import SideChannel, World
from tools.faults.commands import TWO, Command
from train import train
from training import learner
from training.config import TrainConfig
from training.requests import Due, Requests
from training.run import open_data, open_run
from training.watchdog import Watchdog

pytestmark = pytest.mark.usefixtures("signals_of_choice")


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
    "before the first step": (train_module, "build_learner", 1, 0),
    "during the first step": (train_module, "clip_gradients", 1, 1),
    "during a step": (train_module, "clip_gradients", 7, 7),
    "during an evaluation": (learner, "evaluate", 1, 6),
    "during a save": (checkpoint, "save_file", 2, 6),
    "while an old checkpoint is removed": (checkpoint, "_remove_old", 1, 6),
    "during the last step": (train_module, "clip_gradients", 10, 10),
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
    expected = f"was stopped by {number.name} {where}: rerun the same command to resume"
    assert ("is finished" if step == 10 else expected) in last
    train(config)
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    assert [record["step"] for record in records(config)] == list(range(1, 11))


def test_run_stopped_before_it_did_a_step_stays_where_it_was(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, count in (("clip_gradients", 3), ("build_learner", 1)):
        with monkeypatch.context() as patch:
            at(patch, train_module, name, count, signal.SIGTERM)
            assert train(config).step == 3
        assert "after step 3, which is saved: rerun the same command to resume" in capfd.readouterr().out


@pytest.mark.parametrize("word", ["--overwrite", "--overwrite=True"])
def test_a_run_begun_with_overwrite_is_resumed_without_it(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], word: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", word])
    at(monkeypatch, train_module, "clip_gradients", 3, signal.SIGTERM)
    train(config)
    assert "which is saved: rerun the command without --overwrite to resume\n" in capfd.readouterr().out


def test_full_disk_at_the_last_save_is_an_error(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    at(monkeypatch, train_module, "clip_gradients", 3, signal.SIGTERM)
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*step_00000003 .*make room"):
        train(config)


def requests_of(config: TrainConfig, world: World = ALONE) -> Requests:
    return Requests(open_run(config, open_data(config.data_dir)), world, Signals())


class Pair:
    """Two processes' requests over a channel that sums what both have told."""

    def __init__(self, config: TrainConfig) -> None:
        self.told: list[list[torch.Tensor]] = [[], []]
        self.requests = [requests_of(config, World(rank, 2, CPU, local_rank=1)) for rank in range(2)]
        for rank, requests in enumerate(self.requests):
            requests.channel = cast(SideChannel, Channel(self.told, rank))

    def agreed(self) -> tuple[bool, bool]:
        first, second = (requests.agreed() for requests in self.requests)
        assert first == second
        return first


class Channel:
    """One end of it."""

    def __init__(self, told: list[list[torch.Tensor]], rank: int) -> None:
        self.told, self.rank = told, rank
        self.waited: list[int] = []  # the numbers of the sums waited for

    def start_sum(self, tensor: torch.Tensor) -> tuple[int, torch.Tensor]:
        self.told[self.rank].append(tensor.clone())
        return len(self.told[self.rank]) - 1, tensor

    def wait(self, work: tuple[int, torch.Tensor]) -> None:
        number, tensor = work
        self.waited.append(number)
        tensor.copy_(self.told[0][number] + self.told[1][number])


def test_all_agree_one_step_late(config: TrainConfig) -> None:
    pair = Pair(config)
    assert [pair.agreed() for _ in range(3)] == [(False, False)] * 3
    pair.requests[1].signals.received.name = "SIGTERM"
    assert [pair.agreed() for _ in range(2)] == [(False, False), (True, False)]
    assert [requests.stopped_by for requests in pair.requests] == ["a signal to another process", "SIGTERM"]


def test_a_request_to_save_is_answered_once(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pair, saves = Pair(replace(config, checkpoint_minutes=1.0)), []
    for step in range(30):
        _, save = pair.agreed()
        if save:
            saves.append(step)
            for requests in pair.requests:
                requests.tried_to_save()
        now += 10.0
    assert saves == [7, 14, 21, 28], "60 seconds are over at step 6, which all know at step 7"


def test_no_process_leaves_an_exchange_that_others_wait_for(config: TrainConfig) -> None:
    pair = Pair(config)
    for end in (lambda requests: requests.tried_to_save(), lambda requests: requests.finish(1, print)):
        pair.agreed()
        for requests in pair.requests:
            last = len(pair.told[requests.world.rank]) - 1
            end(requests)
            assert cast(Channel, requests.channel).waited[-1] == last


def test_watchdog_sees_the_shard_check_as_progress(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed, places = [], []
    monkeypatch.setattr(Watchdog, "observe", lambda _watchdog, place, _lost: observed.append(place))

    def is_checked(_requests: Requests, seconds: float) -> bool:
        places.append(observed[0]())
        return len(places) == 3

    monkeypatch.setattr(Requests, "data_is_checked", is_checked)
    train(replace(config, max_steps=1))
    assert len({repr(place) for place in places}) == 3


def test_what_is_due_when(config: TrainConfig) -> None:
    config = replace(config, eval_interval=2, checkpoint_interval=3, max_steps=8)
    requests, found = requests_of(config), []
    for step in range(9):
        found.append(requests.due(step))
        if found[-1].save:
            requests.tried_to_save()
    assert [step for step, due in enumerate(found) if due.evaluate] == [2, 3, 4, 6, 8]
    assert [step for step, due in enumerate(found) if due.save] == [3, 6, 8]
    assert [step for step, due in enumerate(found) if due.stop] == [8]
    requests = requests_of(config)
    requests.signals.received.name = "SIGTERM"
    assert requests.due(0) == Due(evaluate=False, save=False, stop=True)
    assert requests.due(1) == Due(evaluate=False, save=True, stop=True)
    requests.tried_to_save()
    assert requests.due(1).save, "the disk may have been full"


def test_saved_by_the_clock(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """Besides the scheduled ones, with the same end."""
    timed = elsewhere(config, "timed", checkpoint_minutes=1e-9)
    train(timed)
    assert capsys.readouterr().out.count("saved ") == 10
    train(config)
    assert final_files(timed) == final_files(config)
    assert records(timed) == records(config)


@pytest.mark.serial
def test_signals_to_two_processes(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    """One to either, then Ctrl-C to torchrun, which passes it on; then to the end."""
    config = replace(
        with_dropout(config), max_steps=200, checkpoint_interval=80, eval_interval=80, log_interval=5
    )
    undisturbed = elsewhere(config, "undisturbed")
    first, second = ranks(config, config)
    wait_for_step(first, 20)
    os.kill(second.pid, signal.SIGTERM)
    said = completed(first) + completed(second)
    assert said.count("rerun the same command to resume") == 1
    assert "by a signal to another process after step" in said
    started = Command.torchrun([*TWO, str(ROOT / "train.py"), *arguments(config)], tmp_path / "output")
    wait_for_step(started, 90)
    os.kill(started.pid, signal.SIGINT)
    status, said = started.status(), started.output()
    assert status == 1, "torchrun's own"
    assert "by SIGINT after step" in said
    assert "Traceback" not in said.split("rerun the same command to resume")[0]
    for run in (config, undisturbed):
        ends = [outcome(process) for process in ranks(run, run)]
        assert [status for status, _ in ends] == [0, 0], ends
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)


@pytest.mark.parametrize("harm", ["nobody reads", "full"])
def test_output_that_is_lost_costs_no_step(config: TrainConfig, harm: str) -> None:
    """As after Ctrl-C in `train.py | tee log`, which ends tee too."""
    config = replace(config, max_steps=100_000, checkpoint_interval=100_000, eval_interval=100_000)
    output = os.open("/dev/full", os.O_WRONLY) if harm == "full" else subprocess.PIPE
    words = [sys.executable, str(ROOT / "train.py"), *arguments(config)]
    with subprocess.Popen(words, env=command_environment(), stdout=output, stderr=subprocess.PIPE) as process:
        try:
            metrics = Path(config.out_dir) / "metrics.jsonl"
            wait_for(lambda: metrics.is_file() and metrics.read_text().count("\n") > 20)
            if process.stdout:
                process.stdout.close()
            process.send_signal(signal.SIGINT)
            if harm == "full":
                os.close(output)
            assert process.stderr
            assert process.stderr.read() == b"SIGINT: stopping after this step\n"
            assert process.wait(60) == 0
        finally:
            process.kill()
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
    """As Weights & Biases, whose own process may hang, and which waits for it: after a finished run, a UserError, and any other error."""
    if seed != 3:
        train(config)
    words = [str(ROOT / "train.py"), *arguments(replace(config, seed=seed))]
    done = subprocess.run(
        [sys.executable, "-c", SLOW_TO_END, *words],
        env=command_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr


def test_waiting_for_the_shard_check_is_progress(config: TrainConfig) -> None:
    """A machine with much data on a slow disk must not be taken for one that hangs."""
    requests = requests_of(config)
    is_running = iter([True, True, False])

    def check_for(seconds: float) -> None:
        requests.check.is_running = next(is_running)

    requests.check.check_for = check_for  # type: ignore[method-assign]
    requests.finish(config.max_steps, print)
    assert requests.n_check_waits == 2, "it is part of what the watchdog observes"
    requests.check.is_running = True
    requests.finish(config.max_steps - 1, print)
    assert requests.n_check_waits == 2, "a run that was stopped does not wait"
    requests.signals.received.name = "SIGTERM"
    requests.check.check_for = lambda seconds: None  # type: ignore[method-assign]
    said: list[str] = []
    requests.finish(config.max_steps, said.append)
    assert requests.n_check_waits == 2, "a signal stops the wait"
    assert said[-1].startswith("some shards are not checked: run `python prepare_data.py --verify")


def test_damage_is_told_to_all_and_set_aside_by_the_first(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config)
    longer = replace(config, max_steps=20, extend=True)
    pair, set_aside = Pair(longer), []
    monkeypatch.setattr(World, "wait", lambda world: set_aside.append(world.rank))
    monkeypatch.setattr(checkpoint, "set_aside", lambda *arguments: set_aside.append(arguments))
    assert pair.agreed() == (False, False)
    pair.requests[1].check.report("a shard is corrupt")
    assert pair.agreed() == (False, False)
    for requests, words in zip(pair.requests, ("another process found", "a shard is corrupt"), strict=True):
        # Here the second process has not told yet what the first one waits for.
        requests.finish_exchange = lambda: None  # type: ignore[method-assign]
        with pytest.raises(UserError, match=words):
            requests.agreed()
    out_dir = Path(config.out_dir)
    assert set_aside == [(out_dir, out_dir / "step_00000010"), 0, 1], (
        "by the main process, before any is gone"
    )


@pytest.mark.serial
def test_interrupted_in_a_terminal(config: TrainConfig, start: Start) -> None:
    """Ctrl-C reaches the whole foreground group: here the command alone."""
    config = replace(config, max_steps=100_000, checkpoint_interval=100_000)
    started = start(config)
    wait_for_step(started, 50)
    os.killpg(started.pid, signal.SIGINT)
    status, said = started.status(), started.output()
    assert status == 0
    assert said.splitlines()[-1].endswith("which is saved: rerun the same command to resume")
