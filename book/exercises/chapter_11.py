"""The exercises of chapter 11, writing text: write these functions, and check them with `python -m book.check 11`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def top_k(p: Tensor, k: int) -> Tensor:
    """Return probabilities (B, V) with zeros for all but each row's k most probable tokens. The rest is not changed.

    >>> top_k(torch.tensor([[0.1, 0.5, 0.4]]), 2)
    tensor([[0.0000, 0.5000, 0.4000]])
    """
    raise NotImplementedError


def top_p(p: Tensor, reach: float) -> Tensor:
    """Return probabilities (B, V) with zeros for all but the fewest tokens that together have at least `reach`, row by row.

    These are the most probable ones. The rest is not changed.

    >>> top_p(torch.tensor([[0.1, 0.6, 0.3]]), 0.7)
    tensor([[0.0000, 0.6000, 0.3000]])
    """
    raise NotImplementedError


def attend_with_cache(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the attention's output for a new token (B, H, 1, D), and the cache with that token in it.

    `q`, `k` and `v` (B, H, 1, D) belong to the new token, `keys` and `values` (B, H, S, D) to the S tokens before. The cache
    is returned as keys and values (B, H, S + 1, D), the new token last. The new token also sees itself.

    >>> one = torch.ones(1, 1, 1, 1)
    >>> y, keys, values = attend_with_cache(one, one, 3 * one, one, one)
    >>> y.flatten(), keys.flatten(), values.flatten()
    (tensor([2.]), tensor([1., 1.]), tensor([1., 3.]))
    """
    raise NotImplementedError
