"""Reading a source's files, in order and in bounded memory, as batches of articles.

An article has `id, title, text`, the schema of wikimedia/wikipedia; a pair has `prompt, completion`.
"""

import hashlib
import json
import math
import numbers
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from corpus.encodings import GUESS_BYTES, decoded, lines, not_utf8
from corpus.input_files import decompressed, file_ending, json_fix, open_file, reading
from corpus.sources import Source, SourceFile
from system.errors import UserError

BATCH_CHARACTERS = 2**20
TAIL_SHIFT = 1000  # characters; much more than a line, much less than a validation split
PAIR_KEYS = ("prompt", "completion")


class Article(NamedTuple):
    """One article as it is in its file, or a pair: its prompt, and the completion as its text."""

    id: str | None
    title: str | None
    text: str | None
    prompt: str = ""
    is_alone: bool = False  # the only text of its source
    kind: str = ""  # of a pair: what its file calls so
    url: str = ""  # of its page


class Pair(NamedTuple):
    """A prompt, the completion that is right, and what kind of question it is: "" if its file does not say."""

    prompt: str
    completion: str
    kind: str = ""


class Batch(NamedTuple):
    """Consecutive articles of one file."""

    file: int  # which file of the source
    number: int  # which batch of the file
    articles: list[Article]
    places: list[str]  # where each article is, for error messages
    done: float  # the part of the source's bytes read so far, in [0, 1]


class Document(NamedTuple):
    """The text of one article as it is tokenized; a prompt does not count in the loss."""

    prompt: str
    text: str
    n_bytes: int
    rank: float  # in [0, 1), a hash of the article's id: the same in any order and with any other files
    split: str  # "val" if the rank is below the validation fraction


def documents(batch: Batch, validation_fraction: float = 0.0) -> Iterator[Document]:
    """Yield the documents of a batch, title + blank line + text, skipping articles without text.

    The rank is the first 8 bytes of the sha256 of the id (without an id: of the document) over 2**64. A source's only
    text becomes two documents, its tail for validation. Raises UserError for a lone surrogate.
    """
    for article, place in zip(batch.articles, batch.places, strict=True):
        if not has_text(article):
            continue
        text = f"{article.title}\n\n{article.text}" if article.title else article.text or ""
        encoded = utf8(article.prompt + text, place)
        identity = encoded if article.id is None else utf8(article.id, place)
        rank = int.from_bytes(hashlib.sha256(identity).digest()[:8], "big") / 2**64
        if article.is_alone:
            start = tail_start(text, validation_fraction)
            for part, split in ((text[:start], "train"), (text[start:], "val")):
                if part.strip():
                    yield Document("", part, len(part.encode()), rank, split)
        else:
            split = "val" if rank < validation_fraction else "train"
            yield Document(article.prompt, text, len(encoded), rank, split)


