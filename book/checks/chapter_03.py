"""The checks of chapter 3: a step of an LSTM and of a GRU, which must be torch's."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.checks.exercise import Exercise, random


def _lstm_inputs() -> Iterator[tuple[Any, ...]]:
    for B, n_in, C in ((2, 3, 4), (3, 5, 2)):
        yield (
            random(B, n_in),
            random(B, C),
            random(B, C),
            random(4 * C, n_in),
            random(4 * C, C),
            random(4 * C),
        )


def _gru_inputs() -> Iterator[tuple[Any, ...]]:
    for B, n_in, C in ((2, 3, 4), (3, 5, 2)):
        weights = random(3 * C, n_in), random(3 * C, C), random(3 * C), random(3 * C)
        yield random(B, n_in), random(B, C), *weights


def _lstm(x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.lstm_cell(x, (h, c), W, U, b, torch.zeros_like(b))


def _lstm_in_order(order: str, *arguments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step of a reader who cuts the rows into the gates in another order than i, f, g, o."""
    x, h, c, *stacked = arguments
    places = [order.index(gate) for gate in "ifgo"]
    W, U, b = (torch.cat([part.chunk(4)[place] for place in places]) for part in stacked)
    return _lstm(x, h, c, W, U, b)


def _gates(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return (x @ W.T + h @ U.T + b).chunk(4, dim=-1)


def _content_by_sigmoid(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (gate.sigmoid() for gate in _gates(x, h, *weights))
    c = f * c + i * g
    return o * c.tanh(), c


def _shown_from(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor, old: bool) -> tuple[Tensor, Tensor]:
    """Return the step of a reader who shows the old cell state, or the new one without a tanh."""
    new = _lstm(x, h, c, *weights)[1]
    o = _gates(x, h, *weights)[3].sigmoid()
    return o * c.tanh() if old else o * new, new


def _gru_variant(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, d: Tensor, mistake: str) -> Tensor:
    """Return the step of a reader who resets the state before the matrix or not at all, or keeps 1 - z of it."""
    (reset, update, new), (reset_h, update_h, new_h) = (x @ W.T + b).chunk(3, -1), (h @ U.T + d).chunk(3, -1)
    r, z = (reset + reset_h).sigmoid(), (update + update_h).sigmoid()
    if mistake == "resets before":
        r, new_h = torch.ones_like(r), (r * h) @ U.chunk(3)[2].T + d.chunk(3)[2]
    elif mistake == "does not reset":
        r = torch.ones_like(r)
    else:
        z = 1 - z
    return z * h + (1 - z) * (new + r * new_h).tanh()


def _gru_swapped(x: Tensor, h: Tensor, *stacked: Tensor) -> Tensor:
    swapped = (torch.cat([part.chunk(3)[i] for i in (1, 0, 2)]) for part in stacked)
    return torch.gru_cell(x, h, *swapped)


EXERCISES = {
    "lstm_step": Exercise(
        inputs=_lstm_inputs,
        right=_lstm,
        mistakes=[
            (
                partial(_lstm_in_order, "ifog"),
                "the gates are cut in the order i, f, o, g: here it is i, f, g, o",
            ),
            (
                partial(_lstm_in_order, "figo"),
                "input gate and forget gate are swapped: i says what to write, f what to keep",
            ),
            (_content_by_sigmoid, "the new content g goes through a tanh, not a sigmoid: it may be negative"),
            (partial(_shown_from, old=False), "h shows the cell state without a tanh: use `o * tanh(c)`"),
            (
                partial(_shown_from, old=True),
                "h shows the old cell state: compute c first, and h from the new c",
            ),
            (lambda *arguments: _lstm(*arguments)[::-1], "it returns c before h: swap them"),
        ],
        results=("h", "c"),
    ),
    "gru_step": Exercise(
        inputs=_gru_inputs,
        right=torch.gru_cell,
        mistakes=[
            (
                partial(_gru_variant, mistake="keeps 1 - z"),
                "z says what part of the old state stays, and here it says what part is new: use `z * h + (1 - z) * new`",
            ),
            (
                partial(_gru_variant, mistake="resets before"),
                "the reset gate is multiplied with `h` before the matrix: here it is multiplied with the result, bias included",
            ),
            (partial(_gru_variant, mistake="does not reset"), "the reset gate is not used"),
            (_gru_swapped, "reset and update are swapped: the first third of the rows is the reset gate's"),
        ],
        results=("h",),
    ),
}
