"""TensorBoard: its event files have the figures of metrics.jsonl, also after a run went back to a checkpoint."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import records

from system.errors import UserError
from train import train
from training import tensorboard_run
from training.config import TrainConfig


def events(config: TrainConfig, name: str) -> dict[int, float]:
    """Return a figure by step, as TensorBoard shows it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(Path(config.out_dir) / "tensorboard"), purge_orphaned_data=True)
    found.Reload()
    return {event.step: event.value for event in found.Scalars(name)}


@pytest.mark.filterwarnings("ignore")  # of tensorboard
def test_events_are_the_records(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(config, tensorboard=True, max_steps=12, checkpoint_interval=5)
    log = tensorboard_run.Events.log

    def stopped(self: Any, values: dict[str, float]) -> None:
        log(self, values | {"loss": -1.0})  # what a run that goes back writes again is other than before

    with monkeypatch.context() as patch:
        patch.setattr(tensorboard_run.Events, "log", stopped)
        patch.setattr("train.update", stop_after(7))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    train(config)
    own = records(config)
    shown = events(config, "loss")
    assert sorted(shown) == list(range(1, 13))
    assert [shown[step] for step in range(1, 6)] == [-1.0] * 5
    assert [shown[step] for step in range(6, 13)] == pytest.approx([record["loss"] for record in own[5:]])
    assert events(config, "val_bits_per_byte")[10] == pytest.approx(own[9]["val_bits_per_byte"])
    with pytest.raises(KeyError):
        events(config, "step")


def stop_after(n: int) -> Any:
    """Return an `update` that is interrupted in its n-th call."""
    from training.optim import update

    calls = 0

    def counted(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > n:
            raise KeyboardInterrupt
        update(*args)

    return counted


def test_without_the_package_a_new_run_does_not_start(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, tensorboard=True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        UserError, match="tensorboard=True: the package is missing: `pip install tensorboard`"
    ):
        train(config)


def test_a_full_disk_costs_figures_only(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Any, values: dict[str, float]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboard_run.Events, "log", full)
    train(replace(config, tensorboard=True))
    out = capsys.readouterr().out
    line = "TENSORBOARD failed ([Errno 28] No space left on device), training continues without it; metrics.jsonl has all"
    assert out.count(line) == 1
    assert math.isfinite(records(config)[-1]["val_loss"])
