"""The order of training as a pure function of (seed, i), and the windows of validation."""

import numpy as np
import pytest

from corpus.windows import evenly_spaced_windows, n_training_windows, training_windows
from system.errors import UserError


@pytest.mark.parametrize("n_tokens", [16, 23, 24, 100, 8_191, 50_000])
def test_an_epoch_visits_every_window_once_and_stays_inside(n_tokens: int) -> None:
    block_size = 8
    windows = n_training_windows(n_tokens, block_size)
    for epoch in range(5):
        starts = training_windows(n_tokens, block_size, seed=3, first=epoch * windows, count=windows)
        assert starts.dtype == np.int64
        offsets = np.unique(starts % block_size)
        assert len(offsets) == 1
        assert sorted(starts // block_size) == list(range(windows))
        assert starts.min() >= 0
        assert starts.max() + block_size + 1 <= n_tokens


def test_one_more_window_would_not_fit() -> None:
    for n_tokens in range(16, 60):
        next_start = (
            7 + n_training_windows(n_tokens, 8) * 8
        )  # of the window after the last, at the largest offset
        assert next_start + 8 + 1 > n_tokens


def test_a_sequence_is_the_same_in_whatever_batch_it_is_read() -> None:
    whole = training_windows(500, 16, seed=7, first=0, count=100)
    by_one = [int(training_windows(500, 16, 7, first, 1)[0]) for first in range(100)]
    assert whole.tolist() == by_one
    assert training_windows(500, 16, 7, 25, 33).tolist() == by_one[25:58]
    assert training_windows(500, 16, 7, 25, 0).tolist() == []


def test_epochs_and_seeds_differ() -> None:
    windows = n_training_windows(50_000, 16)
    epochs = [training_windows(50_000, 16, 1, epoch * windows, windows) for epoch in range(20)]
    assert len({int(epoch[0] % 16) for epoch in epochs}) > 5
    orders = {tuple(epoch // 16) for epoch in epochs}
    assert len(orders) == 20
    seeds = {tuple(training_windows(50_000, 16, seed, 0, windows)) for seed in (0, 1, 2, -1, 2**70 + 5)}
    assert len(seeds) == 5


def test_the_order_never_changes() -> None:
    starts = training_windows(1_000_000, 256, seed=1337, first=0, count=4)
    assert starts.tolist() == [670_371, 834_467, 891_555, 803_747]  # a change here breaks resuming older runs


def test_every_order_of_a_few_windows_is_about_as_likely() -> None:
    orders = training_windows(5 * 8, 8, 0, 0, 4_800 * 4).reshape(4_800, 4) // 8  # of 4,800 epochs
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    expected = 4_800 / 24
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 55  # 23 degrees of freedom: a fair shuffle exceeds this once in 5,000


def test_neighbours_in_a_large_order_are_independent() -> None:
    windows = training_windows(100_000 * 64, 64, 0, 0, 99_000) // 64
    assert abs(np.corrcoef(windows[:-1], windows[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.arange(len(windows)), windows)[0, 1]) < 0.02


def test_too_few_tokens_are_rejected_with_the_fix() -> None:
    with pytest.raises(
        UserError, match="15 training tokens are too few for block_size=8: prepare at least 16"
    ):
        training_windows(15, 8, 0, 0, 1)
    assert training_windows(16, 8, 0, 0, 1).shape == (1,)
    with pytest.raises(UserError, match="8 validation tokens are too few for block_size=8"):
        evenly_spaced_windows(8, 8)


def test_validation_windows_are_spread_evenly_and_do_not_overlap() -> None:
    assert evenly_spaced_windows(9, 8).tolist() == [0]
    assert evenly_spaced_windows(101, 10).tolist() == list(range(0, 100, 10))
    assert evenly_spaced_windows(100, 10).tolist() == list(range(0, 90, 10))
    assert evenly_spaced_windows(101, 10, 3).tolist() == [0, 30, 60]
    assert evenly_spaced_windows(101, 10, 1_000).tolist() == list(range(0, 100, 10))
