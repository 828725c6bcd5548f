"""Tokenizers: text to ids and back, identified by a hash over ranks, split pattern and special tokens.

A tokenizer's name is only a label: `gpt2` and `r50k_base` are the same tokenizer. It is saved as one JSON file, which
travels with the data and with every checkpoint. tiktoken runs it; what ranks cannot express runs in the `tokenizers`
library. Training is in bpe.py, Hugging Face's file format in tokenizer_json.py.
"""

import base64
import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from system.errors import UserError
from system.files import reject_lfs_pointer
from system.network import reachable

END_OF_TEXT = "<|endoftext|>"
TOKENIZER_FILE = "tokenizer.json"
FILE_FORMAT = 1
VOCABULARY_SERVER = "https://openaipublic.blob.core.windows.net/"
DOWNLOAD_SECONDS = 3.0  # after which the server is checked

# Without merges the split changes nothing; this one keeps tiktoken's pieces short.
BYTES_PATTERN = r"[\s\S]{1,256}"

# Longer texts are encoded in parts: a million spaces overflow the stack of tiktoken's regex engine, and one unbroken
# word of 10 MB takes seconds and half a gigabyte.
MAX_PART_CHARACTERS = 2**16

# The last place in a part where a space follows something that is not white space.
_BEFORE_LAST_SPACE = re.compile(r".*\S(?= )", re.DOTALL)


class Tokenizer:
    """A byte-level BPE, run by tiktoken.

    `ranks` maps each token's bytes to its id, which is also its merge priority. Ids may have gaps (cl100k_base).
    """

    def __init__(
        self, name: str, ranks: Mapping[bytes, int], pattern: str, special_tokens: Mapping[str, int]
    ) -> None:
        self.name = name
        self.ranks = dict(ranks)
        self.pattern = pattern
        self.special_tokens = dict(special_tokens)
        self.end_of_text = self.special_tokens[END_OF_TEXT]
        self.vocab_size = max(*self.ranks.values(), *self.special_tokens.values()) + 1
        self._encoding = tiktoken.Encoding(
            name, pat_str=pattern, mergeable_ranks=self.ranks, special_tokens=self.special_tokens
        )

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, vocab_size={self.vocab_size}, hash={self.hash[:12]})"

    @cached_property
    def hash(self) -> str:
        """The sha256 (hex) over ranks, split pattern and special tokens in canonical JSON."""
        return hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()

    def encode_to_array(self, text: str) -> np.ndarray:
        """Return the ids of `text` as uint32; the name of a special token in it is encoded as text.

        Decoding returns exactly `text`. Raises UnicodeEncodeError for a lone surrogate, which is not Unicode text.
        """
        if len(text) <= MAX_PART_CHARACTERS:
            return self._encoding.encode_to_numpy(text, disallowed_special=())
        parts = [self._encoding.encode_to_numpy(part, disallowed_special=()) for part in text_parts(text)]
        return np.concatenate(parts)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` as a list, like `encode_to_array`."""
        return self.encode_to_array(text).tolist()

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`: special tokens as their names, unused ids as nothing."""
        values = self._token_bytes
        try:
            return b"".join([values[index] for index in ids])
        except IndexError:
            raise ValueError(f"token ids must be below the vocabulary size {self.vocab_size}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not valid UTF-8 (a character cut in two) become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def token_byte_lengths(self) -> np.ndarray:
        """Return the number of text bytes of each id, int64 (vocab_size,): 0 for special tokens and unused ids."""
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        for value, index in self.ranks.items():
            lengths[index] = len(value)
        return lengths

    def to_json(self) -> str:
        """Return the text of the tokenizer's file; equal tokenizers with the same name have equal files."""
        content = {"format": FILE_FORMAT, "name": self.name, "hash": self.hash, **self._identity()}
        return json.dumps(content, indent=0) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to one JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Tokenizer":
        """Read a file written by `save`. Raises UserError if it is of another kind or does not match its hash."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FILE_FORMAT:
                raise UserError(
                    f"{path} has tokenizer format {content['format']}, this code reads {FILE_FORMAT}"
                )
            tokenizer = _from_identity(content["name"], content)
            is_whole = tokenizer.hash == content["hash"]
        except OSError as error:
            raise UserError(f"cannot read the tokenizer {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            reject_lfs_pointer(Path(path))
            raise UserError(f"{path} is not a tokenizer saved by this project") from None
        if not is_whole:
            raise UserError(f"{path} is damaged: its content does not match its hash")
        return tokenizer

    @cached_property
    def ids(self) -> np.ndarray:
        """The ids of all tokens, int64, in no order. There may be gaps between them, and a model may have more rows."""
        texts = (*self.ranks.items(), *self.special_tokens.items())
        return np.array([index for text, index in texts if text], dtype=np.int64)

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        values = [b""] * self.vocab_size
        for value, index in self.ranks.items():
            values[index] = value
        for name, index in self.special_tokens.items():
            values[index] = name.encode()
        return values

    def _identity(self) -> dict[str, object]:
        ordered = sorted(self.ranks.items(), key=lambda item: item[1])
        return {
            "pattern": self.pattern,
            "special_tokens": dict(sorted(self.special_tokens.items())),
            "ranks": {base64.b64encode(value).decode(): index for value, index in ordered},
        }


class ForeignTokenizer(Tokenizer):
    """A byte-level tokenizer from another project's tokenizer.json, run by the `tokenizers` library.

    Its hash is over that file's content. It may normalize a text (Qwen's does, to Unicode's form C): decoding returns
    the normalized text.
    """

    def __init__(self, name: str, content: dict[str, Any], end_of_text: int) -> None:
        import tokenizers

        self.name = name
        # How the library pads and truncates batches does not change the tokens.
        self.content = {**content, "truncation": None, "padding": None}
        self.end_of_text = end_of_text
        try:
            self._library = tokenizers.Tokenizer.from_str(json.dumps(self.content))
        except Exception as error:  # the library has no narrower class
            raise ValueError(str(error)) from None
        self._library.encode_special_tokens = True  # their names in a text are encoded as text
        added = self.content["added_tokens"]
        self.special_tokens = {token["content"]: token["id"] for token in added if token["special"]}
        self.vocab_size = max(self._library.get_vocab().values()) + 1
        words = {token["content"]: token["id"] for token in added if not token["special"]}
        names = self.special_tokens | words
        vocabulary = self.content["model"]["vocab"].items()
        self.ranks = {characters_to_bytes(token): index for token, index in vocabulary if token not in names}
        self.ranks |= {word.encode(): index for word, index in words.items()}

    def encode_to_array(self, text: str) -> np.ndarray:
        text.encode()  # raises a clearer error for a lone surrogate than the library
        return np.array(self._library.encode(text, add_special_tokens=False).ids, dtype=np.uint32)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`; ids past the last token are nothing: a model may have rows for them."""
        return super().decode_bytes(index for index in ids if index < self.vocab_size)

    def _identity(self) -> dict[str, object]:
        return {"huggingface": self.content, "end_of_text": self.end_of_text}


