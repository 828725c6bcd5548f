"""The autopsy: what it says and where, that it computes what the step did, and that its own failure hides nothing."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ALONE, CPU, losses
from poison import (
    BATCH,
    NAN,
    Enough,
    add_poison,
    for_each_learner,
    read_autopsy,
    sequence_of,
    strict_records,
    train_until,
    train_until_stopped,
)
from torch import nn

import train as train_module
from checkpointing import checkpoint
from corpus.dataset import TokenDataset
from system.world import World
from train import train
from training import autopsy
from training.config import TrainConfig
from training.learner import Learner
from training.run import open_data, open_run


def n_hooks(learner: Learner) -> int:
    return sum(len(module._forward_hooks) for module in learner.model.modules())


def assert_batch_is_as_text(config: TrainConfig, sequences: list[dict[str, Any]]) -> None:
    dataset = TokenDataset(config.data_dir)
    for row in sequences:
        assert row["ids"] == dataset.read(row["start"], 17).tolist()
        assert row["text"] == dataset.tokenizer().decode(row["ids"])


def test_report_of_a_stop_says_what_and_where(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    config = replace(config, micro_batch_size=2)
    train_until_stopped(config)
    report, sequences = read_autopsy(config, 7)
    assert report["reason"] == "the loss of step 7 is nan"
    assert (report["step"], report["last_good_step"], report["sequences"]) == (7, 6, 48)
    assert (report["loss"], report["grad_norm"]) == ("nan", "nan")
    six = losses(config)
    assert report["usual_loss"] == pytest.approx(sum(six) / 6, rel=1e-5)
    assert [sequence["number"] for sequence in report["own_sequences"]] == list(range(48, 56))
    assert [n["number"] for n in report["own_sequences"] if n["loss"] == "nan"] == [sequence_of(7)]
    finite = [n for n in report["own_sequences"] if n["loss"] != "nan"]
    assert all(1 < n["loss"] < 7 and 0 < n["grad_norm"] < 100 for n in finite)
    assert_batch_is_as_text(config, sequences)
    broken = [name for name, value in report["activation_norms"].items() if value == "nan"]
    assert broken[0] == report["first_bad_activation"] == "transformer.h.1.mlp", "in the order of computing"
    assert report["activation_norms"]["transformer.h.0.mlp.c_fc"] > 0
    assert report["activation_norms"]["the output layer and its loss"] == "nan"
    assert "transformer.h.0.attn.c_attn.weight" in report["gradient_norms"]


def test_good_weights_are_saved_before_the_autopsy_and_the_processes_wait_for_both(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the autopsy ends the process, the weights are safe; no process may end while another still writes."""
    order: list[str] = []
    out_dir = Path(config.out_dir)
    write = autopsy.write

    def noting_write(*arguments: Any) -> None:
        order.append(f"autopsy, last is {checkpoint.pointed(out_dir, 'last')}")
        write(*arguments)

    def noting_wait(_world: World) -> None:
        order.append(f"wait, {[path.name for path in sorted(out_dir.glob('autopsy*/*'))]}")

    monkeypatch.setattr(autopsy, "write", noting_write)
    monkeypatch.setattr(World, "wait", noting_wait)
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    train_until_stopped(config)
    assert order == [f"autopsy, last is {out_dir / 'step_00000006'}", "wait, ['batch.jsonl', 'report.json']"]


