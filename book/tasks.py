"""Tasks of chapters 4 to 7 that turn one sequence into another: dates in words to dates in numbers, and reversing.

Shapes: B batch, S source length, T target length.
"""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import torch
from torch import Tensor, nn

BEGIN, FILLER = 0, 1  # tokens: before a target's first, and before a source that is shorter than others
LETTERS = "0123456789-,. abcdefghijklmnopqrstuvwxyz"
VOCAB_SIZE = 2 + len(LETTERS)
FORMATS = (
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "{day}, {d} {month} {y}",
    "{d}. {mon} {y}",
    "{mon} {d}, {y}",
)
FIRST_DAY, N_DAYS = date(1900, 1, 1), 60_000


def tokens_of(text: str) -> list[int]:
    """Return a text's letters as tokens."""
    return [2 + LETTERS.index(letter) for letter in text]


def text_of(tokens: Tensor) -> str:
    """Return the letters of tokens, without fillers."""
    return "".join(LETTERS[token - 2] for token in tokens.tolist() if token > FILLER)


def date_pair(draw: random.Random) -> tuple[str, str]:
    """Return a day as people write it, and as computers do: "5 march 1983" and "1983-03-05"."""
    day = FIRST_DAY + timedelta(days=draw.randrange(N_DAYS))
    words = {"d": day.day, "y": day.year, "day": f"{day:%A}", "month": f"{day:%B}", "mon": f"{day:%b}"}
    return draw.choice(FORMATS).format(**words).lower(), day.isoformat()


def dates(B: int) -> tuple[Tensor, Tensor]:
    """Return days in words, filled up on the left, and in numbers: (B, S), (B, 10); torch's seed decides which."""
    draw = random.Random(int(torch.randint(2**31, ())))
    pairs = [date_pair(draw) for _ in range(B)]
    longest = max(len(source) for source, _ in pairs)
    sources = [[FILLER] * (longest - len(source)) + tokens_of(source) for source, _ in pairs]
    return torch.tensor(sources), torch.tensor([tokens_of(target) for _, target in pairs])


def reversals(B: int, n: int) -> tuple[Tensor, Tensor]:
    """Return random sequences of 26 letters, and each backwards: (B, n), (B, n)."""
    source = torch.randint(VOCAB_SIZE - 26, VOCAB_SIZE, (B, n))
    return source, source.flip(1)


def learn(
    model: Any, pairs: Callable[[int], tuple[Tensor, Tensor]], n_steps: int, B: int = 64, lr: float = 3e-3
) -> None:
    """Train a model(source, target, begin) -> loss on B new pairs at each step."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    for _ in range(n_steps):
        source, target = pairs(B)
        loss = model(source, target, BEGIN)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def right(model: Any, source: Tensor, target: Tensor) -> Tensor:
    """Return which tokens of the target the model writes by itself: (B, S), (B, T) -> (B, T) bool."""
    return model.write(source, target.shape[1], BEGIN)[0] == target
