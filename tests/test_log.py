"""The log of a run: one record a step, cut back with the run, and the lines people read."""

import errno
import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from checkpointing.checkpoint import Progress
from evaluation.losses import Losses
from system import files
from system.errors import UserError
from system.progress import duration
from training.config import TrainConfig
from training.guard import Verdict
from training.log import RunLog
from training.plot import plot_losses, read_metrics

ABOUT = {"run_id": "abcd1234", "config": {"seed": 1}}


@pytest.fixture
def file(config: TrainConfig) -> Path:
    path = Path(config.out_dir) / "metrics.jsonl"
    path.parent.mkdir(parents=True)
    return path


def write_steps(path: Path, *steps: int, tail: str = "") -> None:
    path.write_text("".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in steps) + tail)


def opened(config: TrainConfig, step: int, on_record: bool = True, peak: float | None = None) -> RunLog:
    log = RunLog(config, 100, peak, tokens_per_step=128, compiles=False, active=True)
    log.open(Progress(step), on_record, ABOUT)
    return log


def verdict(step: int, loss: float = 2.0, grad_norm: float = 0.5, skipped: bool = False) -> Verdict:
    return Verdict(step, 0, step - 1, time.perf_counter(), skipped, False, loss, loss, grad_norm, 2.0, 0.1)


def trained(log: RunLog, step: int, loss: float = 2.0) -> None:
    log.trained(verdict(step, loss))


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


def test_missing_records_are_reported(config: TrainConfig, file: Path, capsys) -> None:
    for kept, words in (
        ((0, 2, 4), ""),
        ((0, 2), "steps 3 to 4 are missing"),
        ((), "steps 1 to 4 are missing"),
    ):
        write_steps(file, *kept)
        log = RunLog(config, 100, None, tokens_per_step=128, compiles=False, active=True)
        log.open(Progress(5, recorded=4), True, ABOUT)
        assert words in (said := capsys.readouterr().out)
        assert ("LOST" in said) == bool(words)


def test_line_cut_short_by_a_kill_is_dropped(config: TrainConfig, file: Path) -> None:
    write_steps(file, 0, 2, tail='{"step": 4, "lo')
    log = opened(config, 2)
    trained(log, 4)
    log.flush()
    assert [record["step"] for record in read_metrics(file)] == [0, 2, 4]
    assert file.read_text().endswith("}\n")


def test_a_step_has_one_record_of_all_its_figures(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0, False)
    log.evaluated(Progress(0).evaluated(5.5, 8.0), Losses(5.5, 8.0, 100, 99))
    trained(log, 5, loss=4.5)
    log.evaluated(Progress(5).evaluated(4.25, 6.0), Losses(4.25, 6.0, 100, 99))
    log.write_record()
    trained(log, 6)
    log.flush()
    first, second, third = read_metrics(file)
    assert first == {"step": 0, "val_loss": 5.5, "val_bits_per_byte": 8.0}
    second.pop("tokens_per_second")
    expected = {
        "loss": 4.5,
        "learning_rate": pytest.approx(3e-3),
        "grad_norm": 0.5,
        "val_loss": 4.25,
        "val_bits_per_byte": 6.0,
    }
    assert second == {"step": 5, **expected}
    assert third["step"] == 6


def test_other_figures_of_a_step_are_on_record(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0)
    log.stepped(replace(verdict(3), figures={"weight_norm": 7.0}))
    log.flush()
    assert read_metrics(file)[0]["weight_norm"] == 7.0


def test_record_is_written_when_a_checkpoint_is_about_to_be(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0)
    trained(log, 3)
    assert read_metrics(file) == []
    log.write_record()
    assert [record["step"] for record in read_metrics(file)] == [3]


def test_speed_counts_training_only(config: TrainConfig, file: Path, capsys, monkeypatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    log = opened(config, 0, peak=6400.0)
    for step in (2, 4):
        now += 2.0  # two steps of 8 x 16 tokens
        trained(log, step)
        now += 50.0 if step == 4 else 1.0  # the next step's computation, or an evaluation
    log.restart_clock(4)
    now += 3.0
    trained(log, 6)
    log.flush()
    # The second pair of steps took 1 + 2 seconds: the clock runs on while step 3 is computed.
    assert [record["tokens_per_second"] for record in read_metrics(file)] == [128.0, 85.3, 85.3]
    assert read_metrics(file)[0]["mfu"] == 2.0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == "step  2/10 | loss 2.0000 | lr 1.20e-03 | grad norm 0.50 | 128 tokens/s | MFU 200.0% | 8s left"
    )


