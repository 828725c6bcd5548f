"""The exercises of chapter 3, LSTM: write these functions, and check them with `python -m book.check 3`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def lstm_step(x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next h and c (B, C) of an LSTM, from the inputs x (B, I) and the last h and c (B, C).

    W is (4C, I), U is (4C, C) and b is (4C,). Their rows are stacked: first C rows for i, then for f, g and o.

    >>> zeros = torch.zeros(1, 1)
    >>> lstm_step(zeros, zeros, torch.ones(1, 1), torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4))
    (tensor([[0.2311]]), tensor([[0.5000]]))
    """
    raise NotImplementedError


def gru_step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Return the next state (B, C) of a GRU, from the inputs x (B, I) and the state h (B, C), as GRUCell computes it.

    W is (3C, I), U is (3C, C), b and d are (3C,). Their rows are stacked: first C rows for the reset gate r, then for
    the update gate z and the new content. With W_n x + b_n and U_n h + d_n of the last rows, the new content is
    tanh(W_n x + b_n + r (U_n h + d_n)).

    >>> zeros = torch.zeros(3, 1)
    >>> gru_step(torch.ones(1, 1), torch.ones(1, 1), zeros, zeros, torch.zeros(3), torch.zeros(3))
    tensor([[0.5000]])
    """
    raise NotImplementedError
