"""The guard in whole runs: bad steps change nothing, a stop keeps the weights before it, and other runs are as without it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, Ranks, elsewhere, final_files, outcome, records, with_dropout
from poison import (
    NAN,
    Enough,
    add_bad_norm,
    add_poison,
    read_autopsy,
    sequence_of,
    strict_records,
    train_until,
    train_until_stopped,
    weights,
)

import train as train_module
from evaluation.losses import Losses
from system.errors import UserError, run_command
from train import train
from training import guard as guard_module
from training import learner as learner_module
from training.config import TrainConfig
from training.run import open_data, open_run


def weights_after(config: TrainConfig, n_steps: int) -> dict[str, torch.Tensor]:
    """Return weights and optimizer state after this many undisturbed steps."""
    clip, calls = train_module.clip_gradients, []

    def clip_or_end(*arguments: object) -> None:
        calls.append(1)
        if len(calls) > n_steps:
            raise Enough
        clip(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "clip_gradients", clip_or_end)
        return weights(train_until(Enough, elsewhere(config, "undisturbed"))[0])


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def saved_steps(config: TrainConfig) -> set[int]:
    return {int(path.name.removeprefix("step_")) for path in Path(config.out_dir).glob("step_*")}


def guard_state(config: TrainConfig, step: int) -> dict:
    folder = Path(config.out_dir) / f"step_{step:08d}"
    return json.loads((folder / "checkpoint.json").read_text())["guard"]


@pytest.mark.parametrize("step", [1, 5, 7, 10])  # the first, one that would be saved, any, the last
def test_stop_keeps_the_weights_before_the_bad_step(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: int
) -> None:
    expected = weights_after(config, step - 1)
    add_poison(monkeypatch.setattr, config, {sequence_of(step): NAN})
    learner, message = train_until_stopped(config)
    found = weights(learner)
    if step == 1:  # the skipped update has made the optimizer's state: all zeros
        expected |= {name: torch.zeros_like(found[name]) for name in found.keys() - expected.keys()}
    assert_equal(found, expected)
    for part in (
        f"the loss of step {step} is nan; the update was skipped; the weights before it are good (validation loss ",
        "rerun the same command to resume (--on_nonfinite=skip leaves such steps out)",
        "start again in another --out_dir with a lower --learning_rate" if step == 1 else "--branch_from",
    ):
        assert part in message
    lines = capsys.readouterr().out
    assert f"the loss of step {step} is nan: the run stops\n" in lines
    assert f"autopsy of step {step} in {config.out_dir}/autopsy_step_{step:08d}\n" in lines
    assert saved_steps(config) == {n for n in {5, step - 1} if 0 < n < step}
    assert [record["step"] for record in strict_records(config)] == list(range(1, step))


def test_stop_removes_no_checkpoint(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier ones are the way back if the weights before the bad step turn out to be bad as well."""
    config = replace(config, checkpoint_interval=2, keep_checkpoints=2)
    add_poison(monkeypatch.setattr, config, {sequence_of(10): NAN})
    train_until_stopped(config)
    assert saved_steps(config) == {6, 8, 9}


def test_after_a_passing_fault_the_run_resumes_as_if_undisturbed(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A passing fault is a device's error, say: it does not come again."""
    config = with_dropout(config)
    with monkeypatch.context() as patch:
        add_poison(patch.setattr, config, {sequence_of(8): NAN})
        train_until_stopped(config)
    steps = records(config)
    train(config)
    assert f"resuming from {config.out_dir}/step_00000007\n" in capsys.readouterr().out
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    assert records(config)[: len(steps)] == steps


@pytest.mark.parametrize(("learning_rate", "loss"), [(1e30, "nan"), (1e3, r"\d{3,}\.\d+")])
def test_bad_weights_are_not_saved(config: TrainConfig, learning_rate: float, loss: str) -> None:
    optimizer = replace(config.optimizer, learning_rate=learning_rate, warmup_steps=0, grad_clip=0.0)
    config = replace(config, optimizer=optimizer, eval_interval=100, checkpoint_interval=100, max_steps=99)
    _, message = train_until_stopped(config)
    expected = rf"the weights before it were bad already \(validation loss {loss}\): start again in another --out_dir"
    assert re.search(expected, message)
    assert not saved_steps(config)


def test_skipped_steps_change_nothing(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = elsewhere(config, "left_out")
    with monkeypatch.context() as patch:
        calls: list[int] = []

        def leave_out(optimizer: torch.optim.Optimizer, _skip: torch.Tensor) -> None:
            calls.append(1)
            if len(calls) not in (3, 7):
                optimizer.step()

        patch.setattr(train_module, "update", leave_out)
        train(left_out)
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN, sequence_of(7): NAN})
    config = replace(config, on_nonfinite="skip")
    train(config)
    assert final_files(config) == final_files(left_out)
    found = strict_records(config)
    assert [record["step"] for record in found] == list(range(1, 11))
    assert {record["step"] for record in found if record.get("skipped")} == {3, 7}
    assert all((found[step - 1]["loss"], found[step - 1]["grad_norm"]) == (None, None) for step in (3, 7))


