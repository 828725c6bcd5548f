"""Has a model read a task's items before? Runs of tokens that they share with the training text (Brown et al. 2020, appendix C)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from corpus.dataset import TokenDataset
from corpus.manifest import NO_LOSS
from evaluation.items import Task
from system.progress import tracked
from system.world import World

LONGEST, SHORTEST = 13, 8  # tokens in a row; fewer may be chance
TOKENS_AT_ONCE = 2**22
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Seen(NamedTuple):
    """Which of N items the training text has, (N,) bool each."""

    seen: np.ndarray
    too_short: np.ndarray  # to tell, of which none is seen


def contaminated(tasks: Sequence[Task], data: TokenDataset, world: World) -> list[Seen]:
    """Return for each task which items share LONGEST tokens in a row with the split; a shorter item must be there as a whole.

    An item is its context with the right answer. Its first and its last token are left out: in the training text, other
    text beside them may have made them part of other tokens. The processes share the split, which is read once.
    """
    tokenizer = data.tokenizer()
    texts = [[item.context + item.choices[item.answer] for item in task.items] for task in tasks]
    items = [[np.array(tokenizer.encode(text)[1:-1], dtype=np.int64) for text in own] for own in texts]
    runs = [[_hashes(tokens, min(LONGEST, len(tokens))) for tokens in own] for own in items]
    lengths = {min(LONGEST, len(tokens)) for own in items for tokens in own if len(tokens) >= SHORTEST}
    wanted = np.unique(np.concatenate([hashes for own in runs for hashes in own]))
    found = _found(wanted, sorted(lengths), data, world)
    checked = []
    for own_items, own_runs in zip(items, runs, strict=True):
        too_short = np.array([len(tokens) < SHORTEST for tokens in own_items])
        seen = np.array([np.isin(hashes, found).any() for hashes in own_runs])
        checked.append(Seen(seen & ~too_short, too_short))
    return checked


def _found(wanted: np.ndarray, lengths: Sequence[int], data: TokenDataset, world: World) -> np.ndarray:
    """Return which of the hashes, (n,) in order, a run of one of these lengths in the split has."""
    is_there = np.zeros(len(wanted), dtype=bool)
    starts = range(0, data.n_tokens, TOKENS_AT_ONCE)[world.rank :: world.size]
    for start in tracked(starts, f"looking for items in {data.data_dir}", world.is_main):
        count = min(TOKENS_AT_ONCE + LONGEST - 1, data.n_tokens - start)
        tokens = data.read(start, count).astype(np.int64) % NO_LOSS
        for length in lengths:
            own = _hashes(tokens, length)
            place = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            is_there[place[wanted[place] == own]] = True
    return wanted[world.sum(torch.from_numpy(is_there).float()).cpu().numpy() > 0]


def _hashes(tokens: np.ndarray, length: int) -> np.ndarray:
    """Return a 64-bit hash of each run of `length` tokens: (n,) -> (max(0, n - length + 1),)."""
    values = tokens.astype(np.uint64)
    total = np.full(max(0, len(tokens) - length + 1), length, dtype=np.uint64)
    for offset in range(length):
        total = total * MULTIPLIER + values[offset : offset + len(total)]  # modulo 2**64
    return total
