"""Writing token shards so that a kill at any instant loses seconds of work and never shows as a whole result.

Owns the journal (how far a preparation has come), the ordered writing of shards, the manifest's birth and the check
of a finished folder. What shards and manifest look like is data.py's; which tokens to write is prepare_data.py's.

The journal is replaced atomically after the shards it speaks of have reached the disk. Going on means cutting the
shards back to what it says. The manifest is written when everything else is safe, and its being there means whole.
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

from corpus.dataset import JOURNAL_FILE, MANIFEST_FILE, SPLITS, Manifest, Shard, Split, TokenDataset, anew
from corpus.tokenizer import Tokenizer
from system.errors import UserError
from system.files import file_hash, locked, replace_file

SAVE_SECONDS = 1.0  # at the most this much work is lost by a kill
SHARD_NAME = re.compile(rf"({'|'.join(SPLITS)})_\d{{5,}}\.bin")


@dataclass(frozen=True)
class Journal:
    """How far a preparation has come; everything before batch `batch` of source file `file` is in the shards."""

    options: dict[str, Any]
    source: dict[str, Any]
    tokenizer_hash: str
    file: int = 0
    batch: int = 0
    skipped_documents: int = 0
    splits: dict[str, Split] = field(default_factory=lambda: {name: Split(0, 0, 0, ()) for name in SPLITS})

    @classmethod
    def read(cls, out_dir: Path) -> "Journal | None":
        """Return the journal of an unfinished preparation, or None."""
        path = out_dir / JOURNAL_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["splits"] = {name: Split.from_dict(split) for name, split in content["splits"].items()}
            return cls(**content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"cannot read {path} ({error}): delete {out_dir} and prepare it again") from None

    def save(self, out_dir: Path) -> None:
        """Replace the journal on disk by this one."""
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
        """Wait until what was appended is on the disk."""
        if self._file is not None:
            with writing(self._path(self.state.shards[-1])):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the current shard's file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, shard: Shard) -> Path:
        return self._out_dir / shard.name

    def _open(self) -> tuple[BinaryIO, Shard]:
        """Return the shard to write to, the last or, if that is full, a new one."""
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
        """Cut a shard back to what the journal says of it and make sure that this is what it holds."""
        path = self._path(shard)
        with writing(path), open(path, "r+b") as file:
            file.truncate(shard.bytes)
            self._hash = hashlib.file_digest(file, "sha256")
        if self._hash.hexdigest() != shard.sha256:
            raise UserError(f"{path} is not as the journal says: delete {self._out_dir} and prepare it again")


class DatasetWriter:
    """The one writer of a data folder: the shards of all splits, then journal or manifest."""

    def __init__(self, out_dir: Path, dtype: np.dtype, shard_tokens: int, journal: Journal) -> None:
        self.journal = journal
        self._out_dir, self._dtype = out_dir, dtype
        known = {shard.name for split in journal.splits.values() for shard in split.shards}
        with writing(out_dir):
            for path in out_dir.iterdir():
                if SHARD_NAME.fullmatch(path.name) and path.name not in known:
                    path.unlink()  # begun after the journal was last saved
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
        """Write what batch `batch` of source file `file` holds for each split; save the journal now and then."""
        for name, addition in additions.items():
            self._writers[name].append(addition)
        self.journal = replace(
            self.journal,
            file=file,
            batch=batch + 1,
            skipped_documents=self.journal.skipped_documents + skipped_documents,
            splits={name: writer.state for name, writer in self._writers.items()},
        )
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Bring shards, then the journal that speaks of them, to the disk."""
        for writer in self._writers.values():
            writer.sync()
        self.journal.save(self._out_dir)
        self._saved_at = time.monotonic()

    def finish(self, tokenizer: Tokenizer) -> Manifest:
        """Close all shards and write the manifest, from which on the folder is whole."""
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


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest little-endian type that holds every id."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def verify(data_dir: Path) -> Manifest:
    """Check every hash of a finished folder; raise UserError naming all files that are not what they were."""
    manifest = Manifest.read(data_dir)
    damaged = []
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        try:
            digest = file_hash(data_dir / shard.name)
        except OSError as error:
            damaged.append(f"{shard.name} ({error.strerror})")
            continue
        if digest != shard.sha256:
            damaged.append(shard.name)
    if damaged:
        raise UserError(f"damaged in {data_dir}: {', '.join(damaged)}: {anew(data_dir)}")
    TokenDataset(data_dir, SPLITS[0]).tokenizer()
    return manifest


def remove_journal(out_dir: Path) -> None:
    """Remove what only an unfinished preparation needs."""
    with writing(out_dir):
        for name in (JOURNAL_FILE, JOURNAL_FILE + ".tmp"):
            (out_dir / name).unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Replace a file of the folder by one that a reader sees whole; raise UserError where the disk refuses."""
    with writing(path):
        replace_file(path, content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what can go wrong in writing a file into one line with its name."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; mend that and run the same command again, it goes on from there"
        ) from None


@contextlib.contextmanager
def only_writer(out_dir: Path) -> Iterator[None]:
    """Keep other preparations out of the folder while the block runs.

    The folder is made if it is not there, and goes again if the block leaves it empty: nothing was begun.
    """
    is_new = not out_dir.exists()
    with writing(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(out_dir))
        except BlockingIOError:
            raise UserError(
                f"another preparation is writing to {out_dir}: wait for it, or choose another --out_dir"
            ) from None
        try:
            yield
        finally:
            if is_new and not any(out_dir.iterdir()):
                out_dir.rmdir()
