"""The shard format and the order of training: pure functions of (seed, i), and refusals of what does not match."""

import json
from pathlib import Path

import numpy as np
import pytest

from corpus.dataset import (
    Manifest,
    Shard,
    Split,
    TokenDataset,
    batch,
    evenly_spaced_windows,
    n_training_windows,
    training_windows,
)
from corpus.tokenizer import open_tokenizer
from system.errors import UserError


def write_dataset(folder: Path, tokens: np.ndarray, shard_tokens: int, vocab_size: int = 1000) -> None:
    """Write a data folder by hand: the format is a promise to later readers, not just what the writer writes."""
    tokenizer = open_tokenizer("bytes")
    tokenizer.save(folder / "tokenizer.json")
    shards = []
    for number, start in enumerate(range(0, len(tokens), shard_tokens)):
        part = tokens[start : start + shard_tokens]
        (folder / f"train_{number:05}.bin").write_bytes(part.tobytes())
        shards.append(Shard(f"train_{number:05}.bin", len(part), part.nbytes, ""))
    manifest = Manifest(
        dtype=tokens.dtype.name,
        tokenizer={"name": "bytes", "hash": tokenizer.hash, "vocab_size": vocab_size, "end_of_text": 256},
        splits={"train": Split(1, len(tokens), len(tokens), tuple(shards)), "val": Split(0, 0, 0, ())},
        skipped_documents=0,
        source={"kind": "files", "files": []},
        options={},
    )
    (folder / "manifest.json").write_text(manifest.to_json())


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


def test_token_that_the_tokenizer_does_not_have_is_damage_of_its_shard(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(1000, dtype="<u2"), shard_tokens=100, vocab_size=503)
    dataset = TokenDataset(tmp_path)
    batch(dataset, np.array([0, 494]), block_size=8)
    with pytest.raises(UserError, match=r"train_00005.bin is damaged .*: delete .* and prepare it again"):
        batch(dataset, np.array([0, 495]), block_size=8)


@pytest.mark.parametrize("n_tokens", [16, 23, 24, 100, 8_191, 50_000])
def test_an_epoch_visits_every_window_once_and_stays_inside(n_tokens: int) -> None:
    block_size = 8
    windows = n_training_windows(n_tokens, block_size)
    for epoch in range(5):
        starts = training_windows(n_tokens, block_size, seed=3, first=epoch * windows, count=windows)
        assert starts.dtype == np.int64
        offsets = np.unique(starts % block_size)
        assert len(offsets) == 1
        assert sorted(starts // block_size) == list(range(windows))
        assert starts.min() >= 0
        assert starts.max() + block_size + 1 <= n_tokens


def test_one_more_window_would_not_fit() -> None:
    for n_tokens in range(16, 60):
        last_start = (8 - 1) + (
            n_training_windows(n_tokens, 8)
        ) * 8  # the window after the last, at the largest offset
        assert last_start + 8 + 1 > n_tokens


def test_the_order_does_not_depend_on_how_it_is_asked_for() -> None:
    whole = training_windows(5_000, 16, seed=7, first=0, count=1_000)
    by_one = [int(training_windows(5_000, 16, 7, first, 1)[0]) for first in range(1_000)]
    assert whole.tolist() == by_one
    assert training_windows(5_000, 16, 7, 250, 333).tolist() == by_one[250:583]
    assert training_windows(5_000, 16, 7, 250, 0).tolist() == []


def test_epochs_and_seeds_differ() -> None:
    windows = n_training_windows(50_000, 16)
    epochs = [training_windows(50_000, 16, 1, epoch * windows, windows) for epoch in range(20)]
    assert len({int(epoch[0] % 16) for epoch in epochs}) > 5
    orders = {tuple(epoch // 16) for epoch in epochs}
    assert len(orders) == 20
    seeds = {tuple(training_windows(50_000, 16, seed, 0, windows)) for seed in (0, 1, 2, -1, 2**70 + 5)}
    assert len(seeds) == 5


def test_the_order_is_what_it_was_when_runs_were_made() -> None:
    starts = training_windows(1_000_000, 256, seed=1337, first=0, count=4)
    assert starts.tolist() == [670_371, 834_467, 891_555, 803_747]  # a change here breaks resuming older runs


def test_every_order_of_a_few_windows_is_about_as_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(4_800):
        order = tuple(training_windows(5 * 8, 8, 0, epoch * 4, 4) // 8)
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    expected = 4_800 / 24
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 55  # 23 degrees of freedom: a fair shuffle exceeds this once in 5,000


def test_neighbours_in_a_large_order_have_nothing_to_do_with_each_other() -> None:
    windows = training_windows(100_000 * 64, 64, 0, 0, 99_000) // 64
    assert abs(np.corrcoef(windows[:-1], windows[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.arange(len(windows)), windows)[0, 1]) < 0.02


def test_too_few_tokens_are_refused_with_what_would_do() -> None:
    with pytest.raises(
        UserError, match="15 training tokens are too few for block_size 8: prepare at least 16"
    ):
        training_windows(15, 8, 0, 0, 1)
    assert training_windows(16, 8, 0, 0, 1).shape == (1,)
    with pytest.raises(UserError, match="8 validation tokens are too few for block_size 8"):
        evenly_spaced_windows(8, 8)


def test_validation_windows_are_spread_evenly_and_do_not_overlap() -> None:
    assert evenly_spaced_windows(9, 8).tolist() == [0]
    assert evenly_spaced_windows(101, 10).tolist() == list(range(0, 100, 10))
    assert evenly_spaced_windows(100, 10).tolist() == list(range(0, 90, 10))
    assert evenly_spaced_windows(101, 10, 3).tolist() == [0, 30, 60]
    assert evenly_spaced_windows(101, 10, 1_000).tolist() == list(range(0, 100, 10))


def test_a_missing_manifest_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        TokenDataset(tmp_path)
    assert str(refused.value) == (
        f"no manifest.json in {tmp_path}: run `python prepare_data.py --out_dir={tmp_path}` first"
    )
    (tmp_path / "journal.json").write_text("{}")
    with pytest.raises(UserError, match="unfinished"):
        TokenDataset(tmp_path)


def test_what_does_not_match_the_manifest_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    with pytest.raises(UserError, match="no split 'test', only train, val"):
        TokenDataset(tmp_path, "test")
    open_tokenizer("bytes").save(tmp_path / "tokenizer.json")
    content = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(content[:500])
    with pytest.raises(UserError, match=rf"not a tokenizer .*: delete {tmp_path} and prepare it again"):
        TokenDataset(tmp_path).tokenizer()
    (tmp_path / "train_00001.bin").write_bytes(b"\0" * 78)
    with pytest.raises(
        UserError, match=r"train_00001\.bin is damaged: it has 78 bytes, its manifest says 80: delete"
    ):
        TokenDataset(tmp_path)
    (tmp_path / "train_00001.bin").unlink()
    with pytest.raises(UserError, match=r"cannot open .*train_00001\.bin"):
        TokenDataset(tmp_path)


def test_a_manifest_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Manifest.read(tmp_path)
    del content["dtype"]
    for text in (json.dumps(content), "{", "[]", '"x"'):
        path.write_text(text)
        with pytest.raises(UserError, match="not a manifest"):
            Manifest.read(tmp_path)


def test_the_manifest_hash_changes_with_the_manifest(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    before = TokenDataset(tmp_path).manifest_hash
    assert TokenDataset(tmp_path).manifest_hash == before
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=50)
    assert TokenDataset(tmp_path).manifest_hash != before
