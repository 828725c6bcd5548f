"""Training end to end: it learns, and kills, processes, micro-batches and evaluations do not change what it learns."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from conftest import (
    ALONE,
    CPU,
    ROOT,
    Ranks,
    Start,
    arguments,
    completed,
    elsewhere,
    final_files,
    flip_a_bit,
    losses,
    one_line_error,
    records,
    wait_for_step,
    with_dropout,
)
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import train as train_module
from checkpointing import checkpoint, pretrained
from checkpointing.checkpoint import Progress
from corpus.dataset import TokenDataset, batch
from evaluation.losses import Losses
from model import GPT, IGNORED
from system.errors import UserError
from system.world import World
from tools.faults.commands import Command
from train import train
from training import batches
from training import learner as learner_module
from training.batches import micro_batches
from training.config import TrainConfig
from training.guard import Guard, Verdict
from training.learner import Learner, build_learner
from training.log import RunLog
from training.optim import learning_rate
from training.plot import read_metrics
from training.requests import Due, Requests
from training.run import Run, only_trainer, open_data, open_run
from training.shard_check import ShardCheck


def kill_at(started: Command, step: int, delay: float) -> None:
    """Kill the command `delay` seconds after it has said that `step` is done."""
    wait_for_step(started, step)
    time.sleep(delay)
    os.kill(started.pid, signal.SIGKILL)
    assert started.status() == -signal.SIGKILL, started.output()


def test_loss_goes_down(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(config, max_steps=60, eval_interval=20, checkpoint_interval=30)
    progress = train(config)
    found = losses(config)
    assert len(found) == 60
    assert found[0] == pytest.approx(np.log(257), abs=0.2), "at first all tokens are as probable"
    assert np.mean(found[-5:]) < found[0] - 2
    assert progress.val_loss is not None
    assert progress.val_loss < 3.5
    assert [record["step"] for record in records(config) if "val_loss" in record] == [20, 30, 40, 60]
    out_dir = Path(config.out_dir)
    assert {path.name for path in out_dir.iterdir()} == {
        *("config.json", "metrics.jsonl", "loss.png", "last", "best", "step_00000030", "step_00000060")
    }
    text = capsys.readouterr().out
    for words in (
        "38,153 training",
        "parameters",
        "float32 (requested), eager",
        "left",
        "best so far",
    ):
        assert words in text
    assert "MFU" not in text, "no CPU's peak is known"


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is of GNU's OpenMP")
def with_optimizer(config: TrainConfig, name: Literal["adamw", "muon"]) -> TrainConfig:
    return replace(config, optimizer=replace(config.optimizer, optimizer=name))


def test_waiting_threads_let_go_of_their_cores() -> None:
    environment = {**os.environ, "OMP_DISPLAY_ENV": "verbose"}
    environment.pop("GOMP_SPINCOUNT", None)
    done = subprocess.run(
        [sys.executable, "-c", "import train"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr, "torch was imported before the setting was made"


@pytest.mark.serial
def test_killed_at_random_moments_and_continued_is_undisturbed(config: TrainConfig, start: Start) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"the seed of the moments is {seed}")
    chooser = random.Random(seed)
    settings = {"max_steps": 60, "checkpoint_interval": 7, "eval_interval": 10, "micro_batch_size": 4}
    settings["precision"] = "bfloat16"
    killed = with_optimizer(replace(with_dropout(config), **settings), "muon")
    for first, last in ((1, 20), (21, 40)):
        kill_at(start(killed), chooser.randint(first, last), chooser.uniform(0, 0.02))
    assert "resuming from" in completed(start(killed))
    undisturbed = elsewhere(killed, "undisturbed")
    train(undisturbed)
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)
    assert [record["step"] for record in records(killed)] == list(range(1, 61))


@pytest.mark.serial
def test_killed_before_the_first_checkpoint(config: TrainConfig, start: Start) -> None:
    killed = replace(config, checkpoint_interval=100, max_steps=60)
    kill_at(start(killed), 5, 0.0)
    assert not (Path(killed.out_dir) / "last").exists()
    train(killed)
    undisturbed = elsewhere(killed, "undisturbed")
    train(undisturbed)
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)


@pytest.mark.serial  # a process forked from one that has compiled may hang in the compiler
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling for the CPU needs a C++ compiler, here g++")
def test_killed_and_continued_compiled(config: TrainConfig, start: Start) -> None:
    model = replace(config.model, n_layer=1, dropout=0.2)
    settings = {"max_steps": 40, "checkpoint_interval": 7, "eval_interval": 10, "compile": True}
    killed = replace(config, model=model, **settings)
    undisturbed = elsewhere(killed, "undisturbed")
    assert "compiled" in completed(start(undisturbed))
    kill_at(start(killed), random.SystemRandom().randint(8, 25), 0.0)
    completed(start(killed))
    assert final_files(killed) == final_files(undisturbed)
    assert records(killed) == records(undisturbed)


@pytest.mark.serial
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_compute_what_one_does(
    config: TrainConfig,
    ranks: Ranks,
    optimizer: Literal["adamw", "muon"],
    parallel: Literal["ddp", "fsdp"],
) -> None:
    """2 processes x 2 micro-batches are 1 process x 4."""
    config = with_optimizer(replace(config, micro_batch_size=2), optimizer)
    tolerance = {"adamw": 1e-5, "muon": 1e-3}[optimizer]  # small singular values magnify rounding
    two = elsewhere(config, "two", parallel=parallel)
    first, second = map(completed, ranks(two, two))
    assert f"processes 2 ({parallel}) x accumulation 2 x micro-batch 2" in first
    assert first.count("is finished") == 1
    assert not second, "only the first process prints"
    train(config)
    assert len(losses(two)) == 10
    for ours, theirs in zip(records(two), records(config), strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance)
    assert_one_resumes(two, config, tolerance)


def assert_one_resumes(two: TrainConfig, config: TrainConfig, tolerance: float) -> None:
    """One process resumes where two were at step 5."""
    mixed = elsewhere(config, "mixed")
    shutil.copytree(two.out_dir, mixed.out_dir)
    (Path(mixed.out_dir) / "last").write_text("step_00000005\n")
    train(mixed)
    for ours, theirs in zip(records(mixed), records(config), strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance)


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

    def smallest(self, number: int) -> int:
        return number


def load_micro_batches(run: Run, learner: Learner, progress: Progress, world: World = ALONE) -> Iterator[Any]:
    return micro_batches(run, learner, progress, world, cast(ShardCheck, None))


def micro_batches_of(config: TrainConfig, world: World, n_steps: int) -> list[list[tuple[np.ndarray, bool]]]:
    """Return the inputs of the micro-batches of the first steps of a process, and whether each is its step's last."""
    run = open_run(config, open_data(config.data_dir), world.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner_module, "replicate", lambda model, _: model)
        learner, progress, steps = build_learner(run, world), Progress(), []
    for _ in range(n_steps):
        batches = load_micro_batches(run, learner, progress, world)
        steps.append([(inputs.numpy(), is_last) for (inputs, _), is_last in batches])
        progress = progress.stepped(config.sequences_per_step)
    return steps


