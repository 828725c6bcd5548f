"""Writing: resumed after a kill at any moment, byte for byte, and one line for a disk that cannot be written."""

import io
import json
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Terminal, flip_a_bit
from preparing import ROOT, InProcess, content, prepare, some_articles, some_texts, write_jsonl

import prepare_data
from corpus import articles, config, report, writer
from corpus.bpe import train_bpe
from corpus.dataset import TokenDataset
from corpus.report import ProgressPrinter
from corpus.tokenizer import byte_tokenizer
from corpus.writer import DatasetWriter, Journal
from system import progress
from system.errors import INTERRUPTED_STATUS, UserError, interrupted
from system.files import only_writer


@pytest.fixture
def saves_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a few articles, and a journal after each of them."""
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(writer.os, "fsync", lambda file: None)  # no power is cut here


def journaled_batch(out_dir: Path) -> int:
    try:
        return json.loads((out_dir / "journal.json").read_text())["batch"]
    except FileNotFoundError:
        return 0


SMALL_BATCHES = f"""
import runpy
from corpus import articles, writer
if __name__ == "__main__":
    articles.BATCH_CHARACTERS, writer.SAVE_SECONDS = 2_000, 0.0
    runpy.run_path("{ROOT}/prepare_data.py", run_name="__main__")
