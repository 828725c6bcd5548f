"""One tokenizer interface: tiktoken's encodings, a trained byte-level BPE, plain bytes, a saved or a foreign one.

Owns what a tokenizer is (ranks + split pattern + special tokens), its identity (a sha256 over exactly these; the
name is only a label: `gpt2` and `r50k_base` are the same tokenizer), and its file, one JSON. tiktoken runs a tokenizer
from its ranks; the `tokenizers` library trains, and runs what another project's tokenizer.json says beyond ranks. It is
imported only then. Which documents a BPE is trained on is left to prepare_data.py, tokenizer.json to hf_tokenizer.py.
"""

import base64
import difflib
import hashlib
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from system.errors import UserError
from system.network import reachable

END_OF_TEXT = "<|endoftext|>"
TOKENIZER_FILE = "tokenizer.json"
FILE_FORMAT = 1
MIN_BPE_TOKENS = 257
VOCABULARY_SERVER = "https://openaipublic.blob.core.windows.net/"

# GPT-4's split pattern, with at most two digits to a number (as nanochat: three would spend a small vocabulary on
# numbers), and without possessive quantifiers, which tokenizers' regex engine reads differently after {1,2}.
SPLIT_PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
BYTES_PATTERN = (
    r"[\s\S]{1,256}"  # without merges the split changes nothing; this one keeps tiktoken's pieces short
)

# Longer texts are encoded in parts: a million spaces overflow the stack of tiktoken's regex engine, and one unbroken
# word of 10 MB takes seconds and half a gigabyte. See `_parts` for where the cuts fall.
MAX_PART_CHARACTERS = 2**16
# Training counts pairs in every distinct word, so that one unbroken word of megabytes makes it quadratic.
MAX_TRAINING_WORD = 256

# The last place in a part at which a space follows something that is not white space.
_BEFORE_LAST_SPACE = re.compile(r".*\S(?= )", re.DOTALL)
_LONG_WORD = re.compile(rf"\S{{{MAX_TRAINING_WORD}}}|\s{{{MAX_TRAINING_WORD}}}")


