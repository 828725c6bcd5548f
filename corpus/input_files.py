"""Opening the files of a source: decompression, and errors that name the file and the fix."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shlex
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from system.errors import UserError
from system.files import reject_lfs_pointer

BufferedFile = (
    Any  # a binary file with `peek`: io.BufferedReader, gzip.GzipFile, bz2.BZ2File or lzma.LZMAFile
)


def _open_zst(raw: IO[bytes]) -> BufferedFile:
    import pyarrow

    return io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"))


GZIP_START = b"\x1f\x8b"
DECOMPRESSED: dict[str, Callable[[IO[bytes]], BufferedFile]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}


def uncompressed_name(path: str) -> str:
    """Return the path without the ending of a compressed file."""
    base, ending = os.path.splitext(path)
    return base if ending.lower() in DECOMPRESSED else path


def file_ending(path: str) -> str:
    """Return what a file's name ends in without the ending of a compressed one, in lower case."""
    return os.path.splitext(uncompressed_name(path))[1].lower()


@contextlib.contextmanager
def decompressed(path: str) -> Iterator[tuple[BufferedFile, IO[bytes]]]:
    """Open a local file: its content and, for its position, the file itself, which are the same if not compressed."""
    with open_file(path) as raw:
        open_content = DECOMPRESSED.get(os.path.splitext(path)[1].lower())
        content = open_content(raw) if open_content else raw
        try:
            yield content, raw
        finally:
            content.close()


def open_file(path: str) -> IO[bytes]:
    """Open a local file or, if its path begins with hf://, one on the hub. Raises UserError for a Git LFS pointer."""
    if path.startswith("hf://"):
        from huggingface_hub import HfFileSystem

        return HfFileSystem().open(path, "rb")
    reject_lfs_pointer(Path(path))
    return open(path, "rb")


def json_fix(path: str, line: bytes | str) -> str:
    """Return the fix for a line that is not one JSON object, by how it begins."""
    start = line.decode(errors="replace") if isinstance(line, bytes) else line
    start, name = start.strip(), uncompressed_name(path)
    if start.startswith("<doc "):
        return "run wikiextractor again with --json"
    whole = ""
    if start[:1] == "[" and start[1:].lstrip()[:1] in ("", "{"):  # objects in one list
        whole = "'.[]'"
    elif start[:1] == "{" and start[-1] in "{[,":  # an object over several lines
        whole = "."
    if whole and name == path:
        target = f"{os.path.splitext(path)[0]}.lines.jsonl"
        return f"write one object per line with `jq -c {whole} {shlex.quote(path)} > {shlex.quote(target)}`"
    if "." not in os.path.basename(name):
        return "fix or delete the line, or if the file is plain text, rename it to .txt"
    return "fix or delete the line"


def _is_gzip(path: str) -> bool:
    """Return whether a file begins as a gzip file, as a corrupt one does too."""
    with open(path, "rb") as file:
        return file.read(len(GZIP_START)) == GZIP_START


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Raise UserError with the file's name for any error in reading it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"cannot read {path}: it no longer exists") from None
    except UserError:
        raise
    except Exception as error:  # of any kind from the hub; others are passed on below
        if path.startswith("hf://"):  # the errors of the hub's HTTP library differ by version
            raise UserError(
                f"the hub stopped answering while {path} was read ({type(error).__name__}): rerun the same command to"
                " resume"
            ) from error
        # pyarrow's are ValueErrors
        if not isinstance(error, (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError)):
            raise
        if reason := getattr(error, "strerror", None):  # the system's, about a file that may be whole
            raise UserError(f"cannot read {path} ({reason}): fix that, or leave the file out") from None
        if isinstance(error, gzip.BadGzipFile) and not _is_gzip(path):
            raise UserError(
                f"cannot read {path}: it is not compressed, in spite of its name: rename it"
            ) from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"cannot read {path} ({reason}): it may be truncated or corrupt: replace it, or leave it out"
        ) from None
