"""Tokenizing in spawned processes: batches of articles in, their tokens out, in the same order.

Owns what a worker process does and how it ends. Reading articles is articles.py's, writing tokens shards.py's.
"""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from corpus.articles import Batch, documents
from corpus.dataset import NO_LOSS, SPLITS
from corpus.tokenizer import Tokenizer
from corpus.writer import Addition, token_dtype
from system.errors import UserError

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

    def tokenize(self, batch: Batch) -> TokenizedBatch:
        """Return the tokens of a batch: each document followed by end-of-text, in the order of the articles."""
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
        text_bytes = dict.fromkeys(SPLITS, 0)
        n_documents = dict.fromkeys(SPLITS, 0)
        end_of_text = np.array([self.tokenizer.end_of_text], dtype=np.uint32)
        for document in documents(batch):
            name = "val" if document.rank < self.validation_fraction else "train"
            if document.prompt:
                pieces[name].append(self.tokenizer.encode_to_array(document.prompt) | np.uint32(NO_LOSS))
            pieces[name] += [self.tokenizer.encode_to_array(document.text), end_of_text]
            text_bytes[name] += document.n_bytes
            n_documents[name] += 1
        additions = {
            name: Addition(_compact(np.concatenate(pieces[name])), n_documents[name], text_bytes[name])
            for name in SPLITS
            if pieces[name]
        }
        skipped = len(batch.articles) - sum(n_documents.values())
        return TokenizedBatch(batch.file, batch.number, batch.done, skipped, additions)


def _compact(tokens: np.ndarray) -> np.ndarray:
    """Return the tokens in the smallest type that holds them: half the bytes to send to the writer."""
    return tokens.astype(token_dtype(int(tokens.max()) + 1))


class WorkerPool:
    """Spawned processes that tokenize. They start at once, to be ready when the tokenizer has been opened.

    Each has a pipe and, in this process, a thread that waits at it, so that a process killed in the middle of an
    answer is the end of its pipe: in the one queue of ProcessPoolExecutor the reader would wait for the rest for ever.
    """

    def __init__(self, workers: int) -> None:
        """Start `workers` processes (0: one to a core, at most MAX_DEFAULT_WORKERS)."""
        self._workers = workers or min(_n_cores(), MAX_DEFAULT_WORKERS)
        self._threads = ThreadPoolExecutor(self._workers)
        self._pipes: SimpleQueue[Connection] = SimpleQueue()  # of the processes that wait for a batch
        spawn = multiprocessing.get_context("spawn")
        self._processes = []
        resource_tracker.ensure_running()  # comes with the first process otherwise, and unblocks the signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        for _ in range(self._workers):  # they inherit that, and leave interrupts to this process
            ours, theirs = spawn.Pipe()
            self._processes.append(spawn.Process(target=_work, args=(theirs,)))
            self._processes[-1].start()
            theirs.close()
            self._pipes.put(ours)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        while not self._pipes.empty():
            self._pipes.get().close()  # which ends the process
        for process in self._processes:
            process.join()

    def tokenized(
        self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
    ) -> Iterator[TokenizedBatch]:
        """Yield the tokens of each batch, in order, reading only a few batches ahead.

        Raises UserError for an article that is no text, and if a process dies.
        """
        pending: deque[Future[TokenizedBatch]] = deque()
        for batch in batches:
            pending.append(self._threads.submit(self._answer, tokenizer_path, validation_fraction, batch))
            if len(pending) > 2 * self._workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _answer(self, tokenizer_path: Path, validation_fraction: float, batch: Batch) -> TokenizedBatch:
        pipe = self._pipes.get()
        try:
            pipe.send((tokenizer_path, validation_fraction, batch))
            answer: TokenizedBatch | UserError = pipe.recv()
        except (EOFError, OSError):
            raise UserError(
                "a tokenizing process died, perhaps for lack of memory: try fewer --workers"
            ) from None
        finally:
            self._pipes.put(pipe)
        if isinstance(answer, UserError):
            raise answer
        return answer


def _work(pipe: Connection) -> None:
    """Answer each batch with its tokens, until the other end of the pipe is closed or its process has ended."""
    worker = lru_cache(maxsize=1)(Worker)
    with contextlib.suppress(EOFError, OSError):
        while True:
            *settings, batch = pipe.recv()
            try:
                answer: TokenizedBatch | UserError = worker(*settings).tokenize(batch)
            except UserError as error:
                answer = error
            pipe.send(answer)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
