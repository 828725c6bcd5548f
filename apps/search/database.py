"""The index on disk: a LanceDB table of passages and a file that says which version of it is complete.

A reader opens the version that index.json names, and whoever writes replaces that file last: so nobody sees half an index,
nor half an addition. The version before it stays readable until a day later, and longer if nothing is written.
"""

import difflib
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.query import LanceVectorQueryBuilder, MatchQuery

from apps.search.embedders import Embedder, TableEmbedder
from system.errors import UserError, first_line
from system.files import read_json, replace_file

INDEX_FILE, FORMAT = "index.json", 3
BUILDING_FILE = "building.json"  # while an index is built or added to
N_PARTS = 64  # of a vector index that are searched: of 250, they have 96 % of the nearest 100


class Matches(NamedTuple):
    """What a search found, best first."""

    rows: np.ndarray  # (N,) uint64: ids of the passages' rows
    scores: np.ndarray  # (N,) float32, the higher the better: BM25 for words, the dot product for vectors


class Hit(NamedTuple):
    """A passage that was found, as the table has it."""

    article: str  # its id
    number: int  # of the passage in its article
    title: str
    section: str
    url: str
    text: str
    tokens: np.ndarray  # each once: see near.py


@dataclass(frozen=True)
class IndexInfo:
    """What index.json says of a complete index."""

    table: str  # of the passages
    version: int  # of it
    embedder: str
    identity: str  # of the embedder
    words: str  # identity of the table whose tokens the passages have
    n_articles: int
    n_passages: int
    options: dict[str, Any]  # of the command that built it
    n_additions: int = 0
    format: int = FORMAT

    @staticmethod
    def read(folder: Path) -> "IndexInfo | None":
        """Return what a folder's file says, None without one. Raises UserError for a file of another format."""
        path = folder / INDEX_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise damaged(folder, error) from None
        if not isinstance(content, dict):
            raise damaged(folder, ValueError(f"{INDEX_FILE} holds a {type(content).__name__}"))
        if content.get("format") != FORMAT:
            raise UserError(
                f"{folder / INDEX_FILE} has format {content.get('format')}, not {FORMAT}",
                "rebuild the index with --overwrite=True",
            )
        try:
            return IndexInfo(**content)
        except TypeError as error:
            raise damaged(folder, error) from None

    def write(self, folder: Path) -> None:
        """Make this the complete index."""
        replace_file(folder / INDEX_FILE, json.dumps(asdict(self), indent=1) + "\n")


def schema(size: int) -> pa.Schema:
    """Return the table's columns, for vectors of `size` numbers."""
    return pa.schema(
        [
            ("article", pa.string()),
            ("number", pa.int32()),
            ("title", pa.string()),
            ("section", pa.string()),
            ("url", pa.string()),
            ("text", pa.string()),
            ("vector", pa.list_(pa.float32(), size)),
            ("tokens", pa.list_(pa.uint16())),  # each once, sorted
            ("addition", pa.int32()),  # 0 for the first build
            ("file", pa.int32()),  # of the source
            ("batch", pa.int32()),  # of the file
        ]
    )


def damaged(folder: Path, error: Exception) -> UserError:
    """Return the error of an index whose files are not what they were."""
    return UserError(
        f"cannot read the index {folder} ({first_line(error)})", "rebuild it with --overwrite=True"
    )


def not_complete(folder: Path) -> tuple[str, str]:
    """Return what is wrong with a folder that should be an index, and what to do: finish it, take another, or make it."""
    begun = read_json(folder / BUILDING_FILE, missing={}) if folder.is_dir() else {}
    if begun:
        return f"the index {folder} is not complete", f"run `{command(folder, begun['options'])}` to its end"
    others = sorted(path.parent.name for path in folder.parent.glob(f"*/{INDEX_FILE}"))
    if others:
        [name] = difflib.get_close_matches(folder.name, others, n=1, cutoff=0.0)
        return f"no index in {folder}", f"did you mean --index={shlex.quote(str(folder.parent / name))}?"
    return f"no index in {folder}", f"run `{command(folder, {})}` to make it"


def command(folder: Path, options: dict[str, Any]) -> str:
    """Return the command that builds an index."""
    chosen = " ".join(f"--{key}={shlex.quote(str(value))}" for key, value in options.items())
    return f"python -m apps.search index {chosen} --out_dir={shlex.quote(str(folder))}".replace("  ", " ")


class Database:
    """A complete index, open for searching. It stays as it is while another process adds to it."""

    def __init__(self, folder: Path) -> None:
        info = IndexInfo.read(folder) if folder.is_dir() else None
        if info is None:
            raise UserError(*not_complete(folder))
        self.info = info
        try:
            self.table = lancedb.connect(folder).open_table(info.table)
            self.table.checkout(info.version)
        except (RuntimeError, ValueError) as error:
            raise damaged(folder, error) from None

    def check_models(self, embedder: Embedder, words: TableEmbedder) -> None:
        """Raise UserError unless these models wrote the index."""
        written = ((embedder, self.info.identity), (words, self.info.words))
        for model, identity in written:
            if model.identity != identity:
                problem = f"the index was built with another version of the model {model.name!r}"
                raise UserError(problem, "rebuild it with --overwrite=True, or install that version")

    def articles(self) -> set[str]:
        """Return the ids of all articles."""
        rows = self.table.search().where("number = 0").select(["article"]).limit(None).to_arrow()
        return set(rows["article"].to_pylist())

    def by_words(self, query: str, column: str, n: int, fuzziness: int = 0, where: str = "") -> Matches:
        """Return the n passages whose column matches the words best, by BM25; `where` is a condition in SQL."""
        wanted = MatchQuery(query, column, fuzziness=fuzziness)  # type: ignore[call-arg]
        search = self.table.search(wanted, query_type="fts").select(["_score"])
        found = (
            (search.where(where, prefilter=True) if where else search).with_row_id(True).limit(n).to_arrow()
        )
        return Matches(found["_rowid"].to_numpy(), found["_score"].to_numpy())

    def by_vector(self, vector: np.ndarray, n: int, where: str = "") -> Matches:
        """Return the n passages whose vectors are nearest: in a large index nearly all of them, see build.py."""
        query = cast(LanceVectorQueryBuilder, self.table.search(vector)).distance_type("dot").nprobes(N_PARTS)
        search = query.select(["_distance"])
        found = (
            (search.where(where, prefilter=True) if where else search).with_row_id(True).limit(n).to_arrow()
        )
        return Matches(found["_rowid"].to_numpy(), 1 - found["_distance"].to_numpy())

    def hits(self, rows: np.ndarray) -> list[Hit]:
        """Return the passages of some rows, in their order."""
        if not len(rows):
            return []
        names = ["_rowid", *Hit._fields]
        found = self.table.take_row_ids(rows.tolist()).select(names[1:]).with_row_id().to_arrow()
        columns = [found[name].to_pylist() for name in names[:-1]]
        tokens = found["tokens"].combine_chunks()
        of_each = np.split(
            tokens.flatten().to_numpy(), tokens.offsets.to_numpy()[1:-1] - tokens.offsets[0].as_py()
        )
        by_row = {row: Hit(*values) for row, *values in zip(*columns, of_each, strict=True)}
        return [by_row[row] for row in rows.tolist()]


def titled(parts: Sequence[str]) -> str:
    """Return the condition that a title has all of these parts, in capitals or not."""
    return " AND ".join(f"contains(lower(title), {quoted(part.lower())})" for part in parts)


def quoted(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
