"""Building an index: articles to passages to vectors, in a LanceDB table.

Passages are added by the thousand, each time as one version of the table, with their place in the source. A build that was
killed resumes after the last place in the table.
"""

import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.index import FTS, IvfFlat

from apps.search.config import IndexConfig, RemoveConfig
from apps.search.database import (
    BUILDING_FILE,
    INDEX_FILE,
    Database,
    IndexInfo,
    command,
    quoted,
    schema,
)
from apps.search.embedders import Embedder, TableEmbedder, open_embedder, table_of
from apps.search.near import different_tokens
from apps.search.passages import embedded_text, passages
from apps.search.spelling import write_vocabulary
from apps.search.words import STOP_WORDS
from corpus.articles import Article, Batch, has_text, read_batches, utf8
from corpus.input_files import file_ending, uncompressed_name
from corpus.sources import Source, find_source, with_current_sizes
from system.errors import UserError, say
from system.files import cannot_write, only_writer, read_json, replace_file
from system.progress import Bar, announced

TABLE = "passages"  # with a number
PASSAGES_AT_ONCE = 8192  # in a version of the table
OLD_VERSIONS = timedelta(days=1)  # how long they are kept for those who still read them
# Numbers in all vectors, from which an exact search takes longer than 50 ms (2 cores with AVX2) and parts of them are searched.
EXACT_NUMBERS = 14_000_000
PARTITIONS = 0.6  # times the root of the number of passages
# ICU's rules divide scripts without spaces too. Its own stop words are those of many languages, "seine" among them.
WORD_INDEXES = {
    "title": FTS(base_tokenizer="icu/split", remove_stop_words=False),  # "The Who"
    "text": FTS(base_tokenizer="icu/split", custom_stop_words=sorted(STOP_WORDS)),
}


class Work(NamedTuple):
    """What a command builds, as building.json has it until that is complete."""

    options: dict[str, Any]  # of the command
    source: Source
    identity: str  # of the embedder
    addition: int  # 0 for a new index
    table: str

    @staticmethod
    def read(folder: Path) -> "Work | None":
        """Return what a command that was stopped did here, None if none was."""
        content = read_json(folder / BUILDING_FILE, missing={})
        return Work(**{**content, "source": Source.from_dict(content["source"])}) if content else None

    def write(self, folder: Path) -> None:
        """Remember it."""
        content = {**self._asdict(), "source": self.source.to_dict()}
        replace_file(folder / BUILDING_FILE, json.dumps(content, indent=1) + "\n")

    def command(self, folder: Path) -> str:
        """Return the command that did it."""
        return command(folder, self.options | ({"add": True} if self.addition else {}))


def build(config: IndexConfig) -> None:
    """Make `out_dir` a complete index of the source, or resume where an earlier command stopped.

    An index that is there stays as it is until the new one, or the addition, is complete.
    """
    folder = Path(config.out_dir)
    with only_writer(
        folder, f"another command is writing to {folder}: wait for it, or choose another --out_dir"
    ):
        check_free(folder)
        stopped = Work.read(folder)
        is_new = config.overwrite or (stopped is not None and not stopped.addition)
        info = None if is_new else IndexInfo.read(folder)
        if info and not config.add and not stopped:
            check_options(folder, info.options, options(config))
            say(f"{folder} is complete, nothing to do: {about(info)}")
            return
        if config.add and not info:
            problem = f"add=True: no complete index in {folder}"
            raise UserError(
                problem, f"run `{stopped.command(folder)}` first" if stopped else "build one without --add"
            )
        began = time.perf_counter()
        embedder = open_embedder(config.embedder)
        if info and info.identity != embedder.identity:
            raise UserError(
                f"{folder} was built with another embedder, {info.embedder!r}", "add with that one"
            )
        if stopped and is_given_up(stopped, config):
            say(f"note: what `{stopped.command(folder)}` began is given up")
            give_up(folder, stopped)
            stopped = None
        try:
            work = (
                resumed(folder, stopped, config, embedder)
                if stopped
                else begun(folder, config, info, embedder)
            )
            info = carried_out(work, folder, config, embedder, info)
        except OSError as error:
            raise cannot_write(folder, error) from None
    say(f"{folder} is complete: {about(info)}, in {time.perf_counter() - began:,.1f} s")


def carried_out(
    work: Work, folder: Path, config: IndexConfig, embedder: Embedder, info: IndexInfo | None
) -> IndexInfo:
    """Add the articles and complete the index. A mistake in their source leaves a complete index as it was."""
    table = lancedb.connect(folder).create_table(work.table, schema=schema(embedder.size), exist_ok=True)
    try:
        add_articles(table, work, embedder)
        return finish(table, folder, config, embedder, work, info)
    except UserError:
        if (folder / INDEX_FILE).exists():
            give_up(folder, work)
        raise


