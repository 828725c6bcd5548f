"""The exercises of chapter 9, why transformers won: write these functions, and check them with `python -m book.check 9`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Part = tuple[Tensor, Tensor, Tensor]  # the largest score, the sum, the mean


def merged(first: Part, second: Part) -> Part:
    """Return the attention over two parts of the keys as one part, without seeing scores or values again.

    Of a part, we have for each of T queries three things: its largest score (T,), the sum of exp(score - largest) over the
    part's keys (T,), and the mean of the part's values by the softmax of the scores (T, D). Return these three for both
    parts together. Scores may be 1,000, of which exp is infinite.

    >>> one = torch.zeros(1), torch.ones(1), torch.tensor([[1.0]])
    >>> three = torch.zeros(1), torch.ones(1), torch.tensor([[3.0]])
    >>> merged(one, three)
    (tensor([0.]), tensor([2.]), tensor([[2.]]))
    """
    raise NotImplementedError


def attention_flops(T: int, C: int, n_head: int) -> int:
    """Return the number of operations in attention's two matrix products, for a text of T tokens, forward.

    The n_head heads have C channels together. A multiplication is one operation and an addition another. No score is
    left out for the causal mask.

    >>> attention_flops(2, 1, 1)
    16
    """
    raise NotImplementedError
