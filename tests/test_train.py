"""Training end to end: it learns, and neither kills, processes, micro-batches nor evaluations change what it learns."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from conftest import (
    ALONE,
    CPU,
    ROOT,
    TWO,
    arguments,
    command,
    command_environment,
    complete,
    elsewhere,
    final_files,
    flip_a_bit,
    losses,
    one_line_error,
    records,
    with_dropout,
)
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import train as train_module
from checkpointing import checkpoint
from corpus.dataset import TokenDataset
from model import GPT, IGNORED
from system.errors import UserError
from system.files import locked
from system.world import World
from train import Training, train
from training.config import TrainConfig


def kill_at(config: TrainConfig, step: int, delay: float) -> None:
    """Start the command and kill it `delay` seconds after it has said that `step` is done."""
    started = subprocess.Popen(
        command(config),
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    with started:
        assert started.stdout
        for line in started.stdout:
            said.append(line)
            words = line.split()
            if words[0] == "step" and int(words[1].split("/")[0]) >= step:
                break
        time.sleep(delay)
        os.kill(started.pid, signal.SIGKILL)
    assert started.returncode == -signal.SIGKILL, "".join(said)


def test_loss_goes_down(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(config, max_steps=60, eval_interval=20, checkpoint_interval=30)
    progress = train(config)
    found = losses(config)
    assert len(found) == 60
    assert found[0] == pytest.approx(np.log(257), abs=0.2), "at first all tokens are as probable"
    assert np.mean(found[-5:]) < found[0] - 2
    assert progress.val_loss is not None
    assert progress.val_loss < 3.5
    assert [record["step"] for record in records(config) if "val_loss" in record] == [0, 20, 30, 40, 60]
    out_dir = Path(config.out_dir)
    assert {path.name for path in out_dir.iterdir()} == {
        *("config.json", "metrics.jsonl", "loss.png", "last", "best", "step_00000030", "step_00000060")
    }
    text = capsys.readouterr().out
    for words in (
        "38,153 training",
        "parameters",
        "float32 (asked for), eager",
        "MFU n/a",
        "left",
        "best so far",
    ):
        assert words in text


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is of GNU's OpenMP")
def test_waiting_threads_let_go_of_their_cores() -> None:
    environment = {**os.environ, "OMP_DISPLAY_ENV": "verbose"}
    environment.pop("GOMP_SPINCOUNT", None)
    done = subprocess.run(
        [sys.executable, "-c", "import train"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr, "torch was imported before the setting was made"


def test_killed_at_random_moments_and_continued_is_undisturbed(config: TrainConfig) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"the seed of the moments is {seed}")
    chooser = random.Random(seed)
    settings = {"max_steps": 100, "checkpoint_interval": 7, "eval_interval": 10, "micro_batch_size": 4}
    settings["precision"] = "bfloat16"
    killed = replace(with_dropout(config), **settings)
    for first, last in ((1, 30), (31, 60)):
        kill_at(killed, chooser.randint(first, last), chooser.uniform(0, 0.02))
    assert "going on from" in complete(killed)
    undisturbed = elsewhere(killed, "undisturbed")
    train(undisturbed)
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)
    assert [record["step"] for record in records(killed)] == list(range(101))


def test_killed_before_the_first_checkpoint(config: TrainConfig) -> None:
    killed = replace(config, checkpoint_interval=100, max_steps=60)
    kill_at(killed, 5, 0.0)
    assert not (Path(killed.out_dir) / "last").exists()
    train(killed)
    undisturbed = elsewhere(killed, "undisturbed")
    train(undisturbed)
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)


@pytest.mark.skipif(not shutil.which("g++"), reason="compiling for the CPU needs a C++ compiler, here g++")
def test_killed_and_continued_compiled(config: TrainConfig) -> None:
    model = replace(config.model, n_layer=1, dropout=0.2)
    settings = {"max_steps": 40, "checkpoint_interval": 7, "eval_interval": 10, "compile": True}
    killed = replace(config, model=model, **settings)
    undisturbed = elsewhere(killed, "undisturbed")
    assert "compiled" in complete(undisturbed)
    kill_at(killed, random.SystemRandom().randint(8, 25), 0.0)
    complete(killed)
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)


def test_two_processes_compute_what_one_does(config: TrainConfig) -> None:
    """2 processes x 2 micro-batches are 1 process x 4."""
    config = replace(config, micro_batch_size=2)
    two = elsewhere(config, "two")
    output = complete(two, *TWO)
    assert "processes 2 x accumulation 2 x micro-batch 2" in output
    assert output.count("is finished") == 1
    train(config)
    assert len(losses(two)) == 10
    for ours, theirs in zip(records(two), records(config), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert_one_goes_on_with(two, config)


def assert_one_goes_on_with(two: TrainConfig, config: TrainConfig) -> None:
    """One process goes on where two were at step 5."""
    mixed = elsewhere(config, "mixed")
    shutil.copytree(two.out_dir, mixed.out_dir)
    (Path(mixed.out_dir) / "last").write_text("step_00000005\n")
    train(mixed)
    for ours, theirs in zip(records(mixed), records(config), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_evaluating_does_not_disturb_training(config: TrainConfig) -> None:
    config = with_dropout(config)
    often = elsewhere(config, "often", eval_interval=1, eval_windows=3, log_interval=3, checkpoint_interval=2)
    train(config)
    train(often)
    assert final_files(often) == final_files(config)


@pytest.mark.parametrize("size", [1, 4])
def test_micro_batches_do_not_change_the_losses(config: TrainConfig, size: int) -> None:
    small = elsewhere(config, "small", micro_batch_size=size)
    train(config)
    train(small)
    assert losses(small) == pytest.approx(losses(config), rel=1e-5)


def test_seed_changes_weights_and_data(config: TrainConfig) -> None:
    other = elsewhere(config, "other", seed=2)
    train(config)
    train(other)
    assert losses(other)[0] != losses(config)[0]


class Member(World):
    """One of several processes, without the others: sums are what they would be if all had the same."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor * self.size

    def wait(self) -> None:
        pass

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return model


