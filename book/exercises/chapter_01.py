"""The exercises of chapter 1, text as numbers: write these functions, and check them with `python -m book.check 1`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def bigram_loss(counts: Tensor, tokens: Tensor, added: float) -> float:
    """Return the mean loss of a text by a bigram model, in nats per token.

    `counts` (V, V) says how often each token (the column) came after each token (the row). `added` is added to all
    counts. `tokens` (n,) is the text; its first token is not predicted.

    >>> round(bigram_loss(torch.tensor([[0, 3], [1, 1]]), torch.tensor([0, 1, 1]), 1.0), 4)  # -(ln 4/5 + ln 2/4) / 2
    0.4581
    """
    raise NotImplementedError


def bits_per_byte(nats_per_token: float, n_tokens: int, n_bytes: int) -> float:
    """Return the loss of a text of n_tokens tokens and n_bytes bytes in bits per byte. A nat has 1 / ln 2 bits.

    >>> round(bits_per_byte(3.0, 100, 250), 4)
    1.7312
    """
    raise NotImplementedError


def softmax(logits: Tensor) -> Tensor:
    """Return the probabilities of logits (..., V), which add up to one along the last dimension. Do not use torch's.

    It must also work for logits of 1,000, of which exp is infinite.

    >>> softmax(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000]])
    """
    raise NotImplementedError
