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
    """What a tokenizing process needs for each batch; built once, when the process starts."""

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


_worker: Worker | None = None  # of this process, if it is a tokenizing one


def _start(tokenizer_path: Path, validation_fraction: float) -> None:
    """Make this process a tokenizing one, which ends with its parent, however the parent ends."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    _worker = Worker(tokenizer_path, validation_fraction)


def _work(batch: Batch) -> TokenizedBatch:
    """Tokenize a batch in a process that `_start` has begun."""
    assert _worker is not None
    return _worker.tokenize(batch)


def tokenized(
    batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float, workers: int
) -> Iterator[TokenizedBatch]:
    """Yield the tokens of each batch, in order, made by `workers` processes (0: one to a core, at most 8).

    Only a few batches for each process are read ahead. Raises UserError for an article that is no text.
    """
    workers = workers or min(_n_cores(), MAX_DEFAULT_WORKERS)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(tokenizer_path, validation_fraction),
    )
    pending: deque[Future[TokenizedBatch]] = deque()
    try:
        pool.submit(int)  # starts the processes: they get ready while the first batch is read
        for batch in batches:
            pending.append(pool.submit(_work, batch))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a tokenizing process died, perhaps for lack of memory: try fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