"""


@pytest.mark.serial
def test_killed_or_terminated_at_any_moment_it_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small_batches.py").write_text(SMALL_BATCHES)
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 2_000)
    write_jsonl(tmp_path / "a.jsonl", some_articles(1_000))
    options = {"tokenizer": "bpe:350", "validation_fraction": 0.1, "shard_tokens": 20_000}
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl", **options)

    out_dir, reached = tmp_path / "out", 0
    settings = [f"--{key}={value}" for key, value in options.items()]
    killed, terminated = (-signal.SIGKILL, ""), (INTERRUPTED_STATUS, f"{interrupted()}\n")
    for number, kill, workers, expected in (
        (signal.SIGKILL, os.kill, 1, killed),
        (signal.SIGKILL, os.kill, 2, killed),
        (signal.SIGTERM, os.kill, 2, terminated),
        (signal.SIGTERM, os.killpg, 2, terminated),  # the worker processes too
    ):
        process = subprocess.Popen(
            [
                *(sys.executable, tmp_path / "small_batches.py", f"--out_dir={out_dir}"),
                *(f"--source={tmp_path}/a.jsonl", f"--workers={workers}", *settings),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while journaled_batch(out_dir) <= reached and process.poll() is None:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.02))
        kill(process.pid, number)
        _, stderr = process.communicate(timeout=60)  # returns when the last worker has closed the pipe
        assert (process.returncode, stderr) == expected
        assert journaled_batch(out_dir) > reached
        reached = journaled_batch(out_dir)
        with pytest.raises(UserError, match="unfinished"):
            TokenDataset(out_dir)
    prepare(out_dir, tmp_path / "a.jsonl", **options)
    assert "resuming in" in capsys.readouterr().out
    assert content(out_dir) == content(tmp_path / "undisturbed")


class Crash(BaseException):
    """The end of the process, as far as the code under test can know."""


def test_ended_before_any_step_to_the_disk_it_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "MIN_SHARD_TOKENS", 1)
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_500)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(writer.os, "fsync", lambda file: None)  # no power is cut here
    write_jsonl(tmp_path / "a.jsonl", some_articles(24))
    write_jsonl(tmp_path / "b.jsonl", some_articles(12, seed=5))
    options: dict[str, Any] = {"source": f"{tmp_path}/?.jsonl", "shard_tokens": 2_000}
    prepare(tmp_path / "undisturbed", **options)
    expected = content(tmp_path / "undisturbed")
    assert len(expected) > 5

    crashes = 0
    while True:
        out_dir = tmp_path / f"crash{crashes}"
        steps_left = crashes

        def step(function: Any) -> Any:
            def ending(*arguments: Any, **keywords: Any) -> Any:
                nonlocal steps_left
                steps_left -= 1
                if steps_left < 0:
                    raise Crash
                return function(*arguments, **keywords)

            return ending

        with monkeypatch.context() as patch:
            for name in ("fsync", "replace"):
                patch.setattr(writer.os, name, step(getattr(os, name)))
            patch.setattr(Path, "unlink", step(Path.unlink))
            try:
                prepare(out_dir, **options)
                break
            except Crash:
                crashes += 1
        if not (out_dir / "manifest.json").exists():  # what had not reached the disk may be anything
            for shard in [*sorted(out_dir.glob("train_*"))[-1:], *sorted(out_dir.glob("val_*"))[-1:]]:
                shard.write_bytes(shard.read_bytes() + b"torn")
        prepare(out_dir, **options)
        assert content(out_dir) == expected, f"ended before step {crashes}"
    assert crashes > 40


@pytest.mark.parametrize("name", ["train_00000.bin", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_damaged_it_is_not_called_complete(tmp_path: Path, name: str, harm: str) -> None:
    """Training rejects such data and sends the user here."""
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    file = tmp_path / "out" / name
    file.unlink() if harm == "gone" else file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(UserError, match=rf"{name}.*: delete {tmp_path}/out and prepare it again"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_complete_it_does_nothing_and_other_options_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    prepare(tmp_path / "out", tmp_path / "a.jsonl", workers=7)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("out is complete, nothing to do (sizes checked; --verify compares the hashes)")
    write_jsonl(tmp_path / "a.jsonl", some_articles(51))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").unlink()  # it is no longer needed
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    for line in capsys.readouterr().out.splitlines():
        assert re.search(r"is complete, nothing to do .*; the files of .*a\.jsonl have changed since: ", line)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(
        UserError,
        match=r"tokenizer was 'bytes' and is now 'gpt2'; shard_tokens was 100000000 and is now 50000:",
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="gpt2", shard_tokens=50_000)


def prepare_three_batches(out_dir: Path, source: Path | str, **options: Any) -> None:
    """Prepare three batches, then end without warning."""
    append = DatasetWriter.append

    def stopping(writer: DatasetWriter, file: int, batch: int, *rest: Any) -> None:
        if batch == 3:
            raise Crash
        append(writer, file, batch, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatasetWriter, "append", stopping)
        with pytest.raises(Crash):
            prepare(out_dir, source, **options)


def test_an_unfinished_folder_keeps_its_options_and_the_files_it_has_read(
    tmp_path: Path, saves_often: None
) -> None:
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
    out_dir, source = tmp_path / "out", f"{tmp_path}/?.jsonl"
    prepare_three_batches(out_dir, source)
    with pytest.raises(
        UserError, match=rf"unfinished: rerun `python .*'--source=.*' .*--out_dir={out_dir}` to"
    ):
        TokenDataset(out_dir)
    with pytest.raises(UserError, match=r"validation_fraction was 0\.2 and is now 0\.3:"):
        prepare(out_dir, source, validation_fraction=0.3)
    write_jsonl(tmp_path / "a.jsonl", some_articles(51))
    with pytest.raises(UserError, match=r"a\.jsonl has .* when this preparation read it"):
        prepare(out_dir, source)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    write_jsonl(tmp_path / "b.jsonl", some_articles(60))  # not read yet: the file that had to be fixed
    prepare(out_dir, source)
    assert sum(split.documents for split in TokenDataset(out_dir).manifest.splits.values()) == 110
    prepare(tmp_path / "undisturbed", source)
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_stopped_before_its_first_batch_it_takes_other_options(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", validation_fraction=0.5)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert set(content(tmp_path / "out")) == {
        "manifest.json",
        "tokenizer.json",
        "train_00000.bin",
        "val_00000.bin",
    }


def test_a_changed_shard_or_a_missing_journal_is_named(tmp_path: Path, saves_often: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare_three_batches(tmp_path / "out", tmp_path / "a.jsonl")
    shard = tmp_path / "out/train_00000.bin"
    shard.write_bytes(b"\1" + shard.read_bytes()[1:])
    with pytest.raises(
        UserError, match=r"train_00000\.bin is corrupt \(its sha256 differs from the journal\): delete"
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "out/journal.json").unlink()
    with pytest.raises(UserError, match=r"has train_00000\.bin but neither"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_overwriting_asks_twice_on_a_terminal_and_leaves_nothing_of_the_old_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, types: Callable[[str], Terminal], saves_often: None
) -> None:
    out_dir, source = tmp_path / "out", tmp_path / "a.jsonl"
    write_jsonl(source, some_articles(200))
    prepare(out_dir, source, shard_tokens=10_000)
    (out_dir / "notes").write_text("not ours")
    before = content(out_dir)
    for typed in ("\n", "y\nn\n", "y\n"):  # the last one ends with Ctrl-D
        types(typed)
        with pytest.raises(UserError, match="out is unchanged: choose another --out_dir"):
            prepare(out_dir, source, overwrite=True)
    types("y\nyes\n")
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # as by 2>&1 | tee log: the question would not be seen
    with pytest.raises(
        UserError, match="only after asking, and stderr is not a terminal: run it without 2>&1"
    ):
        prepare(out_dir, source, overwrite=True)
    types("y\nyes\n")
    with pytest.raises(UserError, match="no tokenizer named 'mistyped'"):
        prepare(out_dir, source, overwrite=True, tokenizer="mistyped")
    assert content(out_dir) == before
    shown = types("y\nyes\n")
    prepare(out_dir, source, overwrite=True, tokenizer="bpe:300")
    assert re.match(r"delete 0\.1 MB of tokens in .*out\? \[y/N\] are you sure\? ", shown.getvalue())
    prepare(tmp_path / "new", source, tokenizer="bpe:300")
    assert content(out_dir) == {**content(tmp_path / "new"), "notes": b"not ours"}
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # no terminal: nobody to ask
    prepare_three_batches(out_dir, source, overwrite=True, shard_tokens=10_000)
    prepare(out_dir, source, shard_tokens=10_000)  # resumes: the old manifest is gone
    assert content(out_dir) == before


def test_overwriting_resumes_what_the_same_command_began(
    tmp_path: Path, types: Callable[[str], Terminal], saves_often: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out_dir, source = tmp_path / "out", tmp_path / "a.jsonl"
    write_jsonl(source, some_articles(50))
    prepare(tmp_path / "new", source)
    for written_at, stopped, resumes in (
        (1, {}, True),
        (2**33, {}, False),  # it may have changed since
        (1, {"validation_fraction": 0.3}, False),
    ):
        os.utime(source, (written_at, written_at))
        types("y\ny\n")
        prepare_three_batches(out_dir, source, overwrite=True, **stopped)
        shown = types("" if resumes else "y\ny\n")
        capsys.readouterr()
        prepare(out_dir, source, overwrite=True)
        assert ("resuming in" in capsys.readouterr().out) == resumes == (not shown.getvalue())
        assert content(out_dir) == content(tmp_path / "new")


@pytest.mark.parametrize("tokenizer", ["folder", "bytes", "bpe:300"])
def test_overwriting_starts_over_where_it_would_tokenize_something_else(
    tmp_path: Path, saves_often: None, monkeypatch: pytest.MonkeyPatch, tokenizer: str
) -> None:
    """After a new file, another tokenizer of the same name, or another text that the tokenizer is trained on."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    source, out_dir = f"{tmp_path}/*.jsonl", tmp_path / "out"
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
        os.utime(tmp_path / f"{name}.jsonl", (1, 1))
    options = {"tokenizer": tmp_path if tokenizer == "folder" else tokenizer}
    byte_tokenizer().save(tmp_path / "tokenizer.json")
    prepare_three_batches(out_dir, source, overwrite=True, **options)
    if tokenizer == "folder":
        train_bpe(some_texts(), 300).save(tmp_path / "tokenizer.json")
    elif tokenizer == "bytes":
        write_jsonl(tmp_path / "c.jsonl", some_articles(50))
        os.utime(tmp_path / "c.jsonl", (1, 1))
    else:
        write_jsonl(tmp_path / "b.jsonl", some_articles(50, seed=1))
        os.utime(tmp_path / "b.jsonl", (2**33, 2**33))
    prepare(out_dir, source, overwrite=True, **options)
    prepare(tmp_path / "new", source, **options)
    assert content(out_dir) == content(tmp_path / "new")


def test_what_may_take_long_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: time.sleep(0.1) or function(*arguments)

    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    for module, name in ((config, "find_source"), (prepare_data, "verify")):
        monkeypatch.setattr(module, name, slow(getattr(module, name)))
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert capsys.readouterr().out.startswith(f"finding the files of {tmp_path}/a.jsonl ...\n")
    prepare_data.main(["--verify", f"--out_dir={tmp_path}/out"])
    assert capsys.readouterr().out.startswith(
        f"comparing the files of {tmp_path}/out with their hashes ...\n"
    )


def test_a_second_preparation_of_a_folder_is_rejected(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with (
        only_writer(tmp_path / "out", ""),
        pytest.raises(UserError, match="another preparation is writing"),
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_the_speed_is_of_what_this_command_has_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saves_often: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare_three_batches(tmp_path / "out", tmp_path / "a.jsonl")
    journal = Journal.read(tmp_path / "out")
    assert journal is not None
    times = iter([100.0, 101.0])  # the beginning and the end, where no progress is reported
    monkeypatch.setattr(ProgressPrinter, "report", lambda *_: None)
    monkeypatch.setattr(report.time, "perf_counter", lambda: next(times))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    done = sum(TokenDataset(tmp_path / "out", name).n_tokens for name in ("train", "val"))
    assert 0 < journal.n_tokens < done
    assert f" is complete: 1.0 s, {done - journal.n_tokens:,} tokens/s" in capsys.readouterr().out


def test_verify_names_every_damaged_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_dir, source = tmp_path / "out of 2", tmp_path / "it's a.jsonl"
    write_jsonl(source, some_articles(200))
    prepare(out_dir, source, shard_tokens=10_000)
    prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    assert "is whole" in capsys.readouterr().out
    flip_a_bit(out_dir / "train_00001.bin")
    (out_dir / "val_00000.bin").unlink()
    with pytest.raises(
        UserError,
        match=r"train_00001\.bin is corrupt .*; cannot read .*val_00000\.bin \(No such file.*: delete",
    ) as error:
        prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    command = str(error.value).partition(" and prepare it again with `")[2].removesuffix("`")
    program, script, *arguments = shlex.split(command)
    assert (program, script) == ("python", "prepare_data.py")
    before = content(out_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_data, "WorkerPool", InProcess)
        prepare_data.main([*arguments, "--overwrite"])
    assert content(out_dir).keys() == {*before, "val_00000.bin"}
    prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    with pytest.raises(UserError, match="no manifest"):
        prepare_data.main(["--verify", f"--out_dir={tmp_path}/none"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_permissions_are_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"cannot write .*Permission denied"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").chmod(0)
    with pytest.raises(UserError, match=r"cannot read .*a\.jsonl \(Permission denied\)"):
        prepare(tmp_path / "out2", tmp_path / "a.jsonl")


def test_an_out_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=r"cannot write to .*a\.jsonl \(File exists\): choose"):
        prepare(tmp_path / "a.jsonl", tmp_path / "a.jsonl")


def test_no_space_left_is_one_line_and_it_resumes_later(tmp_path: Path, saves_often: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    for name in ("tokenizer.json.tmp", "journal.json.tmp", "manifest.json.tmp"):
        (out_dir / name).symlink_to("/dev/full")  # every write to it fails
        with pytest.raises(
            UserError,
            match=rf"cannot write .*{name[:-4]} \(No space left on device\): make room, .* to resume",
        ):
            prepare(out_dir, tmp_path / "a.jsonl")
        (out_dir / name).unlink()
        assert not (out_dir / "manifest.json").exists()
    prepare(out_dir, tmp_path / "a.jsonl")
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_a_shard_that_cannot_grow_is_named_and_it_resumes_later(tmp_path: Path, saves_often: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Writes fail half-way, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, before[1]))
        with pytest.raises(UserError, match=r"cannot write .*train_00000\.bin \(File too large\): fix that"):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "out/train_00000.bin").stat().st_size == 25_000
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")
