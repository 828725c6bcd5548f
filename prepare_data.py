"""Prepare text for training: articles -> tokens -> shards and a manifest.

    python prepare_data.py --out_dir=data/wikipedia
    python prepare_data.py --source='dump/*.parquet' --tokenizer=bpe:8192 --out_dir=data/mine
    python prepare_data.py --verify --out_dir=data/mine

If it is killed, rerun the same command to resume: the folder ends the same, byte for byte, with any number of workers.
The steps: find the files (corpus/sources.py), open or train the tokenizer (tokenizer_json.py, bpe.py), read articles
(articles.py), tokenize them in processes (workers.py) and write the tokens in order (writer.py).
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from system.command_line import agrees_twice, can_ask, parse_config  # first, as it looks for the packages

# isort: split
from corpus.articles import read_batches
from corpus.bpe import bpe_size, train_bpe, training_sample
from corpus.dataset import TokenDataset, verify
from corpus.manifest import JOURNAL_FILE, MANIFEST_FILE, NO_LOSS, SPLITS, Manifest, remedy
from corpus.report import ProgressPrinter, print_summary
from corpus.sources import Source, find_source, with_current_sizes
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.tokenizer_json import open_tokenizer
from corpus.workers import WorkerPool
from corpus.writer import SHARD_NAME, DatasetWriter, Journal, remove_journal, token_dtype, write_text
from system.errors import UserError, run_command
from system.files import only_writer
from system.progress import announced
from system.settings import PathsText, PathText, checked

MIN_SHARD_TOKENS = 10_000  # puts all of English Wikipedia in fewer than a million files
_SOURCE = "source, with globs of text files: --source='mine/*.txt'"
# What Hugging Face and others call the settings, each with ours and what differs, or with a hint where we have none.
OTHER_NAMES = {
    "block_size": "a setting of train.py: the tokens are stored as one stream",
    "data_dir": "out_dir for the folder to write, source for the text to read",
    "dataset_config": "subset",
    "dataset_config_name": "subset",
    "dataset_name": "dataset",
    "encoding": "tokenizer, which is a tiktoken encoding, bpe:N, bytes, a run or a model",
    **dict.fromkeys(("data_files", "file", "input", "input_file", "text_file", "train_file"), _SOURCE),
    "model_name_or_path": "tokenizer, which may be a run or a model",
    "num_files": "n_shards, the parquet files of a hub dataset to read",
    "num_proc": "workers",
    "num_workers": "workers",
    **dict.fromkeys(("out", "output", "output_dir"), "out_dir"),
    "force": "overwrite",
    "seed": "not needed: a hash of its id decides an article's split",
    "shard_size": "shard_tokens, in tokens",
    "split": "not available: the split train is read, and validation_fraction of it held out",
    "test_size": "validation_fraction",
    "tokenizer_name": "tokenizer",
    "val_fraction": "validation_fraction",
    "validation_split": "validation_fraction",
    "validation_split_percentage": "validation_fraction, as a fraction",
    "vocab_size": "tokenizer, as bpe:N for a vocabulary of N tokens trained on this text",
}


@checked
@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, and how. Raises ValueError on invalid values."""

    out_dir: PathText = "data/wikipedia"  # the folder for shards, tokenizer and manifest
    source: PathsText = (
        "hub"  # hub, builtin, a folder like a hub dataset, globs of text files, or pairs:*.jsonl
    )
    dataset: str = "wikimedia/wikipedia"  # the hub dataset to read
    subset: str = "20231101.en"  # its subset (hub and folder)
    n_shards: int = 1  # parquet files of the subset to read; 0: all (hub and folder)
    tokenizer: PathText = (
        "gpt2"  # a tiktoken encoding, bpe:N (trained on this text), bytes, a run, or a model
    )
    validation_fraction: float = 0.01  # fraction of the articles, by a hash of their ids, kept for validation
    shard_tokens: int = 100_000_000  # tokens per shard file, at least 10,000
    workers: int = 0  # tokenizing processes; 0: one per core, at most 8; does not change the files
    verify: bool = False  # only check the hashes of a finished out_dir
    overwrite: bool = False  # replace the data in out_dir, after asking twice on a terminal

    other_names = OTHER_NAMES

    def __post_init__(self) -> None:
        bpe_size(self.tokenizer)
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: must be above 0 and below 1: train.py evaluates on it"
            )
        for name, least in (("shard_tokens", MIN_SHARD_TOKENS), ("n_shards", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")


def prepare(config: PrepareConfig) -> None:
    """Make `config.out_dir` a finished data folder, resuming a preparation that was stopped."""
    out_dir = Path(config.out_dir)
    busy = f"another preparation is writing to {out_dir}: wait for it, or choose another --out_dir"
    with only_writer(out_dir, busy):
        if (out_dir / MANIFEST_FILE).exists() and not config.overwrite:
            check_finished(config, out_dir)
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
                check_splits(config, writer.journal)
                manifest = writer.finish(tokenizer)
        print_summary(manifest, out_dir, time.perf_counter() - started, journal.n_tokens)


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


def shards_in(out_dir: Path) -> list[Path]:
    """Return the shards in a folder, in order."""
    return sorted(path for path in out_dir.iterdir() if SHARD_NAME.fullmatch(path.name))


def check_finished(config: PrepareConfig, out_dir: Path) -> None:
    """Print that the folder is complete. Raises UserError if it has other options or a missing or truncated file."""
    manifest = Manifest.read(out_dir)
    check_options(out_dir, manifest.options, content_options(config))
    remove_journal(out_dir)
    for split in SPLITS:
        TokenDataset(out_dir, split).tokenizer()
    note = f"; the files of {config.source} have changed since: choose another --out_dir to prepare them, or add --overwrite"
    changed = note if source_has_changed(config, manifest) else ""
    print(f"{out_dir} is complete, nothing to do (sizes checked; --verify compares the hashes){changed}")


def content_options(config: PrepareConfig) -> dict[str, Any]:
    """Return the options that decide the content of the folder."""
    options: dict[str, Any] = {"source": config.source}
    if config.source == "hub":
        options["dataset"] = config.dataset
    if config.source == "hub" or os.path.isdir(config.source):
        options |= {"subset": config.subset, "n_shards": config.n_shards}
    return options | {
        "tokenizer": config.tokenizer,
        "validation_fraction": config.validation_fraction,
        "shard_tokens": config.shard_tokens,
    }


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


def source_of(config: PrepareConfig) -> Source:
    """Return the files to read."""
    with announced(f"finding the files of {config.dataset if config.source == 'hub' else config.source}"):
        return find_source(config.source, config.dataset, config.subset, config.n_shards)


def find_unfinished(config: PrepareConfig, out_dir: Path) -> Journal | None:
    """Return the journal to resume from, None to start. Raises UserError if it has other options.

    A journal without a batch is replaced, so that a command that failed early can be rerun with other options.
    """
    if config.overwrite:
        return None if (out_dir / MANIFEST_FILE).exists() else find_same(config, out_dir)
    journal = Journal.read(out_dir)
    if not journal or not journal.batch:
        return None
    check_options(out_dir, journal.options, content_options(config))
    return journal


def find_same(config: PrepareConfig, out_dir: Path) -> Journal | None:
    """Return the journal that the same command left, None if it may tokenize something else now."""
    with contextlib.suppress(UserError, OSError):
        journal = Journal.read(out_dir)
        if journal and journal.batch and journal.options == content_options(config):
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


def start(config: PrepareConfig, out_dir: Path) -> tuple[Journal, Tokenizer]:
    """Return journal and tokenizer of a new preparation."""
    strays = shards_in(out_dir)
    if strays and not config.overwrite and not Journal.read(out_dir):
        raise UserError(
            f"{out_dir} has {strays[0].name} but neither {MANIFEST_FILE} nor {JOURNAL_FILE}: choose another --out_dir,"
            " or add --overwrite to replace it"
        )
    source = source_of(config)
    size = sum(file.bytes for file in source.files)
    is_builtin = source.kind == "builtin"
    what = "the built-in corpus" if is_builtin else f"{len(source.files)} file(s), {size / 1e6:,.1f} MB"
    print(f"reading {what}", flush=True)
    tokenizer = make_tokenizer(config, source)
    if config.overwrite:  # only now: source and tokenizer exist; the writer deletes the shards
        (out_dir / MANIFEST_FILE).unlink(missing_ok=True)
    write_text(out_dir / TOKENIZER_FILE, tokenizer.to_json())
    journal = Journal(content_options(config), source.to_dict(), tokenizer.hash)
    journal.save(out_dir)
    return journal, tokenizer


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


def check_splits(config: PrepareConfig, journal: Journal) -> None:
    """Raise UserError if a split has no article, after emptying the journal so that the fix can be applied."""
    fraction = config.validation_fraction
    empty = [name for name in SPLITS if not journal.splits[name].documents]
    if not empty:
        return
    Journal(journal.options, journal.source, journal.tokenizer_hash).save(Path(config.out_dir))
    if not journal.n_documents:
        raise UserError(
            f"source={config.source}: must have an article with text ({journal.skipped_documents} are empty)"
        )
    if journal.source["kind"] == "text":
        raise UserError(f"source={config.source}: too short to be cut into training and validation text")
    if journal.n_documents == 1:
        raise UserError(
            f"source={config.source}: one document cannot be in two splits: add others, or write its text alone to a"
            " .txt file, whose end is then kept for validation"
        )
    # With a fraction of 3 / n, all of n articles miss the split once in twenty times.
    likely = min(0.5, max(2 * fraction, 3 / journal.n_documents)) if empty == ["val"] else fraction / 2
    raise UserError(
        f"validation_fraction={fraction}: leaves none of the {journal.n_documents} articles with text for the split"
        f" {empty[0]!r}: set --validation_fraction={likely:.2g} or add text"
    )


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
    else:
        prepare(config)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker processes end in order
    run_command(main)
