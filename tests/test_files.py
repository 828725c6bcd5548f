"""Files replaced or appended to as a whole, and the lock that keeps a folder to one writer."""

import errno
import os
from pathlib import Path

import pytest

from system import files
from system.errors import UserError
from system.files import append_to_file, cannot_read, cannot_write, only_writer, replace_file


def test_a_new_folder_that_stays_empty_is_removed_again(tmp_path: Path) -> None:
    with only_writer(tmp_path / "a/new", "busy"):
        assert (tmp_path / "a/new").is_dir()
    assert not (tmp_path / "a/new").exists()
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new", "busy"):
        raise ZeroDivisionError
    assert not (tmp_path / "new").exists()
    with only_writer(tmp_path / "new", "busy"):
        (tmp_path / "new/file").touch()
    assert (tmp_path / "new/file").exists()
    (tmp_path / "old").mkdir()
    with only_writer(tmp_path / "old", "busy"):
        pass
    assert (tmp_path / "old").exists()


def test_a_second_writer_is_rejected_while_the_first_holds_the_folder(tmp_path: Path) -> None:
    with only_writer(tmp_path, "busy"):
        with pytest.raises(UserError, match=r"^it is in use$"), only_writer(tmp_path, "it is in use"):
            pass
        with only_writer(tmp_path / "inner", "busy"):
            pass
    with only_writer(tmp_path, "busy"):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for folder, reason in (("file", "File exists"), ("file/inner", "Not a directory")):
        with pytest.raises(UserError) as error, only_writer(tmp_path / folder, "busy"):
            pass
        assert str(error.value) == f"cannot write to {tmp_path}/{folder} ({reason}): choose another --out_dir"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(cannot_write(Path("out"), full)) == "cannot write to out (No space left on device): make room"


def test_a_file_that_may_not_be_read_is_not_called_truncated(tmp_path: Path) -> None:
    for reason, fix, words in (
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "",
            "(Permission denied): fix that, then run the command again",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "choose another",
            "(Permission denied): choose another",
        ),
        (ValueError("no JSON"), "", "(no JSON): it may be truncated, download it again"),
    ):
        assert str(cannot_read(tmp_path / "file", reason, fix)) == f"cannot read {tmp_path}/file {words}"


def test_a_file_system_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    with only_writer(tmp_path, "busy"), only_writer(tmp_path, "busy"):
        pass


def test_a_file_is_replaced_or_appended_to_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, "one\n")
    append_to_file(path, "two\n")
    assert path.read_text() == "one\ntwo\n"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append_to_file(path, "three\n")
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "other\n")
    assert path.read_text() == "one\ntwo\n"