def consumed(config: TrainConfig, world: World, n_steps: int) -> list[list[bytes]]:
    """Return the sequences that each of the first steps of one process computes with."""
    training = Training(config, world)
    training.build()
    steps: list[list[bytes]] = []
    load_batch = training.load_batch

    def noting(first: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = load_batch(first)
        steps[-1] += [row.numpy().tobytes() for row in inputs]
        return inputs, targets

    training.load_batch = noting  # type: ignore[method-assign]
    for _ in range(n_steps):
        steps.append([])
        training.take_step()
    return steps


def test_any_number_of_processes_consumes_the_same_sequences(config: TrainConfig) -> None:
    alone = consumed(config, ALONE, 3)
    for size in (2, 4):
        parts = [
            consumed(replace(config, micro_batch_size=2), Member(rank, size, CPU), 3) for rank in range(size)
        ]
        for step in range(3):
            together = [row for part in parts for row in part[step]]
            assert len(together) == config.batch_size
            assert sorted(together) == sorted(alone[step])
    rows = [row for step in alone for row in step]
    assert len(set(rows)) == len(rows) == 3 * config.batch_size
    stream = TokenDataset(config.data_dir).read(0, 38_153).astype(np.int64).tobytes()
    assert all(row in stream for row in rows)


def test_loss_is_over_scored_targets_whatever_the_micro_batches(config: TrainConfig) -> None:
    """The micro-batches hold very different numbers of scored targets; each target counts the same."""
    found = []
    for size in (8, 2):
        training = Training(replace(config, micro_batch_size=size), ALONE)
        training.build()
        load_batch = training.load_batch

        def masking(first: int, load_batch=load_batch) -> tuple[torch.Tensor, torch.Tensor]:
            inputs, targets = load_batch(first)
            for row, number in enumerate(range(first, first + len(targets))):
                targets[row, 1 + 2 * number :] = IGNORED
            return inputs, targets

        training.load_batch = masking  # type: ignore[method-assign]
        training.take_step()
        (verdict,) = training.guard.verdicts(late=0)
        found.append((verdict.loss, verdict.grad_norm))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0][0] == pytest.approx(np.log(257), abs=0.3), "a mean over scored targets"