def test_any_number_of_processes_consumes_the_same_sequences(config: TrainConfig) -> None:
    def rows(steps: list[list[tuple[np.ndarray, bool]]]) -> list[list[bytes]]:
        return [[row.tobytes() for inputs, _ in step for row in inputs] for step in steps]

    alone = rows(micro_batches_of(config, ALONE, 3))
    for size in (2, 4):
        small = replace(config, micro_batch_size=2)
        parts = [micro_batches_of(small, Member(rank, size, CPU), 3) for rank in range(size)]
        lasts = [is_last for _, is_last in parts[0][0]]
        assert lasts == [False] * (4 // size - 1) + [True]
        together = [[row for part in parts for row in rows(part)[step]] for step in range(3)]
        assert [sorted(step) for step in together] == [sorted(step) for step in alone]
    flat = [row for step in alone for row in step]
    assert len(set(flat)) == len(flat) == 3 * config.batch_size
    stream = TokenDataset(config.data_dir).read(0, 38_153).astype(np.int64).tobytes()
    assert all(row in stream for row in flat)


def first_verdict(monkeypatch: pytest.MonkeyPatch, config: TrainConfig) -> Verdict:
    """Return the guard's verdict of a run of one step."""
    seen: list[Verdict] = []
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "stepped", lambda _log, verdict: seen.append(verdict))
        train(replace(config, max_steps=1))
    return seen[0]


