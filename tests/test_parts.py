"""Parts of a source, merged: the folder of one machine byte for byte, also after a kill; what are not parts is named."""

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import flip_a_bit
from preparing import content, lay_out_like_the_hub, prepare, some_articles, some_texts, write_jsonl

import prepare_data
from corpus import articles, merge, writer
from corpus import config as settings
from corpus.dataset import TokenDataset, verify
from corpus.parts import file_ends
from corpus.writer import Journal
from system.errors import UserError
from system.world import start_world
from training.config import TrainConfig
from training.log import announce
from training.run import open_data, open_run


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards and batches of a few articles, read in small chunks, and a journal after each of them."""
    monkeypatch.setattr(settings, "MIN_SHARD_TOKENS", 1)
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_500)
    monkeypatch.setattr(merge, "CHUNK_BYTES", 1_024)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(writer.os, "fsync", lambda file: None)  # no power is cut here


def write_source(folder: Path, kind: str) -> str:
    """Write files of unequal sizes, and return the setting that names them."""
    if kind == "hub":
        lay_out_like_the_hub(folder)
        return str(folder)
    folder.mkdir()
    if kind == "texts":
        for number, text in enumerate(some_texts(30)):
            (folder / f"{number:02}.txt").write_text(text)
        return f"{folder}/*.txt"
    for number, n_rows in enumerate((30, 5, 80, 1, 40)):
        rows = some_articles(n_rows, seed=number)
        for row in rows:
            row["id"] = f"{number} {row['id']}"
            row["prompt"], row["completion"] = row["title"], row["text"]
        rows[0]["text"] = rows[0]["completion"] = ""  # so that one file has no document at all
        write_jsonl(folder / f"{number}.jsonl", rows)
    return f"pairs:{folder}/*.jsonl" if kind == "pairs" else f"{folder}/*.jsonl"


def prepare_parts(folder: Path, source: str, total: int, **options: Any) -> str:
    """Prepare all parts, the last one first, and return the setting that names them."""
    for number in range(total, 0, -1):
        prepare(folder / f"part {number}", source, part=f"{number}/{total}", **options)
    return ",".join(f"{folder}/part {number}" for number in range(total, 0, -1))


def merged(parts: str, out_dir: Path, *options: str) -> None:
    prepare_data.main([f"--merge={parts}", f"--out_dir={out_dir}", *options])


OPTIONS = {"shard_tokens": 2_000}


@pytest.mark.parametrize(
    ("kind", "total", "options"),
    [
        ("articles", 2, {}),
        ("articles", 5, {"tokenizer": "tokenizer"}),
        ("pairs", 3, {}),
        ("texts", 4, {"validation_fraction": 0.1}),
        ("hub", 3, {"subset": "en", "n_shards": 0}),
    ],
)
def test_merged_parts_are_the_folder_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, total: int, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    source, options = write_source(tmp_path / "source", kind), {**OPTIONS, **options}
    if "tokenizer" in options:
        prepare(tmp_path / "tokenizer", source, tokenizer="bpe:350", tokenizer_only=True)
    prepare(tmp_path / "one", source, **options)
    merged(prepare_parts(tmp_path / "parts", source, total, **options), tmp_path / "merged")
    expected = content(tmp_path / "one")
    assert len(expected) > 5
    assert content(tmp_path / "merged") == expected
    verify(tmp_path / "merged")
    for number in range(1, total + 1):
        assert verify(tmp_path / f"parts/part {number}").splits["train"].documents >= 0


def test_a_trained_tokenizer_is_that_of_the_whole_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "articles")
    prepare(tmp_path / "one", source, tokenizer="bpe:350")
    prepare(tmp_path / "tokenizer", source, tokenizer="bpe:350", tokenizer_only=True)
    assert content(tmp_path / "tokenizer") == {
        "tokenizer.json": (tmp_path / "one/tokenizer.json").read_bytes()
    }
    prepare(tmp_path / "by its file", source, tokenizer=tmp_path / "tokenizer")
    manifest, by_file = (verify(tmp_path / name) for name in ("one", "by its file"))
    assert (by_file.splits, by_file.tokenizer) == (manifest.splits, manifest.tokenizer)
    for out_dir, message in (("tokenizer", r"tokenizer\.json exists: choose"), ("one", "one holds data")):
        with pytest.raises(UserError, match=message):
            prepare(tmp_path / out_dir, source, tokenizer="bpe:300", tokenizer_only=True)
    prepare(tmp_path / "tokenizer", source, tokenizer="bpe:300", tokenizer_only=True, overwrite=True)
    assert b"bpe:300" in (tmp_path / "tokenizer/tokenizer.json").read_bytes()


class Crash(BaseException):
    """The end of the process, as far as the code under test can know."""


def crashing(steps: int) -> Iterator[None]:
    """Yield `steps` times, then end the process."""
    yield from itertools.repeat(None, steps)
    raise Crash


def test_a_merge_ended_before_any_step_to_the_disk_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_source(tmp_path / "source", "articles")
    prepare(tmp_path / "one", source, shard_tokens=30_000)
    parts = prepare_parts(tmp_path / "parts", source, 2, shard_tokens=30_000)
    for steps_before in itertools.count(0, 2):
        out_dir, steps = tmp_path / f"crash{steps_before}", crashing(steps_before)
        with monkeypatch.context() as patch:
            for place, name in ((writer.os, "fsync"), (writer.os, "replace"), (Path, "unlink")):
                real = getattr(place, name)
                patch.setattr(place, name, lambda *given, real=real, steps=steps, **keywords: (next(steps), real(*given, **keywords))[1])  # fmt: skip
            try:
                merged(parts, out_dir)
                break
            except Crash:
                pass
        merged(parts, out_dir)
        assert content(out_dir) == content(tmp_path / "one")
    assert steps_before > 20


def test_a_corrupt_part_is_named_and_the_merge_resumes_once_it_is_prepared_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_source(tmp_path / "source", "articles")
    prepare(tmp_path / "one", source, **OPTIONS)
    parts = prepare_parts(tmp_path / "parts", source, 2, **OPTIONS)
    shard = tmp_path / "parts/part 2/train_00003.bin"
    whole = shard.read_bytes()
    flip_a_bit(shard)
    with pytest.raises(UserError) as error:
        merged(parts, tmp_path / "merged")
    assert str(error.value).startswith(f"{shard} is corrupt (its sha256 differs from the manifest): delete ")
    assert "--part=2/2" in str(error.value)
    assert str(error.value).endswith(", then rerun the same command to resume")
    with pytest.raises(UserError, match="has an unfinished merge: resume it with --merge"):
        prepare(tmp_path / "merged", source, **OPTIONS)
    shard.write_bytes(whole)
    capsys.readouterr()
    merged(parts, tmp_path / "merged")
    assert re.search("^resuming in .* after [1-9]", capsys.readouterr().out, re.MULTILINE)
    assert content(tmp_path / "merged") == content(tmp_path / "one")
    merged(parts, tmp_path / "merged")
    assert "is complete, nothing to do" in capsys.readouterr().out


def test_a_merge_replaces_other_data_only_if_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "source", "articles")
    parts = prepare_parts(tmp_path / "parts", source, 2, **OPTIONS)
    prepare(tmp_path / "one", source, **OPTIONS)
    write_jsonl(tmp_path / "source/0.jsonl", some_articles(90))
    prepare(tmp_path / "old", source, **OPTIONS)
    with pytest.raises(UserError, match="old holds other data than the parts: choose another --out_dir"):
        merged(parts, tmp_path / "old")
    merged(parts, tmp_path / "old", "--overwrite")
    assert content(tmp_path / "old") == content(tmp_path / "one")
    (tmp_path / "old/manifest.json").unlink()
    with pytest.raises(UserError, match=r"old has train_00000\.bin but neither"):
        merged(parts, tmp_path / "old")
    Journal({}, {}, "", batch=1).save(tmp_path / "old")
    with pytest.raises(UserError, match="old holds other data, unfinished"):
        merged(parts, tmp_path / "old")


def test_what_are_not_all_parts_of_the_same_data_is_named(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "articles")
    prepare(tmp_path / "whole", source, **OPTIONS)
    one, two = prepare_parts(tmp_path, source, 2, **OPTIONS).split(",")[::-1]
    prepare(tmp_path / "third", source, part="3/3", **OPTIONS)
    prepare(tmp_path / "other", source, part="2/2", shard_tokens=900)
    write_jsonl(tmp_path / "source/5.jsonl", some_articles(5))
    prepare(tmp_path / "longer", source, part="2/2", **OPTIONS)
    (tmp_path / "source/4.jsonl").rename(tmp_path / "source/4b.jsonl")
    (tmp_path / "source/5.jsonl").unlink()
    prepare(tmp_path / "renamed", source, part="2/2", **OPTIONS)
    (tmp_path / "source/4b.jsonl").rename(tmp_path / "source/4.jsonl")
    write_jsonl(tmp_path / "source/4.jsonl", some_articles(500))
    prepare(tmp_path / "grown", source, part="2/2", **OPTIONS)
    for folders, message in (
        ([one], "part 2/2 missing: prepare what is missing"),
        ([tmp_path / "third"], "parts 1/3, 2/3 missing"),
        ([one, two, one], f"^part 1/2 is in {one} and in {one}: leave one out"),
        ([two, tmp_path / "whole"], "whole is not a part, it was prepared without --part: leave it out"),
        (
            [two, tmp_path / "third"],
            r"\(part 2/2\) and .*/third \(part 3/3\) .*: all must be of the same number",
        ),
        ([one, tmp_path / "other"], "shard_tokens is 2000 in one and 900 in the other"),
        ([one, tmp_path / "longer"], "the source had 5 files for one and 6 for the other"),
        ([one, tmp_path / "renamed"], "the files of the source had other names"),
        ([one, tmp_path / "grown"], "because files changed their sizes in between: prepare them again"),
        ([one, tmp_path / "nowhere"], "no folder of this name"),
        ([one, tmp_path / "source"], r"no manifest\.json in "),
        ([","], "must name the folders of all parts"),
    ):
        with pytest.raises(UserError, match=message) as error:
            merged(",".join(map(str, folders)), tmp_path / "merged")
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is one of the folders of --merge="):
        merged(f"{tmp_path}/part *", tmp_path / "part 1", "--overwrite")
    with pytest.raises(
        UserError, match="was prepared with other options: shard_tokens was 900 and is now 2000"
    ):
        merged(f"{tmp_path}/part *", tmp_path / "other")
    assert not (tmp_path / "merged").exists()


def test_parts_with_another_tokenizer_of_the_same_name_are_named(tmp_path: Path) -> None:
    source, tokenizer = write_source(tmp_path / "source", "articles"), tmp_path / "tokenizer"
    for number, size in ((1, 300), (2, 350)):
        prepare(tokenizer, source, tokenizer=f"bpe:{size}", tokenizer_only=True, overwrite=True)
        prepare(tmp_path / f"part {number}", source, tokenizer=tokenizer, part=f"{number}/2")
    with pytest.raises(UserError, match=r"cannot be merged: their tokenizer\.json differ"):
        merged(f"{tmp_path}/part *", tmp_path / "merged")


def test_a_merge_without_validation_articles_is_rejected_before_it_writes(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "texts")
    parts = prepare_parts(tmp_path / "parts", source, 2, validation_fraction=1e-9)
    assert TokenDataset(tmp_path / "parts/part 1", "val").n_tokens == 0
    with pytest.raises(UserError, match=r"leaves none of the 30 .* or add text, and prepare the parts again"):
        merged(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_needs_room_for_its_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", "articles")
    parts = prepare_parts(tmp_path / "parts", source, 2)
    usage = os.statvfs_result((4096, 4096, 1, 1, 1, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: usage)
    with pytest.raises(UserError, match=r"merging needs 0\.1 MB for .* 0\.0 MB free: make room"):
        merged(parts, tmp_path / "merged")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"part": "0/2"}, "^part=0/2: must be K/N with K from 1 to N, such as 3/16"),
        ({"part": "3/2"}, "^part=3/2: must be K/N"),
        ({"part": "3"}, "^part=3: must be K/N"),
        (
            {"part": "1/6"},
            "^part=1/6: a part reads whole files, and the source has 5 files: set N to at most 5",
        ),
        ({"part": "1/2", "source": "builtin"}, "the source has 1 file: divide it first"),
        ({"part": "1/2", "tokenizer": "bpe:300"}, "a part alone cannot train it: .*--tokenizer_only"),
        ({"part": "1/2", "tokenizer_only": True}, "^part=1/2: leave it out"),
        ({"merge": "parts/*"}, "leave it out, --merge takes the options of the parts"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, setting: dict[str, Any], message: str) -> None:
    source = write_source(tmp_path / "source", "articles")
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "out", **{"source": source, **setting})
    assert not (tmp_path / "out").exists()


def test_more_parts_than_the_files_read_of_a_dataset_name_n_shards(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "hub")
    with pytest.raises(UserError, match="the source has 1 file: set --n_shards=0 to read all files"):
        prepare(tmp_path / "out", source, subset="en", part="1/3")


def test_parts_are_never_empty_and_near_their_share_of_the_bytes() -> None:
    for sizes in ([1] * 41, [0] * 7, [900, 1, 1, 1, 1], [1, 1, 1, 1, 900], [5, 3, 8, 1, 9, 2, 7, 4] * 20):
        for total in (total for total in (1, 2, 3, 5, 16) if total <= len(sizes)):
            ends = file_ends(sizes, total)
            parts = [sizes[start:end] for start, end in itertools.pairwise([0, *ends])]
            assert all(parts)
            assert [size for part in parts for size in part] == sizes
            if max(sizes) < sum(sizes) / total:
                assert max(map(sum, parts)) <= sum(sizes) / total + max(sizes)
    assert file_ends([1] * 41, 4) == [10, 20, 31, 41]


def test_a_part_says_so_and_is_read_as_any_folder(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "articles")
    prepare(tmp_path / "part", source, part="2/3", **OPTIONS)
    manifest = TokenDataset(tmp_path / "part").manifest
    assert manifest.summary()["source"].startswith("part 2/3 ")
    written = json.loads((tmp_path / "part/manifest.json").read_text())
    assert written["source"]["part_of"]["files"] == 5
    assert [Path(file["path"]).name for file in written["source"]["files"]] == ["2.jsonl"]
    with pytest.raises(UserError, match="part was '2/3' and is now '1/3'"):
        prepare(tmp_path / "part", source, part="1/3", **OPTIONS)


def test_the_log_of_a_run_says_that_its_data_are_a_part(
    tmp_path: Path, config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "part"
    prepare(data_dir, write_source(tmp_path / "source", "articles"), part="1/3")
    announce(open_run(replace(config, data_dir=str(data_dir)), open_data(data_dir)), start_world("cpu"))
    assert f"\ndata    {data_dir} (only part 1/3 of its source): " in capsys.readouterr().out
