"""Opening the files of a source: decompression, encodings, and errors that name the file and the fix."""

import bz2
import codecs
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


DECOMPRESSED: dict[str, Callable[[IO[bytes]], BufferedFile]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}
# UTF-32 first: its mark begins with the one of UTF-16.
MARKED_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
GUESS_BYTES = 2**16  # what an encoding is guessed from


def uncompressed_name(path: str) -> str:
    """Return the path without the ending of a compressed file."""
    base, ending = os.path.splitext(path)
    return base if ending in DECOMPRESSED else path


@contextlib.contextmanager
def decompressed(path: str) -> Iterator[tuple[BufferedFile, IO[bytes]]]:
    """Open a local file: its content and, for its position, the file itself, which are the same if not compressed."""
    with open_file(path) as raw:
        open_content = DECOMPRESSED.get(os.path.splitext(path)[1])
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


def marked_encoding(start: bytes) -> str:
    """Return the encoding that a file's byte order mark names, UTF-8 if it has none."""
    marked = (encoding for mark, encoding in MARKED_ENCODINGS.items() if start.startswith(mark))
    return next(marked, "utf-8-sig")  # which drops the mark of UTF-8


def lines(content: BufferedFile) -> Iterator[bytes | str]:
    """Yield the lines of a file: bytes, or text if a byte order mark names another encoding than UTF-8."""
    encoding = marked_encoding(content.peek(4)[:4])
    if encoding == "utf-8-sig":
        yield from content
    else:
        with io.TextIOWrapper(content, encoding, newline="\n") as text:
            yield from text


def decoded(content: bytes, path: str) -> str:
    """Return a file's text without its byte order mark. Raises UserError with the command that converts it to UTF-8."""
    encoding = marked_encoding(content)
    if encoding == "utf-8-sig" and (unmarked := _unmarked_utf16(content[:GUESS_BYTES])):
        raise _other_encoding(path, unmarked, "it has no byte order mark")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        place = f"{error.reason} at byte {error.start}"
        is_cut = error.reason == "unexpected end of data" and not content[: error.start].isascii()
        if encoding != "utf-8-sig" or is_cut:
            name = encoding.removesuffix("-sig").upper()
            raise UserError(
                f"{path} is not valid {name} ({place}): it may be truncated: replace it"
            ) from None
        start = max(0, error.start - GUESS_BYTES // 2)
        raise _other_encoding(path, _guessed(content[start : start + GUESS_BYTES]), place) from None


def _unmarked_utf16(content: bytes) -> str:
    """Return the UTF-16 that bytes are in, "" if they are not: a quarter of zeros is in no other text."""
    odd, even = content[1::2].count(0), content[::2].count(0)
    if 4 * (odd + even) <= len(content):
        return ""
    return "utf-16le" if odd > even else "utf-16be"


def json_fix(path: str, line: bytes | str) -> str:
    """Return the fix for a line that is not one JSON object, by how it begins."""
    start = line.decode(errors="replace") if isinstance(line, bytes) else line
    start, name = start.strip(), uncompressed_name(path)
    if start.startswith("<doc "):
        return "run wikiextractor again with --json"
    whole = {"[": "'.[]'", "{": "."}.get(start[:1]) if start in "[{" or start.startswith("[{") else None
    if whole and name == path:  # JSON over several lines, or objects in one list
        target = f"{os.path.splitext(path)[0]}.lines.jsonl"
        return f"write one object per line with `jq -c {whole} {shlex.quote(path)} > {shlex.quote(target)}`"
    if "." not in os.path.basename(name):
        return "fix or delete the line, or if the file is plain text, rename it to .txt"
    return "fix or delete the line"


def _guessed(content: bytes) -> str:
    """Return the likely encoding of bytes that are not UTF-8: cp1252 (Windows, Western European) if in doubt."""
    import charset_normalizer

    matches = list(charset_normalizer.from_bytes(content))
    if not matches or not matches[0].coherence:
        return "cp1252"
    best = matches[0]
    as_likely = [match.encoding for match in matches if match.coherence >= best.coherence - 0.05]
    candidates = {*best.could_be_from_charset, *as_likely}
    return "cp1252" if "cp1252" in candidates else codecs.lookup(best.encoding).name


def _other_encoding(path: str, encoding: str, reason: str) -> UserError:
    source, target = shlex.quote(path), shlex.quote(f"{uncompressed_name(path)}.utf8")
    if uncompressed_name(path) != path:
        convert = f"decompress it, then convert it with `iconv -f {encoding.upper()} -t UTF-8`"
    else:
        convert = f"convert it with `iconv -f {encoding.upper()} -t UTF-8 {source} > {target} && mv {target} {source}`"
    return UserError(f"{path} is not UTF-8 ({reason}), but probably {encoding}: {convert}")


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
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"cannot read {path} ({reason}): it may be truncated or corrupt: replace it, or leave it out"
        ) from None
