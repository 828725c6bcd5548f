"""The index on disk: a LanceDB table of passages and a file that says which version of it is complete.

A reader opens the version that index.json names, and whoever writes replaces that file last: so nobody sees half an index,
nor half an addition.
"""

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

from apps.search.embedders import Embedder
from system.errors import UserError
from system.files import read_json, replace_file

INDEX_FILE, TABLE, FORMAT = "index.json", "passages", 1
N_PARTS = 64  # of a vector index that are searched: of 250, they have 96 % of the nearest 100
IDS_AT_ONCE = 1000  # in a condition
COLUMNS = ["article", "number", "title", "section", "url", "text"]  # that a search returns


class Hit(NamedTuple):
    """A passage that was found."""

    article: str  # its id
    number: int  # of the passage in its article
    title: str
    section: str
    url: str
    text: str
    score: float  # the higher the better: BM25 for words, the dot product for vectors
    vector: np.ndarray  # (D,)


@dataclass(frozen=True)
class IndexInfo:
    """What index.json says of a complete index."""

    version: int  # of the table
    embedder: str
    identity: str  # of the embedder
    n_articles: int
    n_passages: int
    options: dict[str, Any]  # of the command that built it
    n_additions: int = 0
    format: int = FORMAT

    @staticmethod
    def read(folder: Path) -> "IndexInfo | None":
        """Return what a folder's file says, None without one. Raises UserError for a file of another format."""
        content = read_json(folder / INDEX_FILE, missing={})
        if not content:
            return None
        if content.get("format") != FORMAT:
            raise UserError(
                f"{folder / INDEX_FILE} has format {content.get('format')}, not {FORMAT}",
                "build the index anew",
            )
        return IndexInfo(**content)

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
            ("addition", pa.int32()),  # 0 for the first build
            ("file", pa.int32()),  # of the source
            ("batch", pa.int32()),  # of the file
        ]
    )


class Database:
    """A complete index, open for searching. It stays as it is while another process adds to it."""

    def __init__(self, folder: Path) -> None:
        info = IndexInfo.read(folder) if folder.is_dir() else None
        if info is None:
            raise UserError(
                f"no complete index in {folder}",
                f"run `python -m apps.search index --out_dir={shlex.quote(str(folder))}`",
            )
        self.info = info
        self.table = lancedb.connect(folder).open_table(TABLE)
        self.table.checkout(info.version)

    def check_embedder(self, embedder: Embedder) -> None:
        """Raise UserError unless this embedder wrote the index."""
        if embedder.identity != self.info.identity:
            raise UserError(
                f"the index was built with another version of the model {self.info.embedder!r}: build it anew, or install that version"
            )

    def present(self, articles: Sequence[str]) -> set[str]:
        """Return which of these articles are in the index."""
        found: set[str] = set()
        for start in range(0, len(articles), IDS_AT_ONCE):
            ids = ", ".join(map(quoted, articles[start : start + IDS_AT_ONCE]))
            rows = (
                self.table.search().where(f"article IN ({ids}) AND number = 0").select(["article"]).to_arrow()
            )
            found |= set(rows["article"].to_pylist())
        return found

    def by_words(self, query: str, column: str, n: int, fuzziness: int = 0) -> list[Hit]:
        """Return the n passages whose column matches the words best, by BM25."""
        wanted = MatchQuery(query, column, fuzziness=fuzziness)  # type: ignore[call-arg]
        search = self.table.search(wanted, query_type="fts").select([*COLUMNS, "vector", "_score"])
        found = search.limit(n).to_arrow()
        return hits(found, found["_score"].to_numpy())

    def by_vector(self, vector: np.ndarray, n: int) -> list[Hit]:
        """Return the n passages whose vectors are nearest: in a large index nearly all of them, see build.py."""
        query = cast(LanceVectorQueryBuilder, self.table.search(vector)).distance_type("dot").nprobes(N_PARTS)
        found = query.select([*COLUMNS, "vector", "_distance"]).limit(n).to_arrow()
        return hits(found, 1 - found["_distance"].to_numpy())


def quoted(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def hits(table: pa.Table, scores: np.ndarray) -> list[Hit]:
    """Return a query's rows with their scores."""
    if not len(table):
        return []
    columns: Sequence[list] = [table[name].to_pylist() for name in COLUMNS]
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)  # (n, D)
    return [Hit(*row) for row in zip(*columns, scores.tolist(), vectors, strict=True)]