def test_loss_is_a_mean_over_scored_targets_for_any_micro_batches(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The micro-batches hold very different numbers of scored targets; each target counts the same."""

    def masked(data: TokenDataset, starts: np.ndarray, T: int, **_cut: bool) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = batch(data, starts, T)
        for row, start in enumerate(starts.tolist()):
            targets[row, 1 + start % T :] = IGNORED
        return inputs, targets

    monkeypatch.setattr(batches, "batch", masked)
    found = [
        first_verdict(monkeypatch, elsewhere(config, f"of_{size}", micro_batch_size=size)) for size in (8, 2)
    ]
    assert found[0].loss == pytest.approx(found[1].loss, rel=1e-5)
    assert found[0].grad_norm == pytest.approx(found[1].grad_norm, rel=1e-5)
    assert found[0].loss == pytest.approx(np.log(257), abs=0.3)


def test_step_without_scored_targets_changes_nothing(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unscored(
        data: TokenDataset, starts: np.ndarray, T: int, **_cut: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = batch(data, starts, T)
        return inputs, np.full_like(targets, IGNORED)

    monkeypatch.setattr(batches, "batch", unscored)
    verdict = first_verdict(monkeypatch, config)
    assert (verdict.loss, verdict.grad_norm, verdict.skipped) == (0.0, 0.0, False)


def test_dropout_is_seeded_by_the_seed_and_the_place_in_the_run(config: TrainConfig) -> None:
    def seeds(config: TrainConfig, step: int) -> list[int]:
        run = open_run(config, open_data(config.data_dir))
        batches = load_micro_batches(run, build_learner(run, ALONE), Progress(step, 8 * step))
        return [torch.initial_seed() for _ in batches]

    dropping = replace(with_dropout(config), micro_batch_size=4)
    draws = [
        seed
        for number in (1, 2)
        for step in (0, 1, 100)
        for seed in seeds(replace(dropping, seed=number), step)
    ]
    assert len(set(draws)) == len(draws) == 12
    assert seeds(dropping, 1) == draws[2:4]


def test_gradients_are_clipped(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    real = train_module.update

    def noting(optimizer: torch.optim.Optimizer, skip: torch.Tensor) -> None:
        gradients = [parameter.grad for group in optimizer.param_groups for parameter in group["params"]]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())
        real(optimizer, skip)

    monkeypatch.setattr(train_module, "update", noting)
    verdict = first_verdict(monkeypatch, replace(config, optimizer=replace(config.optimizer, grad_clip=0.01)))
    assert verdict.grad_norm > 1, "the norm before clipping is logged"
    assert norms[0] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("on_nonfinite", ["stop", "skip"])
def test_no_step_asks_its_device_for_a_number(
    config: TrainConfig, on_nonfinite: Literal["stop", "skip"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors here have shapes and no numbers: asking for one, which waits for a real device, raises."""
    monkeypatch.setattr(GPT, "to", lambda model, _device: model)  # such tensors cannot be exchanged
    monkeypatch.setattr(batches, "to_device", lambda tokens, _device: torch.zeros(tokens.shape).long())
    monkeypatch.setattr(train_module, "make_validation", lambda *_: lambda: Losses(1.0, 1.0, 1, 1))
    monkeypatch.setattr(Requests, "due", lambda _requests, step: Due(False, False, step == 2))
    for owner in (Requests, RunLog):
        monkeypatch.setattr(owner, "finish", lambda *_arguments: None)
    verdicts = Guard.verdicts
    monkeypatch.setattr(Guard, "verdicts", lambda _guard, late: iter(()))
    stepped: list[int] = []
    monkeypatch.setattr(Progress, "stepped", noting_steps(Progress.stepped, stepped))
    fake = replace(with_dropout(config), on_nonfinite=on_nonfinite, micro_batch_size=4, max_steps=2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        train(fake)
        assert len(stepped) == 2
        monkeypatch.setattr(Guard, "verdicts", verdicts)
        with pytest.raises(DataDependentOutputException):
            train(elsewhere(fake, "looking"))


def noting_steps(real: Any, steps: list[int]) -> Any:
    def noting(progress: Progress, n_sequences: int) -> Progress:
        steps.append(progress.step)
        return real(progress, n_sequences)

    return noting


def test_speed_leaves_out_evaluations_and_saves(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = learner_module.evaluate

    def slow(*arguments: Any) -> Losses:
        time.sleep(1.0)
        return real(*arguments)

    monkeypatch.setattr(learner_module, "evaluate", slow)
    train(config)
    found = read_metrics(Path(config.out_dir) / "metrics.jsonl")
    speeds = {record["step"]: record.get("tokens_per_second") for record in found if "loss" in record}
    assert speeds[6] > 150, "128 tokens in one step and an evaluation of a second"


def test_learning_rate_on_record_is_the_schedules(config: TrainConfig) -> None:
    train(config)
    found = [record["learning_rate"] for record in records(config) if "learning_rate" in record]
    expected = [learning_rate(step, 10, config.optimizer) for step in range(10)]
    assert found == expected


def test_diverging_run_stops_before_it_saves(config: TrainConfig) -> None:
    optimizer = replace(config.optimizer, learning_rate=1e30, warmup_steps=0, grad_clip=0.0)
    for log_interval in (1, 100):
        diverging = elsewhere(config, f"every{log_interval}", optimizer=optimizer, log_interval=log_interval)
        with pytest.raises(UserError, match=r"loss of step \d+ is nan; .*--learning_rate"):
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
def test_bad_input_is_one_line_in_process(
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


@pytest.mark.parametrize("name", ["missing data"])
def test_bad_input_is_one_line_by_the_command(config: TrainConfig, run, name: str) -> None:
    argv, parts = BAD[name]
    message = one_line_error(run("train.py", *arguments(config), *argv))
    for part in parts:
        assert part in message


def test_a_run_has_one_trainer_from_before_it_is_read(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a command could read the run, wait for another one to train it, and go back to what it has read."""
    real, was_locked = train_module.open_together, []

    def opened(*arguments: Any) -> Run:
        with pytest.raises(UserError, match="another process is training in"), only_trainer(out_dir):
            pass
        was_locked.append(True)
        return real(*arguments)

    out_dir = Path(config.out_dir)
    monkeypatch.setattr(train_module, "open_together", opened)
    assert train(config).step == config.max_steps
    assert was_locked
    with only_trainer(out_dir), pytest.raises(UserError, match="another process is training in"):
        train(config)


def test_commands_multiply_in_the_precision_that_they_say(config: TrainConfig) -> None:
    """float32 is not TF32, in training and in sampling."""
    for command in (lambda: train(replace(config, max_steps=1)), lambda: pretrained.load(config.out_dir)):
        torch.set_float32_matmul_precision("high")
        command()
        assert torch.get_float32_matmul_precision() == "highest"


def test_running_out_of_memory_is_one_line(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_arguments: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "clip_gradients", too_much)
        with pytest.raises(
            UserError, match=r"micro_batch_size=8: does not fit .* of cpu: use --micro_batch_size=4"
        ):
            train(config)
    monkeypatch.setattr(GPT, "to", too_much)
    with pytest.raises(UserError, match=r"the network and its optimizer: does not fit in the memory of cpu"):
        train(config)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_trains_and_resumes_on_a_gpu(config: TrainConfig, compiled: bool) -> None:
    config = replace(config, device="cuda", precision="auto", attention="auto", compile=compiled)
    train(config)
    train(replace(config, max_steps=2 * config.max_steps, extend=True))
    assert records(config)[-1]["loss"] < records(config)[1]["loss"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_does_not_wait_for_a_gpu(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        config, device="cuda", precision="auto", attention="auto", eval_interval=100, log_interval=100
    )
    real, modes = train_module.micro_batches, []

    def watched(*arguments: Any) -> Iterator[Any]:
        modes.append("error" if modes else "default")  # the first step allocates the optimizer's state
        torch.cuda.set_sync_debug_mode(modes[-1])
        yield from real(*arguments)

    def stepped(*arguments: Any) -> Progress:
        torch.cuda.set_sync_debug_mode("default")
        return done(*arguments)

    done = Progress.stepped
    monkeypatch.setattr(train_module, "micro_batches", watched)
    monkeypatch.setattr(Progress, "stepped", stepped)
    train(replace(config, max_steps=4))
    assert modes == ["default", "error", "error", "error"]


def test_corrupt_checkpoint_is_named_and_the_one_before_it_used(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(with_dropout(config), max_steps=15, keep_checkpoints=0)
    undisturbed, out_dir = elsewhere(config, "undisturbed"), Path(config.out_dir)
    train(undisturbed)
    shutil.copytree(undisturbed.out_dir, out_dir)
    (out_dir / "last").write_text("step_00000010\n")  # as if it had been killed then
    flip_a_bit(out_dir / "step_00000010" / "model.safetensors")
    train(config)
    said = capsys.readouterr().out
    assert "step 5 to 15" in said
    assert f"CORRUPT {out_dir}/step_00000010: model.safetensors is corrupt (its sha256 differs)" in said
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    for folder in out_dir.glob("step_*"):
        flip_a_bit(folder / "optimizer.safetensors")
    with pytest.raises(
        UserError,
        match=r"no checkpoint is left to resume from: delete .* to start again, or choose another --out_dir$",
    ) as error:
        train(config)
    assert str(error.value).count("optimizer.safetensors is corrupt") == 3


def test_lost_small_files_lose_no_step(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """As when somebody copies only the checkpoints."""
    config = replace(with_dropout(config), max_steps=15, keep_checkpoints=0)
    undisturbed, out_dir = elsewhere(config, "undisturbed"), Path(config.out_dir)
    train(undisturbed)
    shutil.copytree(undisturbed.out_dir, out_dir)
    shutil.rmtree(out_dir / "step_00000015")
    for name in ("last", "best", "config.json"):
        (out_dir / name).unlink()
    train(config)
    said = capsys.readouterr().out
    assert "step 10 to 15" in said
    assert f"no config.json in {out_dir}, written again: resuming from" in said
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
    assert "No space left on device); only this checkpoint is lost" in said
    assert {path.name for path in Path(config.out_dir).glob("step_*")} == {"step_00000005", "step_00000015"}
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
