"""Every kind of source: the same articles from all of them, and one line for what cannot be read."""

import bz2
import codecs
import errno
import gzip
import io
import json
import lzma
import os
import re
import shutil
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from preparing import (
    decoded,
    lay_out_like_the_hub,
    prepare,
    some_articles,
    write_jsonl,
)

from corpus import articles, input_files, sources
from corpus.articles import read_batches
from corpus.dataset import TokenDataset
from corpus.encodings import LEGACY_ENCODINGS, UNMARKED_ENCODINGS
from system.errors import UserError
from system.files import LFS_POINTER


def test_every_kind_of_file_gives_the_same_articles(tmp_path: Path) -> None:
    rows = some_articles(120)
    lines = "".join(json.dumps(row) + "\n\n" for row in rows).encode()
    half = len(lines) // 2
    for name, compress in (
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", zstd),
    ):
        parts = compress(lines[:half]) + compress(lines[half:])  # several streams, as tools in parallel write
        (tmp_path / f"a.jsonl.{name}").write_bytes(parts)
    for name in ("a.jsonl", "a.json", "wiki_00"):
        (tmp_path / name).write_bytes(lines)
    (tmp_path / "wiki_01.bz2").write_bytes(bz2.compress(lines))
    for name in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / f"{name}.jsonl").write_bytes(lines.decode().encode(name))
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    in_bytes = pyarrow.schema(
        [("id", pyarrow.binary()), ("title", pyarrow.large_binary()), ("text", pyarrow.binary())]
    )
    encoded = [{key: row[key].encode() for key in in_bytes.names} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(encoded, in_bytes), tmp_path / "bytes.parquet")
    found = {path.name: read(path) for path in sorted(tmp_path.iterdir())}
    expected = [(row["id"], row["title"], row["text"]) for row in rows]
    assert [name for name in found if found[name] != expected] == []
    assert len(found) == 13


