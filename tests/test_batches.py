"""A batch with a token that the tokenizer does not have: its shard is corrupt, and what may have learned from it is set aside."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import elsewhere, final_files, records

from corpus.dataset import TokenDataset
from corpus.manifest import remedy
from system.errors import UserError
from train import train
from training.config import TrainConfig
from training.shard_check import ShardCheck


def spoil_step(config: TrainConfig, step: int) -> Path:
    """Replace a token of the update that leads to `step` by an invalid one; return its shard."""
    data = TokenDataset(config.data_dir)
    position = int(data.training_starts(config.model.block_size, config.seed, (step - 1) * 8, 8)[3])
    for shard in data.manifest.splits["train"].shards:
        if position < shard.tokens:
            path = Path(config.data_dir) / shard.name
            tokens = np.fromfile(path, dtype=data.manifest.dtype)
            tokens[position] = 60_000
            tokens.tofile(path)
            return path
        position -= shard.tokens
    raise AssertionError("the position is not in the data")


@pytest.mark.parametrize("trusted", [0, 10])
def test_checkpoints_before_an_invalid_token_are_set_aside(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: int
) -> None:
    """Other tokens of the shard may be wrong as well, and were perhaps read before."""
    monkeypatch.setattr(ShardCheck, "check_slowly", lambda _check: None)  # it would be earlier
    intact = Path(config.data_dir)
    shutil.copytree(intact, tmp_path / "copy")
    config = replace(config, data_dir=str(tmp_path / "copy"))
    out_dir, longer = Path(config.out_dir), replace(config, max_steps=20, extend=True)
    if trusted:
        train(config)
    shard = spoil_step(config, trusted + 8)
    with pytest.raises(UserError) as error:
        train(longer)
    found = "the tokenizer has no such token): any checkpoint that this command saved is now *.suspect; "
    assert str(error.value).startswith(f"{shard} is ")
    assert f"{found}{remedy(config.data_dir)}, then rerun" in str(error.value)
    assert (out_dir / f"step_{trusted + 5:08d}.suspect").is_dir()
    for pointer in ("last", "best"):
        named = (out_dir / pointer).read_text() if (out_dir / pointer).exists() else ""
        assert named == (f"step_{trusted:08d}\n" if trusted else "")
    shutil.copy(intact / shard.name, shard)
    train(longer)
    undisturbed = elsewhere(config, "undisturbed")
    if trusted:
        train(undisturbed)
    train(replace(longer, out_dir=undisturbed.out_dir))
    assert final_files(config) == final_files(undisturbed)
    assert records(config) == records(undisturbed)


def test_checkpoints_before_an_invalid_validation_token_are_set_aside(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is corrupt, whichever of its shards shows it first."""
    monkeypatch.setattr(ShardCheck, "check_slowly", lambda _check: None)
    shutil.copytree(config.data_dir, tmp_path / "copy")
    config = replace(config, data_dir=str(tmp_path / "copy"), checkpoint_minutes=1e-9)
    shard = tmp_path / "copy" / "val_00000.bin"
    tokens = np.fromfile(shard, dtype=np.uint16)
    tokens[:16] = 60_000
    tokens.tofile(shard)
    with pytest.raises(
        UserError, match=r"val_00000.bin is corrupt \(.*now [*].suspect; delete .*, then rerun"
    ):
        train(config)
    found = {path.name for path in Path(config.out_dir).iterdir()}
    assert {"step_00000003.suspect", "step_00000004.suspect"} <= found
    assert not {"last", "best", "step_00000004"} & found
