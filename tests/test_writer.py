"""Writing: going on after a kill at any moment, byte for byte, and one line for a disk that refuses."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from preparing import ROOT, InProcess, content, prepare, some_articles, write_jsonl

import prepare_data
from corpus import articles, writer
from corpus.dataset import TokenDataset
from system.errors import UserError


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenize in this process: what is tested does not depend on where."""
    monkeypatch.setattr(prepare_data, "WorkerPool", InProcess)


KILLED = """
import sys
import prepare_data
from corpus import articles, writer
if __name__ == "__main__":
    articles.BATCH_CHARACTERS, writer.SAVE_SECONDS = 2_000, 0.0
    prepare_data.main(sys.argv[1:])
"""


def journaled_batch(out_dir: Path) -> int:
    try:
        return json.loads((out_dir / "journal.json").read_text())["batch"]
    except FileNotFoundError:
        return 0


def test_killed_at_random_moments_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(1_500))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    options = [
        f"--source={tmp_path}/a.jsonl",
        "--tokenizer=bpe:400",
        "--validation_fraction=0.1",
        "--shard_tokens=20_000",
    ]

    def start(name: str, workers: int) -> subprocess.Popen[bytes]:
        arguments = [f"--out_dir={tmp_path / name}", f"--workers={workers}", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, script, *arguments], env=environment, stdout=subprocess.PIPE)

    undisturbed = start("undisturbed", 1)
    undisturbed.communicate(timeout=60)
    assert undisturbed.returncode == 0

    chooser = random.Random()
    killed_at = [0]
    for workers in (1, 2, 1, 2):
        process = start("killed", workers)
        while journaled_batch(tmp_path / "killed") <= killed_at[-1] and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chooser.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        killed_at.append(journaled_batch(tmp_path / "killed"))
        with pytest.raises(UserError, match="unfinished"):
            TokenDataset(tmp_path / "killed")
    assert sorted(set(killed_at)) == killed_at
    last = start("killed", 2)
    assert b"going on in" in last.communicate(timeout=60)[0]
    assert last.returncode == 0
    assert content(tmp_path / "killed") == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("whole_group", [False, True])
def test_terminated_it_ends_in_one_line_and_goes_on_later(tmp_path: Path, whole_group: bool) -> None:
    rows = [row | {"text": row["text"] * 100} for row in some_articles(1_000)]  # of about 20 batches
    write_jsonl(tmp_path / "a.jsonl", rows)
    command = [
        sys.executable,
        "prepare_data.py",
        f"--source={tmp_path}/a.jsonl",
        "--tokenizer=bytes",
        "--workers=2",
        f"--out_dir={tmp_path / 'out'}",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not journaled_batch(tmp_path / "out") and process.poll() is None:
        time.sleep(0.001)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
    stderr = process.communicate(timeout=60)[1]  # returns when the last worker has let go of the pipe
    assert stderr == "interrupted: the same command goes on from what is saved\n"
    assert process.returncode == 130
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "going on in" in done.stdout


class Crash(BaseException):
    """The end of the process, for all that the code under test can know."""


def test_ended_before_any_step_to_the_disk_it_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(prepare_data, "MIN_SHARD_TOKENS", 1)
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_500)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(writer.os, "fsync", lambda file: None)  # no power is cut here, only processes end
    write_jsonl(tmp_path / "a.jsonl", some_articles(40))
    write_jsonl(tmp_path / "b.jsonl", some_articles(25, seed=5))
    options: dict[str, Any] = {"source": f"{tmp_path}/?.jsonl", "shard_tokens": 3_000}
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
    assert crashes > 50


