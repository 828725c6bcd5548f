"""Tokenizing in spawned processes: batches of articles in, their tokens out, in the same order."""

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

from corpus.articles import Batch, documents, has_text
from corpus.manifest import NO_LOSS, SPLITS
from corpus.tokenizer import Tokenizer
from corpus.writer import Addition, token_dtype
from system.errors import UserError

# More do not help: one process reads for all workers, about six times as fast as a worker tokenizes.
MAX_DEFAULT_WORKERS = 8


class TokenizedBatch(NamedTuple):
    """The tokens of one batch, by split; `file`, `number` and `done` are the batch's."""

    file: int
    number: int
    done: float
    skipped_documents: int
    additions: dict[str, Addition]


class Worker:
    """Tokenizes batches, in whatever process it is used."""

    def __init__(self, tokenizer_path: Path, validation_fraction: float) -> None:
        self.tokenizer = Tokenizer.load(tokenizer_path)
        self.validation_fraction = validation_fraction

    def tokenize(self, batch: Batch) -> TokenizedBatch:
        """Return the tokens of a batch: its documents in order, each followed by end-of-text."""
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
        text_bytes = dict.fromkeys(SPLITS, 0)
        n_documents = dict.fromkeys(SPLITS, 0)
        end_of_text = np.array([self.tokenizer.end_of_text], dtype=np.uint32)
        for document in documents(batch, self.validation_fraction):
            name = document.split
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
        skipped = sum(not has_text(article) for article in batch.articles)
        return TokenizedBatch(batch.file, batch.number, batch.done, skipped, additions)


def _compact(tokens: np.ndarray) -> np.ndarray:
    """Return the tokens in the smallest dtype that holds them: half the bytes to send to the writer."""
    return tokens.astype(token_dtype(int(tokens.max()) + 1))


class WorkerPool:
    """Spawned processes that tokenize. They start at once, to be ready by the time the tokenizer is opened.

    Each has a pipe of its own, with a thread of this process waiting at it: if a process is killed while it sends a
    result, its pipe ends. The single queue of ProcessPoolExecutor would wait for the rest of the result forever.
    """

    def __init__(self, workers: int) -> None:
        """Start `workers` processes (0: one per core, at most MAX_DEFAULT_WORKERS)."""
        self._workers = workers or min(_n_cores(), MAX_DEFAULT_WORKERS)
        self._threads = ThreadPoolExecutor(self._workers)
        self._pipes: SimpleQueue[Connection] = SimpleQueue()  # of the idle processes
        spawn = multiprocessing.get_context("spawn")
        self._processes = []
        resource_tracker.ensure_running()  # if started with the first process, it would unblock the signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        for _ in range(self._workers):  # which inherit the blocked signals: this process handles interrupts
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
            self._pipes.get().close()  # which ends its process
        for process in self._processes:
            process.join()

    def tokenized(
        self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
    ) -> Iterator[TokenizedBatch]:
        """Yield the tokens of each batch, in order, reading only a few batches ahead.

        Raises UserError if an article is not valid text or a process dies.
        """
        pending: deque[Future[TokenizedBatch]] = deque()
        for batch in batches:
            pending.append(self._threads.submit(self._tokenize, tokenizer_path, validation_fraction, batch))
            if len(pending) > 2 * self._workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _tokenize(self, tokenizer_path: Path, validation_fraction: float, batch: Batch) -> TokenizedBatch:
        pipe = self._pipes.get()
        try:
            pipe.send((tokenizer_path, validation_fraction, batch))
            result: TokenizedBatch | UserError = pipe.recv()
        except (EOFError, OSError):
            raise UserError(
                "a tokenizing process died, perhaps out of memory: set fewer --workers, then rerun the same command to resume"
            ) from None
        finally:
            self._pipes.put(pipe)
        if isinstance(result, UserError):
            raise result
        return result


def _work(pipe: Connection) -> None:
    """Send the tokens of each batch that arrives, until the other end of the pipe is closed."""
    worker = lru_cache(maxsize=1)(Worker)
    with contextlib.suppress(EOFError, OSError):
        while True:
            *settings, batch = pipe.recv()
            try:
                result: TokenizedBatch | UserError = worker(*settings).tokenize(batch)
            except UserError as error:
                result = error
            pipe.send(result)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
