"""The exercises of chapter 7, the transformer: write these functions, and check them with `python -m book.check 7`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Layer = Callable[[Tensor], Tensor]


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return x (..., C) with mean 0 and variance 1 for each token, multiplied by `weight` (C,) and shifted by `bias` (C,).

    `eps` is added to the variance, so that nothing is divided by zero. Do not use torch's own.

    >>> layer_norm(torch.tensor([[1.0, 3.0]]), torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]), 0.0)
    tensor([[-1.,  7.]])
    """
    raise NotImplementedError


def sinusoids(T: int, C: int) -> Tensor:
    """Return the waves of the positions 0 to T - 1: (T, C), for an even C.

    At position t, channel 2i is sin(t / 10000^(2i/C)), and channel 2i + 1 is the cosine of the same.

    >>> sinusoids(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    raise NotImplementedError


def block(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, mlp: Layer) -> Tensor:
    """Return what a block of the transformer makes of x: (B, T, C) -> (B, T, C).

    The four others are functions (B, T, C) -> (B, T, C). Attention and MLP each read what is normalized and add to x.

    >>> ten_times, plus_one, twice, minus = lambda x: 10 * x, lambda x: x + 1, lambda x: 2 * x, lambda x: -x
    >>> block(torch.tensor(1.0), ten_times, plus_one, twice, minus)
    tensor(-12.)
    """
    raise NotImplementedError
