"""The exercises of chapter 2, recurrent networks: write these functions, and check them with `python -m book.check 2`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def rnn_step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
    """Return the next state (B, C) of a recurrent network, from the inputs x (B, I) and the state h (B, C).

    W is (C, I), U is (C, C) and b is (C,), as in the chapter: tanh(W x + U h + b), here for B texts at once.

    >>> rnn_step(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.eye(1), -torch.eye(1), torch.tensor([1.0]))
    tensor([[0.]])
    """
    raise NotImplementedError


def clipped(gradients: list[Tensor], longest: float) -> list[Tensor]:
    """Return gradients, scaled so that all their numbers together have at most the length `longest`.

    The length is the root of the sum of all squares, over all tensors. Shorter gradients stay as they are.

    >>> clipped([torch.tensor([3.0]), torch.tensor([4.0])], 1.0)
    [tensor([0.6000]), tensor([0.8000])]
    """
    raise NotImplementedError
