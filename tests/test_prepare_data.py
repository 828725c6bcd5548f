"""The command: exact text back, the split, bad options in one line, progress."""

import random
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from preparing import (
    ROOT,
    content,
    decoded,
    document,
    prepare,
    some_articles,
    write_jsonl,
)

import prepare_data
from corpus import report
from corpus.dataset import TokenDataset
from corpus.manifest import Split
from corpus.report import ProgressPrinter
from corpus.tokenizer import Tokenizer
from corpus.writer import Journal
from system.errors import UserError


def test_articles_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    rows = some_articles(300)
    rows[7]["text"] = "NUL \x00, emoji 👩‍👩‍👧, 中文, <|endoftext|>, line\r\nends\n\n"
    for number in (8, 11):  # of both splits
        rows[number]["text"] = "".join(random.Random(1).choices("abcdefgh中", k=250_000))  # without a space
    rows[9]["text"], rows[10]["text"] = "", " \n "
    write_jsonl(tmp_path / "a.jsonl", rows)
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="bpe:300", shard_tokens=50_000)

    train, val = decoded(tmp_path / "out", "train"), decoded(tmp_path / "out", "val")
    expected = [document(row) for row in rows if row["text"].strip()]
    assert sorted(train + val) == sorted(expected)
    assert train == [text for text in expected if text in set(train)]
    assert val == [text for text in expected if text in set(val)]
    assert 30 < len(val) < 90

    manifest = TokenDataset(tmp_path / "out").manifest
    assert manifest.skipped_documents == 2
    for split in manifest.splits.values():
        *full, _ = split.shards
        assert [shard.tokens for shard in full] == [50_000] * len(full)
        assert len(full) > 2
    lengths = TokenDataset(tmp_path / "out").tokenizer().token_byte_lengths()
    for name, texts in (("train", train), ("val", val)):
        dataset = TokenDataset(tmp_path / "out", name)
        split = manifest.splits[name]
        assert split.documents == len(texts)
        assert split.tokens == dataset.n_tokens
        assert split.text_bytes == sum(len(text.encode()) for text in texts)
        assert split.text_bytes == lengths[dataset.read(0, dataset.n_tokens)].sum()


def test_the_split_depends_on_the_article_alone(tmp_path: Path) -> None:
    rows = some_articles(200)
    write_jsonl(tmp_path / "forward.jsonl", rows)
    write_jsonl(tmp_path / "backward.jsonl", rows[::-1])
    write_jsonl(tmp_path / "half.jsonl", rows[:100])
    for name in ("forward", "backward", "half"):
        prepare(tmp_path / name, tmp_path / f"{name}.jsonl")
    val = decoded(tmp_path / "forward", "val")
    assert decoded(tmp_path / "backward", "val") == val[::-1]
    assert decoded(tmp_path / "half", "val") == [text for text in val if text in map(document, rows[:100])]


def test_large_vocabularies_are_written_as_uint32(tmp_path: Path) -> None:
    wide = Tokenizer(
        "wide", {bytes([value]): value for value in range(256)}, r"[\s\S]", {"<|endoftext|>": 2**16}
    )
    wide.save(tmp_path / "wide.json")
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer=tmp_path / "wide.json")
    assert TokenDataset(tmp_path / "out").manifest.dtype == "uint32"
    assert set(decoded(tmp_path / "out", "train")) <= {document(row) for row in some_articles(50)}


def test_nothing_to_train_or_to_validate_on_is_rejected(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "empty.jsonl", [{"text": ""}, {"text": None}, {"text": " \n"}])
    with pytest.raises(
        UserError, match=r"source=.*empty\.jsonl: must have an article with text \(3 are empty\)"
    ):
        prepare(tmp_path / "out", tmp_path / "empty.jsonl")
    write_jsonl(tmp_path / "one.jsonl", [{"id": 1, "text": "one"}])
    with pytest.raises(UserError, match=r"one\.jsonl: one document cannot be in two splits: add others"):
        prepare(tmp_path / "out", tmp_path / "one.jsonl", validation_fraction=0.01)
    assert not (tmp_path / "out/manifest.json").exists()
    write_jsonl(tmp_path / "one.jsonl", some_articles(20))
    prepare(tmp_path / "out", tmp_path / "one.jsonl")


