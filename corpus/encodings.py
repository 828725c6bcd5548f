"""Text that is not UTF-8: reading what a byte order mark names, and the command that converts the rest."""

import codecs
import io
import os
import shlex
from collections.abc import Iterator

from corpus.input_files import BufferedFile, uncompressed_name
from system.errors import UserError

# UTF-32 first: its mark begins with the one of UTF-16.
MARKED_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROLS = bytes(range(9))  # those before the tab
UNMARKED_ENCODINGS = ("utf-16le", "utf-16be", "utf-32le", "utf-32be")
# The encodings that texts come in, by names that iconv and Python both know.
LEGACY_ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso-8859-2", "iso-8859-5", "koi8-r", "cp866", "cp850", "cp852", "macintosh", "mac-cyrillic"),
    *("cp932", "euc-jp", "iso-2022-jp", "gb18030", "big5", "cp949"),
)
GUESS_BYTES = 2**16  # what an encoding is guessed from
MAX_GUESSES = 3


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
    is_marked = encoding != "utf-8-sig" or content.startswith(codecs.BOM_UTF8)
    start = content[:GUESS_BYTES]
    # Latin, Greek and Cyrillic text in UTF-16 is also valid UTF-8, but no other text has so many control characters.
    n_controls = len(start) - len(start.translate(None, delete=CONTROLS))
    if not is_marked and 4 * n_controls > len(start) and (unmarked := _unmarked(start)):
        raise _other_encoding(path, path, unmarked, "it has no byte order mark")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        is_cut = error.reason == "unexpected end of data" and not content[: error.start].isascii()
        if is_marked or is_cut:
            name = encoding.removesuffix("-sig").upper()
            raise UserError(
                f"{path} is not valid {name} ({error.reason} at byte {error.start}): it may be truncated: replace it"
            ) from None
        raise not_utf8(path, content, error.start) from None


def not_utf8(path: str, content: bytes, position: int, place: str = "") -> UserError:
    """Return the error for bytes of a file of which the one at `position` is not UTF-8; `place` is where they are."""
    place, where = place or path, f"invalid byte {content[position]:#04x} at position {position}"
    valid = content.decode(errors="ignore")
    n_invalid = len(content.decode(errors="replace")) - len(valid)
    if len(valid.encode()) - len(valid) > n_invalid:  # more characters of several bytes than invalid ones
        return UserError(f"{place} is UTF-8 with an {where}: fix or delete it")
    start = content.rfind(b"\n", 0, max(0, position - GUESS_BYTES // 2)) + 1
    sample = content[start : start + GUESS_BYTES]
    if len(sample) == GUESS_BYTES:  # characters of several bytes end at a line's end
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    return _other_encoding(path, place, _guesses(sample), where)


def _unmarked(content: bytes) -> list[str]:
    """Return the likely UTF-16 or UTF-32 that bytes without a byte order mark are in, [] if they are in neither."""

    def n_spaces(encoding: str) -> int:
        text = content.decode(encoding, errors="replace")
        n_printable = sum(c.isspace() or (c.isprintable() and c != "\ufffd") for c in text)
        return 1 + text.count(" ") + text.count("\n") if n_printable > 0.9 * len(text) else 0

    spaces = {encoding: n_spaces(encoding) for encoding in UNMARKED_ENCODINGS}
    return [encoding for encoding, n in spaces.items() if n and n == max(spaces.values())]


def _guesses(content: bytes) -> list[str]:
    """Return the likely encodings of bytes that are not UTF-8, the likeliest first: cp1252 (Western) if in doubt."""
    import charset_normalizer

    if 0 in content and (unmarked := _unmarked(content)):
        return unmarked
    names = {codecs.lookup(name).name.replace("-", "_"): name for name in LEGACY_ENCODINGS}
    matches = list(charset_normalizer.from_bytes(content, cp_isolation=list(names)))
    if not matches:
        return list(LEGACY_ENCODINGS[:MAX_GUESSES])
    best = matches[0].coherence
    likely = [match.encoding for match in matches if match.coherence >= best - 0.1]
    equal = [name for match in matches if match.coherence >= best for name in match.could_be_from_charset]
    in_doubt = ["cp1252"] if "cp1252" in equal else []
    return [names[name] for name in dict.fromkeys([*in_doubt, *likely])][:MAX_GUESSES]


def _other_encoding(path: str, place: str, encodings: list[str], reason: str) -> UserError:
    """Return the error that names the likely encodings, with the command that writes a copy in UTF-8."""
    *others, last = encodings
    likely = f"{', '.join(others)} or {last}" if others else last
    name = uncompressed_name(path)
    base, ending = os.path.splitext(name)
    target = f"{base}.utf8{ending}"
    convert = f"`iconv -f {encodings[0].upper()} -t UTF-8 {shlex.quote(name)} > {shlex.quote(target)}`"
    return UserError(
        f"{place} is not UTF-8 ({reason}), but probably {likely}:"
        f" {'' if name == path else 'decompress it, '}run {convert}, and if {target} looks right, replace the file with it"
    )
