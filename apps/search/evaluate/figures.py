"""Means with their standard errors."""

import numpy as np

N_RESAMPLES = 2000  # of the bootstrap


def with_error(values: np.ndarray) -> str:
    """Return a mean with its standard error, of which a single value has none."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def bootstrap_error(differences: np.ndarray) -> float:
    """Return the standard error of a paired difference, by the bootstrap over queries."""
    rng = np.random.default_rng(1)
    picked = rng.integers(0, len(differences), (N_RESAMPLES, len(differences)))
    return float(differences[picked].mean(1).std())
