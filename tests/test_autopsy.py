"""The autopsy: what it says and where, that it computes what the step did, and that its own end hides no cause."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ALONE, CPU, losses
from poison import BATCH, NAN, add_poison, ended, read_autopsy, sequence_of

from corpus.dataset import TokenDataset, batch
from evaluation.losses import Losses
from train import Training
from training import autopsy
from training.config import TrainConfig


def test_report_says_what_and_where(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    add_poison(monkeypatch.setattr, config, {sequence_of(7): NAN})
    config = replace(config, micro_batch_size=2)
    written_when_waiting = []
    file = Path(config.out_dir) / "autopsy_step_00000007" / "report.json"
    validate = Training.validate

    def noting(training: Training) -> Losses:
        written_when_waiting.append(file.exists())
        return validate(training)

    monkeypatch.setattr(Training, "validate", noting)
    ended(config)
    assert written_when_waiting[-1], "all are, when the processes meet: none is ended while it writes"
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
    dataset = TokenDataset(config.data_dir)
    for row in sequences:
        assert row["ids"] == dataset.read(row["start"], 17).tolist()
        assert row["text"] == dataset.tokenizer().decode(row["ids"])
    broken = [name for name, value in report["activation_norms"].items() if value == "nan"]
    assert broken[0] == report["first_bad_activation"] == "transformer.h.1.mlp", "in the order of computing"
    assert report["activation_norms"]["transformer.h.0.mlp.c_fc"] > 0
    assert "transformer.h.0.attn.c_attn.weight" in report["gradient_norms"]


def test_autopsy_computes_what_the_step_did(config: TrainConfig) -> None:
    """Its losses and gradients are those of the step, and it leaves no trace in the model."""
    training = Training(config, ALONE)
    training.build()
    starts = training.data.training_starts(16, config.seed, 0, BATCH)
    suspects = autopsy.Suspects(0, starts.tolist(), *batch(training.data, starts, 16))
    findings = autopsy.examine(training.model, suspects, CPU, torch.float32)
    assert training.model.training
    assert not any(module._forward_hooks for module in training.model.modules())
    assert all(parameter.grad is None for parameter in training.model.parameters())
    training.take_step()
    (verdict,) = training.guard.verdicts(late=0)
    assert sum(findings.losses) / BATCH == pytest.approx(verdict.loss, rel=1e-5)
    assert math.hypot(*findings.gradients.values()) / BATCH == pytest.approx(verdict.grad_norm, rel=1e-4)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("write", OSError(28, "No space left on device")),
        ("examine", torch.OutOfMemoryError("CUDA\nmuch more")),
    ],
)
def test_autopsy_that_fails_does_not_hide_the_cause(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(autopsy, what, fail)
    add_poison(monkeypatch.setattr, config, {sequence_of(2): NAN})
    _, words = ended(config)
    assert "loss of step 2 is nan" in words
    assert f"{'no autopsy' if what == 'write' else 'autopsy'} in {config.out_dir}" in words
    if what == "examine":
        assert "gradient_norms" not in read_autopsy(config, 2)[0]
    else:
        assert "No space left on device" in words