def test_endings_may_be_in_capitals(tmp_path: Path) -> None:
    rows = [{"id": "1", "title": "t", "text": "x"}]
    (tmp_path / "A.JSONL.GZ").write_bytes(gzip.compress(json.dumps(rows[0]).encode()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "A.PARQUET")
    assert read(tmp_path / "A.JSONL.GZ") == read(tmp_path / "A.PARQUET") == [("1", "t", "x")]
    (tmp_path / "NOVEL.TXT").write_text("once")
    assert sources.find_source(f"{tmp_path}/NOVEL.TXT", "", "", 0).kind == "text"
    assert read(tmp_path / "NOVEL.TXT") == [(None, None, "once")]


def zstd(content: bytes) -> bytes:
    return pyarrow.compress(content, codec="zstd", asbytes=True)


def read(path: Path) -> list[tuple[str | None, str | None, str | None]]:
    source = sources.find_source(str(path), "", "", 0)
    return [article[:3] for batch in read_batches(source) for article in batch.articles]


def test_titles_and_ids_may_be_numbers_and_missing_ones_nan(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": 7, "title": 1984, "text": "a"}\n{"id": 7.5, "title": 1984.0, "text": "b"}\n'
        '{"id": NaN, "title": NaN, "text": "c"}\n{"id": "", "text": NaN}\n'
    )
    assert read(tmp_path / "a.jsonl") == [
        ("7", "1984", "a"),
        ("7.5", "1984", "b"),
        (None, None, "c"),
        (None, None, None),
    ]
    table = pyarrow.table({"title": [Decimal("19.84")], "text": ["a"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(None, "19.84", "a")]


def test_text_files_may_have_a_byte_order_mark_and_be_compressed(tmp_path: Path) -> None:
    text = "\u4e2d caf\xe9\r\n\ufeff, \x00"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / f"{encoding}.txt").write_bytes(text.encode(encoding))
    (tmp_path / "be.txt").write_bytes(codecs.BOM_UTF16_BE + text.encode("utf-16-be"))
    (tmp_path / "zst.txt.zst").write_bytes(zstd(text.encode()))
    found = {path.name: read(path) for path in sorted(tmp_path.iterdir())}
    assert all(rows == [(None, None, text)] for rows in found.values())


TEXTS = {
    "English": "The caf\xe9 was naively called a na\xefve place \u2014 by \u201cexperts\u201d, of all people.\n",
    "short": "caf\xe9",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy. Praha je hlavní město České republiky.\n" * 3,
    "Turkish": "Türkiye'nin başkenti Ankara'd\u0131r. İstanbul ise en büyük şehridir, \u0131ğüşöç.\n" * 3,
    "French": "Le café était très agréable, à côté de la forêt. L'été nous allons à Besançon.\n" * 3,
    "Russian": "Привет, как дела? Это обычный русский текст.\n" * 3,
    "Hebrew": "זהו טקסט רגיל בעברית לצורך בדיקה. ירושלים היא עיר הבירה של ישראל.\n" * 3,
    "Chinese": "这是一些中文文本用于测试编码的识别。\n北京是中华人民共和国的首都。\n" * 3,
    "Japanese": "日本語の文章です。これは文字コードの判定を試すための普通の文です。\n" * 3,
    "Korean": "한국어 문장입니다. 이것은 문자 인코딩을 시험하기 위한 평범한 글입니다.\n" * 3,
}
NAMED = {  # language and encoding: what is named
    **{("English", name): name for name in ("cp1252", *UNMARKED_ENCODINGS)},
    ("short", "cp1252"): "cp1252, cp1250 or cp1251",
    ("Czech", "iso-8859-2"): "cp1250, iso-8859-2 or cp1258",
    ("Turkish", "cp1254"): "cp1254, cp1250 or cp1252",
    ("French", "macintosh"): "macintosh",
    **{("Russian", name): name for name in ("koi8-r", "cp1251", "cp866", "utf-16le", "utf-16be")},
    ("Hebrew", "cp1255"): "cp1255",
    **{("Chinese", name): name for name in ("gb18030", "utf-16le", "utf-16be")},
    **{("Japanese", name): name for name in ("cp932", "euc-jp")},
    ("Korean", "cp949"): "cp949",
}


@pytest.mark.parametrize(("language", "encoding"), NAMED)
def test_another_encoding_is_named_with_the_command_that_converts_it(
    tmp_path: Path, language: str, encoding: str
) -> None:
    path, text, named = tmp_path / "my text.txt", TEXTS[language], NAMED[language, encoding]
    path.write_bytes(text.encode(encoding))
    with pytest.raises(
        UserError, match=f"my text.txt is not UTF-8 .* but probably {named}.*: run `"
    ) as error:
        read(path)
    command = str(error.value).split("`")[1].replace(named.split(",")[0].upper(), encoding.upper())
    if shutil.which("iconv"):
        subprocess.run(command, shell=True, check=True)
        assert read(tmp_path / "my text.utf8.txt") == [(None, None, text)]
    assert path.read_bytes() == text.encode(encoding), "as it was"
    (tmp_path / "a.jsonl").write_bytes(
        json.dumps({"text": text}, ensure_ascii=False).encode(encoding) + b"\n"
    )
    if encoding != "utf-16be":  # which json.loads reads
        with pytest.raises(UserError, match=r"a\.jsonl:1 is not UTF-8 .*`iconv .*a\.utf8\.jsonl`"):
            read(tmp_path / "a.jsonl")


def test_iconv_and_python_know_the_encodings_that_are_named() -> None:
    known = [codecs.lookup(name).name for name in (*LEGACY_ENCODINGS, *UNMARKED_ENCODINGS)]
    assert len(set(known)) == len(LEGACY_ENCODINGS) + 4
    if shutil.which("iconv"):
        listed = subprocess.run(["iconv", "-l"], capture_output=True, text=True, check=True).stdout
        assert {name.upper() for name in (*LEGACY_ENCODINGS, *UNMARKED_ENCODINGS)} <= set(
            re.split(r"[\s/,]+", listed)
        )


@pytest.mark.parametrize(
    "text", ["中文 字\n" * 5, "it\u2019s \u2018fine\u2019\n", "Le café est très bon.\n" * 9]
)
def test_a_stray_byte_in_utf8_is_not_another_encoding(tmp_path: Path, text: str) -> None:
    content = text.encode() + b"a \xff b\n" + text.encode()
    (tmp_path / "a.txt").write_bytes(content)
    place = rf"an invalid byte 0xff at position {len(text.encode()) + 2}: fix or delete it"
    with pytest.raises(UserError, match=rf"a\.txt is UTF-8 with {place}"):
        read(tmp_path / "a.txt")
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "x"}\n{"text": "\xff"}\n' + b'{"text": "%b"}\n' % text.strip().encode()
    )
    with pytest.raises(UserError, match=r"a\.jsonl:2 is UTF-8 with an invalid byte 0xff at position 10: fix"):
        read(tmp_path / "a.jsonl")


