"""Joining the parts of a source into one data folder, byte for byte the one that a single machine would have written.

The tokens of the parts, in order, go through the writer of a preparation, which cuts and hashes shards anew. A shard of a
part is checked against its hash while it is read, and the journal is saved only after it: a merge that is killed, or that
stops at a corrupt shard, resumes after the last shard that was right.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.dataset import TokenDataset
from corpus.manifest import CHUNK_BYTES, MANIFEST_FILE, SPLITS, Manifest, Shard, Split, remedy
from corpus.parts import PartFolder, n_in_all, whole_source
from corpus.report import split_problem
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.writer import Addition, DatasetWriter, Journal, shards_in, write_text
from system.errors import UserError
from system.progress import tracked


class PartShard(NamedTuple):
    """A shard of a part."""

    folder: Path
    split: str
    shard: Shard


def first_journal(parts: list[PartFolder]) -> Journal:
    """Return the journal of a merge that begins. It counts all documents at once; `batch` will count shards of parts.

    Raises UserError if a split would be empty, or a shard of a part is missing or has another size.
    """
    for part in reversed(parts):
        *_, dataset = [TokenDataset(part.folder, split) for split in SPLITS]
    journal = Journal(
        options=parts[0].options,
        source=whole_source(parts),
        tokenizer_hash=dataset.tokenizer().hash,  # the first part's, which is copied
        skipped_documents=sum(part.manifest.skipped_documents for part in parts),
        splits={
            name: Split(n_in_all(parts, name, "documents"), 0, n_in_all(parts, name, "text_bytes"), ())
            for name in SPLITS
        },
        parts=tuple(part.manifest_hash for part in parts),
    )
    if problem := split_problem(journal):
        raise UserError(f"{problem}, and prepare the parts again")
    return journal


def is_merged(manifest: Manifest, journal: Journal, parts: list[PartFolder]) -> bool:
    """Return whether a finished folder holds what merging the parts would write, by sources and counts."""
    n_tokens = sum(shard.shard.tokens for shard in shards_of(parts))
    found = (
        manifest.source,
        manifest.tokenizer["hash"],
        sum(split.tokens for split in manifest.splits.values()),
    )
    return found == (journal.source, journal.tokenizer_hash, n_tokens)


def shards_of(parts: list[PartFolder]) -> list[PartShard]:
    """Return the shards of all parts, in the order of the source."""
    return [
        PartShard(part.folder, name, shard)
        for part in parts
        for name, split in part.manifest.splits.items()
        for shard in split.shards
    ]


def check_room(parts: list[PartFolder], out_dir: Path) -> None:
    """Print the size of the parts. Raises UserError if the disk has no room for as much again."""
    needed = sum(shard.shard.bytes for shard in shards_of(parts))
    free = shutil.disk_usage(out_dir).free + sum(path.stat().st_size for path in shards_in(out_dir))
    if needed > free:
        raise UserError(
            f"merging needs {needed / 1e6:,.1f} MB for {out_dir}, and its disk has {free / 1e6:,.1f} MB free: make room, or"
            " choose another --out_dir"
        )
    print(f"merging {len(parts)} parts into {out_dir}: {needed / 1e6:,.1f} MB of tokens", flush=True)


def find_unfinished_merge(journal: Journal, out_dir: Path, overwrite: bool) -> Journal | None:
    """Return the journal of the same merge to resume from, None to begin. Raises UserError if other data are unfinished."""
    if (out_dir / MANIFEST_FILE).exists():  # to be replaced
        return None
    found = Journal.read(out_dir)
    if found and (found.parts, found.options, found.source) == (
        journal.parts,
        journal.options,
        journal.source,
    ):
        return found
    if found and found.batch and not overwrite:
        raise UserError(
            f"{out_dir} holds other data, unfinished: choose another --out_dir, or add --overwrite to replace it"
        )
    return None


def begin_merge(journal: Journal, parts: list[PartFolder], out_dir: Path) -> None:
    """Write the tokenizer and the journal of a merge; a manifest that was there is deleted."""
    (out_dir / MANIFEST_FILE).unlink(missing_ok=True)
    write_text(out_dir / TOKENIZER_FILE, (parts[0].folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    journal.save(out_dir)


def merge_shards(parts: list[PartFolder], out_dir: Path, journal: Journal) -> Manifest:
    """Write everything that is not in the journal yet. Raises UserError naming a shard of a part that is corrupt."""
    dtype = np.dtype(parts[0].manifest.dtype).newbyteorder("<")
    shards = shards_of(parts)
    with DatasetWriter(out_dir, dtype, journal.options["shard_tokens"], journal) as writer:
        for done, shard in enumerate(tracked(shards[journal.batch :], "merging the shards"), journal.batch):
            for tokens in checked_tokens(shard, dtype):
                writer.add({shard.split: Addition(tokens, 0, 0)})
            writer.append(0, done, 0, {})
        return writer.finish(Tokenizer.load(out_dir / TOKENIZER_FILE))


def checked_tokens(part_shard: PartShard, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Yield the tokens of a shard in chunks. Raises UserError, after the last one, if its hash differs."""
    folder, _, shard = part_shard
    path, digest = folder / shard.name, hashlib.sha256()
    try:
        with open(path, "rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            while n_bytes == shard.bytes and (chunk := file.read(CHUNK_BYTES)):
                digest.update(chunk)
                yield np.frombuffer(chunk, dtype)
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}): fix that, then rerun the same command to resume"
        ) from None
    if digest.hexdigest() != shard.sha256:
        raise UserError(
            f"{path} is corrupt (its sha256 differs from the manifest): {remedy(folder)}, then rerun the same command to"
            " resume"
        )
