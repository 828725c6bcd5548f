"""Prepare text for training: articles -> tokens -> shards and a manifest.

    python prepare_data.py --out_dir=data/wikipedia
    python prepare_data.py --source='dump/*.parquet' --tokenizer=bpe:8192 --out_dir=data/mine
    python prepare_data.py --verify --out_dir=data/mine

Owns the order of things: find the source (sources.py), open or train the tokenizer, read articles (articles.py),
tokenize them in spawned processes (workers.py), hand the tokens in order to the one writer (shards.py), report. Killed
at any moment and started again, it goes on, and the folder ends the same, byte for byte, with any number of workers.
"""

import heapq
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.articles import Batch, documents, read_batches
from corpus.dataset import JOURNAL_FILE, MANIFEST_FILE, NO_LOSS, SPLITS, Manifest, Split, TokenDataset
from corpus.sources import Source, find_source, looked_at_again
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer, bpe_size, train_bpe
from corpus.tokenizer_json import find_tokenizer
from corpus.workers import WorkerPool
from corpus.writer import (
    SHARD_NAME,
    DatasetWriter,
    Journal,
    only_writer,
    remove_journal,
    token_dtype,
    verify,
    write_text,
)
from system.command_line import parse_config
from system.errors import UserError, run_command

BPE_TRAINING_BYTES = 32_000_000
BPE_DOCUMENT_BYTES = 4_000_000  # of one document at the most: a single huge one must not be all of the sample
PROGRESS_SECONDS = 2.0
MIN_SHARD_TOKENS = 10_000  # all of English Wikipedia in less than a million files


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, from where, and how. Raises ValueError for what makes no sense."""

    out_dir: str = "data/wikipedia"  # the folder for shards, tokenizer and manifest
    source: str = "hub"  # hub, builtin, a folder like a hub dataset, globs of text files, or pairs:*.jsonl
    dataset: str = "wikimedia/wikipedia"  # the hub dataset to read
    subset: str = "20231101.en"  # its subset (hub and folder)
    n_shards: int = 1  # how many of its parquet files to read, 0 for all (hub and folder)
    tokenizer: str = "gpt2"  # a tiktoken encoding, bpe:N (trained on this text), bytes, or a model's
    validation_fraction: float = 0.01  # part of the articles, by a hash of their ids, kept for validation
    shard_tokens: int = 100_000_000  # tokens to a shard file, 10,000 at the least
    workers: int = 0  # tokenizing processes, 0 for one to a core (at most 8); the result is always the same
    verify: bool = False  # only check every hash of a finished out_dir

    def __post_init__(self) -> None:
        bpe_size(self.tokenizer)
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: must be at least 0 and below 1"
            )
        for name, least in (("shard_tokens", MIN_SHARD_TOKENS), ("n_shards", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")


def prepare(config: PrepareConfig) -> None:
    """Make `config.out_dir` a finished data folder, going on where an earlier run was stopped."""
    out_dir = Path(config.out_dir)
    with only_writer(out_dir):
        options = content_options(config)
        if (out_dir / MANIFEST_FILE).exists():
            manifest = Manifest.read(out_dir)
            refuse_other_options(out_dir, manifest.options, options)
            remove_journal(out_dir)
            for split in SPLITS:
                TokenDataset(out_dir, split).tokenizer()  # refuses what is missing or cut short
            note = f"; the files of {config.source} have changed since: another --out_dir prepares them"
            changed = note if source_has_changed(config, manifest) else ""
            print(f"{out_dir} is complete, nothing to do (--verify checks its hashes){changed}")
            return
        started = time.perf_counter()
        with WorkerPool(config.workers) as pool:
            journal, tokenizer = begin_or_go_on(config, out_dir, options)
            has_pairs = journal.source["kind"] == "pairs"  # whose tokens carry a mark beside their id
            dtype = token_dtype(NO_LOSS if has_pairs else tokenizer.vocab_size)
            with DatasetWriter(out_dir, dtype, config.shard_tokens, journal) as writer:
                tokenize(config, pool, writer)
                refuse_empty_splits(config, writer.journal)
                manifest = writer.finish(tokenizer)
        print_summary(manifest, out_dir, time.perf_counter() - started, n_tokens(journal.splits))


def content_options(config: PrepareConfig) -> dict[str, Any]:
    """Return the options that decide what the folder will hold."""
    options: dict[str, Any] = {"source": config.source}
    if config.source == "hub":
        options["dataset"] = config.dataset
    if config.source == "hub" or Path(config.source).is_dir():
        options |= {"subset": config.subset, "n_shards": config.n_shards}
    return options | {
        "tokenizer": config.tokenizer,
        "validation_fraction": config.validation_fraction,
        "shard_tokens": config.shard_tokens,
    }


def refuse_other_options(out_dir: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UserError naming the options in which this command differs from the one that began the folder."""
    differing = [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise UserError(
            f"{out_dir} was prepared with other options: {'; '.join(differing)}: choose another --out_dir or delete it"
        )


def source_has_changed(config: PrepareConfig, manifest: Manifest) -> bool:
    """Return whether the source of a finished folder has other local files now, or other sizes, or is gone."""
    if config.source == "hub":
        return False  # the files of a revision never change
    try:
        source = find_source(config.source, config.dataset, config.subset, config.n_shards)
    except UserError:
        return True
    return source.to_dict() != manifest.source


def begin_or_go_on(
    config: PrepareConfig, out_dir: Path, options: dict[str, Any]
) -> tuple[Journal, Tokenizer]:
    """Return journal and tokenizer of the preparation under way in the folder, or of a new one.

    A journal of no batch binds nothing: what stopped that run, like a mistyped option, can be mended.
    """
    journal = Journal.read(out_dir)
    if journal and journal.batch:
        return go_on(journal, out_dir, options)
    strays = sorted(path.name for path in out_dir.iterdir() if SHARD_NAME.fullmatch(path.name))
    if strays and not journal:
        raise UserError(
            f"{out_dir} holds {strays[0]} but neither {MANIFEST_FILE} nor {JOURNAL_FILE}: delete it or choose another"
            " --out_dir"
        )
    source = find_source(config.source, config.dataset, config.subset, config.n_shards)
    size = sum(file.bytes for file in source.files)
    is_builtin = source.kind == "builtin"
    what = "the built-in corpus" if is_builtin else f"{len(source.files)} file(s), {size / 1e6:,.1f} MB"
    print(f"reading {what}", flush=True)
    tokenizer = make_tokenizer(config, source)
    write_text(out_dir / TOKENIZER_FILE, tokenizer.to_json())
    journal = Journal(options, source.to_dict(), tokenizer.hash)
    journal.save(out_dir)
    return journal, tokenizer


def go_on(journal: Journal, out_dir: Path, options: dict[str, Any]) -> tuple[Journal, Tokenizer]:
    """Return the journal and the tokenizer of a preparation that was stopped, if it is the one asked for."""
    refuse_other_options(out_dir, journal.options, options)
    tokenizer = Tokenizer.load(out_dir / TOKENIZER_FILE)
    if tokenizer.hash != journal.tokenizer_hash:
        raise UserError(
            f"{out_dir / TOKENIZER_FILE} is not the one this preparation began with: delete {out_dir}"
        )
    source = looked_at_again(Source.from_dict(journal.source), begun=journal.file)
    n_documents = sum(split.documents for split in journal.splits.values())
    print(f"going on in {out_dir}, where {n_documents:,} articles are done", flush=True)
    return replace(journal, source=source.to_dict()), tokenizer


def make_tokenizer(config: PrepareConfig, source: Source) -> Tokenizer:
    """Open the tokenizer that `config` names, or train it on a sample of the training articles."""
    vocab_size = bpe_size(config.tokenizer)
    if vocab_size is None:
        return find_tokenizer(config.tokenizer)
    started = time.perf_counter()
    sample = training_sample(read_batches(source), config.validation_fraction)
    size = sum(map(len, sample)) / 1e6
    print(f"training {config.tokenizer} on {size:,.1f} MB of {len(sample):,} training articles", flush=True)
    tokenizer = train_bpe((document.decode(errors="ignore") for document in sample), vocab_size)
    print(f"trained {config.tokenizer} in {time.perf_counter() - started:.1f} s")
    return tokenizer


def training_sample(batches: Iterable[Batch], validation_fraction: float) -> list[bytes]:
    """Return the training documents of the lowest ranks that fit in BPE_TRAINING_BYTES, in order of rank.

    The same articles in another order give the same sample: once one was too many, so is every higher rank.
    """
    heap: list[tuple[float, bytes]] = []  # the highest rank first
    size, limit = 0, 1.0
    for batch in batches:
        for document in documents(batch):
            if document.rank < validation_fraction or document.rank >= limit:
                continue
            content = (document.prompt + document.text).encode()[:BPE_DOCUMENT_BYTES]
            heapq.heappush(heap, (-document.rank, content))
            size += len(content)
            while size > BPE_TRAINING_BYTES or (heap and -heap[0][0] >= limit):
                negative_rank, dropped = heapq.heappop(heap)
                size, limit = size - len(dropped), -negative_rank
    return [content for _, content in sorted(heap, key=lambda item: (-item[0], item[1]))]


def tokenize(config: PrepareConfig, pool: WorkerPool, writer: DatasetWriter) -> None:
    """Read, tokenize and write everything that the writer's journal does not hold yet."""
    journal = writer.journal
    batches = read_batches(Source.from_dict(journal.source), journal.file, journal.batch)
    progress = Progress()
    tokenizer_path = Path(config.out_dir) / TOKENIZER_FILE
    for result in pool.tokenized(batches, tokenizer_path, config.validation_fraction):
        writer.append(result.file, result.number, result.skipped_documents, result.additions)
        progress.report(writer.journal, result.done)


class Progress:
    """Lines that say how far a preparation is, plain in a log file."""

    def __init__(self) -> None:
        self._first: tuple[float, float, int] | None = None
        self._reported = 0.0

    def report(self, journal: Journal, done: float) -> None:
        """Print a line if the last is PROGRESS_SECONDS old; `done` is the part of the source that is written.

        Speed and time left are reckoned from the first call, when tokens began to flow.
        """
        now = time.perf_counter()
        splits = journal.splits.values()
        text_bytes = sum(split.text_bytes for split in splits)
        if self._first is None:
            self._first, self._reported = (now, done, text_bytes), now
        if now - self._reported < PROGRESS_SECONDS:
            return
        self._reported = now
        then, done_then, text_bytes_then = self._first
        speed = (text_bytes - text_bytes_then) / (now - then) / 1e6
        minutes, seconds = divmod(round((1 - done) * (now - then) / max(1e-9, done - done_then)), 60)
        n_documents = sum(split.documents for split in splits)
        print(
            f"{n_documents:,} articles, {n_tokens(journal.splits):,} tokens, {speed:.1f} MB/s, {done:.0%},"
            f" {minutes} min {seconds:02} s left",
            flush=True,
        )


def refuse_empty_splits(config: PrepareConfig, journal: Journal) -> None:
    """Raise UserError if no article fell in a split that was asked for, and let the folder be begun anew."""
    fraction = config.validation_fraction
    documents = {name: split.documents for name, split in journal.splits.items()}
    empty = [name for name in (SPLITS if fraction else SPLITS[:1]) if not documents[name]]
    if not empty:
        return
    anew = Journal(journal.options, journal.source, journal.tokenizer_hash)  # of no batch: it binds nothing
    anew.save(Path(config.out_dir))
    n_documents = sum(documents.values())
    if not n_documents:
        raise UserError(
            f"no article of --source={config.source} has text ({journal.skipped_documents} are empty): give it text"
        )
    if n_documents == 1:
        raise UserError(
            f"--source={config.source} is one document, which cannot be in two splits: cut it into several files, for"
            " instance with `split -n l/100 --additional-suffix=.txt FILE part_`, and prepare 'part_*.txt'"
        )
    # A fraction of 3 / n misses all of n articles once in twenty times.
    likely = min(0.5, max(2 * fraction, 3 / n_documents)) if empty == ["val"] else fraction / 2
    raise UserError(
        f"--validation_fraction={fraction} leaves no article for the split {empty[0]!r} of the {n_documents} with text:"
        f" run the same command with --validation_fraction={likely:.2g} or more text"
    )


def n_tokens(splits: dict[str, Split]) -> int:
    """Return how many tokens all splits hold together."""
    return sum(split.tokens for split in splits.values())


def print_summary(manifest: Manifest, out_dir: Path, seconds: float, tokens_before: int) -> None:
    """Print what a finished folder holds, and the speed of this command, which found `tokens_before` done."""
    print(f"\n{'split':8}{'articles':>12}{'tokens':>16}{'text bytes':>16}{'bytes/token':>13}{'shards':>8}")
    for name, split in manifest.splits.items():
        ratio = split.text_bytes / max(1, split.tokens)
        print(
            f"{name:8}{split.documents:12,}{split.tokens:16,}{split.text_bytes:16,}{ratio:13.2f}{len(split.shards):8}"
        )
    print(f"{manifest.skipped_documents:,} articles without text were skipped")
    print(
        f"tokenizer {manifest.tokenizer['name']}, {manifest.tokenizer['vocab_size']:,} tokens, {manifest.dtype}"
    )
    speed = (n_tokens(manifest.splits) - tokens_before) / seconds
    print(f"{out_dir} is complete: {seconds:.1f} s, {speed:,.0f} tokens/s")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = parse_config(
        PrepareConfig(), sys.argv[1:] if argv is None else argv, "Prepare text for training."
    )
    if config.verify:
        manifest = verify(Path(config.out_dir))
        n_shards = sum(len(split.shards) for split in manifest.splits.values())
        print(f"{config.out_dir} is whole: {n_shards} shard(s) and the tokenizer match their hashes")
    else:
        prepare(config)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which ends the worker processes in order
    run_command(main)
