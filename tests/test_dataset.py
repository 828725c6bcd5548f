"""Shards read as one stream, batches of it, and one line for what does not match the manifest."""

from pathlib import Path

import numpy as np
import pytest
from preparing import write_dataset

from corpus.dataset import TokenDataset, batch
from corpus.tokenizer import Tokenizer, byte_tokenizer
from system.errors import UserError


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_shards_read_as_one_stream(tmp_path: Path, dtype: str) -> None:
    tokens = np.arange(1000, dtype=dtype)
    write_dataset(tmp_path, tokens, shard_tokens=64)
    dataset = TokenDataset(tmp_path, "train")
    assert dataset.n_tokens == 1000
    for start, count in [(0, 1000), (0, 64), (63, 2), (64, 64), (10, 300), (999, 1), (128, 0), (1000, 0)]:
        found = dataset.read(start, count)
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, tokens[start : start + count])
    for start, count in [(-1, 2), (990, 11), (1001, 0)]:
        with pytest.raises(ValueError, match="not all in"):
            dataset.read(start, count)
    assert dataset.tokenizer().name == "bytes"
    assert TokenDataset(tmp_path, "val").n_tokens == 0


def test_batch_gives_targets_one_token_later(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(1000, dtype="<u2"), shard_tokens=37)
    inputs, targets = batch(TokenDataset(tmp_path), np.array([0, 30, 991]), block_size=8)
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.flags.c_contiguous
    assert targets.flags.c_contiguous
    np.testing.assert_array_equal(inputs, np.array([[0], [30], [991]]) + np.arange(8))
    np.testing.assert_array_equal(targets, inputs + 1)


def test_a_token_that_the_tokenizer_does_not_have_names_its_shard(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(1000, dtype="<u2"), shard_tokens=100, vocab_size=503)
    dataset = TokenDataset(tmp_path)
    batch(dataset, np.array([0, 494]), block_size=8)
    with pytest.raises(UserError, match=r"train_00005.bin is corrupt .*: delete .* and prepare it again"):
        batch(dataset, np.array([0, 495]), block_size=8)


def test_what_does_not_match_the_manifest_is_rejected(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    with pytest.raises(UserError, match="no split 'test', only train, val"):
        TokenDataset(tmp_path, "test")
    content = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(content[:500])
    with pytest.raises(UserError, match=rf"not a tokenizer .*: delete {tmp_path} and prepare it again"):
        TokenDataset(tmp_path).tokenizer()
    ours = byte_tokenizer()
    Tokenizer("bytes", ours.ranks, ours.pattern, {"<|endoftext|>": 300}).save(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match=r"is not the tokenizer of .*manifest\.json: delete"):
        TokenDataset(tmp_path).tokenizer()
    (tmp_path / "train_00001.bin").write_bytes(b"\0" * 78)
    with pytest.raises(
        UserError, match=r"train_00001\.bin is corrupt: it has 78 bytes, its manifest says 80: delete"
    ):
        TokenDataset(tmp_path)
    (tmp_path / "train_00001.bin").unlink()
    with pytest.raises(UserError, match=r"cannot read .*train_00001\.bin"):
        TokenDataset(tmp_path)


def test_the_manifest_hash_changes_with_the_manifest(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    before = TokenDataset(tmp_path).manifest_hash
    assert TokenDataset(tmp_path).manifest_hash == before
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=50)
    assert TokenDataset(tmp_path).manifest_hash != before
