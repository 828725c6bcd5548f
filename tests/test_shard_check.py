"""Corrupt shards end a run, whose checkpoints since its start are set aside; checking them never delays a save."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Ranks, elsewhere, final_files, flip_a_bit, outcome, records, with_dropout

from corpus.dataset import Manifest
from system.errors import UserError
from train import train
from training import shard_check
from training.config import TrainConfig
from training.log import read_metrics
from training.requests import Requests
from training.shard_check import ShardCheck

SHARDS = ["train_00000.bin", "train_00003.bin", "val_00000.bin"]


@pytest.fixture
def copy(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """The config on a copy of the data, which a test may damage."""
    shutil.copytree(config.data_dir, tmp_path / "copy")
    return replace(config, data_dir=str(tmp_path / "copy"))


def damage_of(data_dir: str) -> str:
    check = ShardCheck(data_dir, Manifest.read(data_dir), active=True)
    check.check_for(60)
    assert not check.is_running
    return check.damage


def test_intact_shards_pass(config: TrainConfig) -> None:
    assert damage_of(config.data_dir) == ""


@pytest.mark.parametrize("name", SHARDS)
def test_one_bit_is_found_and_its_shard_named(copy: TrainConfig, name: str) -> None:
    flip_a_bit(Path(copy.data_dir) / name)
    assert (
        damage_of(copy.data_dir)
        == f"{copy.data_dir}/{name} is corrupt (its sha256 differs from the manifest)"
    )


def test_swapped_shards_are_found(copy: TrainConfig) -> None:
    first, second = (Path(copy.data_dir) / f"train_0000{number}.bin" for number in range(2))
    assert first.stat().st_size == second.stat().st_size
    first.rename(first.with_name("other"))
    second.rename(first)
    first.with_name("other").rename(second)
    assert "train_00000.bin is corrupt" in damage_of(copy.data_dir)


def test_shard_that_cannot_be_read_is_named(copy: TrainConfig) -> None:
    (Path(copy.data_dir) / "val_00000.bin").unlink()
    assert (
        damage_of(copy.data_dir) == f"cannot read {copy.data_dir}/val_00000.bin (No such file or directory)"
    )


@pytest.fixture
def slow_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the background thread check one chunk of a few, and then pause until it is asked to hurry."""
    monkeypatch.setattr(shard_check, "SHARE", 1e-9)


def test_background_check_pauses_until_it_is_hurried(config: TrainConfig, slow_check: None) -> None:
    check = ShardCheck(config.data_dir, Manifest.read(config.data_dir), active=True)
    time.sleep(0.2)
    assert check.is_running
    check.check_for(0)
    assert check.is_running
    check.check_for(60)
    assert not check.is_running
    assert check.damage == ""


def test_check_that_fails_is_not_taken_for_intact_data(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails, in the thread or at the end of the run, which it does not harm."""

    def failing(*_arguments: object) -> Iterator[str]:
        yield ""
        raise MemoryError("no room for a chunk\nlong story")

    monkeypatch.setattr(shard_check, "check_shards", failing)
    train(config)
    said = capsys.readouterr()
    assert said.out.count("the check of the shards failed (MemoryError: no room for a chunk)\n") == 1
    advice = (
        f"some shards are not checked: run `python prepare_data.py --verify --out_dir={config.data_dir}`\n"
    )
    assert said.out.count(advice) == 1
    assert not said.err


def test_only_the_active_process_checks(copy: TrainConfig) -> None:
    flip_a_bit(Path(copy.data_dir) / SHARDS[0])
    check = ShardCheck(copy.data_dir, Manifest.read(copy.data_dir), active=False)
    check.check_for(60)
    assert (check.is_running, check.damage) == (False, "")


def test_damage_stops_a_run_between_two_checkpoints(copy: TrainConfig) -> None:
    flip_a_bit(Path(copy.data_dir) / "train_00002.bin")
    copy = replace(copy, max_steps=3000, checkpoint_interval=3000, eval_interval=3000)
    with pytest.raises(
        UserError,
        match=r"train_00002.bin is corrupt .*: any checkpoint that this command saved is now [*].suspect",
    ):
        train(copy)
    assert not list(Path(copy.out_dir).glob("step_*"))
    assert all(record["step"] < 3000 for record in read_metrics(Path(copy.out_dir) / "metrics.jsonl"))


def test_damage_found_after_saves_sets_them_aside(
    copy: TrainConfig, slow_check: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No save waits for the check. It ends with the run, and rerunning the command starts from before the damage."""
    copy = with_dropout(copy)
    train(copy)
    undisturbed = elsewhere(copy, "undisturbed", max_steps=20, extend=True)
    shutil.copytree(copy.out_dir, undisturbed.out_dir)
    train(undisturbed)
    shard = Path(copy.data_dir) / "val_00000.bin"
    content = shard.read_bytes()
    flip_a_bit(shard)
    longer = replace(copy, max_steps=20, extend=True, keep_checkpoints=1)
    capsys.readouterr()
    with pytest.raises(UserError, match=r"val_00000.bin is corrupt"):
        train(longer)
    assert capsys.readouterr().out.count("saved ") == 2
    out_dir = Path(copy.out_dir)
    found = {path.name for path in out_dir.glob("step_*")}
    assert found == {"step_00000010", "step_00000020.suspect"}, (
        "what the run returns to is kept till the check ends"
    )
    assert {(out_dir / pointer).read_text() for pointer in ("last", "best")} == {"step_00000010\n"}
    shard.write_bytes(content)
    assert train(longer).step == 20
    assert final_files(longer) == final_files(undisturbed)
    assert records(longer) == records(undisturbed)


def test_first_run_with_damage_starts_again_from_nothing(copy: TrainConfig, slow_check: None) -> None:
    flip_a_bit(Path(copy.data_dir) / "val_00000.bin")
    with pytest.raises(UserError, match=r"val_00000.bin is corrupt"):
        train(copy)
    names = {path.name for path in Path(copy.out_dir).iterdir()}
    assert {"step_00000005.suspect", "step_00000010.suspect"} <= names
    assert not {"last", "best", "step_00000005", "step_00000010"} & names


def test_run_stopped_by_a_signal_does_not_wait_for_the_check(
    copy: TrainConfig, slow_check: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(requests: Requests) -> tuple[bool, bool]:
        requests.stopped_by = "SIGTERM"
        return True, False

    flip_a_bit(Path(copy.data_dir) / "val_00000.bin")
    real, calls = Requests.agreed, []

    def agreed(requests: Requests) -> tuple[bool, bool]:
        calls.append(1)
        return stopped(requests) if len(calls) == 4 else real(requests)

    monkeypatch.setattr(Requests, "agreed", agreed)
    assert train(copy).step == 3
    assert (Path(copy.out_dir) / "last").read_text() == "step_00000003\n"


@pytest.mark.serial
def test_all_processes_stop_where_one_machine_has_damage(copy: TrainConfig, ranks: Ranks) -> None:
    """The second of two processes does not check the shards itself: it shares the first one's machine."""
    flip_a_bit(Path(copy.data_dir) / "train_00001.bin")
    copy = replace(copy, max_steps=3000, checkpoint_interval=3000, eval_interval=3000)
    (first, errors), (second, others) = map(outcome, ranks(copy, copy))
    assert (first, second, errors.count("\n"), others.count("\n")) == (2, 2, 1, 1)
    assert f"{copy.data_dir}/train_00001.bin is corrupt" in errors
    assert "another process found a corrupt shard" in others
    assert not list(Path(copy.out_dir).glob("step_*"))
