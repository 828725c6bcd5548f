"""The memory task of chapters 2 and 3: a sequence's first token is to be named at its end; nothing between matters.

Shapes: B batch, T = n + 1 tokens, C hidden size.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from book.recurrent import unroll

N_CHOICES = 8  # first tokens; as many others are the filler


def sequences(B: int, n: int) -> Tensor:
    """Return sequences of a first token to remember and n random others that mean nothing: (B, 1 + n)."""
    first = torch.randint(N_CHOICES, (B, 1))
    return torch.cat([first, N_CHOICES + torch.randint(N_CHOICES, (B, n))], 1)


class Rememberer(nn.Module):
    """Reads a sequence with a cell of ours, or one of torch's recurrent layers, and names the first token."""

    def __init__(self, cell: Any, C: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(2 * N_CHOICES, C)
        self.cell = cell  # takes vectors of C numbers, and its state has C
        self.output = nn.Linear(C, N_CHOICES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits for the first token, after the whole sequence was read: (B, T) -> (B, N_CHOICES)."""
        x = self.embed(tokens)
        outputs, _ = self.cell(x) if isinstance(self.cell, nn.RNNBase) else unroll(self.cell, x)
        return self.output(outputs[:, -1])


def train_to_remember(model: nn.Module, n: int, n_steps: int = 200, B: int = 64, lr: float = 3e-3) -> float:
    """Train on new sequences at each step; return the share that was right in the last 20 steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    right = []
    for _ in range(n_steps):
        tokens = sequences(B, n)
        logits = model(tokens)
        loss = F.cross_entropy(logits, tokens[:, 0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        right.append((logits.argmax(1) == tokens[:, 0]).float().mean().item())
    return sum(right[-20:]) / len(right[-20:])


@torch.no_grad()
def share_remembered(model: nn.Module, n: int, B: int = 256) -> float:
    """Return how often the model is right on new sequences with n tokens between."""
    tokens = sequences(B, n)
    return (model(tokens).argmax(1) == tokens[:, 0]).float().mean().item()