UNREADABLE = {
    "cut.txt": (
        "中文".encode()[:-1],
        r"is not valid UTF-8 \(unexpected end of data at byte 3\): it may be truncated",
    ),
    "odd.txt": ("a".encode("utf-16") + b"b", "is not valid UTF-16 .* it may be truncated"),
    "c.jsonl.zst": (zstd(b"x" * 999)[:-3], "cannot read .*Truncated.*: it may be truncated or corrupt"),
    "c.jsonl.xz": (b"hello", "cannot read .*: it may be truncated or corrupt"),
    "rows.json": (
        b'[{"text": "a"},\n{"text": "b"}]',
        r"one object per line with `jq -c '\.\[\]' .*rows\.json > .*rows\.lines\.jsonl`",
    ),
    "row.json": (
        b'[{"text": "a"}, {"text": "b"}]',
        r"it is a list: write one object per line with `jq -c '\.\[\]'",
    ),
    "one.json": (b'{\n  "text": "a"\n}', r"one object per line with `jq -c \. "),
    "blank.json": (b'[ {"text": "a"},\n {"text": "b"}]', r"one object per line with `jq -c '\.\[\]'"),
    "pretty.json": (b'{"id": 1,\n "text": "a"}', r"one object per line with `jq -c \. "),
    "cut.json": (b'{"id": 1, "te', r"cut\.json:1 is not valid JSON .*: fix or delete the line"),
    "a.parquet.gz": (b"", r"in \.parquet, .*\.txt; \.gz, .* may follow all but \.parquet"),
    "enwiki-20240101-pages-articles-multistream-index.txt.bz2": (
        b"",
        "is the index of a Wikipedia dump, not its text",
    ),
    "enwiki-20240101-pages-articles-multistream-index1.txt-p1p41.bz2": (
        b"",
        "is the index of a Wikipedia dump",
    ),
    "wiki_00": (b'<doc id="12" url="u" title="t">\nt\n</doc>\n', "run wikiextractor again with --json"),
    "README": (b"plain text", "fix or delete the line, or if the file is plain text, rename it to .txt"),
    "enwiki-20240101-pages-articles1.xml-p1p2.bz2": (
        b"",
        r"is a Wikipedia dump: .*`wikiextractor --json .*p1p2\.bz2`.*`python prepare_data\.py --source=",
    ),
    **dict.fromkeys(
        ("a.parquet", "a.txt", "a.jsonl", "a.jsonl.gz", "wiki_01"),
        (
            f"{LFS_POINTER.decode()}v1\noid sha256:00\n".encode(),
            "is a Git LFS pointer.* run `git lfs pull` in ",
        ),
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_is_named_with_the_fix(tmp_path: Path, name: str) -> None:
    content, message = UNREADABLE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_the_system_does_not_open_is_not_called_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("whole")
    monkeypatch.setattr(input_files, "reject_lfs_pointer", raise_permission_error)
    with pytest.raises(UserError, match=r"a\.txt \(Permission denied\): fix that, or leave the file out"):
        read(tmp_path / "a.txt")


def raise_permission_error(path: str) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def test_invalid_bytes_in_a_column_are_named(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": [b"fine", b"caf\xe9"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet row 2: 'text' is not valid UTF-8 \(unexpected end"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("built-in", "did you mean builtin"),
        ("mine", "there is no file or folder of this name in "),
        ("wikimedia/wikipedia", "set --source=hub --dataset=wikimedia/wikipedia"),
        ("mine/*.txt", "quote globs"),
        ("a" * 300, "there is no file or folder of this name in "),
    ],
)
def test_a_source_that_is_not_there_has_a_hint(source: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        sources.find_source(source, "", "", 0)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ([], "it has no files to read: set another --source"),
        (["AA/wiki_00", "LICENSE"], "set --source='{folder}/**/wiki_*'"),
        (["wiki_00.bz2"], "set --source='{folder}/wiki_*.bz2'"),
        (["sub/a.jsonl", "b.txt"], "set --source='{folder}/*.txt'"),
        (["NOVEL.TXT", "a.parquet.gz"], "set --source='{folder}/*.TXT'"),
        (["a.parquet.gz"], "it has no files to read: set another --source"),
        (["x/a.PARQUET"], "set another --subset, or set --source='{folder}/**/*.PARQUET'"),
        (
            [
                "enwiki-20240101-pages-articles-multistream.xml.bz2",
                "enwiki-20240101-pages-articles-multistream-index.txt.bz2",
            ],
            r"multistream.xml.bz2 is a Wikipedia dump: extract its text with `pip install wikiextractor`",
        ),
    ],
)
def test_a_folder_of_other_files_is_answered_with_their_glob(
    tmp_path: Path, names: list[str], hint: str
) -> None:
    folder = tmp_path / "my [data]"
    folder.mkdir()
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    with pytest.raises(UserError) as error:
        sources.find_source(f"{folder}/", "", "20231101.en", 1)
    assert hint.format(folder=f"{tmp_path}/my [[]data]") in str(error.value)
    if "--source='" in hint:
        assert sources.find_source(str(error.value).split("'")[-2], "", "", 0).files


