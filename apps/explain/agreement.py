"""Spearman's rank correlation: do two methods order the earlier tokens alike?"""

import numpy as np

LEAST_TOKENS = 3  # before a prediction, to speak of an order


def agreement(influence: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return how alike two methods rank the tokens before each prediction, by size without sign: (T, T) twice -> (T,).

    Spearman's rho is in [-1, 1]. It is NaN for predictions with fewer than LEAST_TOKENS tokens before them, and where a
    method makes no difference between tokens.
    """
    rho = np.full(len(reference), np.nan)
    for token in range(LEAST_TOKENS, len(reference)):
        rho[token] = spearman(np.abs(influence[token, :token]), np.abs(reference[token, :token]))
    return rho


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """Return Spearman's rho of two rows, (n,) each; NaN if one is constant."""
    left, right = (ranks(row) - (len(row) - 1) / 2 for row in (left, right))
    norm = np.sqrt((left**2).sum() * (right**2).sum())
    return float((left * right).sum() / norm) if norm else np.nan


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the place of each value in ascending order, from 0; equal values share their mean place: (n,) -> (n,)."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes + 1) / 2)[group]
