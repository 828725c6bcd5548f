"""An engine in a thread of its own, which writes texts for an asyncio program."""

import asyncio
import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from sampling.engine import Engine, Text
from sampling.text import Continuation
from system.errors import first_line, say


class TooManyTexts(Exception):
    """The queue is full."""


class WritingFailed(Exception):
    """The engine failed; the texts that it had are lost."""


class Job:
    """Samples that belong to one request. `Worker.follow` reads them."""

    def __init__(self, samples: Sequence[Continuation]) -> None:
        self.samples = samples
        self.error = ""
        self.changed = asyncio.Event()  # set in the loop's thread


class Part(NamedTuple):
    """What came of a sample since the part before."""

    number: int  # of the sample in its job
    text: str
    finish_reason: str  # empty until its last part
    start: int  # its tokens: from here on
    stop: int  # up to here


class Worker:
    """Continues texts, `slots` at a time. At most `n_waiting` may wait; all methods belong to the loop's thread."""

    def __init__(self, engine: Engine, n_waiting: int) -> None:
        self._engine = engine
        self.most = engine.slots + n_waiting
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # for the thread
        self._jobs: dict[Text, Job] = {}  # of texts that have not ended: the thread's own
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.n_texts = 0  # that have not ended

    def start(self) -> None:
        """Start the thread, for the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """End the thread after its current step."""

        def end() -> None:
            self._is_stopped = True

        self._commands.put(end)
        await asyncio.to_thread(self._thread.join)

    def submit(self, samples: Sequence[Continuation]) -> Job:
        """Let samples be written. Raises TooManyTexts, and takes none of them."""
        texts = [sample.text for sample in samples if not sample.text.finish_reason]
        if self.n_texts + len(texts) > self.most:
            raise TooManyTexts
        self.n_texts += len(texts)
        job = Job(samples)

        def add() -> None:
            for text in texts:
                self._jobs[text] = job
                self._engine.add(text)

        self._commands.put(add)
        return job

    async def follow(self, job: Job) -> AsyncIterator[Part]:
        """Yield the parts of a job's samples as they come. Raises WritingFailed."""
        rest = dict(enumerate(job.samples))
        n_read = [0] * len(rest)
        while rest:
            job.changed.clear()
            if job.error:
                raise WritingFailed(job.error)
            for number, sample in list(rest.items()):
                reason = sample.text.finish_reason  # before the pieces: it is set after the last one
                start, pieces = n_read[number], sample.pieces[n_read[number] :]  # a piece for each token
                stop = n_read[number] = start + len(pieces)
                text = "".join(pieces) + (sample.close() if reason else "")
                if pieces or reason:
                    yield Part(number, text, reason, start, stop)
                if reason:
                    del rest[number]
            if rest:
                await job.changed.wait()

    def cancel(self, job: Job) -> None:
        """Give up what has not ended of a job; nothing happens if all has."""
        texts = [sample.text for sample in job.samples]

        def remove() -> None:
            ours = [text for text in texts if self._jobs.pop(text, None)]
            for text in ours:
                self._engine.remove(text)
            self._tell(set(), len(ours))

        self._commands.put(remove)

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                with contextlib.suppress(queue.Empty):
                    while not self._is_stopped:
                        self._commands.get(block=not self._jobs)()
                if not self._is_stopped:
                    self._step()
            except Exception as error:  # of any kind: the server goes on
                self._fail(error)

    def _step(self) -> None:
        texts = self._engine.step()
        jobs = {self._jobs[text] for text in texts}
        ended = [text for text in texts if text.finish_reason]
        for text in ended:
            del self._jobs[text]
        self._tell(jobs, len(ended))

    def _fail(self, error: Exception) -> None:
        """Tell all jobs that their texts are lost, and begin anew; without an engine, stop the server."""
        say("".join(traceback.format_exception(error)).rstrip(), sys.stderr)
        jobs, n_texts = set(self._jobs.values()), len(self._jobs)
        for job in jobs:
            job.error = first_line(error)
        self._jobs.clear()
        self._tell(jobs, n_texts)
        try:
            self._engine.reset()
        except Exception as other:  # such as a GPU's after an error of its own
            say(f"error: the engine cannot go on: {first_line(other)}", sys.stderr)
            self._is_stopped = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self, jobs: set[Job], n_ended: int) -> None:
        """Let the loop's thread know what changed."""

        def note() -> None:
            self.n_texts -= n_ended
            for job in jobs:
                job.changed.set()

        assert self._loop
        self._loop.call_soon_threadsafe(note)
