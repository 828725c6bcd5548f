"""The checks of chapter 4: teacher forcing, the share by place, and the decoder's loop."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from book.checks.exercise import Exercise, random
from book.recurrent import GRUCell

V = 11
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _decoders() -> Iterator[tuple[Any, ...]]:
    for B, C, n in ((5, 8, 6), (2, 6, 3)):
        table, to_logits, cell = random(V, C), random(V, C), GRUCell(C, C).double()

        @torch.no_grad()
        def step(tokens: Tensor, h: Tensor, parts: Any = (table, to_logits, cell)) -> tuple[Tensor, Tensor]:
            table, to_logits, cell = parts
            output, h = cell(table[tokens], h)
            return output @ to_logits.T, h

        yield step, random(B, C), 0, n


def _write(step: Step, h: Tensor, begin: int, n: int, keeps_state: bool = True, feeds: bool = True) -> Tensor:
    token = torch.full((len(h),), begin)
    written = []
    for _ in range(n):
        logits, new = step(token if feeds else torch.full_like(token, begin), h)
        h = new if keeps_state else h
        token = logits.argmax(-1)
        written.append(token)
    return torch.stack(written, 1)


def _with_begin(step: Step, h: Tensor, begin: int, n: int, extra: int) -> Tensor:
    return F.pad(_write(step, h, begin, n), (1, 0), value=begin)[:, : n + extra]


def _shares() -> Iterator[tuple[Tensor, Tensor]]:
    for B, T in ((4, 3), (5, 8)):
        target = torch.randint(V, (B, T))
        is_right = torch.rand(B, T) < 0.6
        yield torch.where(is_right, target, (target + 1) % V), target


EXERCISES = {
    "shifted": Exercise(
        inputs=lambda: [(torch.randint(1, V, (2, 5)), 0), (torch.randint(2, V, (3, 4)), 1)],
        right=lambda target, begin: F.pad(target[:, :-1], (1, 0), value=begin),
        mistakes=[
            (
                lambda target, begin: target.roll(1, 1),
                "the last token comes first: put `begin` there instead",
            ),
            (
                lambda target, begin: F.pad(target[:, 1:], (0, 1), value=begin),
                "it is shifted to the left, so that the decoder sees what comes after: put `begin` first",
            ),
            (
                lambda target, begin: F.pad(target, (1, 0), value=begin),
                "it is one longer than the target: leave out the last token, which is never an input",
            ),
            (
                lambda target, begin: target,
                "nothing is shifted: the decoder would see the token that it is to predict",
            ),
        ],
        results=("the input",),
    ),
    "share_by_place": Exercise(
        inputs=_shares,
        right=lambda written, target: (written == target).double().mean(0),
        mistakes=[
            (
                lambda written, target: (written == target).double().mean(1),
                "that is a share for each sequence: take the mean over the batch, dimension 0",
            ),
            (
                lambda written, target: (written == target).double().mean(),
                "that is one share for all: take the mean over the batch only, dimension 0",
            ),
            (
                lambda written, target: (written == target).sum(0),
                "these are counts: divide by the number of sequences",
            ),
        ],
        results=("the shares",),
    ),
    "write": Exercise(
        inputs=_decoders,
        right=_write,
        mistakes=[
            (
                partial(_write, keeps_state=False),
                "the state is not handed on: give each step the state that the last one returned",
            ),
            (
                partial(_write, feeds=False),
                "each step reads `begin`: from the second on, give it the token that was written",
            ),
            (partial(_with_begin, extra=1), "it returns `begin` as if it had been written: leave it out"),
            (
                partial(_with_begin, extra=0),
                "it returns `begin` as if it had been written, and leaves out the last token",
            ),
            (
                lambda *arguments: _write(*arguments).T,
                "a row is a step and not a sequence: stack the tokens along dimension 1",
            ),
        ],
        results=("the tokens",),
    ),
}
