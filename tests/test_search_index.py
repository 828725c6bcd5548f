"""Building an index: the same however often it is stopped, whole for every reader, and open to more articles."""

import contextlib
import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lancedb.table import LanceTable

from apps.search import build as building
from apps.search.build import build, remove
from apps.search.config import IndexConfig, RemoveConfig
from apps.search.database import Database, Hit, IndexInfo
from apps.search.embedders import open_embedder
from apps.search.searcher import Searcher
from corpus import articles as reading
from corpus.builtin.encyclopedia import articles
from system.errors import UserError

N_ARTICLES = 90


def some_articles() -> list[dict]:
    """Return a part of the built-in encyclopedia, some of it without text."""
    chosen = random.Random(1).sample(list(articles()), N_ARTICLES)
    return [*chosen[:50], {**chosen[50], "text": " \n"}, *chosen[51:]]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "articles.jsonl", some_articles())


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build in many versions of the table."""
    monkeypatch.setattr(building, "PASSAGES_AT_ONCE", 4)
    monkeypatch.setattr(reading, "BATCH_CHARACTERS", 600)


def rows(folder: Path) -> list[tuple]:
    """Return all passages of a complete index, in an order of their own."""
    database = Database(folder)
    found = database.table.to_arrow().drop_columns(["file", "batch", "addition"]).to_pylist()
    return sorted(
        (row["article"], row["number"], row["title"], row["section"], row["url"], row["text"], *row["vector"])
        for row in found
    )


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that nothing disturbed."""
    folder = tmp_path_factory.mktemp("index") / "whole"
    build(IndexConfig(out_dir=str(folder), source=str(source)))
    return folder


def test_an_index_has_the_passages_of_all_articles(
    source: Path, whole: Path, capsys: pytest.CaptureFixture
) -> None:
    expected = {
        row["id"]: row for row in map(json.loads, source.read_text().splitlines()) if row["text"].strip()
    }
    found = rows(whole)
    assert {row[0] for row in found} == set(expected)
    assert all((row[2], row[4]) == (expected[row[0]]["title"], expected[row[0]]["url"]) for row in found)
    info = IndexInfo.read(whole)
    assert info
    assert (info.n_articles, info.n_passages) == (N_ARTICLES - 1, len(found))
    build(IndexConfig(out_dir=str(whole), source=str(source)))
    assert f"{whole} is complete, nothing to do: 89 articles" in capsys.readouterr().out


class Killed(BaseException):
    """Ends the command where it is, as a kill does."""