class Tokenizer:
    """Ranks + split pattern + special tokens, run by tiktoken.

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
        """The identity: sha256 (hex) over ranks, split pattern and special tokens in canonical JSON."""
        return hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()

    def encode_to_array(self, text: str) -> np.ndarray:
        """Return the ids of `text` as uint32; a special token's name in the text is text.

        Decoding gives `text` back exactly. Raises UnicodeEncodeError for a lone surrogate, which is not Unicode text.
        """
        if len(text) <= MAX_PART_CHARACTERS:
            return self._encoding.encode_to_numpy(text, disallowed_special=())
        parts = [self._encoding.encode_to_numpy(part, disallowed_special=()) for part in _parts(text)]
        return np.concatenate(parts)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, as `encode_to_array`."""
        return self.encode_to_array(text).tolist()

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`: special tokens as their names, ids of no token as nothing."""
        values = self._token_bytes
        try:
            return b"".join([values[index] for index in ids])
        except IndexError:
            raise ValueError(f"a token id is not below the vocabulary size {self.vocab_size}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are no UTF-8 (a character cut in two) become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def token_byte_lengths(self) -> np.ndarray:
        """Return how many bytes of text each id stands for, int64 (vocab_size,): 0 for special tokens and gaps."""
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        for value, index in self.ranks.items():
            lengths[index] = len(value)
        return lengths

    def to_json(self) -> str:
        """Return the content of the tokenizer's file; equal tokenizers of one name have equal files."""
        content = {"format": FILE_FORMAT, "name": self.name, "hash": self.hash, **self._identity()}
        return json.dumps(content, indent=0) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to one JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Tokenizer":
        """Read a file written by `save`, refusing one whose content is not what its hash says."""
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
            raise UserError(f"{path} is not a tokenizer saved by this project") from None
        if not is_whole:
            raise UserError(f"{path} is damaged: its content does not match its hash")
        return tokenizer

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
    """A byte-level tokenizer of another project's tokenizer.json, run by the `tokenizers` library.

    Its identity is that content. It may change a text before splitting it (Qwen's brings it to Unicode's form C):
    decoding gives the changed text.
    """

    def __init__(self, name: str, content: dict[str, Any], end_of_text: int) -> None:
        import tokenizers

        self.name = name
        # How the library is to fill up and cut off batches is no part of what the tokens are.
        self.content = {**content, "truncation": None, "padding": None}
        self.end_of_text = end_of_text
        try:
            self._library = tokenizers.Tokenizer.from_str(json.dumps(self.content))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(str(error)) from None
        self._library.encode_special_tokens = True  # a special token's name in a text is text
        added = self.content["added_tokens"]
        self.special_tokens = {token["content"]: token["id"] for token in added if token["special"]}
        self.vocab_size = max(self._library.get_vocab().values()) + 1
        words = {token["content"]: token["id"] for token in added if not token["special"]}
        names = self.special_tokens | words
        vocabulary = self.content["model"]["vocab"].items()
        self.ranks = {characters_to_bytes(token): index for token, index in vocabulary if token not in names}
        self.ranks |= {word.encode(): index for word, index in words.items()}

    def encode_to_array(self, text: str) -> np.ndarray:
        text.encode()  # the library would name a lone surrogate less clearly
        return np.array(self._library.encode(text, add_special_tokens=False).ids, dtype=np.uint32)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`; those past the last token, which a model may have rows for, are nothing."""
        return super().decode_bytes(index for index in ids if index < self.vocab_size)

    def _identity(self) -> dict[str, object]:
        return {"huggingface": self.content, "end_of_text": self.end_of_text}


def _from_identity(name: str, content: dict[str, Any]) -> Tokenizer:
    if "huggingface" in content:
        return ForeignTokenizer(name, content["huggingface"], content["end_of_text"])
    ranks = {base64.b64decode(value): index for value, index in content["ranks"].items()}
    return Tokenizer(name, ranks, content["pattern"], content["special_tokens"])


def open_tokenizer(spec: str) -> Tokenizer:
    """Return the tokenizer that `spec` names: a tiktoken encoding, `bytes`, a saved file, the folder it is in, or a run's folder."""
    if spec == "bytes":
        return _byte_tokenizer()
    if spec in tiktoken.list_encoding_names():
        return _tiktoken_tokenizer(spec)
    path = Path(spec) / TOKENIZER_FILE if Path(spec).is_dir() else Path(spec)
    if (Path(spec) / "last").is_file():  # a run's folder: its checkpoints all have the same
        path = Path(spec) / (Path(spec) / "last").read_text().strip() / TOKENIZER_FILE
    if path.exists():
        return Tokenizer.load(path)
    if spec.startswith("bpe:"):
        raise UserError(
            f"tokenizer {spec} is trained by prepare_data.py: open the tokenizer.json it has written"
        )
    known = ["bytes", "bpe:8192", *tiktoken.list_encoding_names()]
    close = difflib.get_close_matches(spec, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    raise UserError(f"no tokenizer named {spec!r} and no file of that name: {hint}")


def bpe_size(spec: str) -> int | None:
    """Return the N of `bpe:N`, None if `spec` names another tokenizer; raises ValueError for an N that cannot be."""
    name, colon, size = spec.partition(":")
    if name != "bpe" or not colon:
        return None
    if not size.isdecimal() or int(size) < MIN_BPE_TOKENS:
        raise ValueError(
            f"tokenizer={spec}: bpe:N needs a number of tokens, at least {MIN_BPE_TOKENS} (256 bytes and end-of-text)"
        )
    return int(size)


def train_bpe(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE of `vocab_size` tokens, end-of-text (the last id) included.

    The same documents give the same tokenizer. Words and white space longer than MAX_TRAINING_WORD characters are
    cut, for training only. Raises UserError if the documents are too few for `vocab_size`.
    """
    assert vocab_size >= MIN_BPE_TOKENS, vocab_size
    vocabulary = _trained(documents, vocab_size - 1).get_vocab()
    largest = len(vocabulary) + 1
    if largest != vocab_size:
        raise UserError(
            f"the text is too small for bpe:{vocab_size}: it gives {largest} tokens at the most,"
            f" so use --tokenizer=bpe:{largest} or fewer, or more text"
        )
    ranks = {characters_to_bytes(token): index for token, index in vocabulary.items()}
    return _with_end_of_text(f"bpe:{vocab_size}", ranks, SPLIT_PATTERN)


def _trained(documents: Iterable[str], n_tokens: int) -> Any:
    """Return a BPE as the `tokenizers` library trains it: its ids, in the order of the merges, become the ranks."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=n_tokens, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_training_texts(documents), trainer)
    return tokenizer


def _parts(text: str) -> Iterator[str]:
    """Cut a long text before a space that follows a word, where every split pattern cuts anyway.

    The ids are then those of the whole text. Only a stretch of MAX_PART_CHARACTERS without such a place is cut
    inside a word: always at the same character, so that the ids of a text are always the same.
    """
    start = 0
    while len(text) - start > MAX_PART_CHARACTERS:
        end = start + MAX_PART_CHARACTERS
        space = _BEFORE_LAST_SPACE.match(text, start, end)
        cut = space.end() if space else end
        yield text[start:cut]
        start = cut
    yield text[start:]


def _training_texts(documents: Iterable[str]) -> Iterator[str]:
    for part in (part for text in documents for part in _parts(text)):
        start = 0
        for long_word in _LONG_WORD.finditer(part):
            yield part[start : long_word.end()]
            start = long_word.end()
        yield part[start:]


def _byte_tokenizer() -> Tokenizer:
    return _with_end_of_text("bytes", {bytes([value]): value for value in range(256)}, BYTES_PATTERN)


def _with_end_of_text(name: str, ranks: Mapping[bytes, int], pattern: str) -> Tokenizer:
    return Tokenizer(name, ranks, pattern, {END_OF_TEXT: len(ranks)})


def _tiktoken_tokenizer(name: str) -> Tokenizer:
    """Return tiktoken's own encoding, downloaded or from its cache, within seconds if no server answers."""
    outcome: list[tiktoken.Encoding | Exception] = []

    def load() -> None:
        try:
            outcome.append(tiktoken.get_encoding(name))
        except Exception as error:  # handed to the waiting thread below
            outcome.append(error)

    thread = threading.Thread(target=load, daemon=True)  # tiktoken downloads without a time limit
    thread.start()
    thread.join(3.0)
    if thread.is_alive() and reachable(VOCABULARY_SERVER):
        thread.join()
    if not outcome or isinstance(outcome[0], Exception):
        reason = type(outcome[0]).__name__ if outcome else "no answer"
        raise UserError(
            f"cannot get tiktoken's vocabulary {name} from {VOCABULARY_SERVER} ({reason}): point TIKTOKEN_CACHE_DIR"
            " at a folder where tiktoken has put it before, or train one with --tokenizer=bpe:8192"
        )
    encoding = outcome[0]
    return Tokenizer(name, encoding._mergeable_ranks, encoding._pat_str, encoding._special_tokens)


def characters_to_bytes(token: str) -> bytes:
    """Undo the byte-level alphabet of GPT-2 and `tokenizers`, in which every byte is one printable character."""
    return bytes(BYTE_OF_CHARACTER[character] for character in token)


def _byte_alphabet() -> dict[str, int]:
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF_CHARACTER = _byte_alphabet()
