"""Files that a reader sees whole or not at all, also after a kill or a power cut; their hashes; a folder's one writer.

Owns the order of write, flush and rename, and the lock. What is in the files is their writers'.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader sees its old text or the new one, never a part; raises OSError."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    flush_to_disk(partial)
    partial.replace(path)
    flush_to_disk(path.parent)


def append_to_file(path: Path, text: str) -> None:
    """Append to a file, whole or not at all, and wait until the disk has it; raises OSError."""
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        rest = memoryview(text.encode())
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:  # a second Ctrl-C too
            file.truncate(before)
            raise


def flush_to_disk(path: Path) -> None:
    """Wait until the disk holds a file's bytes, or a folder's entries."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_readers(folder: Path) -> None:
    """Let whoever may read a folder read its files: safetensors writes them for their owner alone."""
    for file in folder.iterdir():
        file.chmod(folder.stat().st_mode & 0o666)


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the folder's one writer while the block runs; a kill lets go of it too.

    Raises BlockingIOError where another process is. A file system that has no locks goes without.
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
