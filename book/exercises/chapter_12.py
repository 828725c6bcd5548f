"""The exercises of chapter 12, looking inside: write these functions, and check them with `python -m book.check 12`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def rollout(weights: Tensor) -> Tensor:
    """Return how much of each token's first vector is in each token's last one, by attention rollout: (L, T, T) -> (T, T).

    `weights` are the attention weights of L layers, the first layer first; a row is the token that looks. Of each layer, take
    half the weights and half the identity, for what the residual connection keeps, and multiply the layers: the
    last one stands on the left (Abnar and Zuidema 2020).

    >>> rollout(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    raise NotImplementedError


def surprisal_without(logits_of: Callable[[Tensor, Tensor], Tensor], tokens: Tensor, left_out: int) -> float:
    """Return how surprising the last of the tokens (T,) is, in bits, if the token at the place `left_out` is deleted.

    `logits_of(tokens, positions)` takes tokens and their positions, (n,) each, and returns logits (n, V): in each row those
    of the token after. The other tokens keep their positions, counted from 0. Surprisal is -log2 of the probability.

    >>> def logits_of(tokens, positions):  # twice as probable as the others: the same token again
    ...     return torch.log(1 + F.one_hot(tokens, 4).float())
    >>> round(surprisal_without(logits_of, torch.tensor([3, 2, 3]), left_out=1), 3)  # -log2(2/5)
    1.322
    """
    raise NotImplementedError


def induction_score(weights: Tensor, n: int) -> Tensor:
    """Return how much each head looks at what came after the same token before: (H, 2n, 2n) -> (H,).

    The text is n random tokens, and then the same n tokens again. A row of the attention weights is the token that looks. The
    token at place n + i has its earlier copy at place i, and an induction head looks at place i + 1 (Olsson and others
    2022). Return the mean of that weight over the second half.

    >>> weights = torch.zeros(1, 4, 4)
    >>> weights[0, 2, 1] = weights[0, 3, 1] = 1.0
    >>> induction_score(weights, 2)
    tensor([0.5000])
    """
    raise NotImplementedError
