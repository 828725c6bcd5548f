"""Whether a data folder, finished or not, is what a command would write, and where that command resumes."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus.bpe import bpe_size
from corpus.config import PrepareConfig, content_options, source_of
from corpus.manifest import MANIFEST_FILE, Manifest, remedy
from corpus.sources import Source, with_current_sizes
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.tokenizer_json import open_tokenizer
from corpus.writer import Journal
from system.errors import UserError


def check_options(out_dir: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UserError naming the options that differ from those of the command that started the folder."""
    differing = [
        f"{key} was {before.get(key)!r} and is now {now.get(key)!r}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise UserError(
            f"{out_dir} was prepared with other options: {'; '.join(differing)}: choose another --out_dir, or add"
            " --overwrite to replace it"
        )


def source_has_changed(config: PrepareConfig, manifest: Manifest) -> bool:
    """Return whether the source of a finished folder is gone, or has other files or sizes."""
    if config.source == "hub":
        return False  # the manifest has the revision, whose files never change
    try:
        return source_of(config).to_dict() != manifest.source
    except UserError:
        return True


def find_unfinished(config: PrepareConfig, out_dir: Path) -> Journal | None:
    """Return the journal to resume from, None to start. Raises UserError if it has other options.

    A journal without a batch is replaced, so that a command that failed early can be rerun with other options.
    """
    if config.overwrite:
        return None if (out_dir / MANIFEST_FILE).exists() else find_same(config, out_dir)
    journal = Journal.read(out_dir)
    if not journal or not journal.batch:
        return None
    if journal.parts:
        raise UserError(
            f"{out_dir} has an unfinished merge: resume it with --merge, or choose another --out_dir"
        )
    check_options(out_dir, journal.options, content_options(config))
    return journal


def find_same(config: PrepareConfig, out_dir: Path) -> Journal | None:
    """Return the journal that the same command left, None if it may tokenize something else now."""
    with contextlib.suppress(UserError, OSError):
        journal = Journal.read(out_dir)
        if journal and journal.batch and not journal.parts and journal.options == content_options(config):
            begun = (out_dir / TOKENIZER_FILE).stat().st_mtime
            return None if inputs_may_differ(config, journal, begun) else journal
    return None


def inputs_may_differ(config: PrepareConfig, journal: Journal, begun: float) -> bool:
    """Return whether the command has other files or another tokenizer now, or has read a file that is newer than `begun`.

    Raises UserError or OSError if it cannot read them.
    """
    is_trained = bpe_size(config.tokenizer) is not None  # on all files
    if not is_trained and open_tokenizer(config.tokenizer).hash != journal.tokenizer_hash:
        return True
    source = with_current_sizes(Source.from_dict(journal.source), journal.file)
    if source.kind in ("hub", "builtin"):
        return False
    was_read = source.files if is_trained else source.files[: journal.file + 1]
    return source_of(config) != source or any(os.path.getmtime(file.path) >= begun for file in was_read)


def resume(journal: Journal, out_dir: Path) -> tuple[Journal, Tokenizer]:
    """Return journal and tokenizer of a stopped preparation. Raises UserError if tokenizer or source have changed."""
    tokenizer = Tokenizer.load(out_dir / TOKENIZER_FILE)
    if tokenizer.hash != journal.tokenizer_hash:
        raise UserError(
            f"{out_dir / TOKENIZER_FILE} is not the tokenizer that the preparation started with: {remedy(out_dir)}"
        )
    source = with_current_sizes(Source.from_dict(journal.source), journal.file)
    print(f"resuming in {out_dir} after {journal.n_documents:,} articles", flush=True)
    return replace(journal, source=source.to_dict()), tokenizer