def check_free(folder: Path) -> None:
    """Raise UserError if a folder holds files, but nothing of an index."""
    names = {path.name for path in folder.iterdir()}
    if names and names.isdisjoint((INDEX_FILE, BUILDING_FILE)):
        raise UserError(
            f"out_dir={folder}: it has other files, {min(names)} among them", "choose another --out_dir"
        )


def is_given_up(stopped: Work, config: IndexConfig) -> bool:
    """Return whether a command replaces what a stopped one began: by another addition, or an index of its own."""
    is_same = stopped.options == options(config)
    if config.overwrite:
        return stopped.addition > 0 or not is_same
    return config.add and stopped.addition > 0 and not is_same


def give_up(folder: Path, work: Work) -> None:
    """Undo what a command did that did not end: a complete index is as before."""
    complete = read_json(folder / INDEX_FILE, missing={})  # of any format
    if work.addition:
        table = lancedb.connect(folder).open_table(work.table)
        table.checkout(complete["version"])
        table.restore()
    elif complete.get("table") != work.table:
        shutil.rmtree(folder / f"{work.table}.lance", ignore_errors=True)
    (folder / BUILDING_FILE).unlink()


def remove(config: RemoveConfig) -> None:
    """Take the articles with a title out of a complete index."""
    folder = Path(config.index)
    with only_writer(folder, f"another command is writing to {folder}: wait for it"):
        database = Database(folder)
        if (folder / BUILDING_FILE).exists():
            raise UserError(f"articles are being added to {folder}", "rerun that command to its end first")
        condition = f"title = {quoted(config.title)}"
        if not database.table.count_rows(condition):
            raise UserError(
                f"title={config.title}: {folder} has no article with this title", "look it up with ask"
            )
        # Its newest version, which a stopped command may have changed.
        table = lancedb.connect(folder).open_table(database.info.table)
        try:
            table.delete(condition)
            table.optimize(cleanup_older_than=unread(table, database.info))
            n_articles, n_passages = table.count_rows("number = 0"), table.count_rows()
            info = database.info
            new = replace(info, version=table.version, n_articles=n_articles, n_passages=n_passages)
            new.write(folder)
        except OSError as error:
            raise cannot_write(folder, error) from None
    say(f"{info.n_articles - n_articles} removed: {about(new)}")


def about(info: IndexInfo) -> str:
    """Return what is in an index, in a few words."""
    return f"{info.n_articles:,} articles, {info.n_passages:,} passages, embedder {info.embedder}"


def options(config: IndexConfig) -> dict[str, Any]:
    """Return the settings that decide what is in the index."""
    chosen: dict[str, Any] = {"source": config.source, "embedder": config.embedder}
    if config.source == "hub":
        chosen["dataset"] = config.dataset
    if config.source == "hub" or Path(config.source).is_dir():
        chosen |= {"subset": config.subset, "n_shards": config.n_shards}
    return chosen


