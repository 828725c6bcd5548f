"""The manifest: what is missing or of another kind, and the check of the shards' hashes."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import flip_a_bit
from preparing import write_dataset

from corpus import manifest
from corpus.dataset import TokenDataset, verify
from corpus.manifest import Manifest, check_shards
from system.errors import UserError
from system.files import LFS_POINTER


def test_a_missing_manifest_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Manifest.read(tmp_path)
    assert str(error.value) == (
        f"no manifest.json in {tmp_path}: run `python prepare_data.py --out_dir={tmp_path}` first"
    )
    (tmp_path / "journal.json").write_text("{}")
    with pytest.raises(UserError, match=r"unfinished: rerun .* to resume"):
        Manifest.read(tmp_path)


def test_a_manifest_of_another_kind_is_rejected(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "train_00001.bin"])
def test_a_git_lfs_pointer_is_no_damage(tmp_path: Path, name: str) -> None:
    write_dataset(tmp_path, np.arange(100, dtype="<u2"), shard_tokens=40)
    (tmp_path / name).write_bytes(LFS_POINTER + b"v1\noid sha256:00\n")
    for read in (verify, lambda folder: TokenDataset(folder).tokenizer()):
        with pytest.raises(UserError) as error:
            read(tmp_path)
        fix = f"run `git lfs pull` in {tmp_path}"
        assert str(error.value) == f"{tmp_path}/{name} is a Git LFS pointer, not the file itself: {fix}"


def test_every_damaged_shard_is_named_while_the_others_are_checked(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(4_000, dtype="<u2"), shard_tokens=1_000)
    manifest = Manifest.read(tmp_path)
    assert list(check_shards(tmp_path, manifest)) == [""] * 4
    flip_a_bit(tmp_path / "train_00001.bin")
    (tmp_path / "train_00002.bin").unlink()
    assert list(check_shards(tmp_path, manifest)) == [
        "",
        "",
        f"{tmp_path}/train_00001.bin is corrupt (its sha256 differs from the manifest)",
        f"cannot read {tmp_path}/train_00002.bin (No such file or directory)",
        "",
    ]


def test_a_check_pauses_after_each_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, np.arange(1_000, dtype="<u2"), shard_tokens=1_000)
    monkeypatch.setattr(manifest, "CHUNK_BYTES", 300)
    assert list(check_shards(tmp_path, Manifest.read(tmp_path))) == [""] * 7


def test_swapped_shards_are_found(tmp_path: Path) -> None:
    write_dataset(tmp_path, np.arange(2_000, dtype="<u2"), shard_tokens=1_000)
    first, second = (tmp_path / f"train_0000{number}.bin" for number in range(2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    found = [line for line in check_shards(tmp_path, Manifest.read(tmp_path)) if line]
    assert [line.partition(" is corrupt")[0] for line in found] == [str(first), str(second)]