def test_speed_of_no_steps_is_unknown(config: TrainConfig, file: Path, capsys) -> None:
    log = opened(config, 3)
    trained(log, 3)
    log.flush()
    assert capsys.readouterr().out.endswith("| n/a tokens/s | ? left\n")
    assert "tokens_per_second" not in read_metrics(file)[0]


def test_other_processes_log_nothing(config: TrainConfig, capsys) -> None:
    log = RunLog(config, 100, None, tokens_per_step=128, compiles=False, active=False)
    log.open(Progress(), False, ABOUT)
    log.say("words")
    trained(log, 1)
    log.write_record()
    log.flush()
    assert not Path(config.out_dir).exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_is_null(config: TrainConfig, file: Path, loss: float) -> None:
    log = opened(config, 0, False)
    trained(log, 3, loss)
    log.stepped(verdict(3, loss, skipped=True))
    log.stepped(verdict(4, loss, loss, skipped=True))
    trained(log, 5)
    log.flush()
    third, fourth, _ = read_metrics(file)
    assert (third["step"], third["loss"], third["grad_norm"], third["skipped"]) == (3, None, 0.5, True)
    assert fourth == {"step": 4, "loss": None, "grad_norm": None, "skipped": True}
    plot_losses(file.parent, file.with_name("loss.png"))


def test_run_that_fails_keeps_the_record_it_had(config: TrainConfig, file: Path) -> None:
    log = opened(config, 0)
    trained(log, 3)
    with pytest.raises(UserError, match="diverged"), log:
        raise UserError("diverged")
    assert [record["step"] for record in read_metrics(file)] == [3]


class FullDisk:
    """A disk that takes a few bytes of each write and then no more, while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self.open = False, open
        monkeypatch.setattr(files, "open", self.opened, raising=False)

    def opened(self, path: Path, *arguments, **options):
        file = self.open(path, *arguments, **options)
        return FullFile(file) if self.full else file


class FullFile(io.FileIO):
    """An open file on it."""

    def __init__(self, file) -> None:
        super().__init__(file.name, "a")
        self.room = 5
        file.close()

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written, self.room = super().write(bytes(data)[: self.room]), 0
        return written


def test_records_are_kept_until_the_disk_has_room(
    config: TrainConfig, file: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    log = opened(config, 0)
    disk = FullDisk(monkeypatch)
    for step in range(1, 6):
        disk.full = step in (2, 3)
        trained(log, step)
        log.write_record()
        if disk.full:
            assert [record["step"] for record in read_metrics(file)] == [1]
            assert file.read_text().endswith("}\n"), "no part of a record is left"
            with pytest.raises(UserError, match=r"metrics.jsonl \(No space left on device\): make room"):
                log.flush()
        else:
            log.flush()
    assert [record["step"] for record in read_metrics(file)] == [1, 2, 3, 4, 5]
    assert capsys.readouterr().out.count("its records are kept in memory until there is room") == 1


def test_record_interrupted_while_written_is_not_doubled(
    config: TrainConfig, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    log = opened(config, 0)
    trained(log, 1)
    trained(log, 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt), log:
            log.write_record()
    assert [record["step"] for record in read_metrics(file)] == [1]


@pytest.mark.parametrize(("content", "number"), [
    ('{"step": 1}\n{"st\x00p": 2}\n{"step": 3}\n', 2), ('{"step": 1}\n[]\n', 2), ('{"step": 2}\n{"step": 2}\n', 2),
    ("\udc80\n", 1), ("{}\n", 1), ('{"step": 1}\n{"step": 3}\n7\n{"step": 4}\n', 3),
])  # fmt: skip
def test_corrupt_records_are_rejected(config: TrainConfig, file: Path, content: str, number: int) -> None:
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        UserError, match=rf"metrics.jsonl:{number} is corrupt, .*: repair that line, or move the file away"
    ):
        opened(config, 1)
    assert file.read_bytes() == content.encode(errors="surrogateescape")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_output_that_cannot_be_written_does_not_end_a_run(
    config: TrainConfig, file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_words, **_options) -> None:
        raise OSError(number, os.strerror(number))

    log = opened(config, 0)
    monkeypatch.setattr("builtins.print", fail)
    log.say("words")


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