def check_options(
    folder: Path,
    before: dict[str, Any],
    now: dict[str, Any],
    done: str = "was built",
    fix: str = "choose another --out_dir, add the articles with --add=True, or replace the index with --overwrite=True",
) -> None:
    """Raise UserError naming the settings that differ from those of the command that began the index."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if keys:
        differing = "; ".join(f"{key} was {before.get(key)!r} and is now {now.get(key)!r}" for key in keys)
        raise UserError(f"{folder} {done} with other settings: {differing}", fix)


def resumed(folder: Path, stopped: Work, config: IndexConfig, embedder: Embedder) -> Work:
    """Return the work of a stopped command, which this one goes on with. Raises UserError if it is another one."""
    fix = f"run `{stopped.command(folder)}` to its end first, or give it up with --overwrite=True"
    check_options(folder, stopped.options, options(config), "was begun", fix)
    if stopped.identity != embedder.identity:
        raise UserError(
            f"{folder} was begun with another version of the model {embedder.name!r}",
            "install that one, or choose another --out_dir",
        )
    say(f"resuming in {folder}")
    return stopped


def begun(folder: Path, config: IndexConfig, info: IndexInfo | None, embedder: Embedder) -> Work:
    """Find the source, and remember what this command does: an addition to an index, or a table of its own."""
    with announced(f"finding the files of {config.dataset if config.source == 'hub' else config.source}"):
        source = find_source(config.source, config.dataset, config.subset, config.n_shards)
    tables = (f"{TABLE}_{number}" for number in itertools.count(1))
    table = info.table if info else next(name for name in tables if not (folder / f"{name}.lance").exists())
    work = Work(options(config), source, embedder.identity, info.n_additions + 1 if info else 0, table)
    work.write(folder)
    return work


def add_articles(table: lancedb.table.Table, work: Work, embedder: Embedder) -> None:
    """Add the passages of all articles that are not in the table yet."""
    words, source, addition = table_of(embedder), work.source, work.addition
    places = table.search().where(f"addition = {addition}").select(["file", "batch"]).to_arrow()
    file, batch = 0, 0
    if len(places):
        file = pc.max(places["file"]).as_py()
        source = with_current_sizes(source, file)
        batch = pc.max(places.filter(pc.equal(places["file"], file))["batch"]).as_py() + 1
    progress = Bar("indexing", 1).show()
    reported = time.perf_counter()
    with progress:
        for rows, done in groups(read_batches(source, file, batch)):
            if addition:  # what an article was before
                ids = ", ".join(quoted(id) for id in dict.fromkeys(row["article"] for row in rows))
                table.delete(f"article IN ({ids})")
            table.add(as_table(rows, addition, embedder, words))
            progress.update(done)
            if not progress.is_shown and time.perf_counter() - reported > 10:
                reported = time.perf_counter()
                say(f"{done:.0%} of the source is indexed")


def as_table(rows: list[dict[str, Any]], addition: int, embedder: Embedder, words: TableEmbedder) -> pa.Table:
    """Return rows with what is computed from their texts: vectors, and tokens for `near.py`."""
    texts = [embedded_text(row["title"], row["section"], row["text"]) for row in rows]
    vectors = embedder.passages(texts)
    tokens = list(different_tokens(words, texts))
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {
        "addition": [addition] * len(rows),
        "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), embedder.size),
        "tokens": pa.ListArray.from_arrays(
            np.cumsum([0, *map(len, tokens)], dtype=np.int32), np.concatenate(tokens)
        ),
    }
    return pa.table(columns).select(schema(embedder.size).names).cast(schema(embedder.size))


def groups(batches: Iterator[Batch]) -> Iterator[tuple[list[dict[str, Any]], float]]:
    """Yield rows of the table, without vectors, some thousands at a time, and the part of the source read so far."""
    rows: list[dict[str, Any]] = []
    done = 0.0
    for batch in batches:
        for article, place in zip(batch.articles, batch.places, strict=True):
            if has_text(article):
                own = article_rows(article, place)
                rows += [{**row, "file": batch.file, "batch": batch.number} for row in own]
        done = batch.done
        if len(rows) >= PASSAGES_AT_ONCE:
            yield rows, done
            rows = []
    if rows:
        yield rows, done


def article_rows(article: Article, place: str) -> list[dict[str, Any]]:
    """Return an article's passages as rows; the title of a text file is its name. Raises UserError for a lone surrogate."""
    name = Path(uncompressed_name(place)).stem if file_ending(place) == ".txt" else ""
    title, text = article.title or name, article.text or ""
    content = utf8(f"{title}\n{text}", place)
    identity = article.id or hashlib.sha256(content).hexdigest()[:16]
    shared = {"article": identity, "title": title, "url": article.url}
    return [
        {**shared, "number": number, "section": passage.section, "text": passage.text}
        for number, passage in enumerate(passages(text))
    ]


def finish(
    table: lancedb.table.Table,
    folder: Path,
    config: IndexConfig,
    embedder: Embedder,
    work: Work,
    info: IndexInfo | None,
) -> IndexInfo:
    """Make the indexes of words and write the file that makes the index complete."""
    n_passages = table.count_rows()
    if not n_passages:
        if not (folder / INDEX_FILE).exists():
            give_up(folder, work)  # so that another source may follow
        raise UserError(f"source={config.source}: it has no article with text", "set another --source")
    with announced("indexing the words"):
        write_vocabulary(folder, table)
        table.optimize(cleanup_older_than=unread(table, info))
        existing = {column for index in table.list_indices() for column in index.columns}
        for column, kind in WORD_INDEXES.items():
            if column not in existing:
                table.create_index(column, config=kind)  # which also divides scripts without spaces
    if n_passages * embedder.size >= EXACT_NUMBERS and "vector" not in existing:
        with announced("indexing the vectors"):
            n_partitions = max(1, round(n_passages**0.5 * PARTITIONS))
            table.create_index("vector", config=IvfFlat(distance_type="dot", num_partitions=n_partitions))
    kept = info.options if info else options(config)
    firsts = table.search().where("number = 0").select(["article"]).limit(None).to_arrow()
    n_articles, n_different = len(firsts), len(firsts["article"].unique())
    if twice := n_articles - n_different:
        have = "1 article has" if twice == 1 else f"{twice:,} articles have"
        say(f"note: {have} the id of another one, and will be found as a part of it")
    words = table_of(embedder).identity
    new = IndexInfo(
        work.table,
        table.version,
        embedder.name,
        embedder.identity,
        words,
        n_articles,
        n_passages,
        kept,
        work.addition,
    )
    new.write(folder)
    (folder / BUILDING_FILE).unlink()
    for path in folder.glob(f"{TABLE}*.lance"):
        if path.name != f"{work.table}.lance":  # of the index that this one replaces
            shutil.rmtree(path, ignore_errors=True)
    return new


def unread(table: lancedb.table.Table, info: IndexInfo | None) -> timedelta:
    """Return how old a version of the table must be for nobody to read it: older than the complete one, by OLD_VERSIONS."""
    if not info:
        return timedelta(milliseconds=1)
    [made] = [one["timestamp"] for one in table.list_versions() if one["version"] == info.version]
    return datetime.now() - made + OLD_VERSIONS
