"""Prepare text for training: articles -> tokens -> shards and a manifest.

    python prepare_data.py --out_dir=data/wikipedia
    python prepare_data.py --source='dump/*.parquet' --tokenizer=bpe:8192 --out_dir=data/mine
    python prepare_data.py --verify --out_dir=data/mine
    python prepare_data.py --source='dump/*.parquet' --part=3/16 --out_dir=parts/3     # on any machine
    python prepare_data.py --merge='parts/*' --out_dir=data/mine

If it is killed, rerun the same command to resume: the folder ends the same, byte for byte, with any number of workers.
The steps: find the files (corpus/sources.py), open or train the tokenizer (tokenizer_json.py, bpe.py), read articles
(articles.py), tokenize them in processes (workers.py) and write the tokens in order (writer.py). Parts of a source become
one folder in parts.py and merge.py.
"""

import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from system.command_line import agrees_twice, can_ask, parse_config  # first, as it looks for the packages

# isort: split
from corpus.articles import read_batches
from corpus.bpe import bpe_size, train_bpe, training_sample
from corpus.config import PrepareConfig, content_options, source_of
from corpus.dataset import TokenDataset, verify
from corpus.manifest import JOURNAL_FILE, MANIFEST_FILE, NO_LOSS, SPLITS, Manifest
from corpus.merge import (
    begin_merge,
    check_room,
    find_unfinished_merge,
    first_journal,
    is_merged,
    merge_shards,
)
from corpus.parts import find_parts
from corpus.report import ProgressPrinter, print_summary, split_problem
from corpus.resuming import check_options, find_unfinished, resume, source_has_changed
from corpus.sources import Source
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.tokenizer_json import open_tokenizer
from corpus.workers import WorkerPool
from corpus.writer import DatasetWriter, Journal, remove_journal, shards_in, token_dtype, write_text
from system.errors import UserError, run_command
from system.files import only_writer
from system.progress import announced


def prepare(config: PrepareConfig) -> None:
    """Make `config.out_dir` a finished data folder, resuming a preparation that was stopped."""
    out_dir = Path(config.out_dir)
    with only_writer(out_dir, busy(out_dir)):
        if (out_dir / MANIFEST_FILE).exists() and not config.overwrite:
            manifest = check_finished(out_dir, content_options(config))
            note = f"; the files of {config.source} have changed since: choose another --out_dir to prepare them, or add --overwrite"
            print_complete(out_dir, note if source_has_changed(config, manifest) else "")
            return
        unfinished = find_unfinished(config, out_dir)
        if config.overwrite and not unfinished:
            confirm_overwrite(out_dir)
        started = time.perf_counter()
        with WorkerPool(config.workers) as pool:
            journal, tokenizer = resume(unfinished, out_dir) if unfinished else start(config, out_dir)
            has_pairs = journal.source["kind"] == "pairs"  # whose tokens have the NO_LOSS bit
            dtype = token_dtype(NO_LOSS if has_pairs else tokenizer.vocab_size)
            with DatasetWriter(out_dir, dtype, config.shard_tokens, journal) as writer:
                tokenize(config, pool, writer)
                if not config.part:  # a part may have no validation articles
                    check_splits(writer.journal, out_dir)
                manifest = writer.finish(tokenizer)
        print_summary(manifest, out_dir, time.perf_counter() - started, journal.n_tokens)


def busy(out_dir: Path) -> str:
    """Return the error for a folder that another command is writing."""
    return f"another preparation is writing to {out_dir}: wait for it, or choose another --out_dir"


def merge(config: PrepareConfig) -> None:
    """Make `config.out_dir` the data folder that its parts are of, resuming a merge that was stopped."""
    out_dir = Path(config.out_dir)
    parts = find_parts(config.merge, out_dir)
    journal = first_journal(parts)
    with only_writer(out_dir, busy(out_dir)):
        if (out_dir / MANIFEST_FILE).exists() and not config.overwrite:
            manifest = check_finished(out_dir, journal.options)
            if not is_merged(manifest, journal, parts):
                raise UserError(
                    f"{out_dir} holds other data than the parts: choose another --out_dir, or add --overwrite"
                )
            print_complete(out_dir)
            return
        unfinished = find_unfinished_merge(journal, out_dir, config.overwrite)
        check_room(parts, out_dir)
        if unfinished:
            print(f"resuming in {out_dir} after {unfinished.batch} shards of the parts", flush=True)
        else:
            reject_strays(config, out_dir)
            if config.overwrite:
                confirm_overwrite(out_dir)
            begin_merge(journal, parts, out_dir)
        started = time.perf_counter()
        journal = unfinished or journal
        manifest = merge_shards(parts, out_dir, journal)
        print_summary(
            manifest, out_dir, time.perf_counter() - started, journal.n_tokens, "prepare the parts with"
        )


def write_tokenizer(config: PrepareConfig) -> None:
    """Write the tokenizer that all parts use to `config.out_dir`, and nothing else."""
    out_dir = Path(config.out_dir)
    path = out_dir / TOKENIZER_FILE
    with only_writer(out_dir, busy(out_dir)):
        if any((out_dir / name).exists() for name in (MANIFEST_FILE, JOURNAL_FILE)):
            raise UserError(f"{out_dir} holds data, with their tokenizer: choose another --out_dir")
        if path.exists() and not config.overwrite:
            raise UserError(f"{path} exists: choose another --out_dir, or add --overwrite to replace it")
        write_text(path, make_tokenizer(config, found_source(config)).to_json())
        print(f"{path} is complete: set --tokenizer={shlex.quote(config.out_dir)} for all parts")


