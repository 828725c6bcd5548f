"""The guard: which steps nothing is learned from, on one process or several, and that nothing else changes."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import (
    ALONE,
    CPU,
    ROOT,
    Ranks,
    arguments,
    elsewhere,
    final_files,
    one_line_error,
    outcome,
    records,
    with_dropout,
)
from poison import NAN, add_poison, ended, read_autopsy, sequence_of, strict_json

import train as train_module
from checkpointing import checkpoint
from evaluation.losses import Losses
from system.errors import UserError
from train import Training, train
from training import guard as guard_module
from training.config import TrainConfig
from training.guard import FAR, RECENT, WINDOW, Guard


def weights(training: Training) -> dict[str, torch.Tensor]:
    """Return all that an update changes."""
    state = checkpoint._optimizer_tensors(training.model, training.optimizer)
    return {**training.model.weights(), **state}


def after(config: TrainConfig, n_steps: int) -> dict[str, torch.Tensor]:
    """Return weights and optimizer state after so many steps that nothing disturbs."""
    training = Training(elsewhere(config, "undisturbed"), ALONE)
    training.build()
    for _ in range(n_steps):
        training.take_step()
    return weights(training)


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def strict_records(config: TrainConfig) -> list[dict]:
    return [strict_json(line) for line in (Path(config.out_dir) / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("step", [1, 5, 7, 10])  # the first, one that would be saved, any, the last
def test_stop_leaves_the_last_good_steps_weights(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    expected = after(config, step - 1)
    add_poison(monkeypatch.setattr, config, {sequence_of(step): NAN})
    training, words = ended(config)
    found = weights(training)
    if step == 1:  # the optimizer's state is there already, and empty
        expected |= {name: torch.zeros_like(found[name]) for name in found.keys() - expected.keys()}
    assert_equal(found, expected)
    for part in (
        f"loss of step {step} is nan",
        f"{config.out_dir}/autopsy_step_{step:08d}",
        "the weights before it are good (validation loss ",
        "--on_nonfinite=skip",
        "--learning_rate",
    ):
        assert part in words
    saved = {path.name for path in Path(config.out_dir).glob("step_*")}
    assert saved == {f"step_{n:08d}" for n in {5, step - 1} if 0 < n < step}
    assert [record["step"] for record in strict_records(config)] == list(range(step))


def test_stopped_by_a_passing_fault_the_same_command_goes_on_at_once(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a device's error is, which does not come again."""
    config = with_dropout(config)
    with monkeypatch.context() as patch:
        add_poison(patch.setattr, config, {sequence_of(8): NAN})
        ended(config)
    again, steps = Training(config, ALONE), records(config)
    assert again.progress.step == 7
    train(config)
    undisturbed = elsewhere(config, "undisturbed")
    train(undisturbed)
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)
    assert records(config)[: len(steps)] == steps


@pytest.mark.parametrize(("learning_rate", "loss"), [(1e30, "nan"), (1e3, r"\d{3,}\.\d+")])
def test_bad_weights_are_not_saved(config: TrainConfig, learning_rate: float, loss: str) -> None:
    optimizer = replace(config.optimizer, learning_rate=learning_rate, warmup_steps=0, grad_clip=0.0)
    config = replace(config, optimizer=optimizer, eval_interval=100, checkpoint_interval=100, max_steps=99)
    _, words = ended(config)
    expected = (
        rf"the weights before it are bad already \(validation loss {loss}\): begin anew in another --out_dir"
    )
    assert re.search(expected, words)
    assert not list(Path(config.out_dir).glob("step_*"))


def test_weights_are_good_unless_they_are_far_above_the_best() -> None:
    guard = new_guard(sequences=400)  # the least deviation is 0.15
    for val_loss, best, good in ((4.4, 3.0, True), (4.6, 3.0, False), (NAN, 3.0, False), (50.0, None, True)):
        assert guard.are_good(val_loss, best) is good