def test_skipped_step_is_on_record_between_two_that_are_logged(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, log_interval=5, on_nonfinite="skip")
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN})
    train(config)
    assert [record["step"] for record in strict_records(config)] == [3, 5, 10]
    place = f"{config.out_dir}/autopsy_step_00000003"
    lines = f"step  3/10 | SKIPPED: the loss of step 3 is nan\nautopsy of step 3 in {place}\n"
    assert lines in capsys.readouterr().out


def test_resuming_after_a_skip_is_undisturbed(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(config, on_nonfinite="skip", max_steps=20)
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN, sequence_of(13): NAN})
    train(config)
    again = elsewhere(config, "again")
    shutil.copytree(config.out_dir, again.out_dir)
    (Path(again.out_dir) / "last").write_text("step_00000015\n")
    train(again)
    assert final_files(again) == final_files(config)
    assert records(again) == records(config)
    state = guard_state(config, 20)
    assert guard_state(again, 20) == state
    assert state["skipped"] == [3, 13]
    assert state["spread"][0] == 18


def test_stopped_run_resumes_by_skipping(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    skipping = elsewhere(config, "skipping", on_nonfinite="skip")
    train(skipping)
    with pytest.raises(UserError, match="loss of step 7 is nan"):
        train(config)
    train(replace(config, on_nonfinite="skip"))
    assert final_files(config) == final_files(skipping)
    assert records(config) == records(skipping)


def test_branch_is_not_judged_by_its_origins_losses(config: TrainConfig) -> None:
    train(config)
    branch = elsewhere(config, "branch", branch_from=config.out_dir, max_steps=12)
    data = open_data(config.data_dir)
    assert open_run(config, data).progress.guard is not None
    assert open_run(branch, data).progress.guard is None


def test_too_many_skips_end_the_run(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MAX_SKIPPED", 2)
    config = replace(config, on_nonfinite="skip")
    expected = weights_after(config, 2)
    add_poison(monkeypatch.setattr, config, {sequence_of(step): NAN for step in (3, 4, 5)})
    learner, message = train_until_stopped(config)
    assert "the loss of step 5 is nan" in message
    assert "as were 2 of the 1000 steps before" in message
    assert "--on_nonfinite" not in message
    assert_equal(weights(learner), expected)
    assert read_autopsy(config, 5)[0]["last_good_step"] == 2
    assert [record["step"] for record in strict_records(config)] == [1, 2, 3, 4]
    for _ in range(2):  # a resumed run still counts the skips before
        assert guard_state(config, 4)["skipped"] == [3, 4]
        assert "the loss of step 5 is nan" in train_until_stopped(config)[1]
    assert saved_steps(config) == {4}


def test_planted_spike_is_found(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "SPREAD_STEPS", 20)
    config = replace(config, max_steps=40, on_nonfinite="skip")
    factors = {sequence_of(10): -100.0, sequence_of(30): -100.0}
    add_poison(monkeypatch.setattr, config, factors, place="transformer")
    train(config)
    assert {record["step"] for record in strict_records(config) if record.get("skipped")} == {30}
    reason = read_autopsy(config, 30)[0]["reason"]
    assert re.fullmatch(
        r"the loss of step 30 is \d+\.\d+, far above the recent mean \d\.\d+ \(deviation .*\)", reason
    )


def test_guard_changes_nothing_in_an_undisturbed_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config)
    unguarded = elsewhere(config, "unguarded")
    monkeypatch.setattr(train_module, "update", lambda optimizer, _skip: optimizer.step())
    train(unguarded)
    assert final_files(config) == final_files(unguarded)
    assert not list(Path(config.out_dir).glob("autopsy*"))


def test_stop_is_a_one_line_error(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(4): NAN})
    with pytest.raises(SystemExit) as end:
        run_command(lambda: train(config) and None)
    assert end.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: the loss of step 4 is nan; the update was skipped; ")
    assert errors.count("\n") == 1