def test_the_fraction_suggested_for_a_small_text_works_in_the_same_folder(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(60))
    for fraction, split in ((0.0001, "val"), (0.9999, "train")):
        with pytest.raises(UserError, match=f"leaves none of the 60 .* for the split '{split}'") as error:
            prepare(tmp_path / split, tmp_path / "a.jsonl", validation_fraction=fraction)
        suggested = str(error.value).partition("set --validation_fraction=")[2].partition(" ")[0]
        prepare(tmp_path / split, tmp_path / "a.jsonl", validation_fraction=suggested)
        prepare(tmp_path / f"new {split}", tmp_path / "a.jsonl", validation_fraction=suggested)
        assert content(tmp_path / split) == content(tmp_path / f"new {split}")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tokenizer": "gtp2"}, "did you mean gpt2"),
        ({"tokenizer": "bpe:many"}, "^tokenizer=bpe:many: must be bpe:N with N at least 257"),
        ({"tokenizer": "bpe:100"}, "^tokenizer=bpe:100: must be bpe:N with N at least 257"),
        ({"tokenizer": "bpe:60000"}, r"^tokenizer=bpe:60000: the text is too small.*--tokenizer=bpe:\d+"),
        ({"validation_fraction": 1.5}, r"^validation_fraction=1\.5: must be above 0 and below 1"),
        ({"validation_fraction": 0}, r"^validation_fraction=0\.0: must be .*: train\.py evaluates on it"),
        ({"validation_fraction": "nan"}, "^validation_fraction=nan: must be"),
        ({"shard_tokens": 9_999}, "^shard_tokens=9999: must be at least 10000"),
        ({"workers": -1}, "^workers=-1: must be at least 0"),
        ({"source": "nowhere/*.txt"}, "no file matches"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, option: dict[str, Any], message: str) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "out", **{"source": tmp_path / "a.jsonl", **option})
    assert not (tmp_path / "out").exists()


def test_the_command_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud800"}\n')
    command = [
        sys.executable,
        "prepare_data.py",
        f"--source={tmp_path}/a.jsonl",
        "--tokenizer=bytes",
        "--workers=1",
    ]
    done = subprocess.run([*command, f"--out_dir={tmp_path}/out"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/a.jsonl:1 has a lone surrogate")
    assert done.stderr.count("\n") == 1


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = ["torch", "datasets", "pyarrow", "tokenizers", "tyro", "huggingface_hub"]
    code = f"import sys, prepare_data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_progress_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([100.0, 101.0, 110.0, 111.0, 130.0])
    monkeypatch.setattr(report.time, "perf_counter", lambda: next(times))
    progress = ProgressPrinter()
    for megabytes, done in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)):
        split = Split(1_000 * megabytes, 250_000 * megabytes, 1_000_000 * megabytes, ())
        progress.report(Journal({}, {}, "", splits={"train": split}), done)
    assert capsys.readouterr().out.splitlines() == [
        "3,000 articles, 750,000 tokens, 0.2 MB/s, 30%, 0 min 35 s left",
        "5,000 articles, 1,250,000 tokens, 0.1 MB/s, 50%, 0 min 38 s left",
    ]


@pytest.mark.parametrize(
    ("kind", "fraction", "split", "note"),
    [
        (
            "files",
            0.01,
            Split(2, 5_000, 5_000, ()),
            "2 validation documents: .*: add .*validation_fraction=0.15",
        ),
        (
            "files",
            0.2,
            Split(1, 500, 500, ()),
            "1 validation document: too few to judge a model by: add text",
        ),
        ("files", 0.01, Split(20, 500, 500, ()), ""),
        (
            "text",
            0.01,
            Split(1, 5_000, 5_000, ()),
            "5,000 validation tokens: .*: add .*validation_fraction=0.03",
        ),
        ("text", 0.01, Split(1, 10_000, 10_000, ()), ""),
    ],
)
def test_a_validation_split_too_small_to_judge_by_is_named(
    kind: str, fraction: float, split: Split, note: str
) -> None:
    manifest = SimpleNamespace(
        splits={"val": split}, source={"kind": kind}, options={"validation_fraction": fraction}
    )
    found = report.validation_note(manifest)
    assert bool(found) == bool(note)
    assert re.fullmatch(f"(note: {note})?", found)


def test_the_note_on_a_small_validation_split_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert re.search(r"\nnote: \d+ validation documents: too few", capsys.readouterr().out)


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepare_data.main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for field in fields(prepare_data.PrepareConfig):
        assert f"--{field.name}" in words
        explanation = words.split(f"--{field.name}")[1].partition("(default")[0]
        assert len(explanation.split()) >= 4, field.name
