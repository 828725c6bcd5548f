"""Reading a data folder: the tokens of a split as one stream, and the sequences that training and validation read."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from corpus.manifest import MANIFEST_FILE, NO_LOSS, SPLITS, Manifest, Shard, check_shards, remedy
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.windows import evenly_spaced_windows, n_training_windows, shuffled, training_windows
from system.errors import UserError
from system.files import reject_lfs_pointer

PAIR_LENGTH_STEP = (
    8  # pairs are cut at a multiple of this many tokens: hardware likes it, and lengths are few
)
IGNORED = -1  # the target of a position that does not count in the loss, the same as model.py's


class CorruptShard(UserError):
    """A shard holds what its data folder cannot hold."""


class TokenDataset:
    """One split of a data folder: a memory-mapped stream of tokens, and where its sequences start.

    A sequence is a window of the stream or, in a folder of pairs, a prompt with its completion.
    """

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
        """Return `count` tokens from position `start` of the stream, in the shards' dtype."""
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

    def unknown_token(self, position: int) -> CorruptShard:
        """Return the error for a token at `position` of the stream that the tokenizer does not have."""
        index = int(np.searchsorted(self._ends, position, side="right"))
        path = self.data_dir / self.manifest.splits[self.split].shards[index].name
        return CorruptShard(f"{path} is corrupt (the tokenizer has no such token)", remedy(self.data_dir))

    @cached_property
    def pair_starts(self) -> np.ndarray:
        """The position where each pair starts, int64 (documents,)."""
        ends = [np.flatnonzero(shard == self.manifest.tokenizer["end_of_text"]) for shard in self._shards]
        before = self._ends - [len(shard) for shard in self._shards]
        after = np.concatenate([end + start for end, start in zip(ends, before, strict=True)]) + 1
        return np.concatenate([[0], after[:-1]]).astype(np.int64)

    @cached_property
    def pair_ends(self) -> np.ndarray:
        """The position after the last token of each pair, int64 (documents,)."""
        return np.append(self.pair_starts[1:], self.n_tokens).astype(np.int64)

    def texts(self) -> list[str]:
        """Return the documents' texts; the folder must not hold pairs."""
        tokenizer = self.tokenizer()
        spans = zip(self.pair_starts.tolist(), self.pair_ends.tolist(), strict=True)
        return [tokenizer.decode(self.read(first, last - 1 - first).tolist()) for first, last in spans]

    def tokens_per_sequence(self, block_size: int) -> float:
        """Return how many tokens a training sequence has on average, without what fills a shorter pair up."""
        if not self.manifest.has_pairs:
            return block_size
        return float(np.minimum(self.pair_ends - self.pair_starts - 1, block_size).mean())

    def cut_pairs(self, block_size: int) -> str:
        """Return a note for the log on how many pairs are longer than a sequence, "" if none are.

        Raises UserError if no completion begins within block_size tokens: nothing would be scored.
        """
        if not self.manifest.has_pairs or not self.manifest.splits[self.split].documents:
            return ""
        ends = self.pair_ends
        scored = np.concatenate([[0], np.cumsum(self.read(0, self.n_tokens) < NO_LOSS)])
        n_scored = scored[ends] - scored[self.pair_starts]
        n_cut = int((ends - self.pair_starts > block_size + 1).sum())
        unscored = ends - n_scored - self.pair_starts > block_size  # the prompt alone is longer
        if unscored.all():
            raise UserError(
                f"block_size={block_size}: must be larger, no completion of the {self.split} pairs begins within it"
            )
        return f"pairs cut at block_size: {n_cut} ({unscored.sum()} before the completion)" if n_cut else ""

    def n_sequences(self, block_size: int) -> int:
        """Return the number of sequences in an epoch. Raises UserError if there is not even one."""
        if self.manifest.has_pairs:
            return self.manifest.splits[self.split].documents
        return n_training_windows(self.n_tokens, block_size)

    def training_starts(self, block_size: int, seed: int, first: int, count: int) -> np.ndarray:
        """Return the starts of sequences `first` to `first + count - 1` of a run, int64 (count,)."""
        if not self.manifest.has_pairs:
            return training_windows(self.n_tokens, block_size, seed, first, count)
        indices = np.arange(first, first + count, dtype=np.uint64)
        return self.pair_starts[shuffled(indices, len(self.pair_starts), seed)[0]]

    def in_order_of_length(self, starts: np.ndarray) -> np.ndarray:
        """Return the places in `starts` (count,) of the pairs that begin there, shortest pair first, int64 (count,)."""
        index = np.searchsorted(self.pair_starts, starts)
        return np.argsort(self.pair_ends[index] - starts, kind="stable")

    def validation_starts(self, block_size: int, count: int | None) -> np.ndarray:
        """Return the starts of `count` (None: all) evenly spaced sequences, int64; pairs come shortest first."""
        if not self.manifest.has_pairs:
            return evenly_spaced_windows(self.n_tokens, block_size, count)
        n_pairs = self.manifest.splits[self.split].documents
        if not n_pairs:
            raise UserError(
                f"no {self.split} pairs: prepare {self.data_dir} with a larger --validation_fraction"
            )
        count = n_pairs if count is None else min(count, n_pairs)
        starts = self.pair_starts[np.arange(count, dtype=np.int64) * n_pairs // max(count, 1)]
        return starts[self.in_order_of_length(starts)]

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer of the data. Raises UserError if its file is damaged or not the manifest's."""
        path = self.data_dir / TOKENIZER_FILE
        reject_lfs_pointer(path)
        try:
            tokenizer = Tokenizer.load(path)
        except UserError as error:
            raise UserError(f"{error}: {remedy(self.data_dir)}") from None
        if tokenizer.hash != self.manifest.tokenizer["hash"]:
            raise UserError(
                f"{path} is not the tokenizer of {self.data_dir / MANIFEST_FILE}: {remedy(self.data_dir)}"
            )
        return tokenizer


def batch(
    dataset: TokenDataset, starts: np.ndarray, block_size: int, cut: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and targets of the sequences at `starts`, int64 (count, block_size) each.

    Targets are the inputs shifted by one token. In a pair, the prompt's targets and everything after the pair are
    IGNORED; with `cut`, pairs have only as many columns as the longest of them needs. Raises UserError for a token that
    the tokenizer does not have.
    """
    windows = np.zeros((len(starts), block_size + 1), dtype=dataset.manifest.dtype)
    for row, start in zip(windows, starts.tolist(), strict=True):
        count = min(block_size + 1, dataset.n_tokens - start)  # the stream may end soon after the last pair
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
        if cut:
            longest = int((~after_the_pair).sum(axis=1).max())
            columns = -(-longest // PAIR_LENGTH_STEP) * PAIR_LENGTH_STEP
            return inputs[:, :columns].copy(), targets[:, :columns].copy()
    return inputs, targets


def verify(data_dir: Path) -> Manifest:
    """Check the hashes of all shards and of the tokenizer. Raises UserError that lists every damaged file."""
    manifest = Manifest.read(data_dir)
    for shard in manifest.shards:
        reject_lfs_pointer(data_dir / shard.name)
    damage = [found for found in check_shards(data_dir, manifest) if found]
    if damage:
        raise UserError(f"{'; '.join(damage)}: {remedy(data_dir)}")
    TokenDataset(data_dir, SPLITS[0]).tokenizer()
    return manifest


def _open_shard(path: Path, shard: Shard, dtype: np.dtype) -> np.ndarray:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): {remedy(path.parent)}") from None
    if size != shard.bytes or size != shard.tokens * dtype.itemsize:
        reject_lfs_pointer(path)
        raise UserError(
            f"{path} is corrupt: it has {size} bytes, its manifest says {shard.bytes}: {remedy(path.parent)}"
        )
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