def _from_identity(name: str, content: dict[str, Any]) -> Tokenizer:
    if "huggingface" in content:
        return ForeignTokenizer(name, content["huggingface"], content["end_of_text"])
    ranks = {base64.b64decode(value): index for value, index in content["ranks"].items()}
    return Tokenizer(name, ranks, content["pattern"], content["special_tokens"])


def byte_tokenizer() -> Tokenizer:
    """Return the tokenizer `bytes`: a token for each byte, and end-of-text."""
    ranks = {bytes([value]): value for value in range(256)}
    return Tokenizer("bytes", ranks, BYTES_PATTERN, {END_OF_TEXT: 256})


def tiktoken_tokenizer(name: str) -> Tokenizer:
    """Return one of tiktoken's encodings, from its cache or downloaded. Raises UserError if the server is down."""
    outcome: list[tiktoken.Encoding | Exception] = []

    def load() -> None:
        try:
            outcome.append(tiktoken.get_encoding(name))
        except Exception as error:  # raised below, in the thread that waits
            outcome.append(error)

    cached = _cached_files()
    thread = threading.Thread(target=load, daemon=True)  # tiktoken's download has no timeout
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    if thread.is_alive() and reachable(VOCABULARY_SERVER):
        thread.join()
    if not outcome or isinstance(outcome[0], Exception):
        # tiktoken deletes a corrupt file before it downloads it again.
        corrupt = [str(path) for path in cached - _cached_files()]
        found, fix = (
            f"tiktoken's vocabulary {name}",
            "set TIKTOKEN_CACHE_DIR to a folder where tiktoken has cached it",
        )
        if corrupt:
            found, fix = f"the cached {', '.join(corrupt)} was corrupt and", "copy it there again"
        kept = f", and its copy in {_cache()} is missing or corrupt" if cached and not corrupt else ""
        raise UserError(
            f"{found} cannot be downloaded from {VOCABULARY_SERVER} ({_reason(outcome)}){kept}: {fix}, or train a"
            " tokenizer with --tokenizer=bpe:8192"
        )
    encoding = outcome[0]
    return Tokenizer(name, encoding._mergeable_ranks, encoding._pat_str, encoding._special_tokens)


def _reason(outcome: list[tiktoken.Encoding | Exception]) -> str:
    """Return why tiktoken has no encoding: the system's reason for a file of its cache, else the kind of error."""
    if not outcome:
        return "no answer"
    error = outcome[0]
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return type(error).__name__


def _cache() -> str:
    """Return the folder of tiktoken's cache, "" if the cache is off."""
    default = os.path.join(tempfile.gettempdir(), "data-gym-cache")
    return os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", default))


def _cached_files() -> set[Path]:
    """Return what is in tiktoken's cache."""
    return set(Path(_cache()).glob("*")) if _cache() else set()


def text_parts(text: str) -> Iterator[str]:
    """Yield a text in parts of at most MAX_PART_CHARACTERS.

    A part ends before a space that follows a word, where every split pattern cuts too: the ids are those of the whole
    text. A part without such a place ends inside a word, always at the same character, so that ids never vary.
    """
    start = 0
    while len(text) - start > MAX_PART_CHARACTERS:
        end = start + MAX_PART_CHARACTERS
        space = _BEFORE_LAST_SPACE.match(text, start, end)
        cut = space.end() if space else end
        yield text[start:cut]
        start = cut
    yield text[start:]


def characters_to_bytes(token: str) -> bytes:
    """Return a token's bytes from the byte-level alphabet of GPT-2 and `tokenizers`: a printable character per byte."""
    return bytes(BYTE_OF_CHARACTER[character] for character in token)


def _byte_alphabet() -> dict[str, int]:
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF_CHARACTER = _byte_alphabet()
