"""Preparing data: exact text back, going on after a kill at any moment, and one line for every bad input."""

import gzip
import io
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import articles
import prepare_data
import shards
import sources
from articles import Batch, documents, read_batches
from data import Split, TokenDataset
from errors import UserError
from prepare_data import training_sample
from tokenizer import open_tokenizer
from workers import TokenizedBatch, Worker, WorkerPool

ROOT = Path(__file__).parents[1]
WORDS = "lorem ipsum dolor sit amet café 中文 😀 1999 isn't".split()


def some_articles(n: int, seed: int = 0) -> list[dict[str, Any]]:
    chooser = random.Random(seed)
    return [
        {
            "id": str(number),
            "url": f"https://example.org/{number}",
            "title": f"Title {number}",
            "text": " ".join(chooser.choices(WORDS, k=chooser.randrange(5, 80))) + "\n",
        }
        for number in range(n)
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def document(row: dict[str, Any]) -> str:
    return f"{row['title']}\n\n{row['text']}"


def decoded(out_dir: Path, split: str) -> list[str]:
    """Return the documents of a split, cut at end-of-text."""
    dataset = TokenDataset(out_dir, split)
    tokenizer = dataset.tokenizer()
    tokens = dataset.read(0, dataset.n_tokens)
    ends = np.flatnonzero(tokens == tokenizer.end_of_text)
    assert dataset.n_tokens == (ends[-1] + 1 if len(ends) else 0)
    return [tokenizer.decode(part[:-1].tolist()) for part in np.split(tokens, ends + 1)[:-1]]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenize in this process: what is tested does not depend on where."""

    class InProcess(WorkerPool):
        def __init__(self, workers: int) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

        def tokenized(
            self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
        ) -> Iterator[TokenizedBatch]:
            yield from map(Worker(tokenizer_path, validation_fraction).tokenize, batches)

    monkeypatch.setattr(prepare_data, "WorkerPool", InProcess)


def prepare(out_dir: Path, source: Path | str, **options: Any) -> None:
    settings = {"tokenizer": "bytes", "validation_fraction": 0.2, **options}
    prepare_data.main(
        [f"--out_dir={out_dir}", f"--source={source}", *(f"--{k}={v}" for k, v in settings.items())]
    )


# What comes out


def test_articles_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    rows = some_articles(300)
    rows[7]["text"] = "NUL \x00, emoji 👩‍👩‍👧, 中文, <|endoftext|>, line\r\nends\n\n"
    rows[8]["text"] = "".join(
        random.Random(1).choices("abcdefgh中", k=10_000_000)
    )  # ten million characters, no space
    rows[9]["text"], rows[10]["text"] = "", " \n "
    write_jsonl(tmp_path / "a.jsonl", rows)
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="bpe:300", shard_tokens=1_000_000, workers=2)

    train, val = decoded(tmp_path / "out", "train"), decoded(tmp_path / "out", "val")
    expected = [document(row) for row in rows if row["text"].strip()]
    assert sorted(train + val) == sorted(expected)
    assert train == [text for text in expected if text in set(train)]
    assert val == [text for text in expected if text in set(val)]
    assert 30 < len(val) < 90

    manifest = TokenDataset(tmp_path / "out").manifest
    assert manifest.skipped_documents == 2
    assert [shard.tokens for shard in manifest.splits["train"].shards[:-1]] == [1_000_000] * (
        len(manifest.splits["train"].shards) - 1
    )
    lengths = TokenDataset(tmp_path / "out").tokenizer().token_byte_lengths()
    for name, texts in (("train", train), ("val", val)):
        dataset = TokenDataset(tmp_path / "out", name)
        split = manifest.splits[name]
        assert split.documents == len(texts)
        assert split.tokens == dataset.n_tokens
        assert split.text_bytes == sum(len(text.encode()) for text in texts)
        assert split.text_bytes == lengths[dataset.read(0, dataset.n_tokens)].sum()


def test_the_split_depends_on_the_article_alone(tmp_path: Path, no_processes: None) -> None:
    rows = some_articles(200)
    write_jsonl(tmp_path / "forward.jsonl", rows)
    write_jsonl(tmp_path / "backward.jsonl", rows[::-1])
    write_jsonl(tmp_path / "half.jsonl", rows[:100])
    for name in ("forward", "backward", "half"):
        prepare(tmp_path / name, tmp_path / f"{name}.jsonl")
    val = decoded(tmp_path / "forward", "val")
    assert decoded(tmp_path / "backward", "val") == val[::-1]
    assert decoded(tmp_path / "half", "val") == [text for text in val if text in map(document, rows[:100])]


def test_any_number_of_workers_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    write_jsonl(tmp_path / "a.jsonl", some_articles(300))
    for workers in (1, 3):
        prepare(tmp_path / f"out{workers}", tmp_path / "a.jsonl", shard_tokens=10_000, workers=workers)
    assert content(tmp_path / "out1") == content(tmp_path / "out3")
    assert set(content(tmp_path / "out1")) > {
        "manifest.json",
        "tokenizer.json",
        "train_00001.bin",
        "val_00000.bin",
    }


def test_large_vocabularies_are_written_as_uint32(tmp_path: Path, no_processes: None) -> None:
    wide = prepare_data.Tokenizer(
        "wide", {bytes([value]): value for value in range(256)}, r"[\s\S]", {"<|endoftext|>": 2**16}
    )
    wide.save(tmp_path / "wide.json")
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer=tmp_path / "wide.json")
    assert TokenDataset(tmp_path / "out").manifest.dtype == "uint32"
    assert set(decoded(tmp_path / "out", "train")) <= {document(row) for row in some_articles(50)}


def test_every_kind_of_file_gives_the_same_articles(tmp_path: Path, no_processes: None) -> None:
    rows = some_articles(120)
    write_jsonl(tmp_path / "1.jsonl", rows)
    with gzip.open(tmp_path / "2.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n\n" for row in rows)
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "3.parquet", row_group_size=7)
    found = {}
    for name in ("1.jsonl", "2.jsonl.gz", "3.parquet"):
        prepare(tmp_path / f"out {name}", tmp_path / name)
        found[name] = content(tmp_path / f"out {name}")
        del found[name]["manifest.json"]  # which names the files
    assert found["1.jsonl"] == found["2.jsonl.gz"] == found["3.parquet"]


def test_text_files_are_a_document_each_and_globs_add_up(tmp_path: Path, no_processes: None) -> None:
    texts = [f"file {number}\r\n\r\nends \n" for number in range(20)]
    for number, text in enumerate(texts):
        (tmp_path / f"{number:02}.txt").write_bytes(text.encode())
    prepare(tmp_path / "out", f"{tmp_path}/1*.txt,{tmp_path}/0*.txt,{tmp_path}/*5.txt")
    assert sorted(decoded(tmp_path / "out", "train") + decoded(tmp_path / "out", "val")) == sorted(texts)
    files = TokenDataset(tmp_path / "out").manifest.source["files"]
    assert [Path(file["path"]).name[:2] for file in files] == [
        f"{n:02}" for n in [*range(10, 20), *range(10)]
    ]
    assert files[0]["bytes"] == len(texts[10])


def lay_out_like_the_hub(folder: Path) -> None:
    (folder / "en").mkdir(parents=True)
    (folder / "de").mkdir()
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/*\n"
            for name in ("de", "en")
        )
        + "---\n"
    )
    for number in range(3):
        table = pyarrow.Table.from_pylist(some_articles(40, seed=number))
        pyarrow.parquet.write_table(table, folder / "en" / f"train-0000{number}-of-00003.parquet")
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(some_articles(9)), folder / "de/train-00000-of-00001.parquet"
    )


def test_a_folder_laid_out_like_a_hub_dataset(tmp_path: Path, no_processes: None) -> None:
    lay_out_like_the_hub(tmp_path / "wiki")
    for n_shards, n_files in ((1, 1), (2, 2), (0, 3)):
        prepare(tmp_path / f"out{n_shards}", tmp_path / "wiki", subset="en", n_shards=n_shards)
        manifest = TokenDataset(tmp_path / f"out{n_shards}").manifest
        assert sum(split.documents for split in manifest.splits.values()) == 40 * n_files
        assert [Path(file["path"]).name[:11] for file in manifest.source["files"]] == [
            f"train-0000{number}" for number in range(n_files)
        ]
        assert manifest.source["subset"] == "en"
    with pytest.raises(UserError, match=r"--subset=fr.*'de', 'en'"):
        prepare(tmp_path / "out", tmp_path / "wiki", subset="fr")
    with pytest.raises(UserError, match="has 3 parquet files"):
        prepare(tmp_path / "out", tmp_path / "wiki", subset="en", n_shards=4)


def test_the_built_in_corpus(tmp_path: Path, no_processes: None) -> None:
    pytest.importorskip("builtin_corpus")
    prepare(tmp_path / "out", "builtin", validation_fraction=0.05)
    assert TokenDataset(tmp_path / "out").n_tokens > 500_000
    assert TokenDataset(tmp_path / "out", "val").n_tokens > 10_000


# The sample that a BPE is trained on


def batches_of(rows: list[dict[str, Any]], at_once: int) -> Iterator[Batch]:
    for start in range(0, len(rows), at_once):
        part = [
            articles.Article(row["id"], row["title"], row["text"]) for row in rows[start : start + at_once]
        ]
        yield Batch(0, start // at_once, part, ["somewhere"] * len(part), 1.0)


def test_the_sample_is_of_training_articles_and_independent_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_articles(500)
    ranks = {d.text: d.rank for batch in batches_of(rows, 500) for d in documents(batch)}
    everything = [text.decode() for text in training_sample(batches_of(rows, 50), 0.2)]
    assert everything == sorted((text for text in ranks if ranks[text] >= 0.2), key=ranks.__getitem__)

    monkeypatch.setattr(prepare_data, "BPE_TRAINING_BYTES", 20_000)
    samples = []
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        samples.append([text.decode() for text in training_sample(batches_of(shuffled, 7 + seed), 0.2)])
    assert all(sample == samples[0] for sample in samples)
    assert samples[0] == everything[: len(samples[0])]
    size = sum(len(text.encode()) for text in samples[0])
    assert size <= 20_000 < size + len(everything[len(samples[0])].encode())


# Going on


KILLED = """
import sys
import articles, prepare_data, shards
if __name__ == "__main__":
    articles.BATCH_CHARACTERS, shards.SAVE_SECONDS = 2_000, 0.0
    prepare_data.main(sys.argv[1:])
"""


def journaled_batch(out_dir: Path) -> int:
    try:
        return json.loads((out_dir / "journal.json").read_text())["batch"]
    except FileNotFoundError:
        return 0


def test_killed_at_random_moments_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(1_500))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    options = [
        f"--source={tmp_path}/a.jsonl",
        "--tokenizer=bpe:400",
        "--validation_fraction=0.1",
        "--shard_tokens=20_000",
    ]

    def start(name: str, workers: int) -> subprocess.Popen[bytes]:
        arguments = [f"--out_dir={tmp_path / name}", f"--workers={workers}", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, script, *arguments], env=environment, stdout=subprocess.PIPE)

    undisturbed = start("undisturbed", 1)
    undisturbed.communicate(timeout=60)
    assert undisturbed.returncode == 0

    chooser = random.Random()
    killed_at = [0]
    for workers in (1, 2, 1, 2):
        process = start("killed", workers)
        while journaled_batch(tmp_path / "killed") <= killed_at[-1] and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chooser.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        killed_at.append(journaled_batch(tmp_path / "killed"))
        with pytest.raises(UserError, match="unfinished"):
            TokenDataset(tmp_path / "killed")
    assert sorted(set(killed_at)) == killed_at
    last = start("killed", 2)
    assert b"going on in" in last.communicate(timeout=60)[0]
    assert last.returncode == 0
    assert content(tmp_path / "killed") == content(tmp_path / "undisturbed")


class Crash(BaseException):
    """The end of the process, for all that the code under test can know."""


def test_ended_before_any_step_to_the_disk_it_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_500)
    monkeypatch.setattr(shards, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(shards.os, "fsync", lambda file: None)  # no power is cut here, only processes end
    write_jsonl(tmp_path / "a.jsonl", some_articles(40))
    write_jsonl(tmp_path / "b.jsonl", some_articles(25, seed=5))
    options: dict[str, Any] = {"source": f"{tmp_path}/?.jsonl", "shard_tokens": 3_000}
    prepare(tmp_path / "undisturbed", **options)
    expected = content(tmp_path / "undisturbed")
    assert len(expected) > 5

    crashes = 0
    while True:
        out_dir = tmp_path / f"crash{crashes}"
        steps_left = crashes

        def step(function: Any) -> Any:
            def ending(*arguments: Any, **keywords: Any) -> Any:
                nonlocal steps_left
                steps_left -= 1
                if steps_left < 0:
                    raise Crash
                return function(*arguments, **keywords)

            return ending

        with monkeypatch.context() as patch:
            for name in ("fsync", "replace"):
                patch.setattr(shards.os, name, step(getattr(os, name)))
            patch.setattr(Path, "unlink", step(Path.unlink))
            try:
                prepare(out_dir, **options)
                break
            except Crash:
                crashes += 1
        if not (out_dir / "manifest.json").exists():  # what had not reached the disk may be anything
            for shard in [*sorted(out_dir.glob("train_*"))[-1:], *sorted(out_dir.glob("val_*"))[-1:]]:
                shard.write_bytes(shard.read_bytes() + b"torn")
        prepare(out_dir, **options)
        assert content(out_dir) == expected, f"ended before step {crashes}"
    assert crashes > 50


def test_complete_it_does_nothing_and_other_options_are_refused(
    tmp_path: Path, no_processes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    (tmp_path / "a.jsonl").unlink()  # is not needed any more
    prepare(tmp_path / "out", tmp_path / "a.jsonl", workers=7)
    assert "is complete, nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(
        UserError, match=r"tokenizer was 'bytes' and is 'gpt2'; shard_tokens was 100000000 and is 5:"
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="gpt2", shard_tokens=5)


def stop_after(n_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    append = shards.DatasetWriter.append

    def stopping(writer: shards.DatasetWriter, file: int, batch: int, *rest: Any) -> None:
        if batch == n_batches:
            raise Crash
        append(writer, file, batch, *rest)

    monkeypatch.setattr(shards.DatasetWriter, "append", stopping)


def test_an_unfinished_folder_binds_its_options_and_the_files_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(shards, "SAVE_SECONDS", 0.0)
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
    out_dir, source = tmp_path / "out", f"{tmp_path}/?.jsonl"
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Crash):
            prepare(out_dir, source)
    with pytest.raises(UserError, match=r"validation_fraction was 0\.2 and is 0\.3:"):
        prepare(out_dir, source, validation_fraction=0.3)
    write_jsonl(tmp_path / "a.jsonl", some_articles(51))
    with pytest.raises(UserError, match=r"a\.jsonl has .* when this preparation read it"):
        prepare(out_dir, source)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    write_jsonl(tmp_path / "b.jsonl", some_articles(60))  # not begun: the file that was mended
    prepare(out_dir, source)
    assert sum(split.documents for split in TokenDataset(out_dir).manifest.splits.values()) == 110
    prepare(tmp_path / "undisturbed", source)
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_a_run_stopped_before_its_first_batch_binds_nothing(tmp_path: Path, no_processes: None) -> None:
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", validation_fraction=0.5)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert set(content(tmp_path / "out")) == {
        "manifest.json",
        "tokenizer.json",
        "train_00000.bin",
        "val_00000.bin",
    }


def test_shards_changed_behind_the_journal_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Crash):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    shard = tmp_path / "out/train_00000.bin"
    shard.write_bytes(b"\1" + shard.read_bytes()[1:])
    with pytest.raises(UserError, match=r"train_00000\.bin is not as the journal says"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "out/journal.json").unlink()
    with pytest.raises(UserError, match=r"holds train_00000\.bin but neither"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_two_preparations_of_one_folder_are_refused(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with shards.locked(tmp_path / "out"), pytest.raises(UserError, match="another preparation is writing"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_verify_names_every_damaged_shard(
    tmp_path: Path, no_processes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    out_dir = tmp_path / "out"
    prepare(out_dir, tmp_path / "a.jsonl", shard_tokens=10_000)
    prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    assert "is whole" in capsys.readouterr().out
    shard = out_dir / "train_00001.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    (out_dir / "val_00000.bin").unlink()
    with pytest.raises(UserError, match=r"damaged in .*: train_00001\.bin, val_00000\.bin \(No such file"):
        prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    with pytest.raises(UserError, match="no manifest"):
        prepare_data.main(["--verify", f"--out_dir={tmp_path}/none"])


# What a user can get wrong


def bad_parquet(path: Path, damage: str) -> None:
    rows = [{"id": str(n), "body" if damage == "column" else "text": "x " * 50 + str(n)} for n in range(500)]
    if damage == "type":
        rows = [{"id": "1", "text": 5}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    if damage == "flipped":
        path.write_bytes(whole[:500] + bytes(byte ^ 0xFF for byte in whole[500:900]) + whole[900:])


BAD_LINES = {
    "lone surrogate": (
        '{"id": "2", "title": "b", "text": "x \\ud800 y"}',
        r"a\.jsonl:3 has a lone surrogate '\\ud800'",
    ),
    "surrogate in the title": (
        '{"id": "2", "title": "\\udfff", "text": "x"}',
        r"a\.jsonl:3 has a lone surrogate",
    ),
    "surrogate in the id": (
        '{"id": "\\udfff", "title": "b", "text": "x"}',
        r"a\.jsonl:3 has a lone surrogate",
    ),
    "cut off": ('{"id": "2", "text"', r"a\.jsonl:3 is no JSON"),
    "not UTF-8": (b'{"text": "caf\xe9"}', r"a\.jsonl:3 is no JSON in UTF-8"),
    "nested without end": ("[" * 100_000, r"a\.jsonl:3 is no JSON"),
    "no text": ('{"id": "2", "titel": "b"}', r"a\.jsonl:3 has no key 'text', only id, titel"),
    "a list": ("[1, 2]", r"a\.jsonl:3 has no key 'text', it is a list"),
    "a number": ('{"text": 12}', r"a\.jsonl:3: 'text' must be text, but is int 12"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, name: str, no_processes: None) -> None:
    line, message = BAD_LINES[name]
    line = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "a.jsonl").write_bytes(b'{"id": 1, "title": null, "text": "fine"}\n\n' + line + b"\n")
    for tokenizer in ("bytes", "bpe:300"):
        with pytest.raises(UserError, match=message) as refused:
            prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer=tokenizer)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("column", r"a\.parquet has no column 'text', only id, body"),
        ("type", r"a\.parquet row 1: 'text' must be text, but is int 5"),
        ("cut", r"cannot read .*a\.parquet \(Parquet magic bytes not found"),
        ("flipped", r"cannot read .*a\.parquet"),
    ],
)
def test_a_bad_parquet_file_is_named(tmp_path: Path, damage: str, message: str, no_processes: None) -> None:
    bad_parquet(tmp_path / "a.parquet", damage)
    with pytest.raises(UserError, match=message) as refused:
        prepare(tmp_path / "out", tmp_path / "a.parquet")
    assert "\n" not in str(refused.value)


def test_other_unreadable_files_are_named(tmp_path: Path, no_processes: None) -> None:
    whole = gzip.compress(json.dumps(some_articles(1)[0]).encode() * 100)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.jsonl.gz").write_bytes(b"hello")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for name in ("cut.jsonl.gz", "no.jsonl.gz", "latin.txt"):
        with pytest.raises(UserError, match=f"cannot read .*{name} "):
            prepare(tmp_path / "out", tmp_path / name)
    (tmp_path / "a.csv").write_text("a")
    with pytest.raises(UserError, match=r"a\.csv: --source takes files that end in \.parquet"):
        prepare(tmp_path / "out", tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"no file matches '.*none\*\.parquet'"):
        prepare(tmp_path / "out", tmp_path / "none*.parquet")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_permissions_are_named(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"cannot write .*Permission denied"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").chmod(0)
    with pytest.raises(UserError, match=r"cannot read .*a\.jsonl \(Permission denied\)"):
        prepare(tmp_path / "out2", tmp_path / "a.jsonl")


def test_an_out_dir_that_cannot_be_made_is_named(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=r"cannot write .*a\.jsonl: File exists"):
        prepare(tmp_path / "a.jsonl", tmp_path / "a.jsonl")


def test_a_worker_that_dies_is_one_line(tmp_path: Path) -> None:
    def batches() -> Iterator[Batch]:
        for batch in batches_of(some_articles(200), 1):
            if batch.number == 3:
                multiprocessing.active_children()[0].kill()  # as the kernel does when memory runs out
            yield batch

    open_tokenizer("bytes").save(tmp_path / "tokenizer.json")
    with WorkerPool(1) as pool, pytest.raises(UserError, match=r"a tokenizing process died.*--workers"):
        list(pool.tokenized(batches(), tmp_path / "tokenizer.json", 0.1))


def test_nothing_to_train_or_to_validate_on_is_refused(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "empty.jsonl", [{"text": ""}, {"text": None}, {"text": " \n"}])
    with pytest.raises(UserError, match="no article for the split 'train': 0 have text, 3 have none"):
        prepare(tmp_path / "out", tmp_path / "empty.jsonl")
    write_jsonl(tmp_path / "one.jsonl", [{"id": 1, "text": "one"}])
    with pytest.raises(
        UserError, match=r"no article for the split 'val': 1 have text.*--validation_fraction=0\.01"
    ):
        prepare(tmp_path / "out1", tmp_path / "one.jsonl", validation_fraction=0.01)
    assert not (tmp_path / "out1/manifest.json").exists()
    prepare(tmp_path / "out2", tmp_path / "one.jsonl", validation_fraction=0)
    assert decoded(tmp_path / "out2", "train") == ["one"]
    assert decoded(tmp_path / "out2", "val") == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tokenizer": "gtp2"}, "did you mean gpt2"),
        ({"tokenizer": "bpe:many"}, "bpe:N needs a number"),
        ({"tokenizer": "bpe:100"}, "257 tokens at the least"),
        ({"tokenizer": "bpe:60000"}, r"too small for bpe:60000.*--tokenizer=bpe:\d+"),
        ({"validation_fraction": 1.5}, r"validation_fraction=1\.5"),
        ({"shard_tokens": 0}, "shard_tokens=0"),
        ({"workers": -1}, "workers=-1"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, option: dict[str, Any], message: str, no_processes: None
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", **option)


def test_no_space_left_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(shards, "SAVE_SECONDS", 0.0)
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    for name in ("tokenizer.json.tmp", "journal.json.tmp", "manifest.json.tmp"):
        (out_dir / name).symlink_to("/dev/full")  # the kernel refuses every write there
        with pytest.raises(
            UserError, match=rf"cannot write .*{name[:-4]}: No space left on device; mend that"
        ):
            prepare(out_dir, tmp_path / "a.jsonl")
        (out_dir / name).unlink()
        assert not (out_dir / "manifest.json").exists()
    prepare(out_dir, tmp_path / "a.jsonl")
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_a_shard_that_cannot_grow_is_named_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(shards, "SAVE_SECONDS", 0.0)
    write_jsonl(tmp_path / "a.jsonl", some_articles(400))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (50_000, before[1])
        )  # writes fail in the middle, as on a full disk
        with pytest.raises(UserError, match=r"cannot write .*train_00000\.bin: File too large; mend that"):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "out/train_00000.bin").stat().st_size == 50_000
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")


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


# The hub


def test_without_a_network_the_hub_error_names_the_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "reachable", lambda url: False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(
        UserError, match=r"cannot reach https://.*--source=builtin.*\.parquet.*HF_HUB_OFFLINE=1"
    ):
        prepare_data.main([f"--out_dir={tmp_path}"])


def test_hub_files_are_streamed_from_the_revision_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    import datasets
    import huggingface_hub

    lay_out_like_the_hub(tmp_path / "wiki")
    prefix = "hf://datasets/someone/wiki@abc123/"

    class LocalHub:
        def info(self, path: str) -> dict[str, int]:
            return {"size": (tmp_path / "wiki" / path.removeprefix(prefix)).stat().st_size}

        def open(self, path: str, mode: str) -> Any:
            return open(tmp_path / "wiki" / path.removeprefix(prefix), mode)

    paths = [f"{prefix}en/train-0000{number}-of-00003.parquet" for number in range(3)]
    builder = SimpleNamespace(config=SimpleNamespace(data_files={"train": paths}))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(sources, "reachable", lambda url: True)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda dataset, subset: builder)
    monkeypatch.setattr(huggingface_hub, "HfFileSystem", LocalHub)
    prepare(tmp_path / "out", "hub", dataset="someone/wiki", subset="en", n_shards=2)
    source = TokenDataset(tmp_path / "out").manifest.source
    assert (source["dataset"], source["subset"], source["revision"]) == ("someone/wiki", "en", "abc123")
    assert [file["path"] for file in source["files"]] == paths[:2]
    found = decoded(tmp_path / "out", "train") + decoded(tmp_path / "out", "val")
    assert len(found) == 80


def test_a_hub_that_refuses_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(dataset: str, subset: str) -> None:
        raise ConnectionError("no such dataset\nand a long explanation")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(sources, "reachable", lambda url: True)
    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    with pytest.raises(UserError, match=r"--subset=20231101\.en: no such dataset; use --source=builtin"):
        prepare_data.main([f"--out_dir={tmp_path}"])


def test_a_hub_that_stops_answering_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Transport(Exception):
        """Neither an OSError nor a ValueError, as those of HTTP libraries."""

    class StoppingFile(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise Transport

    path = "hf://datasets/someone/wiki@abc123/en/train-00000-of-00001.parquet"
    monkeypatch.setattr(articles, "_open", lambda path: StoppingFile(b"x" * 100))
    source = sources.Source("hub", (sources.SourceFile(path, 100),), {})
    with pytest.raises(
        UserError, match=r"stopped answering while hf://.* was read \(Transport\): run the same"
    ):
        list(read_batches(source))


def test_offline_the_hub_cache_is_read(tmp_path: Path) -> None:
    cached = tmp_path / "hf/hub/datasets--someone--wiki"
    lay_out_like_the_hub(cached / "snapshots/abc123")
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc123")
    command = [
        sys.executable,
        "prepare_data.py",
        f"--out_dir={tmp_path}/out",
        "--tokenizer=bytes",
        "--subset=en",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    for name, status in (("someone/wiki", 0), ("someone/else", 2)):
        done = subprocess.run(
            [
                *command,
                f"--dataset={name}",
                "--validation_fraction=0.2",
                "--workers=1",
                f"--out_dir={tmp_path}/{name}",
            ],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
    assert done.stderr.startswith("error: the hub's cache has no someone/else: with a network, `hf download")
    assert done.stderr.count("\n") == 1


# What it costs


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = ["torch", "datasets", "pyarrow", "tokenizers", "tyro", "huggingface_hub"]
    code = f"import sys, prepare_data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_parquet_file_is_read_piece_by_piece_even_in_one_row_group(tmp_path: Path) -> None:
    rows = [{"id": str(number), "title": "t", "text": "word " * 200} for number in range(30_000)]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", use_dictionary=False, compression="none"
    )
    source = sources.find_source(f"{tmp_path}/a.parquet", "", "", 0)
    before = pyarrow.total_allocated_bytes()
    at_most = 0
    for _ in read_batches(source):
        at_most = max(at_most, pyarrow.total_allocated_bytes() - before)
    assert at_most < 10_000_000  # of 30 MB


def test_progress_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([100.0, 101.0, 110.0, 111.0, 130.0])
    monkeypatch.setattr(prepare_data.time, "perf_counter", lambda: next(times))
    progress = prepare_data.Progress()
    for megabytes, done in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)):
        split = Split(1_000 * megabytes, 250_000 * megabytes, 1_000_000 * megabytes, ())
        progress.report(shards.Journal({}, {}, "", splits={"train": split}), done)
    assert capsys.readouterr().out.splitlines() == [
        "3,000 articles, 750,000 tokens, 0.2 MB/s, 30%, 0 min 35 s left",
        "5,000 articles, 1,250,000 tokens, 0.1 MB/s, 50%, 0 min 38 s left",
    ]


def test_batches_can_be_taken_up_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
    source = sources.find_source(f"{tmp_path}/?.jsonl", "", "", 0)
    everything = list(read_batches(source))
    assert [batch.done for batch in everything] == sorted(batch.done for batch in everything)
    assert everything[-1].done == 1.0
    for index, batch in enumerate(everything):
        assert list(read_batches(source, batch.file, batch.number)) == everything[index:]


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepare_data.main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for field in fields(prepare_data.PrepareConfig):
        assert f"--{field.name}" in words
        explanation = words.split(f"--{field.name}")[1].partition("(default")[0]
        assert len(explanation.split()) >= 4, field.name
