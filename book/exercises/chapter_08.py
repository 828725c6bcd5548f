"""The exercises of chapter 8, our model: write these functions, and check them with `python -m book.check 8`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return x (..., C) divided by its root mean square, for each token, and multiplied by `weight` (C,).

    `eps` is added to the mean of the squares. Do not use torch's own.

    >>> rms_norm(torch.tensor([[1.0, 7.0]]), torch.tensor([1.0, 2.0]), 0.0)
    tensor([[0.2000, 2.8000]])
    """
    raise NotImplementedError


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return queries or keys x (B, H, T, D), each pair of channels rotated by the angle of its position.

    Channel i is paired with channel i + D/2. `cos` and `sin` are (1, T, D/2), a number for each position and pair. A pair
    (a, b) becomes (a cos - b sin, b cos + a sin).

    >>> rotate(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[0.0]]]), torch.tensor([[[1.0]]]))  # by 90 degrees
    tensor([[[[0., 1.]]]])
    """
    raise NotImplementedError


def swiglu(x: Tensor, to_gate: Tensor, to_value: Tensor, to_output: Tensor) -> Tensor:
    """Return the output of a SwiGLU MLP: (B, T, C) -> (B, T, C).

    `to_gate` and `to_value` are (N, C), `to_output` is (C, N). The gate goes through SiLU, x sigmoid(x), and is multiplied
    with the value.

    >>> one = torch.ones(1, 1)
    >>> swiglu(torch.ones(1, 1, 1), 2 * one, 3 * one, one)
    tensor([[[5.2848]]])
    """
    raise NotImplementedError


def grouped(keys: Tensor, n_head: int) -> Tensor:
    """Return a key for each query head, where K heads of keys serve H heads of queries: (B, K, T, D) -> (B, H, T, D).

    H = n_head is a multiple of K. The first H/K query heads share the first head of keys.

    >>> grouped(torch.tensor([7, 8]).view(1, 2, 1, 1), 4).flatten()
    tensor([7, 7, 8, 8])
    """
    raise NotImplementedError