def utf8(text: str, place: str) -> bytes:
    """Return a text's bytes; raise UserError for a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        surrogate = ascii(error.object[error.start])
        raise UserError(
            f"{place} has a lone surrogate {surrogate}, which is not valid text: fix or delete it"
        ) from None


def has_text(article: Article) -> bool:
    """Return whether an article is kept, not skipped."""
    return article.text is not None and bool(article.text.strip())


def tail_start(text: str, fraction: float) -> int:
    """Return where the last `fraction` of a text starts: at a line, if one starts at most TAIL_SHIFT characters earlier."""
    start = len(text) - math.ceil(len(text) * fraction)
    if not text[start:].strip():  # blank lines are not a document
        end = len(text.rstrip())
        start = end - math.ceil(end * fraction)
    return text.rfind("\n", max(0, start - TAIL_SHIFT), start) + 1 or start


def read_batches(source: Source, first_file: int = 0, first_batch: int = 0) -> Iterator[Batch]:
    """Yield the batches of all files in order, starting at batch `first_batch` of file `first_file`.

    The batches depend on the files alone. Raises UserError naming a file that cannot be read.
    """
    total = sum(file.bytes for file in source.files)
    before = 0
    for index, file in enumerate(source.files):
        if index >= first_file:
            for number, (articles, places, part) in enumerate(_batched(file.path, source.kind)):
                if index > first_file or number >= first_batch:
                    done = (before + part * file.bytes) / total if total else part
                    yield Batch(index, number, articles, places, done)
        before += file.bytes


Row = tuple[Article, str, float]  # an article, where it is, the part of its file read with it


def _batched(path: str, kind: str) -> Iterator[tuple[list[Article], list[str], float]]:
    articles: list[Article] = []
    places: list[str] = []
    characters = 0
    with reading(path):
        for article, place, part in _rows(path, kind):
            articles.append(article)
            places.append(place)
            characters += len(article.prompt) + len(article.text or "")
            if characters >= BATCH_CHARACTERS:
                yield articles, places, part
                articles, places, characters = [], [], 0
    if articles:
        yield articles, places, 1.0


def _rows(path: str, kind: str) -> Iterator[Row]:
    if kind == "pairs":
        return ((_pair(row, place), place, part) for row, place, part in jsonl_objects(path, PAIR_KEYS))
    if path == "builtin":
        return _builtin_rows()
    if path.lower().endswith(".parquet"):
        return _parquet_rows(path)
    if file_ending(path) == ".txt":
        return _text_rows(path, is_alone=kind == "text")
    return ((_article(row, place), place, part) for row, place, part in jsonl_objects(path, ("text",)))


def _builtin_rows() -> Iterator[Row]:
    from corpus.builtin.encyclopedia import articles

    everything = list(articles())
    for number, article in enumerate(everything, 1):
        row = Article(str(article["id"]), article["title"], article["text"], url=article["url"])
        yield row, f"builtin article {number}", number / len(everything)


def _parquet_rows(path: str) -> Iterator[Row]:
    """Yield a parquet file's rows, with about BATCH_CHARACTERS in memory: a row group may be the whole file."""
    import pyarrow.parquet as parquet

    with open_file(path) as file:
        table = parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
        names = table.schema_arrow.names
        if "text" not in names:
            raise UserError(
                f"{path} has no column 'text', only {', '.join(names)}: rename one to 'text', or leave the file out"
            )
        size = sum(table.metadata.row_group(group).total_byte_size for group in range(table.num_row_groups))
        n_rows = table.metadata.num_rows
        at_once = min(1000, max(1, BATCH_CHARACTERS * n_rows // max(1, size)))
        columns = [name for name in ("id", "url", "title", "text") if name in names]
        number = 0
        for batch in table.iter_batches(batch_size=at_once, columns=columns):
            for row in batch.to_pylist():
                number += 1
                place = f"{path} row {number}"
                yield _article(row, place), place, number / n_rows


def read_pairs(path: str) -> list[Pair]:
    """Return the prompts and completions of a JSONL file. Raises UserError if there are none."""
    if not os.path.isfile(path):
        raise UserError(f"no file {path}: it must have a prompt and a completion in each line")
    source = Source("pairs", (SourceFile(path, os.path.getsize(path)),), {})
    pairs = []
    for batch in read_batches(source):
        kept = filter(has_text, batch.articles)
        pairs += [
            Pair(pair.prompt, pair.text, row.kind) for pair, row in zip(documents(batch), kept, strict=True)
        ]
    if not pairs:
        raise UserError(f"{path} has no pairs: each line must have a prompt and a completion")
    return pairs


def jsonl_objects(path: str, keys: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], str, float]]:
    """Yield a JSONL file's objects with their places and the part read. Each must have the keys."""
    size = max(1, os.path.getsize(path))
    with decompressed(path) as (content, raw):
        for number, line in enumerate(lines(content), 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                row = json.loads(line)
            except UnicodeDecodeError as error:
                raise not_utf8(path, error.object + content.read(GUESS_BYTES), error.start, place) from None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{place} is not valid JSON ({error}): {json_fix(path, line)}") from None
            missing = [key for key in keys if not isinstance(row, dict) or key not in row]
            if missing:
                found = f"only {', '.join(row)}" if isinstance(row, dict) else f"it is a {type(row).__name__}"
                fix = "each line must be an object that has it"
                if isinstance(row, dict) and set(PAIR_KEYS) <= row.keys():
                    fix = "set --source=pairs:... for prompts and completions"
                elif isinstance(row, list) and row and isinstance(row[0], dict):
                    fix = json_fix(path, line)
                raise UserError(f"{place} has no key {missing[0]!r}, {found}: {fix}")
            yield row, place, raw.tell() / size


def _text_rows(path: str, is_alone: bool) -> Iterator[Row]:
    """Yield a text file as one article, with its line ends, so that decoding returns its text."""
    with decompressed(path) as (content, _):
        yield Article(None, None, decoded(content.read(), path), is_alone=is_alone), path, 1.0


def _article(row: dict[str, Any], place: str) -> Article:
    url = row.get("url")
    return Article(
        _identity(row),
        _text(row, "title", place),
        _text(row, "text", place),
        url=url if isinstance(url, str) else "",
    )


def _pair(row: dict[str, Any], place: str) -> Article:
    prompt, completion = (_text(row, key, place) for key in PAIR_KEYS)
    return Article(_identity(row), None, completion, prompt or "", kind=str(row.get("kind") or ""))


def _identity(row: dict[str, Any]) -> str | None:
    value = row.get("id")
    if value in (None, "") or _is_nan(value):
        return None
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _text(row: dict[str, Any], key: str, place: str) -> str | None:
    value = row.get(key)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{place}: '{key}' is not valid UTF-8 ({error.reason} at byte {error.start}): convert it to UTF-8"
            ) from None
    if _is_nan(value):  # as pandas writes what is missing
        return None
    if key == "title" and isinstance(value, numbers.Number) and not isinstance(value, bool):
        return str(value).removesuffix(".0")  # which numbers have where some of the titles are missing
    if value is not None and not isinstance(value, str):
        raise UserError(f"{place}: '{key}' must be text, but is {type(value).__name__} {value!r:.40}")
    return value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
