"""The token-shard format, read-only, and sequence i of a run as a pure function of (seed, i).

Owns the manifest (what `manifest.json` says), opening shards by memory map as one virtual stream of tokens, and
which windows of that stream training and validation read. Writing shards is left to shards.py, text and tokenizers
to prepare_data.py and tokenizer.py.

A data folder holds `manifest.json`, `tokenizer.json` and, for each split, headerless little-endian shards
`train_00000.bin`, `train_00001.bin`, ...: one stream of tokens, cut at a fixed size, documents running across cuts.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from system.errors import UserError

MANIFEST_FILE = "manifest.json"
JOURNAL_FILE = "journal.json"  # there while a preparation is unfinished; shards.py owns what it holds
MANIFEST_FORMAT = 1
NO_LOSS = 2**31  # set in a token on which nothing is learned: a prompt's, in pairs of prompts and completions
IGNORED = -1  # the target of a position that does not count in the loss, as model.py has it
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Shard:
    """One file of tokens."""

    name: str
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """The shards of one split, in order, and what they hold."""

    documents: int
    tokens: int  # end-of-text tokens included: one to a document
    text_bytes: int  # UTF-8 bytes of the documents, prompts included; end-of-text adds none
    shards: tuple[Shard, ...]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Split":
        """Read what `dataclasses.asdict` gave."""
        return cls(**{**content, "shards": tuple(Shard(**shard) for shard in content["shards"])})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` tells a later reader. Equal preparations write equal manifests: no times, no machine."""

    format: int = MANIFEST_FORMAT
    dtype: str  # little-endian, "uint16" or "uint32"
    tokenizer: dict[str, Any]  # name, hash, vocab_size, end_of_text
    splits: dict[str, Split]
    skipped_documents: int  # without text
    source: dict[str, Any]  # kind, dataset, subset, revision where there are such, files with their sizes
    options: dict[str, Any]  # the options that decide the content

    def to_json(self) -> str:
        """Return the file's content."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @property
    def has_pairs(self) -> bool:
        """Whether a document is a prompt and its completion, and a sequence one of these, not a window of the stream."""
        return self.source["kind"] == "pairs"

    def summary(self) -> dict[str, str | int]:
        """Return in a few words what a checkpoint remembers of its data: where from, how much, in which tokens."""
        files = [file["path"] for file in self.source["files"]]
        origin = [self.source[key] for key in ("dataset", "subset", "revision") if key in self.source]
        names = (
            files
            if self.source["kind"] == "builtin"
            else [f"{len(files)} file(s), {Path(files[0]).name} first"]
        )
        counts = {f"{name}_tokens": split.tokens for name, split in self.splits.items()}
        return {"source": " ".join([*origin, *names]), "tokenizer": self.tokenizer["name"], **counts}

    @classmethod
    def read(cls, data_dir: str | Path) -> "Manifest":
        """Read the manifest of a finished data folder; raise UserError saying what to run where there is none."""
        path = Path(data_dir) / MANIFEST_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != MANIFEST_FORMAT:
                raise UserError(
                    f"{path} has format {content['format']}, this code reads {MANIFEST_FORMAT}: {anew(data_dir)}"
                )
            splits = {name: Split.from_dict(split) for name, split in content["splits"].items()}
            return cls(**{**content, "splits": splits})
        except FileNotFoundError:
            raise UserError(_no_manifest(Path(data_dir))) from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"{path} is not a manifest written by prepare_data.py: {anew(data_dir)}"
            ) from None


class TokenDataset:
    """One split of a data folder as a single stream of tokens, read from memory maps."""

    def __init__(self, data_dir: str | Path, split: str = "train") -> None:
        self.data_dir = Path(data_dir)
        self.split = split
        self.manifest = Manifest.read(data_dir)
        self.manifest_hash = hashlib.sha256((self.data_dir / MANIFEST_FILE).read_bytes()).hexdigest()
        if split not in self.manifest.splits:
            raise UserError(f"{data_dir} has no split {split!r}, only {', '.join(self.manifest.splits)}")
        shards = self.manifest.splits[split].shards
        dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
        self._shards = [_open_shard(self.data_dir / shard.name, shard, dtype) for shard in shards]
        self._ends = np.cumsum([len(shard) for shard in self._shards], dtype=np.int64)
        self.n_tokens = int(self._ends[-1]) if shards else 0

    def read(self, start: int, count: int) -> np.ndarray:
        """Return `count` tokens from position `start` of the stream, in the shards' dtype, across shards if need be."""
        if start < 0 or count < 0 or start + count > self.n_tokens:
            raise ValueError(
                f"tokens {start} to {start + count} are not all in the {self.n_tokens} of {self.split}"
            )
        index = int(np.searchsorted(self._ends, start, side="right"))
        pieces = []
        while count > 0:
            shard = self._shards[index]
            offset = start - (int(self._ends[index]) - len(shard))
            piece = shard[offset : offset + count]
            pieces.append(piece)
            start, count, index = start + len(piece), count - len(piece), index + 1
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=self.manifest.dtype)

    def unknown_token(self, position: int) -> UserError:
        """Return the refusal of the token at `position`, which the tokenizer does not have."""
        index = int(np.searchsorted(self._ends, position, side="right"))
        path = self.data_dir / self.manifest.splits[self.split].shards[index].name
        return UserError(f"{path} is damaged (the tokenizer has no such token): {anew(self.data_dir)}")

    @cached_property
    def pair_starts(self) -> np.ndarray:
        """Where each pair starts, int64 (documents,): after the end of the one before."""
        ends = [np.flatnonzero(shard == self.manifest.tokenizer["end_of_text"]) for shard in self._shards]
        before = self._ends - [len(shard) for shard in self._shards]
        after = np.concatenate([end + start for end, start in zip(ends, before, strict=True)]) + 1
        return np.concatenate([[0], after[:-1]]).astype(np.int64)

    def cut_pairs(self, block_size: int) -> str:
        """Return in words how many pairs are longer than a sequence, empty for none.

        Raises UserError where no completion begins within one, so that there is nothing to learn.
        """
        if not self.manifest.has_pairs or not self.manifest.splits[self.split].documents:
            return ""
        ends = np.append(self.pair_starts[1:], self.n_tokens)
        scored = np.concatenate([[0], np.cumsum(self.read(0, self.n_tokens) < NO_LOSS)])
        n_scored = scored[ends] - scored[self.pair_starts]
        n_cut = int((ends - self.pair_starts > block_size + 1).sum())
        unscored = ends - n_scored - self.pair_starts > block_size  # the prompt alone is longer
        if unscored.all():
            found = f"block_size={block_size}: no completion of the {self.split} pairs begins within it"
            raise UserError(f"{found}: use a larger one")
        return f", pairs cut at block_size: {n_cut} ({unscored.sum()} to nothing)" if n_cut else ""

    def n_sequences(self, block_size: int) -> int:
        """Return how many sequences make an epoch; raise UserError where there is not even one."""
        if self.manifest.has_pairs:
            return self.manifest.splits[self.split].documents
        return n_training_windows(self.n_tokens, block_size)

    def training_starts(self, block_size: int, seed: int, first: int, count: int) -> np.ndarray:
        """Return where sequences `first` to `first + count - 1` of a run start, int64 (count,): windows or pairs."""
        if not self.manifest.has_pairs:
            return training_windows(self.n_tokens, block_size, seed, first, count)
        indices = np.arange(first, first + count, dtype=np.uint64)
        return self.pair_starts[_shuffled(indices, len(self.pair_starts), seed)[0]]

    def validation_starts(self, block_size: int, count: int | None) -> np.ndarray:
        """Return the starts of `count` (None: all) evenly spaced sequences, int64: windows or pairs."""
        if not self.manifest.has_pairs:
            return evenly_spaced_windows(self.n_tokens, block_size, count)
        n_pairs = self.manifest.splits[self.split].documents
        if not n_pairs:
            raise UserError(
                f"no {self.split} pairs: prepare {self.data_dir} with a larger --validation_fraction"
            )
        count = n_pairs if count is None else min(count, n_pairs)
        return self.pair_starts[np.arange(count, dtype=np.int64) * n_pairs // max(count, 1)]

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer that the tokens were made with."""
        path = self.data_dir / TOKENIZER_FILE
        try:
            tokenizer = Tokenizer.load(path)
        except UserError as error:
            raise UserError(f"{error}: {anew(self.data_dir)}") from None
        if tokenizer.hash != self.manifest.tokenizer["hash"]:
            raise UserError(
                f"{path} is not the tokenizer of {self.data_dir / MANIFEST_FILE}: {anew(self.data_dir)}"
            )
        return tokenizer


def n_training_windows(n_tokens: int, block_size: int) -> int:
    """Return how many sequences make an epoch: as many windows as fit whatever the epoch's offset is.

    The last window ends at offset + windows * block_size + 1 <= n_tokens, with offset < block_size. Raises UserError
    if not even one fits.
    """
    windows = (n_tokens - block_size) // block_size
    if windows < 1:
        raise UserError(
            f"{n_tokens} training tokens are too few for block_size {block_size}: prepare at least"
            f" {2 * block_size} tokens, or choose a block_size of at most {n_tokens // 2}"
        )
    return windows


def training_windows(n_tokens: int, block_size: int, seed: int, first: int, count: int) -> np.ndarray:
    """Return where sequences `first` to `first + count - 1` of a run start, int64 (count,).

    Start i is a pure function of (seed, i). In an epoch the windows of block_size targets tile the stream, and a
    keyed permutation visits each exactly once; the tiling's offset in [0, block_size) changes with every epoch, so
    that the same tokens do not always begin a sequence.
    """
    windows = n_training_windows(n_tokens, block_size)
    indices = np.arange(first, first + count, dtype=np.uint64)
    places, keys = _shuffled(indices, windows, seed)
    offsets = _mix(keys) % np.uint64(block_size)
    return (places * np.uint64(block_size) + offsets).astype(np.int64)


def evenly_spaced_windows(n_tokens: int, block_size: int, count: int | None = None) -> np.ndarray:
    """Return the starts of `count` non-overlapping windows spread evenly over the stream, or of all, int64.

    The windows lie on multiples of block_size; fewer than block_size tokens at the end belong to none. With `count`
    None or more than there are, all of them. Raises UserError if not even one fits.
    """
    windows = (n_tokens - 1) // block_size
    if windows < 1:
        raise UserError(
            f"{n_tokens} validation tokens are too few for block_size {block_size}: prepare the data with a larger"
            f" --validation_fraction{', or choose a smaller block_size' if n_tokens > 1 else ''}"
        )
    count = windows if count is None else min(count, windows)
    return np.arange(count, dtype=np.int64) * windows // max(count, 1) * block_size


def batch(dataset: TokenDataset, starts: np.ndarray, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and targets of the windows at `starts`, int64 (count, block_size) each.

    A window is block_size + 1 tokens; its targets are its inputs one token later. A pair is followed by whatever comes
    after it in the stream: its prompt and all that follows it are IGNORED targets. Raises UserError for tokens that the
    tokenizer does not have, which no model could take.
    """
    windows = np.zeros((len(starts), block_size + 1), dtype=dataset.manifest.dtype)
    for row, start in zip(windows, starts.tolist(), strict=True):
        count = min(block_size + 1, dataset.n_tokens - start)  # less only after the last pair
        row[:count] = dataset.read(start, count)
    tokens = windows.astype(np.int64)
    unknown = tokens % NO_LOSS >= dataset.manifest.tokenizer["vocab_size"]
    if unknown.any():
        row, place = np.argwhere(unknown)[0]
        raise dataset.unknown_token(int(starts[row] + place))
    inputs, targets = tokens[:, :-1].copy(), tokens[:, 1:].copy()
    if dataset.manifest.has_pairs:
        ends = targets == dataset.manifest.tokenizer["end_of_text"]
        after_the_pair = np.cumsum(ends, axis=1) - ends > 0
        targets[(targets >= NO_LOSS) | after_the_pair] = IGNORED
        inputs %= NO_LOSS
    return inputs, targets


def _shuffled(indices: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of `size` things each of a run's sequences is, each once an epoch, and its epoch's key, uint64."""
    epochs, places = np.divmod(indices, np.uint64(size))
    keys = _mix(_mix(np.uint64(seed % 2**64)) ^ epochs)
    return _permuted(places, size, keys), keys


def _permuted(places: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Return the images of `places` under the permutations of [0, size) that `keys` choose, all uint64.

    A Feistel network permutes the smallest power of four that holds `size`; what lands outside [0, size) goes
    through again until it lands inside (cycle-walking: Black & Rogaway, "Ciphers with Arbitrary Finite Domains",
    2002, section 3), in less than four turns on average. No memory, any place on its own.
    """
    half_bits = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    images = places.copy()
    outside = np.ones(len(places), dtype=bool)
    while outside.any():
        left, right = images[outside] >> half_bits, images[outside] & mask
        for round_number in range(6):
            round_keys = keys[outside] + np.uint64(round_number)
            left, right = right, left ^ (_mix(_mix(round_keys) ^ right) & mask)
        images[outside] = (left << half_bits) | right
        outside = images >= np.uint64(size)
    return images


def _mix(values: Any) -> Any:
    """Return the splitmix64 hash of uint64 values (Steele, Lea & Flood, OOPSLA 2014), which wraps around by design."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _open_shard(path: Path, shard: Shard, dtype: np.dtype) -> np.ndarray:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot open {path} ({error.strerror}): {anew(path.parent)}") from None
    if size != shard.bytes or size != shard.tokens * dtype.itemsize:
        raise UserError(
            f"{path} is damaged: it has {size} bytes, its manifest says {shard.bytes}: {anew(path.parent)}"
        )
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def anew(data_dir: str | Path) -> str:
    """Return the remedy for damaged data: what is there is taken for what it was, so it must go first."""
    return f"delete {data_dir} and prepare it again"


def _no_manifest(data_dir: Path) -> str:
    command = f"`python prepare_data.py --out_dir={data_dir}`"
    if (data_dir / JOURNAL_FILE).exists():
        return f"the preparation of {data_dir} is unfinished: run the same {command} with its options again"
    return f"no {MANIFEST_FILE} in {data_dir}: run {command} first"


def check_shards(data_dir, manifest):
    buffer = memoryview(bytearray(2**20))
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        path, digest = Path(data_dir) / shard.name, hashlib.sha256()
        try:
            with open(path, "rb", buffering=0) as file:
                while n_bytes := file.readinto(buffer):
                    digest.update(buffer[:n_bytes])
                    yield ""
        except OSError as error:
            yield f"cannot read {path} ({error.strerror})"
            continue
        if digest.hexdigest() != shard.sha256:
            yield f"{path} is corrupt (its sha256 differs from the manifest)"
