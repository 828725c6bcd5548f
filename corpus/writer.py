"""Writing token shards, so that a kill at any moment loses at most seconds of work.

The journal records how far a preparation is. It is replaced atomically, after the shards that it describes are on the
disk; to resume, the shards are cut back to what it says. The manifest is written last: a folder that has one is whole.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from corpus.manifest import JOURNAL_FILE, MANIFEST_FILE, SPLITS, Manifest, Shard, Split, remedy
from corpus.tokenizer import Tokenizer
from system.errors import UserError
from system.files import fix_for, replace_file

SAVE_SECONDS = 1.0  # how much work a kill can lose
SHARD_NAME = re.compile(rf"({'|'.join(SPLITS)})_\d{{5,}}\.bin")


@dataclass(frozen=True)
class Journal:
    """How far a preparation is: everything before batch `batch` of source file `file` is in the shards."""

    options: dict[str, Any]
    source: dict[str, Any]
    tokenizer_hash: str
    file: int = 0
    batch: int = 0
    skipped_documents: int = 0
    splits: dict[str, Split] = field(default_factory=lambda: {name: Split(0, 0, 0, ()) for name in SPLITS})
    parts: tuple[
        str, ...
    ] = ()  # of a merge, whose batches are shards of parts: the hashes of their manifests

    @property
    def n_documents(self) -> int:
        """The documents in all splits."""
        return sum(split.documents for split in self.splits.values())

    @property
    def n_tokens(self) -> int:
        """The tokens in all splits."""
        return sum(split.tokens for split in self.splits.values())

    @classmethod
    def read(cls, out_dir: Path) -> "Journal | None":
        """Return the journal of an unfinished preparation, None if there is none."""
        path = out_dir / JOURNAL_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["splits"] = {name: Split.from_dict(split) for name, split in content["splits"].items()}
            return cls(**{**content, "parts": tuple(content.get("parts", ()))})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"cannot read {path} ({error}): {remedy(out_dir)}") from None

    def save(self, out_dir: Path) -> None:
        """Replace the journal on disk with this one."""
        write_text(out_dir / JOURNAL_FILE, json.dumps(asdict(self)))


class Addition(NamedTuple):
    """The tokens of consecutive whole documents of one split."""

    tokens: np.ndarray
    documents: int
    text_bytes: int


class ShardWriter:
    """The shards of one split: a stream of tokens cut every `shard_tokens` tokens, hashed while it is written."""

    def __init__(self, out_dir: Path, name: str, dtype: np.dtype, shard_tokens: int, state: Split) -> None:
        self.state = state
        self._out_dir, self._name, self._dtype, self._shard_tokens = out_dir, name, dtype, shard_tokens
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        if state.shards:
            self._cut_back(state.shards[-1])

    def append(self, addition: Addition) -> None:
        """Write the tokens of whole documents."""
        self.state = replace(
            self.state,
            documents=self.state.documents + addition.documents,
            text_bytes=self.state.text_bytes + addition.text_bytes,
        )
        tokens = addition.tokens
        while len(tokens):
            file, shard = self._open()
            part = tokens[: self._shard_tokens - shard.tokens]
            self._write(file, shard, part)
            tokens = tokens[len(part) :]
            if self.state.shards[-1].tokens == self._shard_tokens:
                self.sync()
                self.close()

    def sync(self) -> None:
        """Wait until everything appended is on the disk."""
        if self._file is not None:
            with writing(self._path(self.state.shards[-1])):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the current shard's file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, shard: Shard) -> Path:
        return self._out_dir / shard.name

    def _open(self) -> tuple[BinaryIO, Shard]:
        """Return the shard to write to, open: the last one or, if it is full, a new one."""
        shards = self.state.shards
        if not shards or shards[-1].tokens == self._shard_tokens:
            self._hash = hashlib.sha256()
            shards = (*shards, Shard(f"{self._name}_{len(shards):05}.bin", 0, 0, self._hash.hexdigest()))
            self.state = replace(self.state, shards=shards)
        if self._file is None:
            path = self._path(shards[-1])
            with writing(path):
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115  closed when the shard is full
        return self._file, shards[-1]

    def _write(self, file: BinaryIO, shard: Shard, tokens: np.ndarray) -> None:
        content = tokens.astype(self._dtype, copy=False).tobytes()
        rest = memoryview(content)
        with writing(self._path(shard)):
            while rest:
                rest = rest[file.write(rest) :]
        self._hash.update(content)
        n_tokens, n_bytes = shard.tokens + len(tokens), shard.bytes + len(content)
        shard = Shard(shard.name, n_tokens, n_bytes, self._hash.hexdigest())
        self.state = replace(
            self.state, tokens=self.state.tokens + len(tokens), shards=(*self.state.shards[:-1], shard)
        )

    def _cut_back(self, shard: Shard) -> None:
        """Truncate a shard to the bytes in the journal. Raises UserError if their hash differs."""
        path = self._path(shard)
        with writing(path), open(path, "r+b") as file:
            file.truncate(shard.bytes)
            self._hash = hashlib.file_digest(file, "sha256")
        if self._hash.hexdigest() != shard.sha256:
            raise UserError(
                f"{path} is corrupt (its sha256 differs from the journal): {remedy(self._out_dir)}"
            )


class DatasetWriter:
    """Writes a data folder: the shards of all splits, the journal and at last the manifest."""

    def __init__(self, out_dir: Path, dtype: np.dtype, shard_tokens: int, journal: Journal) -> None:
        self.journal = journal
        self._out_dir, self._dtype = out_dir, dtype
        known = {shard.name for split in journal.splits.values() for shard in split.shards}
        with writing(out_dir):
            for path in shards_in(out_dir):
                if path.name not in known:
                    path.unlink()  # created after the journal was last saved
        self._writers = {
            name: ShardWriter(out_dir, name, dtype, shard_tokens, split)
            for name, split in journal.splits.items()
        }
        self._saved_at = float("-inf")

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def append(self, file: int, batch: int, skipped_documents: int, additions: dict[str, Addition]) -> None:
        """Write the tokens of batch `batch` of source file `file`; save the journal if SAVE_SECONDS have passed."""
        self.add(additions)
        self.journal = replace(
            self.journal,
            file=file,
            batch=batch + 1,
            skipped_documents=self.journal.skipped_documents + skipped_documents,
            splits={name: writer.state for name, writer in self._writers.items()},
        )
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def add(self, additions: dict[str, Addition]) -> None:
        """Write tokens of which the journal will not know before the next `append`."""
        for name, addition in additions.items():
            self._writers[name].append(addition)

    def save(self) -> None:
        """Flush the shards to the disk, then the journal that describes them."""
        for writer in self._writers.values():
            writer.sync()
        self.journal.save(self._out_dir)
        self._saved_at = time.monotonic()

    def finish(self, tokenizer: Tokenizer) -> Manifest:
        """Close all shards and write the manifest, which completes the folder."""
        for writer in self._writers.values():
            writer.sync()
            writer.close()
        manifest = Manifest(
            dtype=self._dtype.name,
            tokenizer={
                "name": tokenizer.name,
                "hash": tokenizer.hash,
                "vocab_size": tokenizer.vocab_size,
                "end_of_text": tokenizer.end_of_text,
            },
            splits=self.journal.splits,
            skipped_documents=self.journal.skipped_documents,
            source=self.journal.source,
            options=self.journal.options,
        )
        write_text(self._out_dir / MANIFEST_FILE, manifest.to_json())
        remove_journal(self._out_dir)
        return manifest


def shards_in(out_dir: Path) -> list[Path]:
    """Return the shards in a folder, in order."""
    return sorted(path for path in out_dir.iterdir() if SHARD_NAME.fullmatch(path.name))


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest little-endian dtype that holds every id."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def remove_journal(out_dir: Path) -> None:
    """Remove the journal, which only an unfinished preparation needs."""
    with writing(out_dir):
        for name in (JOURNAL_FILE, JOURNAL_FILE + ".tmp"):
            (out_dir / name).unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Replace a file atomically. Raises UserError if it cannot be written."""
    with writing(path):
        replace_file(path, content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise UserError with the file's name for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror}): {fix_for(error)}, then rerun the same command to resume"
        ) from None
