"""Files that survive a kill or a power cut whole, their hashes, and the lock that keeps a folder to one writer."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from system.errors import UserError

OTHER_FOLDER = "choose another --out_dir"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def replace_file(path: Path, text: str) -> None:
    """Replace a file's text so that a reader sees the old or the new text, never a part. Raises OSError."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    flush_to_disk(partial)
    partial.replace(path)
    flush_to_disk(path.parent)


def append_to_file(path: Path, text: str) -> None:
    """Append all of `text` to a file or none of it, and wait until it is on the disk. Raises OSError."""
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        rest = memoryview(text.encode())
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:  # KeyboardInterrupt included
            file.truncate(before)
            raise


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as lines of JSON, to a folder that is made if it is missing. Raises UserError if it cannot."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, "".join(lines))
    except OSError as error:
        raise cannot_write(path, error) from None


def flush_to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_readers(folder: Path) -> None:
    """Make a folder's files readable to whoever may read the folder: safetensors writes them for their owner only."""
    for file in folder.iterdir():
        file.chmod(folder.stat().st_mode & 0o666)


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def only_writer(folder: Path, busy: str, fix: str = OTHER_FOLDER) -> Iterator[None]:
    """Lock the folder, so that no other process writes to it in the block.

    Makes the folder; removes it again if it was new and the block left it empty. Raises UserError: `busy` if another
    process holds the folder, or the reason why it cannot be made or read, with the fix.
    """
    is_new = not os.path.exists(folder)  # Path.exists raises where the path may not be looked up
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder))
        except BlockingIOError:
            raise UserError(busy) from None
        except OSError as error:
            raise cannot_write(folder, error, fix) from None
        try:
            yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()


def cannot_write(path: Path, error: OSError, fix: str = OTHER_FOLDER) -> UserError:
    """Return the error for an output folder, or a file in it, that cannot be written."""
    return UserError(f"cannot write to {path} ({error.strerror})", fix_for(error, fix))


def check_writable(out: Path, example: str) -> None:
    """Raise UserError if the file of `--out` cannot be written, as far as that is known before; `example` is a name for it."""
    fix = "choose another --out"
    if out.is_dir():
        raise UserError(f"out={out}: is a folder", f"add the name of a file, such as {example}")
    if not out.parent.is_dir():
        raise UserError(f"out={out}: no folder {out.parent}", f"make it, or {fix}")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"out={out}: the folder may not be written to", fix)


def fix_for(error: OSError, otherwise: str = "fix that") -> str:
    """Return what to do about an error in writing: "make room" if the disk is full."""
    return "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else otherwise


def cannot_read(path: Path, reason: object, fix: str = "") -> UserError:
    """Return the error for a file that cannot be read or parsed, with the fix that fits the reason unless one is set."""
    reject_lfs_pointer(path)
    if isinstance(reason, OSError) and reason.strerror:  # the system's, about a file that may be whole
        reason, usual_fix = reason.strerror, "fix that, then run the command again"
    else:
        usual_fix = "it may be truncated, download it again"
    return UserError(f"cannot read {path} ({reason})", fix or usual_fix)


def read_json(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the object in a downloaded JSON file, or `missing` without the file. Raises UserError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise UserError(f"{path} is missing", "download it again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise cannot_read(path, error) from None
    if not isinstance(content, dict):
        raise cannot_read(path, f"it holds a {type(content).__name__}, not an object")
    return content


def reject_lfs_pointer(path: Path) -> None:
    """Raise UserError for the few lines that Git LFS leaves in place of a file that it has not downloaded."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            fix = f"run `git lfs pull` in {path.parent}"
            raise UserError(f"{path} is a Git LFS pointer, not the file itself", fix)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs; the system releases it when the process ends.

    Raises BlockingIOError if another process holds it. Does nothing on a file system without locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                raise
        yield
    finally:
        os.close(descriptor)
