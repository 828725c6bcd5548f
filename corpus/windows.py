"""The order of training: sequence i of a run is a pure function of (seed, i), so that a run can resume anywhere."""

from typing import Any

import numpy as np

from system.errors import UserError


def n_training_windows(n_tokens: int, block_size: int) -> int:
    """Return the number of sequences in an epoch: the windows that fit at any offset of the epoch.

    The last window ends at offset + windows * block_size + 1 <= n_tokens, with offset < block_size. Raises UserError
    if not even one fits.
    """
    windows = (n_tokens - block_size) // block_size
    if windows < 1:
        raise UserError(
            f"{n_tokens} training tokens are too few for block_size={block_size}: prepare at least {2 * block_size}"
            f" tokens, or set block_size to at most {n_tokens // 2}"
        )
    return windows


def training_windows(n_tokens: int, block_size: int, seed: int, first: int, count: int) -> np.ndarray:
    """Return the starts of sequences `first` to `first + count - 1` of a run, int64 (count,).

    In each epoch, windows of block_size targets tile the stream and a keyed permutation visits each exactly once. The
    tiling's offset, in [0, block_size), changes every epoch, so that sequences do not always begin at the same tokens.
    """
    windows = n_training_windows(n_tokens, block_size)
    indices = np.arange(first, first + count, dtype=np.uint64)
    places, keys = shuffled(indices, windows, seed)
    offsets = _mix(keys) % np.uint64(block_size)
    return (places * np.uint64(block_size) + offsets).astype(np.int64)


def evenly_spaced_windows(n_tokens: int, block_size: int, count: int | None = None) -> np.ndarray:
    """Return the starts of `count` non-overlapping windows spread evenly over the stream, int64.

    Windows start at multiples of block_size; fewer than block_size tokens at the end are left out. Returns all windows
    if `count` is None or more than there are. Raises UserError if not even one fits.
    """
    windows = (n_tokens - 1) // block_size
    if windows < 1:
        raise UserError(
            f"{n_tokens} validation tokens are too few for block_size={block_size}: prepare the data with a larger"
            f" --validation_fraction{', or set a smaller block_size' if n_tokens > 1 else ''}"
        )
    count = windows if count is None else min(count, windows)
    return np.arange(count, dtype=np.int64) * windows // max(count, 1) * block_size


def shuffled(indices: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the place in [0, size) of each sequence of a run, and the key of its epoch, both uint64.

    Each place occurs once per epoch, in another order every epoch.
    """
    epochs, places = np.divmod(indices, np.uint64(size))
    keys = _mix(_mix(np.uint64(seed % 2**64)) ^ epochs)
    return _permuted(places, size, keys), keys


def _permuted(places: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Return the images of `places` under the permutations of [0, size) that `keys` choose, all uint64.

    A Feistel network permutes the smallest power of four that holds `size`. Images outside [0, size) go through it
    again until they land inside (cycle-walking: Black & Rogaway, "Ciphers with Arbitrary Finite Domains", 2002,
    section 3), after fewer than four passes on average. Needs no table: any place can be computed alone.
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
