"""Has a model read a task's items before? Runs of tokens that an item shares with the training text (Brown et al. 2020, appendix C)."""

from collections.abc import Sequence

import numpy as np

from corpus.dataset import TokenDataset
from corpus.manifest import NO_LOSS
from evaluation.tasks import Task
from system.progress import tracked

RUN = 13  # tokens in a row that are no chance
TOKENS_AT_ONCE = 2**22
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def contaminated(task: Task, data: TokenDataset, show: bool) -> np.ndarray:
    """Return which items share RUN tokens in a row with the split, (N,) bool; a shorter item must be there as a whole.

    An item is its context with the right answer. Its first and last token do not count, since in another text they may be cut otherwise.
    """
    tokenizer = data.tokenizer()
    items = [
        np.array(tokenizer.encode(item.context + item.choices[item.answer])[1:-1], dtype=np.int64)
        for item in task.items
    ]
    found = np.zeros(len(items), dtype=bool)
    for length in {min(RUN, len(tokens)) for tokens in items} - {0}:
        numbers = [number for number, tokens in enumerate(items) if min(RUN, len(tokens)) == length]
        found[numbers] = _shared([items[number] for number in numbers], data, length, show)
    return found


def _shared(items: Sequence[np.ndarray], data: TokenDataset, length: int, show: bool) -> np.ndarray:
    """Return which items have a run of this length that the split has too."""
    hashes = [_hashes(tokens, length) for tokens in items]
    wanted = np.unique(np.concatenate(hashes))
    is_there = np.zeros(len(wanted), dtype=bool)
    starts = range(0, data.n_tokens - length + 1, TOKENS_AT_ONCE)
    for start in tracked(starts, f"looking for items in {data.data_dir}", show):
        count = min(TOKENS_AT_ONCE + length - 1, data.n_tokens - start)
        own = _hashes(data.read(start, count).astype(np.int64) % NO_LOSS, length)
        place = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
        is_there[place[wanted[place] == own]] = True
    return np.array([is_there[np.searchsorted(wanted, own)].any() for own in hashes])


def _hashes(tokens: np.ndarray, length: int) -> np.ndarray:
    """Return a 64-bit hash of each run of `length` tokens: (n,) -> (n - length + 1,)."""
    values = tokens.astype(np.uint64)
    total = np.zeros(len(tokens) - length + 1, dtype=np.uint64)
    for offset in range(length):
        total = total * MULTIPLIER + values[offset : offset + len(total)]  # modulo 2**64
    return total
