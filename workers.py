"""Tokenizing in spawned processes: batches of articles in, their tokens out, in the same order.

Owns what a worker process does and how it ends. Reading articles is articles.py's, writing tokens shards.py's.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

import numpy as np

from articles import Batch, documents
from data import SPLITS
from errors import UserError
from shards import Addition, token_dtype
from tokenizer import Tokenizer

# One process reads for all of them, about six times as fast as one of them tokenizes.
MAX_DEFAULT_WORKERS = 8


class TokenizedBatch(NamedTuple):
    """What a worker makes of a batch."""

    file: int
    number: int
    done: float
    skipped_documents: int
    additions: dict[str, Addition]


class Worker:
    """What a tokenizing process needs for each batch."""

    def __init__(self, tokenizer_path: Path, validation_fraction: float) -> None:
        self.tokenizer = Tokenizer.load(tokenizer_path)
        self.validation_fraction = validation_fraction
        self.dtype = token_dtype(self.tokenizer.vocab_size)

    def tokenize(self, batch: Batch) -> TokenizedBatch:
        """Return the tokens of a batch: each document followed by end-of-text, in the order of the articles."""
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
        text_bytes = dict.fromkeys(SPLITS, 0)
        n_documents = dict.fromkeys(SPLITS, 0)
        end_of_text = np.array([self.tokenizer.end_of_text], dtype=np.uint32)
        for document in documents(batch):
            name = "val" if document.rank < self.validation_fraction else "train"
            pieces[name] += [self.tokenizer.encode_to_array(document.text), end_of_text]
            text_bytes[name] += document.n_bytes
            n_documents[name] += 1
        additions = {
            name: Addition(
                np.concatenate(pieces[name]).astype(self.dtype), n_documents[name], text_bytes[name]
            )
            for name in SPLITS
            if pieces[name]
        }
        skipped = len(batch.articles) - sum(n_documents.values())
        return TokenizedBatch(batch.file, batch.number, batch.done, skipped, additions)


class WorkerPool:
    """Spawned processes that tokenize. They start at once, to be ready when the tokenizer has been opened."""

    def __init__(self, workers: int) -> None:
        """Start `workers` processes (0: one to a core, at most MAX_DEFAULT_WORKERS)."""
        self._workers = workers or min(_n_cores(), MAX_DEFAULT_WORKERS)
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self._workers, mp_context=spawn, initializer=_end_with_parent)
        self._pool.submit(int)  # the first task starts all of them

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def tokenized(
        self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
    ) -> Iterator[TokenizedBatch]:
        """Yield the tokens of each batch, in order, reading only a few batches ahead.

        Raises UserError for an article that is no text, and if a process dies.
        """
        pending: deque[Future[TokenizedBatch]] = deque()
        try:
            for batch in batches:
                pending.append(self._pool.submit(_tokenize, tokenizer_path, validation_fraction, batch))
                if len(pending) > 2 * self._workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a tokenizing process died, perhaps for lack of memory: try fewer --workers"
            ) from None


_worker = lru_cache(maxsize=1)(Worker)  # of a tokenizing process, made with its first batch


def _tokenize(tokenizer_path: Path, validation_fraction: float, batch: Batch) -> TokenizedBatch:
    return _worker(tokenizer_path, validation_fraction).tokenize(batch)


def _end_with_parent() -> None:
    """Let this process end with its parent, however the parent ends, and leave an interrupt to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