def moments(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Make the next write of an index fail, each kind of write in turn, before or after it is done."""
    places = [
        (LanceTable, "add"),
        (LanceTable, "create_index"),
        (LanceTable, "optimize"),
        (IndexInfo, "write"),
    ]
    for owner, name in places:
        original = getattr(owner, name)
        for count in (1, 2, 3) if name == "add" else (1,):
            for is_done in (False, True):
                left = [count]

                def write(
                    *args: object, _call=original, _left=left, _is_done=is_done, **settings: object
                ) -> object:
                    _left[0] -= 1
                    if _left[0]:
                        return _call(*args, **settings)
                    if _is_done:
                        _call(*args, **settings)
                    raise Killed

                with monkeypatch.context() as patch:
                    patch.setattr(owner, name, write)
                    yield f"{name} {count} {is_done}"


def test_a_build_that_is_stopped_anywhere_ends_with_the_same_rows(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, n_stopped = rows(whole), 0
    config = IndexConfig(out_dir=str(tmp_path / "index"), source=str(source))
    for _ in moments(monkeypatch):
        try:
            build(config)
        except Killed:
            n_stopped += 1
        if not (Path(config.out_dir) / "index.json").exists():
            with pytest.raises(
                UserError, match=r"is not complete: run `python -m apps.search index --source=.*` to its end"
            ):
                Database(Path(config.out_dir))
    build(config)
    assert n_stopped >= 10
    assert rows(Path(config.out_dir)) == expected


def test_articles_are_added_and_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees all of an addition or nothing."""
    folder = tmp_path / "index"
    first, second = some_articles()[:40], some_articles()[30:80]
    second[0] = {
        **second[0],
        "text": "Quokkas smile.\nHabits.\nThey sleep in the shade of bushes all day long.",
    }
    config = IndexConfig(out_dir=str(folder), source=str(write(tmp_path / "first.jsonl", first)))
    with pytest.raises(UserError, match=r"no complete index in .*: build one without --add"):
        build(replace(config, add=True))
    build(config)
    reader, before, n_stopped = Searcher(folder), rows(folder), 0
    more = replace(config, source=str(write(tmp_path / "second.jsonl", second)), add=True)
    with pytest.raises(
        UserError, match=r"was built with other settings: source was .*add the articles with --add=True"
    ):
        build(replace(more, add=False))
    for _ in moments(monkeypatch):
        with contextlib.suppress(Killed):
            build(more)
        if rows(folder) != before:
            break  # index.json is written
        n_stopped += 1
        assert reader.ask("Quokkas", 3).results[0].title != second[0]["title"]
    assert n_stopped >= 5
    build(more)
    together = write(tmp_path / "together.jsonl", [*first[:30], *second])
    build(replace(config, out_dir=str(tmp_path / "other"), source=str(together)))
    assert rows(folder) == rows(tmp_path / "other")
    assert len(reader.database.table.to_arrow()) == len(before), "until it is asked again"
    for one in (reader, Searcher(folder)):
        assert one.ask("What do quokkas do?", 3).results[0].title == second[0]["title"]


def test_articles_are_removed_by_title(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "index"
    build(IndexConfig(out_dir=str(folder), source=str(source)))
    reader = Searcher(folder)
    first, *others = [row for row in map(json.loads, source.read_text().splitlines()) if row["text"].strip()]
    config = RemoveConfig(first["title"], str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(LanceTable, "optimize", lambda *args, **settings: interrupt())
        with pytest.raises(KeyboardInterrupt):
            remove(config)
    assert IndexInfo.read(folder) == reader.database.info, "not removed yet"
    remove(config)
    capsys.readouterr()
    assert {row[0] for row in rows(folder)} == {row["id"] for row in others}
    info = IndexInfo.read(folder)
    assert info
    assert info.n_articles == len(others)
    assert first["title"] in {hit.title for hit in all_hits(reader)}, "who has it open sees it as it was"
    assert first["title"] not in {hit.title for hit in all_hits(Searcher(folder))}
    with pytest.raises(UserError, match="has no article with this title: look it up with ask"):
        remove(config)
    with pytest.raises(UserError, match="no index in"):
        remove(RemoveConfig("x", str(tmp_path)))


def all_hits(searcher: Searcher) -> list[Hit]:
    ids = searcher.database.table.search().select(["article"]).with_row_id(True).limit(None).to_arrow()
    return searcher.database.hits(ids["_rowid"].to_numpy())


def test_an_index_is_read_with_the_model_that_wrote_it(
    source: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_embedder("static")
    other.identity = "another"
    monkeypatch.setattr("apps.search.searcher.open_embedder", lambda name: other)
    with pytest.raises(UserError, match="built with another version of the model 'static': rebuild it"):
        Searcher(whole)
    monkeypatch.setattr(building, "open_embedder", lambda name: other)
    with pytest.raises(UserError, match="was built with another embedder, 'static'"):
        build(IndexConfig(out_dir=str(whole), source=str(source), add=True))


def test_a_build_goes_on_with_its_own_model_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = IndexConfig(out_dir=str(tmp_path), source=str(source))
    with monkeypatch.context() as patch:
        patch.setattr(LanceTable, "create_index", lambda *args, **settings: interrupt())
        with pytest.raises(KeyboardInterrupt):
            build(config)
    other = open_embedder("static")
    other.identity = "another"
    monkeypatch.setattr(building, "open_embedder", lambda name: other)
    with pytest.raises(UserError, match="was begun with another version of the model 'static'"):
        build(config)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_sources_without_articles_are_an_error(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [{"id": "1", "title": "x", "text": " "}])
    config = IndexConfig(out_dir=str(tmp_path / "index"), source=str(empty))
    with pytest.raises(UserError, match="it has no article with text"):
        build(config)
    with pytest.raises(ValueError, match="pairs are not articles"):
        IndexConfig(source="pairs:x.jsonl")


def test_overwriting_begins_anew(source: Path, tmp_path: Path) -> None:
    config = IndexConfig(out_dir=str(tmp_path), source=str(source))
    build(config)
    few = write(tmp_path.parent / "few.jsonl", some_articles()[:3])
    build(replace(config, source=str(few), overwrite=True))
    assert {row[0] for row in rows(tmp_path)} == {str(row["id"]) for row in some_articles()[:3]}


def test_a_wrong_source_or_embedder_overwrites_nothing(source: Path, tmp_path: Path) -> None:
    config = IndexConfig(out_dir=str(tmp_path / "index"), source=str(source))
    build(config)
    before = rows(tmp_path / "index")
    text = source.read_text()
    (tmp_path / "bad.jsonl").write_text(f"{text}{{}}\n")
    bad = replace(config, source=f"{tmp_path}/bad.jsonl")
    reader = Searcher(tmp_path / "index")
    for wrong in (replace(config, source="nothing*"), replace(config, embedder="none"), bad):
        with pytest.raises(UserError):
            build(replace(wrong, overwrite=True))
        assert rows(tmp_path / "index") == before
        assert sorted(path.name for path in (tmp_path / "index").iterdir()) == [
            "index.json",
            "passages_1.lance",
            "words.parquet",
        ]
    with pytest.raises(UserError, match="has no key 'text'"):
        build(replace(bad, add=True))
    assert rows(tmp_path / "index") == before
    (tmp_path / "bad.jsonl").write_text(text)
    build(replace(bad, overwrite=True))
    assert rows(tmp_path / "index") == before
    assert reader.ask("moon", 3).results, "a reader goes over to the new one"
    assert (tmp_path / "index" / "passages_2.lance").exists()
    assert not (tmp_path / "index" / "passages_1.lance").exists()


def test_a_stopped_addition_gives_way_to_another(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "index"
    config = IndexConfig(out_dir=str(folder), source=str(source))
    build(config)
    before = rows(folder)
    new = [{"id": name, "title": name, "text": f"{name} is a place."} for name in ("Xanadu", "Ys")]
    add = [
        replace(config, add=True, source=str(write(tmp_path / f"{n}.jsonl", [row])))
        for n, row in enumerate(new)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(LanceTable, "optimize", lambda *args, **settings: interrupt())
        with pytest.raises(KeyboardInterrupt):
            build(add[0])
    with pytest.raises(UserError, match=r"was begun with other settings.*run `python .*0.jsonl.*--add=True"):
        build(replace(config, source="builtin"))
    build(add[1])
    assert f"note: what `python -m apps.search index --source={tmp_path}/0.jsonl" in capsys.readouterr().out
    assert {row[0] for row in rows(folder)} == {row[0] for row in before} | {"Ys"}


def test_the_complete_version_stays_however_old_it_is(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "OLD_VERSIONS", timedelta(seconds=1))
    folder = tmp_path / "index"
    config = IndexConfig(out_dir=str(folder), source=str(source))
    build(config)
    before, reader = rows(folder), Database(folder)
    time.sleep(1.5)
    add = replace(config, add=True, source=str(write(tmp_path / "more.jsonl", some_articles()[:20])))
    with monkeypatch.context() as patch:
        patch.setattr(IndexInfo, "write", lambda *args: interrupt())
        with pytest.raises(KeyboardInterrupt):
            build(add)
    assert rows(folder) == before
    build(add)
    assert len(reader.table.to_arrow()) == len(before), "the one before it stays too"


def test_a_source_that_changed_is_not_resumed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = write(tmp_path / "articles.jsonl", some_articles())
    config = IndexConfig(out_dir=str(tmp_path / "index"), source=str(copy))
    with monkeypatch.context() as patch:
        patch.setattr(LanceTable, "create_index", lambda *args, **settings: interrupt())
        with pytest.raises(KeyboardInterrupt):
            build(config)
    write(copy, some_articles()[10:])
    with pytest.raises(UserError, match=r"articles.jsonl has .* bytes, but had"):
        build(config)


def test_text_files_have_their_names_as_titles(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("Zorblax", "Quux"):
        (tmp_path / f"{name}.txt").write_text(f"This is what is known of it: {name} is round.")
    folder = tmp_path / "index"
    build(IndexConfig(out_dir=str(folder), source=f"{tmp_path}/*.txt"))
    assert {row[2] for row in rows(folder)} == {"Zorblax", "Quux"}
    remove(RemoveConfig("Quux", str(folder)))
    assert {row[2] for row in rows(folder)} == {"Zorblax"}


def test_articles_with_the_same_id_are_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    same = [{"id": "1", "title": name, "text": f"{name} is a city."} for name in ("Lyon", "Bonn")]
    config = IndexConfig(out_dir=str(tmp_path / "index"), source=str(write(tmp_path / "a.jsonl", same)))
    build(config)
    assert "note: 1 article has the id of another one" in capsys.readouterr().out


def test_lone_surrogates_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "1", "title": "x", "text": "a \ud800 b"}])
    with pytest.raises(UserError, match="has a lone surrogate"):
        build(IndexConfig(out_dir=str(tmp_path / "index"), source=str(path)))


def test_folders_with_other_files_are_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"it has other files, notes.txt among them"):
        build(IndexConfig(out_dir=str(tmp_path), source=str(source)))


def test_a_damaged_or_missing_index_says_what_to_do(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build(IndexConfig(out_dir=str(folder), source=str(source)))
    open_before = Searcher(folder)
    words = (folder / "words.parquet").read_bytes()
    (folder / "words.parquet").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cannot read the index .*: rebuild it with --overwrite=True"):
        Searcher(folder).ask("mountian", 3)
    (folder / "words.parquet").write_bytes(words)
    for path in (folder / "passages_1.lance" / "data").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cannot read the index .*: rebuild it with --overwrite=True"):
        Searcher(folder).ask("Seine", 3)
    shutil.rmtree(folder / "passages_1.lance")
    with pytest.raises(UserError, match=r"cannot read the index .*: rebuild it with --overwrite=True"):
        open_before.ask("moon", 3)
    for content in ("{}x", '{"format": 3}', "[]"):
        (folder / "index.json").write_text(content)
        with pytest.raises(UserError, match=r"cannot read .*: rebuild it with"):
            Database(folder)
    (folder / "index.json").write_text("{}")
    with pytest.raises(UserError, match=r"has format None, not 3: rebuild the index"):
        Database(folder)
    with pytest.raises(UserError, match=r"no index in .*: did you mean --index=.*/index\?"):
        Database(tmp_path / "indxe")


def test_an_index_of_an_earlier_format_can_be_replaced(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    config = IndexConfig(out_dir=str(folder), source=str(source))
    build(config)
    content = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**content, "format": 1}))
    with pytest.raises(UserError, match=r"has format 1, not 3: rebuild the index with --overwrite=True"):
        build(config)
    build(replace(config, overwrite=True))
    assert len(rows(folder)) == content["n_passages"]