def test_skipped_step_leaves_its_batch_and_verdict(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no norms: the weights have changed by the time that the verdict is read."""
    monkeypatch.setattr(autopsy, "examine", lambda *_arguments: pytest.fail("computed the step again"))
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    train(replace(config, on_nonfinite="skip"))
    report, sequences = read_autopsy(config, 7)
    assert report["reason"] == "the loss of step 7 is nan"
    assert (report["last_good_step"], report["skipped"], report["ends"]) == (6, True, False)
    assert not {"activation_norms", "gradient_norms", "first_bad_activation"} & report.keys()
    assert [sequence["number"] for sequence in sequences] == list(range(48, 56))
    assert all(sequence.keys() == {"number", "start", "text", "ids"} for sequence in sequences)
    assert_batch_is_as_text(config, sequences)


def test_only_the_first_skipped_steps_of_a_run_have_an_autopsy(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(step): NAN for step in (2, 3, 6, 7, 9)})
    config = replace(config, on_nonfinite="skip")
    with monkeypatch.context() as patch:  # stop in the middle: a resumed run counts on
        patch.setattr(train_module, "learning_rate", lambda step, *_: 1e-3 if step < 6 else fail(Enough()))
        train_until(Enough, config)
    train(config)
    folders = {path.name for path in Path(config.out_dir).glob("autopsy*")}
    assert folders == {f"autopsy_step_{step:08d}" for step in (2, 3, 6)}
    output = capsys.readouterr().out
    assert (
        "step  7/10 | SKIPPED: the loss of step 7 is nan\nno autopsy of step 7: only the first 3 skipped steps get one\n"
        in output
    )
    assert "no autopsy of step 9: only the first 3 skipped steps get one\n" in output


def fail(error: Exception) -> Any:
    raise error


def test_autopsy_computes_what_the_step_did(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its losses and gradients are those of the step, and it leaves no trace in the model."""
    examined: list[autopsy.Findings] = []
    run = open_run(config, open_data(config.data_dir))

    def examine_first_batch(learner: Learner) -> None:
        sequences = autopsy.step_batch(SimpleNamespace(sequences=0), run, learner, ALONE)  # type: ignore[arg-type]
        examined.append(autopsy.examine(learner.model, sequences, CPU, torch.float32))
        assert all(module.training for module in learner.model.modules())
        assert not n_hooks(learner)
        assert all(parameter.grad is None for parameter in learner.model.parameters())

    with monkeypatch.context() as patch:
        for_each_learner(patch.setattr, examine_first_batch)
        train(replace(config, max_steps=1))
    (findings,), (record,) = examined, strict_records(config)
    assert sum(findings.losses) / BATCH == pytest.approx(record["loss"], rel=1e-5)
    assert math.hypot(*findings.gradients.values()) / BATCH == pytest.approx(record["grad_norm"], rel=1e-4)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried\nmuch more")


@pytest.mark.parametrize(
    ("place", "error", "reason"),
    [
        ("write", OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        ("examine", OUT_OF_MEMORY, "OutOfMemoryError: CUDA out of memory. Tried"),
        ("step_batch", IndexError("a bug"), "IndexError: a bug"),
    ],
)
@pytest.mark.parametrize("on_nonfinite", ["stop", "skip"])
def test_autopsy_that_fails_is_one_line(
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    error: Exception,
    reason: str,
    on_nonfinite: str,
) -> None:
    monkeypatch.setattr(autopsy, place, lambda *_arguments: fail(error))
    add_poison(monkeypatch.setattr, config, {sequence_of(2): NAN})
    config = replace(config, on_nonfinite=on_nonfinite)
    line = f"no autopsy of step 2 ({reason})\n"
    if on_nonfinite == "stop":
        assert "the loss of step 2 is nan" in train_until_stopped(config)[1]
        assert checkpoint.pointed(Path(config.out_dir), "last") is not None
    else:
        assert train(config).step == 10
        line = (
            line if place != "examine" else f"autopsy of step 2 in {config.out_dir}/autopsy_step_00000002\n"
        )
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_examining_that_runs_out_of_memory_leaves_the_model_as_it_was(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """In training mode and without hooks, in the middle of a forward or of a backward pass."""
    before: list[int] = []
    add_poison(monkeypatch.setattr, config, {sequence_of(2): NAN})
    for_each_learner(monkeypatch.setattr, lambda learner: add_failure(learner, where))
    for_each_learner(monkeypatch.setattr, lambda learner: before.append(n_hooks(learner)))
    learner, message = train_until_stopped(config)
    assert "the loss of step 2 is nan" in message
    assert f"no autopsy of step 2 (OutOfMemoryError: {where})\n" in capsys.readouterr().out
    assert all(module.training for module in learner.model.modules())
    assert [n_hooks(learner)] == before
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def add_failure(learner: Learner, where: str) -> None:
    """Let the model run out of memory when it computes gradients outside training mode, as only an autopsy does."""

    def run_out(*_arguments: object) -> None:
        raise torch.OutOfMemoryError(where)

    def run_out_in_autopsy(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        if not module.training and torch.is_grad_enabled():
            run_out() if where == "forward" else output.register_hook(run_out)

    learner.model.transformer.h[1].register_forward_hook(run_out_in_autopsy)