def test_the_clock_saves_no_step_that_was_skipped(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights may be what is bad; the next good step shows that they are not."""
    config = replace(config, on_nonfinite="skip", checkpoint_minutes=1e-9, keep_checkpoints=0)
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN, sequence_of(5): NAN})
    train(config)
    saved = {int(path.name.removeprefix("step_")) for path in Path(config.out_dir).glob("step_*")}
    assert saved == {1, 2, 4, 5, 6, 7, 8, 9, 10}, "that of step 5 is due, and evaluated"


def test_skipping_leaves_the_update_out(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert [record["step"] for record in found] == list(range(11))
    assert {record["step"] for record in found if record.get("skipped")} == {3, 7}
    assert all((found[step]["loss"], found[step]["grad_norm"]) == (None, None) for step in (3, 7))
    report, sequences = read_autopsy(config, 7)
    assert (report["last_good_step"], report["skipped"], report["ends"]) == (6, True, False)
    assert report["norms_are_with_weights_of_step"] == 8, (
        "the step after it was computed before anyone looked"
    )
    assert report["activation_norms"]["transformer.h.1.mlp"] == "nan"
    assert report["gradient_norms"]
    assert sequence_of(7) in [sequence["number"] for sequence in sequences]


def test_skipped_step_is_on_record_between_two_that_are_logged(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, log_interval=5, on_nonfinite="skip")
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN})
    train(config)
    assert [record["step"] for record in strict_records(config)] == [0, 3, 5, 10]
    assert "step  3/10 | SKIPPED: the loss of step 3 is nan; autopsy in" in capsys.readouterr().out


def test_going_on_after_a_skip_is_undisturbed(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(config, on_nonfinite="skip", max_steps=20)
    add_poison(monkeypatch.setattr, config, {sequence_of(3): NAN, sequence_of(13): NAN})
    train(config)
    again = elsewhere(config, "again")
    shutil.copytree(config.out_dir, again.out_dir)
    (Path(again.out_dir) / "last").write_text("step_00000015\n")
    train(again)
    assert final_files(again) == final_files(config)
    assert records(again) == records(config)
    states = [
        json.loads((Path(run.out_dir) / "step_00000020" / "checkpoint.json").read_text())["guard"]
        for run in (config, again)
    ]
    assert states[0] == states[1]
    assert states[0]["skipped"] == [3, 13]
    assert states[0]["spread"][0] == 18


def test_stopped_run_goes_on_by_skipping(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    skipping = elsewhere(config, "skipping", on_nonfinite="skip")
    train(skipping)
    with pytest.raises(UserError, match="loss of step 7 is nan"):
        train(config)
    train(replace(config, on_nonfinite="skip"))
    assert final_files(config) == final_files(skipping)
    assert records(config) == records(skipping)


def test_branch_does_not_judge_by_its_origins_losses(config: TrainConfig) -> None:
    train(config)
    branch = elsewhere(config, "branch", branch_from=config.out_dir, max_steps=12)
    assert Training(config, ALONE).progress.guard is not None
    assert Training(branch, ALONE).progress.guard is None


def test_too_many_skips_end_the_run(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MAX_SKIPPED", 2)
    config = replace(config, on_nonfinite="skip")
    expected = after(config, 2)
    add_poison(monkeypatch.setattr, config, {sequence_of(step): NAN for step in (3, 4, 5)})
    training, words = ended(config)
    assert "loss of step 5 is nan" in words
    assert "2 steps were skipped among the 1000 before" in words
    assert "--on_nonfinite" not in words
    assert_equal(weights(training), expected)
    assert read_autopsy(config, 5)[0]["last_good_step"] == 2
    assert [record["step"] for record in strict_records(config)] == [0, 1, 2, 3, 4]
    for _ in range(2):  # whoever goes on does not begin to count anew
        again, words = ended(config)
        assert "loss of step 5 is nan" in words
        assert again.guard.state()["skipped"] == [3, 4]


def test_planted_spike_is_found(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "RECENT", 20)
    config = replace(config, max_steps=40, on_nonfinite="skip")
    factors = {sequence_of(10): -100.0, sequence_of(30): -100.0}
    add_poison(monkeypatch.setattr, config, factors, place="transformer")
    train(config)
    assert {record["step"] for record in strict_records(config) if record.get("skipped")} == {30}
    reason = read_autopsy(config, 30)[0]["reason"]
    assert "the loss of step 30 is" in reason
    assert "far above the" in reason


def test_guard_changes_nothing_in_an_undisturbed_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config)
    unguarded = elsewhere(config, "unguarded")
    monkeypatch.setattr(train_module, "update", lambda optimizer, _skip: optimizer.step())
    train(unguarded)
    assert final_files(config) == final_files(unguarded)
    assert not list(Path(config.out_dir).glob("autopsy*"))


SCRIPT = """
import os, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
import train
from training.config import parse_train_config
from system.errors import run_command
from poison import NAN, add_poison
save = train.checkpoint.save
train.checkpoint.save = lambda *arguments: (time.sleep({save_seconds}), save(*arguments))[1]
add_poison(setattr, parse_train_config(sys.argv[1:], ""), {{{sequence}: NAN}})
run_command(train.main, os._exit)
"""


def poisoned_script(config: TrainConfig, sequence: int, save_seconds: float = 0.0) -> Path:
    """Return a script that trains as train.py does, with a poisoned sequence and slow checkpoints."""
    script = Path(config.out_dir).parent / f"poisoned_{sequence}.py"
    script.write_text(SCRIPT.format(root=str(ROOT), sequence=sequence, save_seconds=save_seconds))
    return script


def test_command_ends_in_one_line(config: TrainConfig, run) -> None:
    script = poisoned_script(config, sequence_of(4))
    message = one_line_error(run(str(script), *arguments(config)))
    assert "the loss of step 4 is nan: nothing was learned from it, autopsy in" in message


def test_one_rank_of_two_stops_both(config: TrainConfig, ranks: Ranks) -> None:
    script = poisoned_script(config, sequence_of(7, place=6), save_seconds=1.0)
    started = ranks(config, config, script=script)
    ends = {1: outcome(started[1], timeout=120)}
    saved = (Path(config.out_dir) / "last").read_text()
    assert saved == "step_00000006\n", "before any process ends: its end may be that of all"
    ends[0] = outcome(started[0], timeout=120)
    for rank, (status, errors) in ends.items():
        assert status == 2, errors
        assert errors.startswith(f"error: rank {rank} of 2 on ")
        assert ": the loss of step 7 is nan" in errors
        report, sequences = read_autopsy(config, 7, f"_rank_{rank}")
        assert [row["number"] for row in sequences] == list(range(48 + 4 * rank, 52 + 4 * rank))
        assert (report["own_part_of_loss"] == "nan") == (rank == 1)
        assert report["loss"] == "nan"


def test_two_processes_skip_as_one_does(
    config: TrainConfig, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, on_nonfinite="skip")
    two = elsewhere(config, "two")
    started = ranks(two, two, script=poisoned_script(two, sequence_of(7, place=6)))
    ends = [outcome(process, timeout=120) for process in started]
    assert [status for status, _ in ends] == [0, 0], ends
    add_poison(monkeypatch.setattr, config, {sequence_of(7, place=6): NAN})
    train(config)
    assert [record["step"] for record in records(two) if record.get("skipped")] == [7]
    for ours, theirs in zip(records(two), records(config), strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert ours[key] == (value if value is None else pytest.approx(value, rel=1e-5))


def judged(guard: Guard, losses: list[float], first: int = 1, grad_norm: float = 1.0) -> list[bool]:
    """Return for each loss whether the guard skips its step."""
    norm = torch.tensor(grad_norm)
    for step, loss in enumerate(losses, first):
        guard.judge(step, 0, torch.tensor(loss), torch.tensor(loss), norm)
    return [verdict.skipped for verdict in guard.verdicts(late=0)]


def new_guard(on_nonfinite: Any = "skip", sequences: int = 400, state: dict | None = None) -> Guard:
    return Guard(CPU, on_nonfinite, sequences, 0, state)


NOISY = [4.0 + 0.2 * (-1) ** step for step in range(RECENT)]  # deviation 0.2, above the least one of 0.15


@pytest.mark.parametrize(
    ("loss", "skipped"),
    [(4.0 + 0.2 * (FAR + 0.1), True), (4.0 + 0.2 * (FAR - 0.1), False), (-100.0, False), (NAN, True)],
)
def test_far_above_is_ten_deviations(loss: float, skipped: bool) -> None:
    assert judged(new_guard(), [*NOISY, loss])[-1] is skipped
    assert judged(new_guard(), [*NOISY[1:], loss])[-1] is (loss != loss), "too few to tell"


@pytest.mark.parametrize(("sequences", "far"), [(1, 11.0), (25, 3.0), (10_000, 1.1)])
def test_deviation_has_a_floor_that_falls_with_the_batch(sequences: int, far: float) -> None:
    for distance, skipped in ((far + 0.01, True), (far - 0.01, False)):
        assert judged(new_guard(sequences=sequences), [*[2.0] * RECENT, 2.0 + distance])[-1] is skipped


@pytest.mark.parametrize("norm", [float("inf"), NAN])
def test_gradient_norm_that_is_not_finite_is_bad(norm: float) -> None:
    guard = new_guard()
    guard.judge(1, 0, torch.tensor(2.0), torch.tensor(2.0), torch.tensor(norm))
    (verdict,) = guard.verdicts(late=0)
    assert verdict.skipped
    assert verdict.reason == f"the gradient norm of step 1 is {norm}"


def test_skipped_losses_are_not_in_the_spread() -> None:
    clean, disturbed = new_guard(), new_guard()
    judged(clean, NOISY)
    judged(disturbed, [*NOISY, NAN, 1e30])
    assert clean.state()["spread"] == disturbed.state()["spread"]
    assert disturbed.state()["skipped"] == [RECENT + 1, RECENT + 2]


def test_spread_is_mean_and_deviation_of_the_first_losses() -> None:
    guard = new_guard()
    judged(guard, NOISY[:50])
    n, mean, variance = guard.state()["spread"]
    assert n == 50
    assert mean == pytest.approx(4.0, abs=1e-5)
    assert variance == pytest.approx(0.04, rel=1e-4)


def test_state_comes_back_exactly() -> None:
    guard = new_guard()
    judged(guard, [10.0 / (step + 3) for step in range(77)] + [NAN])
    state = json.loads(json.dumps(guard.state()))
    other = new_guard(state=state)
    assert torch.equal(other.spread, guard.spread)
    assert torch.equal(other.skipped, guard.skipped)


def test_last_good_step_is_none_of_the_skipped() -> None:
    guard = Guard(CPU, "skip", 400, 9, {"spread": [0.0, 0.0, 0.0], "skipped": [3, 8, 9]})
    assert guard.last_good_step == 7


def test_ten_skips_in_a_thousand_steps_are_the_limit() -> None:
    def ends(*steps: int) -> list[bool]:
        guard = new_guard()
        for step in steps:
            guard.judge(step, 0, torch.tensor(NAN), torch.tensor(NAN), torch.tensor(NAN))
        return [verdict.ends for verdict in guard.verdicts(late=0)]

    assert ends(*range(1, 11)) == [False] * 10
    assert ends(*range(1, 11), WINDOW) == [False] * 10 + [True]
    assert ends(*range(1, 11), WINDOW + 1) == [False] * 11, "the first of the ten is forgotten"


def test_nothing_is_learned_after_the_end() -> None:
    guard = new_guard("stop")
    assert judged(guard, [3.0, NAN, 3.0, 3.0]) == [False, True, True, True]


def test_verdicts_come_a_step_late() -> None:
    guard = new_guard()
    for step in (1, 2, 3):
        guard.judge(step, 0, torch.tensor(2.0), torch.tensor(2.0), torch.tensor(1.0))
        assert [verdict.step for verdict in guard.verdicts(late=1)] == ([step - 1] if step > 1 else [])
    assert [verdict.step for verdict in guard.verdicts(late=0)] == [3]


@pytest.mark.parametrize("loss", [float("inf"), NAN])
def test_validation_loss_that_is_not_finite_is_refused(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    monkeypatch.setattr(train_module, "evaluate", lambda *_arguments: Losses(loss, loss, 10, 10))
    with pytest.raises(UserError, match=rf"the validation loss of step 0 is {loss}: .*--learning_rate"):
        train(config)
    assert strict_records(config) == []
