"""Recurrent networks written out, a step at a time: what torch's RNN, LSTM and GRU compute.

Shapes: B batch, T time (steps), I input size, C hidden size.
"""

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

State = TypeVar("State")


class Cell(Protocol[State]):
    """One step of a recurrent network."""

    def start(self, x: Tensor) -> State:
        """Return the state before the first step, for inputs like x (B, I)."""
        ...

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take an input (B, I) and the state, and return the output (B, C) and the next state."""
        ...


def unroll(cell: Cell[State], inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Feed a sequence to a cell, one input after another: (B, T, I) -> outputs (B, T, C), and the last state.

    Each step needs the state of the one before, so a sequence of T steps takes T steps one after another, on any machine.
    """
    if state is None:
        state = cell.start(inputs[:, 0])
    outputs = []
    for x in inputs.unbind(1):  # (B, I)
        output, state = cell(x, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


class RNNCell(nn.Module):
    """The simplest recurrent network (Elman 1990): the state is mixed with the input at each step, all of it."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(n_in, n_hidden)
        self.from_state = nn.Linear(n_hidden, n_hidden)

    def start(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.from_state.in_features)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.from_input(x) + self.from_state(h))  # (B, C)
        return h, h


class LSTMCell(nn.Module):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    The cell state c is what it remembers: gates decide what part of it is kept, what is written, and what is shown. The
    path from c to the next c has a factor f and no matrix, so that gradients survive many steps where f is near one.
    """

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(n_in, 4 * n_hidden)  # for the three gates and the new content
        self.from_state = nn.Linear(n_hidden, 4 * n_hidden)

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        zeros = x.new_zeros(len(x), self.from_state.in_features)
        return zeros, zeros

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = state  # (B, C) each: what it shows, what it remembers
        i, f, g, o = (self.from_input(x) + self.from_state(h)).chunk(4, dim=-1)  # (B, C) each
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(
            g
        )  # keep a part, write a part of what is new
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class GRUCell(nn.Module):
    """The gated recurrent unit (Cho et al. 2014), as cuDNN and torch have it: two gates, and no state beside the output."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(n_in, 3 * n_hidden)
        self.from_state = nn.Linear(n_hidden, 3 * n_hidden)

    def start(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.from_state.in_features)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        reset, update, new = self.from_input(x).chunk(3, dim=-1)  # (B, C) each
        reset_h, update_h, new_h = self.from_state(h).chunk(3, dim=-1)
        z = torch.sigmoid(update + update_h)  # what part of the old state stays
        candidate = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        h = z * h + (1 - z) * candidate
        return h, h