def confirm_overwrite(out_dir: Path) -> None:
    """Ask twice before data are deleted, if stdin is a terminal. Raises UserError unless both answers are yes."""
    size = sum(path.stat().st_size for path in shards_in(out_dir)) / 1e6
    if not size or not (sys.stdin and sys.stdin.isatty()):
        return
    if not can_ask():
        raise UserError(
            f"{out_dir} holds data, which are deleted only after asking, and stderr is not a terminal: run it without"
            " 2>&1, or choose another --out_dir"
        )
    if not agrees_twice(f"delete {size:,.1f} MB of tokens in {out_dir}?"):
        raise UserError(f"{out_dir} is unchanged: choose another --out_dir")


def check_finished(out_dir: Path, options: dict[str, Any]) -> Manifest:
    """Return the manifest of a complete folder. Raises UserError if it has other options or a missing or truncated file."""
    manifest = Manifest.read(out_dir)
    check_options(out_dir, manifest.options, options)
    remove_journal(out_dir)
    for split in SPLITS:
        TokenDataset(out_dir, split).tokenizer()
    return manifest


def print_complete(out_dir: Path, note: str = "") -> None:
    """Print that there is nothing to do."""
    print(f"{out_dir} is complete, nothing to do (sizes checked; --verify compares the hashes){note}")


def start(config: PrepareConfig, out_dir: Path) -> tuple[Journal, Tokenizer]:
    """Return journal and tokenizer of a new preparation."""
    reject_strays(config, out_dir)
    source = found_source(config)
    tokenizer = make_tokenizer(config, source)
    if config.overwrite:  # only now: source and tokenizer exist; the writer deletes the shards
        (out_dir / MANIFEST_FILE).unlink(missing_ok=True)
    write_text(out_dir / TOKENIZER_FILE, tokenizer.to_json())
    journal = Journal(content_options(config), source.to_dict(), tokenizer.hash)
    journal.save(out_dir)
    return journal, tokenizer


def reject_strays(config: PrepareConfig, out_dir: Path) -> None:
    """Raise UserError if the folder has shards that neither manifest nor journal explains."""
    strays = shards_in(out_dir)
    if strays and not config.overwrite and not Journal.read(out_dir):
        raise UserError(
            f"{out_dir} has {strays[0].name} but neither {MANIFEST_FILE} nor {JOURNAL_FILE}: choose another --out_dir,"
            " or add --overwrite to replace it"
        )


def found_source(config: PrepareConfig) -> Source:
    """Find the files to read, and print how many they are."""
    source = source_of(config)
    size = sum(file.bytes for file in source.files)
    is_builtin = source.kind == "builtin"
    what = "the built-in corpus" if is_builtin else f"{len(source.files)} file(s), {size / 1e6:,.1f} MB"
    of = f", part {config.part} of {source.part_of['files']} files" if config.part else ""
    print(f"reading {what}{of}", flush=True)
    return source


def make_tokenizer(config: PrepareConfig, source: Source) -> Tokenizer:
    """Open the tokenizer that `config` names, or train it on a sample of the training articles."""
    vocab_size = bpe_size(config.tokenizer)
    if vocab_size is None:
        return open_tokenizer(config.tokenizer)
    started = time.perf_counter()
    sample = training_sample(read_batches(source), config.validation_fraction)
    size = sum(map(len, sample)) / 1e6
    print(f"training {config.tokenizer} on {size:,.1f} MB of {len(sample):,} training articles", flush=True)
    tokenizer = train_bpe((document.decode(errors="ignore") for document in sample), vocab_size)
    print(f"trained {config.tokenizer} in {time.perf_counter() - started:.1f} s")
    return tokenizer


def tokenize(config: PrepareConfig, pool: WorkerPool, writer: DatasetWriter) -> None:
    """Read, tokenize and write everything that is not in the writer's journal yet."""
    journal = writer.journal
    batches = read_batches(Source.from_dict(journal.source), journal.file, journal.batch)
    progress = ProgressPrinter()
    tokenizer_path = Path(config.out_dir) / TOKENIZER_FILE
    for result in pool.tokenized(batches, tokenizer_path, config.validation_fraction):
        writer.append(result.file, result.number, result.skipped_documents, result.additions)
        progress.report(writer.journal, result.done)


def check_splits(journal: Journal, out_dir: Path) -> None:
    """Raise UserError if a split has no article, after emptying the journal so that the fix can be applied."""
    if problem := split_problem(journal):
        Journal(journal.options, journal.source, journal.tokenizer_hash).save(out_dir)
        raise UserError(problem)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = parse_config(
        PrepareConfig(),
        sys.argv[1:] if argv is None else argv,
        "Prepare text for training.",
        main_setting="source",
    )
    if config.verify:
        with announced(f"comparing the files of {config.out_dir} with their hashes"):
            manifest = verify(Path(config.out_dir))
        print(
            f"{config.out_dir} is whole: {len(manifest.shards)} shard(s) and the tokenizer match their hashes"
        )
    elif config.merge:
        merge(config)
    elif config.tokenizer_only:
        write_tokenizer(config)
    else:
        prepare(config)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker processes end in order
    run_command(main)
