"""How far a ratio that was measured on a sample of documents may be off: the bootstrap-t (Efron and Tibshirani 1993, section 12.5).

Documents differ much in length, for which the percentiles of the resampled ratios alone make too narrow intervals.
"""

import math
from typing import NamedTuple

import numpy as np

LEAST_DOCUMENTS = 10  # for an interval
RESAMPLES = 2000
DRAWS_AT_ONCE = 1_000_000  # in memory
LOW, HIGH = 0.025, 0.975  # a 95 % interval


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def bits_per_byte_interval(nats: np.ndarray, n_bytes: np.ndarray) -> Interval | None:
    """Return the interval of summed nats by summed bytes, in bits per byte, over D documents, (D,) each.

    None for fewer than LEAST_DOCUMENTS, which say too little about others. For the difference of two models, `nats` are the differences of theirs on the same documents.
    """
    if len(nats) < LEAST_DOCUMENTS:
        return None
    x, y = nats / math.log(2), n_bytes.astype(float)
    moments = np.stack([x, y, x * x, x * y, y * y])
    ratio, error = (float(value) for value in _ratio(moments.sum(axis=1)))
    ratios, errors = _ratio(_resampled(moments))
    # A sample that drew one document alone has no error; nor has any if all documents have the same ratio.
    has_error = errors > 1e-9 * np.abs(ratios)
    if not has_error.any():
        return Interval(ratio, ratio)
    t = (ratios[has_error] - ratio) / errors[has_error]
    low, high = np.quantile(t, [LOW, HIGH])
    return Interval(float(ratio - high * error), float(ratio - low * error))


def _ratio(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio of sums x to sums y, and its standard error by linearization: (5, ...) -> (...) twice."""
    x, y, xx, xy, yy = sums
    ratio = x / y
    residuals = np.maximum(xx - 2 * ratio * xy + ratio**2 * yy, 0)  # sum of (x - ratio * y)^2
    return ratio, np.sqrt(residuals) / y


def _resampled(values: np.ndarray) -> np.ndarray:
    """Return the sums over samples of D documents, drawn with replacement, the same on every call: (k, D) -> (k, RESAMPLES)."""
    generator = np.random.default_rng(1)
    n = values.shape[1]
    rows = max(1, DRAWS_AT_ONCE // n)
    sums = []
    for first in range(0, RESAMPLES, rows):
        drawn = generator.integers(0, n, (min(rows, RESAMPLES - first), n))
        sums.append(np.stack([value[drawn].sum(axis=1) for value in values]))
    return np.concatenate(sums, axis=1)
