"""The exercises of chapter 5, attention: write these functions, and check them with `python -m book.check 5`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def additive_scores(h: Tensor, memory: Tensor, W: Tensor, U: Tensor, b: Tensor, v: Tensor) -> Tensor:
    """Return how well each state of the memory fits the decoder's state: (B, C), (B, S, C) -> (B, S).

    With W and U (K, C), b and v (K,), the score of m_j is v . tanh(W h + U m_j + b).

    >>> h, memory, one = torch.zeros(1, 1), torch.tensor([[[0.0], [1.0]]]), torch.ones(1)
    >>> additive_scores(h, memory, torch.eye(1), torch.eye(1), 0 * one, 2 * one)
    tensor([[0.0000, 1.5232]])
    """
    raise NotImplementedError


def context(scores: Tensor, memory: Tensor) -> Tensor:
    """Return the mean of the memory, weighted by the softmax of the scores: (B, S), (B, S, C) -> (B, C).

    >>> context(torch.zeros(1, 2), torch.tensor([[[1.0, 0.0], [3.0, 0.0]]]))
    tensor([[2., 0.]])
    """
    raise NotImplementedError


def reinforce_loss(log_p: Tensor, rewards: Tensor, baseline: float) -> Tensor:
    """Return the loss of REINFORCE, of which the gradient makes draws more probable that did better than the baseline.

    `log_p` (B,) are the logarithms of the probabilities of what was drawn, `rewards` (B,) what it brought. The loss is
    one number, a mean over the batch. It has no gradient by the rewards.

    >>> reinforce_loss(torch.tensor([-1.0, -2.0]), torch.tensor([3.0, 1.0]), 2.0)
    tensor(-0.5000)
    """
    raise NotImplementedError
