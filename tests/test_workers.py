"""Tokenizing in processes: the same tokens in the same order, and an orderly end of every process."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from preparing import ROOT, batches_of, some_articles

from corpus.tokenizer import byte_tokenizer
from corpus.workers import Worker, WorkerPool
from system.errors import UserError

pytestmark = pytest.mark.serial


@pytest.fixture
def tokenizer_path(tmp_path: Path) -> Path:
    byte_tokenizer().save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def test_processes_start_at_once_and_return_the_tokens_in_order(tokenizer_path: Path) -> None:
    batches = list(batches_of(some_articles(200), 7))
    expected = [Worker(tokenizer_path, 0.1).tokenize(batch) for batch in batches]
    with WorkerPool(3) as pool:
        assert len(multiprocessing.active_children()) == 3
        found = list(pool.tokenized(batches, tokenizer_path, 0.1))
    assert not multiprocessing.active_children()
    assert [result.number for result in found] == list(range(len(batches)))
    for ours, theirs in zip(expected, found, strict=True):
        assert ours._replace(additions={}) == theirs._replace(additions={})
        assert ours.additions.keys() == theirs.additions.keys()
        for name, addition in ours.additions.items():
            assert addition[1:] == theirs.additions[name][1:]
            np.testing.assert_array_equal(addition.tokens, theirs.additions[name].tokens)


def test_a_process_that_dies_is_one_line(tokenizer_path: Path) -> None:
    # The results are larger than a pipe holds, so that the process dies while it sends one.
    rows = [row | {"text": row["text"] * 2_000} for row in some_articles(20)]

    def kill_the_process(pool: WorkerPool) -> None:
        for number, _ in enumerate(pool.tokenized(batches_of(rows, 1), tokenizer_path, 0.1)):
            if number == 3:
                multiprocessing.active_children()[0].kill()  # as the kernel does when memory runs out

    with WorkerPool(1) as pool, pytest.raises(UserError, match=r"a tokenizing process died.*--workers"):
        kill_the_process(pool)


def test_starting_processes_leave_an_interrupt_to_the_command() -> None:
    code = """
import multiprocessing, os, signal, time
from corpus.workers import WorkerPool
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)
    with WorkerPool(2):
        try:
            os.killpg(0, number)
        except KeyboardInterrupt:
            time.sleep(0.2)
            print(len(multiprocessing.active_children()), "still run")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, start_new_session=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 still run\n" * 2, "")
