"""The exercises of chapter 6, self-attention: write these functions, and check them with `python -m book.check 6`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output of scaled dot-product attention (..., T, N), and its weights (..., T, S).

    Queries are (..., T, D), keys (..., S, D) and values (..., S, N). The dots stand for any dimensions, such as batch and
    heads. Do not use torch's own attention; its softmax is fine.

    >>> queries, keys = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 0.0], [0.0, 4.0]])
    >>> attention(queries, keys, values=torch.tensor([[1.0], [0.0]]))
    (tensor([[0.9442]]), tensor([[0.9442, 0.0558]]))
    """
    raise NotImplementedError


def causal_weights(scores: Tensor) -> Tensor:
    """Return the weights (..., T, T) of scores (..., T, T), where each token sees itself and those before it.

    >>> causal_weights(torch.zeros(2, 2))
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    raise NotImplementedError


def in_heads(x: Tensor, n_head: int) -> Tensor:
    """Divide the channels into heads: (B, T, C) -> (B, H, T, D), where D = C / H. The first head has the first D channels.

    >>> in_heads(torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]]), 2)
    tensor([[[[1, 2],
              [5, 6]],
    <BLANKLINE>
             [[3, 4],
              [7, 8]]]])
    """
    raise NotImplementedError


def sliding_mask(T: int, n_back: int) -> Tensor:
    """Return where each token may look: at itself and at the n_back tokens before it: (T, T), True or False.

    A row is the token that looks. The chapter's exercise 3 needs it, with n_back = 3.

    >>> sliding_mask(4, 1).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    raise NotImplementedError