@pytest.mark.parametrize("name", ["train_00000.bin", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_damaged_it_is_not_called_complete(tmp_path: Path, no_processes: None, name: str, harm: str) -> None:
    """Training refuses such data and sends the user here."""
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    file = tmp_path / "out" / name
    file.unlink() if harm == "gone" else file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(UserError, match=rf"{name}.*: delete {tmp_path}/out and prepare it again"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_complete_it_does_nothing_and_other_options_are_refused(
    tmp_path: Path, no_processes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    prepare(tmp_path / "out", tmp_path / "a.jsonl", workers=7)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("out is complete, nothing to do (--verify checks its hashes)")
    write_jsonl(tmp_path / "a.jsonl", some_articles(51))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").unlink()  # is not needed any more
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    for line in capsys.readouterr().out.splitlines():
        assert re.search(r"is complete, nothing to do .*; the files of .*a\.jsonl have changed since: ", line)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(
        UserError, match=r"tokenizer was 'bytes' and is 'gpt2'; shard_tokens was 100000000 and is 50000:"
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="gpt2", shard_tokens=50_000)


def stop_after(n_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    append = writer.DatasetWriter.append

    def stopping(writer: writer.DatasetWriter, file: int, batch: int, *rest: Any) -> None:
        if batch == n_batches:
            raise Crash
        append(writer, file, batch, *rest)

    monkeypatch.setattr(writer.DatasetWriter, "append", stopping)


def test_an_unfinished_folder_binds_its_options_and_the_files_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", some_articles(50))
    out_dir, source = tmp_path / "out", f"{tmp_path}/?.jsonl"
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Crash):
            prepare(out_dir, source)
    with pytest.raises(UserError, match=r"validation_fraction was 0\.2 and is 0\.3:"):
        prepare(out_dir, source, validation_fraction=0.3)
    write_jsonl(tmp_path / "a.jsonl", some_articles(51))
    with pytest.raises(UserError, match=r"a\.jsonl has .* when this preparation read it"):
        prepare(out_dir, source)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    write_jsonl(tmp_path / "b.jsonl", some_articles(60))  # not begun: the file that was mended
    prepare(out_dir, source)
    assert sum(split.documents for split in TokenDataset(out_dir).manifest.splits.values()) == 110
    prepare(tmp_path / "undisturbed", source)
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_a_run_stopped_before_its_first_batch_binds_nothing(tmp_path: Path, no_processes: None) -> None:
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl", validation_fraction=0.5)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert set(content(tmp_path / "out")) == {
        "manifest.json",
        "tokenizer.json",
        "train_00000.bin",
        "val_00000.bin",
    }


def test_shards_changed_behind_the_journal_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Crash):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    shard = tmp_path / "out/train_00000.bin"
    shard.write_bytes(b"\1" + shard.read_bytes()[1:])
    with pytest.raises(UserError, match=r"train_00000\.bin is not as the journal says"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "out/journal.json").unlink()
    with pytest.raises(UserError, match=r"holds train_00000\.bin but neither"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_two_preparations_of_one_folder_are_refused(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with (
        writer.only_writer(tmp_path / "out"),
        pytest.raises(UserError, match="another preparation is writing"),
    ):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    prepare(tmp_path / "out", tmp_path / "a.jsonl")


def test_the_speed_is_of_what_this_command_has_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_processes: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Crash):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    journal = writer.Journal.read(tmp_path / "out")
    assert journal is not None
    times = iter([100.0, 101.0])  # the beginning and the end, where no progress is reported
    monkeypatch.setattr(prepare_data.Progress, "report", lambda *_: None)
    monkeypatch.setattr(prepare_data.time, "perf_counter", lambda: next(times))
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    done = prepare_data.n_tokens(TokenDataset(tmp_path / "out").manifest.splits)
    before = prepare_data.n_tokens(journal.splits)
    assert 0 < before < done
    assert f" is complete: 1.0 s, {done - before:,} tokens/s" in capsys.readouterr().out


def test_verify_names_every_damaged_shard(
    tmp_path: Path, no_processes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    out_dir = tmp_path / "out"
    prepare(out_dir, tmp_path / "a.jsonl", shard_tokens=10_000)
    prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    assert "is whole" in capsys.readouterr().out
    shard = out_dir / "train_00001.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    (out_dir / "val_00000.bin").unlink()
    with pytest.raises(UserError, match=r"damaged in .*: train_00001\.bin, val_00000\.bin \(No such file"):
        prepare_data.main(["--verify", f"--out_dir={out_dir}"])
    with pytest.raises(UserError, match="no manifest"):
        prepare_data.main(["--verify", f"--out_dir={tmp_path}/none"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_permissions_are_named(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"cannot write .*Permission denied"):
        prepare(tmp_path / "out", tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").chmod(0)
    with pytest.raises(UserError, match=r"cannot read .*a\.jsonl \(Permission denied\)"):
        prepare(tmp_path / "out2", tmp_path / "a.jsonl")


def test_an_out_dir_that_cannot_be_made_is_named(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=r"cannot write .*a\.jsonl: File exists"):
        prepare(tmp_path / "a.jsonl", tmp_path / "a.jsonl")


def test_no_space_left_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    write_jsonl(tmp_path / "a.jsonl", some_articles(200))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    for name in ("tokenizer.json.tmp", "journal.json.tmp", "manifest.json.tmp"):
        (out_dir / name).symlink_to("/dev/full")  # the kernel refuses every write there
        with pytest.raises(
            UserError, match=rf"cannot write .*{name[:-4]}: No space left on device; mend that"
        ):
            prepare(out_dir, tmp_path / "a.jsonl")
        (out_dir / name).unlink()
        assert not (out_dir / "manifest.json").exists()
    prepare(out_dir, tmp_path / "a.jsonl")
    assert content(out_dir) == content(tmp_path / "undisturbed")


def test_a_shard_that_cannot_grow_is_named_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_processes: None
) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.0)
    write_jsonl(tmp_path / "a.jsonl", some_articles(400))
    prepare(tmp_path / "undisturbed", tmp_path / "a.jsonl")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (50_000, before[1])
        )  # writes fail in the middle, as on a full disk
        with pytest.raises(UserError, match=r"cannot write .*train_00000\.bin: File too large; mend that"):
            prepare(tmp_path / "out", tmp_path / "a.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "out/train_00000.bin").stat().st_size == 50_000
    prepare(tmp_path / "out", tmp_path / "a.jsonl")
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")
