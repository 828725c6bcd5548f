"""The log of a run: a record a step, cut back when the run is, and the words and figures people read."""

import json
import time
from pathlib import Path

import pytest
import torch

import metrics
from config import TrainConfig
from errors import UserError
from evaluate import Losses
from metrics import RunLog, draw_losses, duration, percent, read_metrics

ABOUT = {"run_id": "abcd1234", "config": {"seed": 1}}


@pytest.fixture
def file(config: TrainConfig) -> Path:
    path = Path(config.out_dir) / "metrics.jsonl"
    path.parent.mkdir(parents=True)
    return path


def write_steps(path: Path, *steps: int, tail: str = "") -> None:
    path.write_text("".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in steps) + tail)


def opened(config: TrainConfig, step: int, on_record: bool = True, peak: float | None = None) -> RunLog:
    log = RunLog(config, flops=100, peak=peak, active=True)
    log.open(step, on_record, ABOUT)
    return log


def hold(log: RunLog, step: int, loss: float = 2.0) -> None:
    log.hold(step, torch.tensor(loss), torch.tensor(0.5), 1e-3)


@pytest.mark.parametrize(
    ("step", "on_record", "kept"),
    [(4, True, [0, 2, 4]), (4, False, [0, 2]), (3, True, [0, 2]), (0, False, []), (9, True, [0, 2, 4, 6])],
)
def test_cut_back_to_the_checkpoint(
    config: TrainConfig, file: Path, step: int, on_record: bool, kept: list[int]
) -> None:
    write_steps(file, 0, 2, 4, 6)
    opened(config, step, on_record)
    assert [record["step"] for record in read_metrics(file)] == kept


def test_line_that_a_kill_cut_short_is_dropped(config: TrainConfig, file: Path) -> None:
    write_steps(file, 0, 2, tail='{"step": 4, "lo')
    log = opened(config, 2)
    hold(log, 4)
    log.flush()
    log.close()
    assert [record["step"] for record in read_metrics(file)] == [0, 2, 4]
    assert file.read_text().endswith("}\n")


def test_a_step_has_one_record_of_all_its_figures(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0, False)
    log.evaluated(0, Losses(5.5, 8.0, 100, 99), 0.1, True)
    hold(log, 5, loss=4.5)
    log.flush()
    log.evaluated(5, Losses(4.25, 6.0, 100, 99), 0.1, True)
    log.write_record()
    hold(log, 6)
    log.flush()
    log.close()
    first, second, third = read_metrics(file)
    assert first == {"step": 0, "val_loss": 5.5, "val_bits_per_byte": 8.0}
    second.pop("tokens_per_second")
    expected = {
        "loss": 4.5,
        "learning_rate": 1e-3,
        "grad_norm": 0.5,
        "val_loss": 4.25,
        "val_bits_per_byte": 6.0,
    }
    assert second == {"step": 5, **expected}
    assert third["step"] == 6


def test_record_is_written_when_a_checkpoint_is_about_to_be(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0)
    hold(log, 3)
    log.flush()
    assert read_metrics(file) == []
    log.write_record()
    assert [record["step"] for record in read_metrics(file)] == [3]


def test_speed_counts_training_alone(config: TrainConfig, file: Path, capsys, monkeypatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    log = opened(config, 0, peak=6400.0)
    for step in (2, 4):
        now += 2.0  # two steps of 8 x 16 tokens
        hold(log, step)
        now += 50.0 if step == 4 else 1.0  # the next step's computation, or an evaluation
        log.flush()
    log.restart_clock(4)
    now += 3.0
    hold(log, 6)
    log.flush()
    log.close()
    # The second pair of steps took 1 + 2 seconds: the clock runs on while step 3 is computed.
    assert [record["tokens_per_second"] for record in read_metrics(file)] == [128.0, 85.3, 85.3]
    assert read_metrics(file)[0]["mfu"] == 2.0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == "step  2/10 | loss 2.0000 | lr 1.00e-03 | grad norm 0.50 | 128 tokens/s | MFU 200.0% | 8s left"
    )


def test_speed_of_no_steps_is_not_known(config: TrainConfig, file: Path, capsys) -> None:
    log = opened(config, 3)
    hold(log, 3)
    log.flush()
    log.close()
    assert capsys.readouterr().out.endswith("| n/a tokens/s | MFU n/a | ? left\n")
    assert "tokens_per_second" not in read_metrics(file)[0]


def test_other_processes_log_nothing(config: TrainConfig, capsys) -> None:
    log = RunLog(config, flops=100, peak=None, active=False)
    log.open(0, False, ABOUT)
    log.say("words")
    hold(log, 1)
    log.flush()
    log.write_record()
    log.close()
    assert not Path(config.out_dir).exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_is_refused(config: TrainConfig, file: Path, loss: float) -> None:
    log = opened(config, 0, False)
    hold(log, 3, loss)
    with pytest.raises(UserError, match=rf"the loss of step 3 is {loss}: .*--learning_rate"):
        log.flush()
    with pytest.raises(UserError, match=rf"the validation loss of step 4 is {loss}"):
        log.evaluated(4, Losses(loss, loss, 10, 10), 0.1, False)
    assert read_metrics(file) == []


def test_run_that_fails_keeps_the_record_it_had(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0)
    hold(log, 3)
    log.flush()
    hold(log, 4, float("nan"))
    with pytest.raises(UserError, match="the loss of step 4 is nan"), log:
        log.flush()
    assert [record["step"] for record in read_metrics(file)] == [3]


def test_full_disk_is_said_in_one_line(
    config: TrainConfig, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    log = opened(config, 0)
    hold(log, 1)
    log.flush()
    monkeypatch.setattr(metrics.os, "fsync", full)
    with pytest.raises(UserError, match=r"metrics.jsonl \(No space left on device\): make room"):
        log.write_record()


@pytest.mark.parametrize("steps", [(0,), (0, 2, 4)])
def test_picture_is_a_png(file: Path, steps: tuple[int, ...]) -> None:
    write_steps(file, *steps)
    draw_losses(file.parent)
    assert (file.parent / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert not list(file.parent.glob("*.tmp"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (42.4, "42s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3599.7, "1h 00m"),
        (7800, "2h 10m"),
        (86400 * 3 + 3600 * 4 + 59, "3d 04h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_shares_in_percent() -> None:
    assert (percent(None), percent(0.4567)) == ("n/a", "45.7%")
