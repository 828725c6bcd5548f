"""The exercises of chapter 4, encoder and decoder: write these functions, and check them with `python -m book.check 4`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(target: Tensor, begin: int) -> Tensor:
    """Return what the decoder reads if it is to write `target` (B, T): before each token the right one, (B, T).

    Before the first token that is `begin`.

    >>> shifted(torch.tensor([[5, 6, 7]]), 0)
    tensor([[0, 5, 6]])
    """
    raise NotImplementedError


def share_by_place(written: Tensor, target: Tensor) -> Tensor:
    """Return the share of sequences whose token is right, for each place: (B, T), (B, T) -> (T,).

    >>> share_by_place(torch.tensor([[1, 2], [1, 3]]), torch.tensor([[1, 2], [1, 2]]))
    tensor([1.0000, 0.5000])
    """
    raise NotImplementedError


def write(step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], h: Tensor, begin: int, n: int) -> Tensor:
    """Return the n tokens that a decoder writes, always the most likely one, for B sequences at once: (B, n).

    `step(tokens, h)` takes the tokens before (B,) and the state (B, C), and returns logits (B, V) and the next state.
    The first state is `h`, and the token before the first is `begin`, which is not returned.

    >>> def step(tokens, h):  # after token 1 comes 2, then 3, then 0
    ...     return F.one_hot((tokens + 1) % 4, 4).float(), h
    >>> write(step, torch.zeros(1, 8), begin=0, n=5)
    tensor([[1, 2, 3, 0, 1]])
    """
    raise NotImplementedError
