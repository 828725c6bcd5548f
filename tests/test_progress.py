"""What takes long says so: by a line in a file, with a bar on a terminal, and not at all if it is over soon."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, elsewhere, records

from model import GPT
from system import progress
from system.progress import announced, tracked
from train import train
from training.config import TrainConfig


def test_only_what_takes_long_is_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with announced("thinking"):
        pass
    assert list(tracked(range(3), "counting")) == [0, 1, 2]
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.01)
    with announced("thinking"):
        time.sleep(0.1)
    for _ in tracked(range(2), "counting"):
        time.sleep(0.1)
    for _ in tracked(range(2), "counting elsewhere", active=False):
        time.sleep(0.1)
    assert capsys.readouterr().out == "thinking ...\ncounting ...\n"


def test_nothing_is_announced_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(progress, "say", lambda *line: time.sleep(0.2) or said.append(line))
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    with announced("thinking"):
        time.sleep(0.1)
    assert said == [("thinking ...", None)]


@pytest.mark.parametrize(("rank", "said"), [("0", "loading torch ...\n"), ("1", "")])
def test_loading_torch_is_announced(tmp_path: Path, rank: str, said: str) -> None:
    (tmp_path / "torch.py").write_text("import time\ntime.sleep(2.5)\nraise SystemExit(0)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RANK": rank}
    words = [sys.executable, "train.py"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (said, "")


def test_training_says_what_it_is_doing(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data and run are printed before the model is built, which may take long."""
    slow = GPT.forward

    def forward(*arguments: object) -> torch.Tensor:
        time.sleep(0.05)
        return slow(*arguments)

    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.02)
    monkeypatch.setattr(GPT, "forward", forward)
    train(replace(config, max_steps=1, micro_batch_size=4))
    lines = capsys.readouterr().out.splitlines()
    first_words = [line.split()[0] for line in lines if not line.endswith(" ...")]
    assert first_words[:5] == ["data", "run", "model", "device", "batch"]
    assert lines.index("computing step 1 ...") < lines.index(
        next(line for line in lines if line.startswith("the first step took"))
    )
    assert "evaluating 11 sequences ..." in lines


def test_new_runs_are_not_evaluated_before_their_first_step_and_trained_ones_are(config: TrainConfig) -> None:
    """The loss of a network that has learned nothing is the logarithm of its vocabulary."""

    def evaluated(config: TrainConfig) -> list[int]:
        train(config)
        return [record["step"] for record in records(config) if "val_loss" in record]

    assert evaluated(config) == [5, 10]
    assert evaluated(elsewhere(config, "tuned", init_from=config.out_dir)) == [0, 5, 10]
    branch = elsewhere(config, "branch", branch_from=f"{config.out_dir}/step_00000005", eval_interval=3)
    assert evaluated(branch) == [5, 6, 9, 10]