def test_the_tail_of_a_single_text_is_for_validation(tmp_path: Path) -> None:
    text = "".join(f"Line {number} of a novel\r\n" for number in range(1_000))
    for name in ("novel.txt", "novel.txt.gz"):
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        prepare(tmp_path / f"out {name}", tmp_path / name, validation_fraction=0.1, tokenizer="bpe:270")
        (train,), (val,) = (decoded(tmp_path / f"out {name}", split) for split in ("train", "val"))
        assert train + val == text
        assert TokenDataset(tmp_path / f"out {name}").manifest.skipped_documents == 0
        assert val.startswith("Line 900 ")
    assert articles.tail_start("x" * 10_000, 0.1) == 9_000  # without a line end near
    assert articles.tail_start("\n" + "x" * 10_000, 0.1) == 9_000
    assert articles.tail_start("x" * 10_000 + "\n" * 5_000, 0.1) == 9_000
    (tmp_path / "short.txt").write_text("x")
    with pytest.raises(UserError, match="too short to be cut into training and validation text"):
        prepare(tmp_path / "out", tmp_path / "short.txt")


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
    named = replace(manifest, tokenizer={**manifest.tokenizer, "name": "hf/\udce9"}).summary()
    assert (named["source"], named["tokenizer"]) == ("21 file(s), caf\ufffd 0.txt first", "hf/\ufffd")
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
    "not UTF-8": (b'{"text": "caf\xe9"}', r"a\.jsonl:3 is not UTF-8 \(invalid byte 0xe9 at .*iconv"),
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
    (tmp_path / "sum.jsonl.gz").write_bytes(whole[:-8] + bytes(4) + whole[-4:])  # another CRC
    (tmp_path / "length.jsonl.gz").write_bytes(whole[:-4] + bytes(4))
    (tmp_path / "more.jsonl.gz").write_bytes(whole + b"hello")
    corrupt = r" \(.*\): it may be truncated or corrupt: replace it"
    found = dict.fromkeys(("cut", "sum", "length", "more"), corrupt) | {"no": ": it is not compressed"}
    for name, reason in found.items():
        with pytest.raises(UserError, match=rf"cannot read .*{name}\.jsonl\.gz{reason}"):
            prepare(tmp_path / "out", tmp_path / f"{name}.jsonl.gz")
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
    monkeypatch.setattr(articles, "open_file", lambda path: StoppingFile(b"x" * 100))
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