def test_dropout_is_drawn_anew_for_each_micro_batch(config: TrainConfig) -> None:
    """From the seed and the place in the run alone, so that a run that goes on draws the same."""

    def drawn(seed: int, first: int) -> int:
        training.config = replace(with_dropout(config), seed=seed)
        training.seed_dropout(first)
        return torch.initial_seed()

    training = Training(config, ALONE)
    draws = [drawn(seed, first) for seed in (1, 2) for first in (0, 4, 8, 800)]
    assert len(set(draws)) == len(draws)
    assert drawn(1, 4) == draws[1]


def test_gradients_are_clipped(config: TrainConfig) -> None:
    training = Training(replace(config, optimizer=replace(config.optimizer, grad_clip=0.01)), ALONE)
    training.build()
    norms = []

    def noting() -> None:
        gradients = [parameter.grad for parameter in training.model.parameters()]
        norms.append(
            torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
        )

    training.optimizer.step = noting  # type: ignore[method-assign, assignment]
    training.take_step()
    (verdict,) = training.guard.verdicts(late=0)
    assert verdict.grad_norm > 1, "the norm before clipping is what is logged"
    assert norms[0] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("on_nonfinite", ["stop", "skip"])
def test_a_step_asks_its_device_for_no_number(
    config: TrainConfig, on_nonfinite: Literal["stop", "skip"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors here have shapes and no numbers: to ask for one, which waits for a real device, raises."""
    monkeypatch.setattr(Training, "load_batch", lambda _training, _first: (OnTheHost(), OnTheHost()))
    monkeypatch.setattr(Training, "on_device", lambda _training, _tokens: torch.zeros(OnTheHost.shape).long())
    monkeypatch.setattr(GPT, "to", lambda model, _device: model)  # such tensors cannot be exchanged
    training = Training(replace(with_dropout(config), on_nonfinite=on_nonfinite), ALONE)
    with FakeTensorMode():
        training.build()
        for _ in range(2):
            training.take_step()
        with pytest.raises(DataDependentOutputException):
            next(training.guard.verdicts(late=0))


class OnTheHost:
    """Stands for a micro-batch's tokens before they are sent, whose numbers are there."""

    shape = (8, 16)

    def __ne__(self, _mark: object) -> Any:
        return np.ones(self.shape, dtype=bool)


def test_learning_rate_on_record_is_the_schedules(config: TrainConfig) -> None:
    train(config)
    found = [record["learning_rate"] for record in records(config) if "learning_rate" in record]
    expected = [train_module.learning_rate(step, 10, config.optimizer) for step in range(10)]
    assert found == expected


def test_diverging_run_stops_before_it_saves(config: TrainConfig) -> None:
    optimizer = replace(config.optimizer, learning_rate=1e30, warmup_steps=0, grad_clip=0.0)
    for log_interval in (1, 100):
        diverging = elsewhere(config, f"every{log_interval}", optimizer=optimizer, log_interval=log_interval)
        with pytest.raises(UserError, match=r"loss of step \d+ is nan: .*--learning_rate"):
            train(diverging)
        assert not list(Path(diverging.out_dir).glob("step_*"))


BAD = {
    "missing data": (["--data_dir=nowhere", "--batch_size=4"], ["no manifest.json in nowhere", "python prepare_data.py --out_dir=nowhere"]),
    "unknown key": (["--max_step=4"], ["--max_step", "did you mean max_steps?"]),
    "absent device": (["--device=warp"], ["device=warp", "cpu"]),
    "batch that does not divide": (["--micro_batch_size=3"], ["micro_batch_size=3", "use 2 or 4"]),
    "vocabulary of other data": (["--vocab_size=300"], ["vocab_size=300", "257"]),
    "impossible network": (["--n_head=5"], ["n_embd=32", "n_head=5"]),
    "sequences longer than the data": (["--block_size=30000"], ["30000", "too few"]),
    "kernels that are not there": (["--attention=flash"], ["flash"]),
    "another precision": (["--precision=float16"], ["float16", "bfloat16"]),
    "no config file": (["configs/nothing.py"], ["no config file configs/nothing.py"]),
}  # fmt: skip


@pytest.mark.parametrize("argv, parts", BAD.values(), ids=BAD)  # noqa: PT006
def test_bad_input_is_refused_in_process(
    config: TrainConfig,
    argv: list[str],
    parts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = argv if not argv[0].startswith("-") else [*arguments(config), *argv]
    monkeypatch.setattr(sys, "argv", ["train.py", *given])
    with pytest.raises(SystemExit) as stop:
        train_module.run_command(train_module.main)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    for part in parts:
        assert part in message
    assert not Path(config.out_dir).exists()


@pytest.mark.parametrize("name", ["missing data", "unknown key", "batch that does not divide"])
def test_bad_input_is_refused_by_the_command(config: TrainConfig, run, name: str) -> None:
    argv, parts = BAD[name]
    message = one_line_error(run("train.py", *arguments(config), *argv))
    for part in parts:
        assert part in message


def test_a_run_has_one_writer(config: TrainConfig) -> None:
    Path(config.out_dir).mkdir(parents=True)
    with locked(Path(config.out_dir)), pytest.raises(UserError, match="another process is training in"):
        train(config)
    assert train(config).step == config.max_steps


def test_memory_that_does_not_suffice_is_one_line(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_step(_training: Training) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Training, "take_step", take_step)
    with pytest.raises(
        UserError, match=r"micro_batch_size=8: cpu has not enough memory: give --micro_batch_size=4"
    ):
        train(config)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_trains_and_goes_on_on_a_gpu(config: TrainConfig, compiled: bool) -> None:
    config = replace(config, device="cuda", precision="auto", attention="auto", compile=compiled)
    train(config)
    train(replace(config, max_steps=2 * config.max_steps, extend=True))
    assert records(config)[-1]["loss"] < records(config)[1]["loss"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_waits_for_no_gpu(config: TrainConfig) -> None:
    config = replace(config, device="cuda", precision="auto", attention="auto")
    training = Training(config, World(0, 1, torch.device("cuda", 0)))
    training.build()
    training.take_step()  # makes the optimizer's state, once
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.take_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_damaged_checkpoint_is_named_and_the_one_before_it_used(config: TrainConfig, run) -> None:
    config = replace(with_dropout(config), max_steps=15, keep_checkpoints=0)
    undisturbed, out_dir = elsewhere(config, "undisturbed"), Path(config.out_dir)
    train(undisturbed)
    shutil.copytree(undisturbed.out_dir, out_dir)
    (out_dir / "last").write_text("step_00000010\n")  # as if it had been killed then
    flip_a_bit(out_dir / "step_00000010" / "model.safetensors")
    said = complete(config)
    assert "step 5 to 15" in said
    assert f"DAMAGED {out_dir}/step_00000010: model.safetensors is damaged (its sha256 differs)" in said
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    for folder in out_dir.glob("step_*"):
        flip_a_bit(folder / "optimizer.safetensors")
    message = one_line_error(run("train.py", *arguments(config)))
    assert message.count("optimizer.safetensors is damaged") == 3
    assert message.endswith("no checkpoint is left to go on from, choose another --out_dir")


def test_lost_small_files_lose_no_step(config: TrainConfig) -> None:
    """As where somebody copies the checkpoints alone."""
    config = replace(with_dropout(config), max_steps=15, keep_checkpoints=0)
    undisturbed, out_dir = elsewhere(config, "undisturbed"), Path(config.out_dir)
    train(undisturbed)
    shutil.copytree(undisturbed.out_dir, out_dir)
    shutil.rmtree(out_dir / "step_00000015")
    for name in ("last", "best", "config.json"):
        (out_dir / name).unlink()
    said = complete(config)
    assert "step 10 to 15" in said
    assert f"DAMAGED {out_dir}/config.json is missing" in said
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)


def test_full_disk_costs_a_checkpoint_and_not_the_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = checkpoint.save_file, []

    def full(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:  # the weights of the second checkpoint
            raise OSError(28, "No space left on device")
        real(*arguments)

    config = replace(config, max_steps=15)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        train(config)
    said = capsys.readouterr().out
    assert said.count("NOT SAVED: cannot write") == 1
    assert "No space left on device); the run goes on and tries again at the next checkpoint" in said
    assert {path.name for path in Path(config.out_dir).glob("step_*")} == {"step_00000005", "step_00000015"}
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