def test_validation_loss_that_is_not_finite_ends_the_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Losses(NAN, NAN, 10, 10)]
    monkeypatch.setattr(learner_module, "evaluate", lambda *_arguments: found.pop(0))
    with pytest.raises(UserError, match=r"the validation loss of step 5 is nan, .*--learning_rate"):
        train(config)
    assert not saved_steps(config)
    assert [record["step"] for record in strict_records(config)] == list(range(1, 6))


SCRIPT = """
import os, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
import train
from checkpointing import checkpoint
from training.config import parse_train_config
from system.errors import run_command
from poison import NAN, add_bad_norm, add_poison
save = checkpoint.save
checkpoint.save = lambda *arguments: (time.sleep({save_seconds}), save(*arguments))[1]
add_poison(setattr, parse_train_config(sys.argv[1:], ""), {{{sequence}: NAN}})
add_bad_norm(setattr, {bad_norm_step} if os.environ["RANK"] == "1" else 0)
run_command(train.main, os._exit)
"""


def poisoned_script(
    config: TrainConfig, sequence: int, save_seconds: float = 0.0, bad_norm_step: int = 0
) -> Path:
    """Return a script that trains as train.py does, with a poisoned sequence and slow checkpoints.

    In rank 1 alone, the gradient norm of `bad_norm_step` is NaN.
    """
    script = Path(config.out_dir).parent / f"poisoned_{sequence}.py"
    words = {"sequence": sequence, "save_seconds": save_seconds, "bad_norm_step": bad_norm_step}
    script.write_text(SCRIPT.format(root=str(ROOT), **words))
    return script


@pytest.mark.serial
def test_one_rank_of_two_stops_both(config: TrainConfig, ranks: Ranks) -> None:
    script = poisoned_script(config, sequence_of(7, place=6), save_seconds=1.0)
    started = ranks(config, config, script=script)
    ends = {1: outcome(started[1])}
    # All that rank 0 writes is there before rank 1 ends, as its end may be the end of all.
    assert (Path(config.out_dir) / "last").read_text() == "step_00000006\n"
    reports = {rank: read_autopsy(config, 7, f"_rank_{rank}") for rank in (0, 1)}
    ends[0] = outcome(started[0])
    for rank, (status, errors) in ends.items():
        assert status == 2, errors
        assert errors.startswith(f"error: rank {rank} of 2 on ")
        assert ": the loss of step 7 is nan" in errors
        assert errors.count("\n") == 1
        report, sequences = reports[rank]
        assert [row["number"] for row in sequences] == list(range(48 + 4 * rank, 52 + 4 * rank))
        assert (report["own_part_of_loss"] == "nan") == (rank == 1)
        assert report["loss"] == "nan"


@pytest.mark.serial
def test_two_processes_skip_as_one_does(
    config: TrainConfig, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both, also where only one of them finds the step bad: in step 4, its gradient norm alone is not finite."""
    config = replace(config, on_nonfinite="skip")
    two = elsewhere(config, "two")
    script = poisoned_script(two, sequence_of(7, place=6), bad_norm_step=4)
    started = ranks(two, two, script=script)
    ends = [outcome(process) for process in started]
    assert [status for status, _ in ends] == [0, 0], ends
    add_poison(monkeypatch.setattr, config, {sequence_of(7, place=6): NAN})
    add_bad_norm(monkeypatch.setattr, 4)
    train(config)
    assert [record["step"] for record in records(two) if record.get("skipped")] == [4, 7]
    for ours, theirs in zip(records(two), records(config), strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert ours[key] == (value if value is None else pytest.approx(value, rel=1e-5)), key
    for rank in (0, 1):
        numbers = [row["number"] for row in read_autopsy(two, 7, f"_rank_{rank}")[1]]
        assert numbers == list(range(48 + 4 * rank, 52 + 4 * rank))
