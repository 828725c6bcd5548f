"""Shards that are not what the manifest says end a training before anything learned from them is kept."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Ranks, flip_a_bit, outcome

from corpus.dataset import Manifest
from system.errors import UserError
from train import train
from training import shard_check
from training.config import TrainConfig
from training.log import read_metrics
from training.shard_check import ShardCheck

SHARDS = ["train_00000.bin", "train_00003.bin", "val_00000.bin"]


@pytest.fixture
def copy(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """The config on a copy of the data, which a test may damage."""
    shutil.copytree(config.data_dir, tmp_path / "copy")
    return replace(config, data_dir=str(tmp_path / "copy"))


def damage_of(data_dir: str) -> str:
    check = ShardCheck(data_dir, Manifest.read(data_dir), active=True)
    check.hurry_on(60)
    return check.damage


def no_checkpoints(config: TrainConfig) -> bool:
    return not {"last", "best"} & set(os.listdir(config.out_dir)) and not list(
        Path(config.out_dir).glob("step_*")
    )


def test_whole_shards_are_whole(config: TrainConfig) -> None:
    assert damage_of(config.data_dir) == ""


@pytest.mark.parametrize("name", SHARDS)
def test_one_bit_is_found_and_its_shard_named(copy: TrainConfig, name: str) -> None:
    flip_a_bit(Path(copy.data_dir) / name)
    assert damage_of(copy.data_dir) == f"{copy.data_dir}/{name} is damaged (its sha256 is not the manifest's)"


def test_swapped_shards_are_found(copy: TrainConfig) -> None:
    first, second = (Path(copy.data_dir) / f"train_0000{number}.bin" for number in range(2))
    assert first.stat().st_size == second.stat().st_size
    first.rename(first.with_name("other"))
    second.rename(first)
    first.with_name("other").rename(second)
    assert "train_00000.bin is damaged" in damage_of(copy.data_dir)


def test_shard_that_cannot_be_read_is_named(copy: TrainConfig) -> None:
    (Path(copy.data_dir) / "val_00000.bin").unlink()
    assert (
        damage_of(copy.data_dir) == f"cannot read {copy.data_dir}/val_00000.bin (No such file or directory)"
    )


def test_checking_is_gentle_until_somebody_waits(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a millionth of its speed it would take minutes."""
    monkeypatch.setattr(shard_check, "SHARE", 1e-6)
    monkeypatch.setattr(shard_check, "CHUNK_BYTES", 1000)
    check = ShardCheck(config.data_dir, Manifest.read(config.data_dir), active=True)
    time.sleep(0.2)
    assert check.goes_on
    check.hurry_on(0)
    assert check.goes_on
    check.hurry_on(5)
    assert not check.goes_on
    assert check.damage == ""


def test_damage_ends_a_run_between_two_checkpoints(copy: TrainConfig) -> None:
    flip_a_bit(Path(copy.data_dir) / "train_00002.bin")
    copy = replace(copy, max_steps=3000, checkpoint_interval=3000, eval_interval=3000)
    with pytest.raises(
        UserError, match=r"train_00002.bin is damaged .*: nothing since the last checkpoint is kept"
    ):
        train(copy)
    assert no_checkpoints(copy)
    assert all(record["step"] < 3000 for record in read_metrics(Path(copy.out_dir) / "metrics.jsonl"))


def test_no_checkpoint_is_written_before_all_shards_are_checked(
    copy: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shard_check, "SHARE", 1e-6)
    monkeypatch.setattr(shard_check, "CHUNK_BYTES", 1000)
    shard = Path(copy.data_dir) / "val_00000.bin"
    content = shard.read_bytes()
    flip_a_bit(shard)
    with pytest.raises(UserError, match=r"val_00000.bin is damaged"):
        train(copy)
    assert no_checkpoints(copy)
    assert read_metrics(Path(copy.out_dir) / "metrics.jsonl")[-1]["step"] == copy.checkpoint_interval
    assert "the checkpoint waits until all shards are compared" in capsys.readouterr().out
    shard.write_bytes(content)
    assert train(copy).step == copy.max_steps


def test_all_processes_end_where_one_machine_has_damage(copy: TrainConfig, ranks: Ranks) -> None:
    """The second of two processes does not look at the shards itself: it shares the first one's machine."""
    flip_a_bit(Path(copy.data_dir) / "train_00001.bin")
    copy = replace(copy, max_steps=3000, checkpoint_interval=3000, eval_interval=3000)
    (first, errors), (second, others) = map(outcome, ranks(copy, copy))
    assert (first, second, errors.count("\n"), others.count("\n")) == (2, 2, 1, 1)
    assert f"{copy.data_dir}/train_00001.bin is damaged" in errors
    assert "another process found its shards damaged" in others
    assert no_checkpoints(copy)
