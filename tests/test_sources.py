"""Every kind of source: the same articles from all of them, and one line for what cannot be read."""

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from preparing import (
    content,
    decoded,
    lay_out_like_the_hub,
    prepare,
    some_articles,
    write_jsonl,
)

from corpus import articles, sources
from corpus.articles import read_batches
from corpus.dataset import TokenDataset
from system.errors import UserError


def test_every_kind_of_file_gives_the_same_articles(tmp_path: Path) -> None:
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


def test_text_files_are_a_document_each_and_globs_add_up(tmp_path: Path) -> None:
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


def test_a_file_name_may_have_commas_or_brackets(tmp_path: Path) -> None:
    for name in ("a,b.txt", "c[1].txt", "d.txt"):
        (tmp_path / name).write_text(name)
    for source, names in (
        ("a,b.txt", ["a,b.txt"]),
        ("?,b.txt", ["a,b.txt"]),
        ("c[1].txt", ["c[1].txt"]),
        (f"c[1].txt,{tmp_path}/d.txt", ["c[1].txt", "d.txt"]),
    ):
        found = sources.find_source(f"{tmp_path}/{source}", "", "", 0)
        assert [Path(file.path).name for file in found.files] == names


def test_a_file_name_need_not_be_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        (tmp_path / f"caf\udce9 {number}.txt").write_text(f"text {number}")
    (tmp_path / "中文.txt").write_text("a name in UTF-8")
    source = f"{tmp_path}/caf\udce9*.txt,{tmp_path}/中文.txt"
    prepare(tmp_path / "out", source)
    assert len(decoded(tmp_path / "out", "train") + decoded(tmp_path / "out", "val")) == 21
    manifest = TokenDataset(tmp_path / "out").manifest
    assert [file["path"] for file in manifest.source["files"]][::20] == [
        f"{tmp_path}/caf\udce9 0.txt",
        f"{tmp_path}/中文.txt",
    ]
    assert "中文".encode() in (tmp_path / "out/manifest.json").read_bytes()
    assert manifest.summary()["source"] == "21 file(s), caf\ufffd 0.txt first"
    prepare(tmp_path / "out", source)
    assert "have changed" not in capsys.readouterr().out


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


def test_reading_can_resume_at_any_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
    source = sources.find_source(f"{tmp_path}/?.jsonl", "", "", 0)
    everything = list(read_batches(source))
    assert [batch.done for batch in everything] == sorted(batch.done for batch in everything)
    assert everything[-1].done == 1.0
    for index, batch in enumerate(everything):
        assert list(read_batches(source, batch.file, batch.number)) == everything[index:]


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
    "cut off": ('{"id": "2", "text"', r"a\.jsonl:3 is not valid JSON"),
    "not UTF-8": (b'{"text": "caf\xe9"}', r"a\.jsonl:3 is not valid JSON in UTF-8"),
    "nested without end": ("[" * 100_000, r"a\.jsonl:3 is not valid JSON"),
    "no text": ('{"id": "2", "titel": "b"}', r"a\.jsonl:3 has no key 'text', only id, titel"),
    "a list": ("[1, 2]", r"a\.jsonl:3 has no key 'text', it is a list"),
    "a number": ('{"text": 12}', r"a\.jsonl:3: 'text' must be text, but is int 12"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, name: str) -> None:
    line, message = BAD_LINES[name]
    line = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "a.jsonl").write_bytes(b'{"id": 1, "title": null, "text": "fine"}\n\n' + line + b"\n")
    for tokenizer in ("bytes", "bpe:300"):
        with pytest.raises(UserError, match=message) as error:
            prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer=tokenizer)
        assert "\n" not in str(error.value)
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
def test_a_bad_parquet_file_is_named(tmp_path: Path, damage: str, message: str) -> None:
    bad_parquet(tmp_path / "a.parquet", damage)
    with pytest.raises(UserError, match=message) as error:
        prepare(tmp_path / "out", tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_other_unreadable_files_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(some_articles(1)[0]).encode() * 100)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.jsonl.gz").write_bytes(b"hello")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for name in ("cut.jsonl.gz", "no.jsonl.gz", "latin.txt"):
        with pytest.raises(UserError, match=f"cannot read .*{name} "):
            prepare(tmp_path / "out", tmp_path / name)
    (tmp_path / "a.csv").write_text("a")
    with pytest.raises(UserError, match=r"a\.csv: --source must name files that end in \.parquet"):
        prepare(tmp_path / "out", tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"no file matches '.*none\*\.parquet'"):
        prepare(tmp_path / "out", tmp_path / "none*.parquet")


def test_a_folder_laid_out_like_a_hub_dataset(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="n_shards=4: must be at most 3, the number of parquet files"):
        prepare(tmp_path / "out", tmp_path / "wiki", subset="en", n_shards=4)


def test_the_built_in_corpus(tmp_path: Path) -> None:
    prepare(tmp_path / "out", "builtin", validation_fraction=0.05)
    assert TokenDataset(tmp_path / "out").n_tokens > 500_000
    assert TokenDataset(tmp_path / "out", "val").n_tokens > 10_000


def test_without_a_network_the_error_names_the_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "reachable", lambda url: False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(
        UserError, match=r"cannot reach https://.*--source=builtin.*\.parquet.*HF_HUB_OFFLINE=1"
    ):
        prepare(tmp_path / "out", "hub")


def test_hub_files_are_streamed_from_the_revision_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_an_error_of_the_hub_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def reject(dataset: str, subset: str) -> None:
        raise ConnectionError("no such dataset\nand a long explanation")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(sources, "reachable", lambda url: True)
    monkeypatch.setattr(datasets, "load_dataset_builder", reject)
    with pytest.raises(UserError, match=r"--subset=20231101\.en \(no such dataset\): use --source=builtin"):
        prepare(tmp_path / "out", "hub")


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
        UserError, match=r"stopped answering while hf://.* was read \(Transport\): rerun the same"
    ):
        list(read_batches(source))


def test_offline_the_hub_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    cached = tmp_path / "hub/datasets--someone--wiki"
    lay_out_like_the_hub(cached / "snapshots/abc123")
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc123")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    prepare(tmp_path / "out", "hub", dataset="someone/wiki", subset="en")
    assert len(decoded(tmp_path / "out", "train") + decoded(tmp_path / "out", "val")) == 40
    with pytest.raises(
        UserError, match=r"the hub's cache has no someone/else: run `hf download someone/else"
    ):
        prepare(tmp_path / "out2", "hub", dataset="someone/else", subset="en")
