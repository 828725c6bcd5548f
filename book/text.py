"""The text that the chapters train on: the built-in encyclopedia as tokens, as chapter 1 makes them."""

import random
from typing import NamedTuple

import torch
from torch import Tensor

from corpus.bpe import train_bpe
from corpus.builtin.encyclopedia import articles
from corpus.tokenizer import Tokenizer

N_VALIDATION = 300  # articles


class Text(NamedTuple):
    """A text for training and one for judging."""

    tokenizer: Tokenizer
    training: Tensor  # tokens
    validation: Tensor


def encyclopedia(vocab_size: int = 1024) -> Text:
    """Return the tokens of the encyclopedia's articles in a random order, the last 300 for validation."""
    texts = [f"{article['title']}\n\n{article['text']}" for article in articles()]
    random.Random(1).shuffle(texts)
    parts = texts[:-N_VALIDATION], texts[-N_VALIDATION:]
    tokenizer = train_bpe(parts[0], vocab_size)
    return Text(tokenizer, *(encoded(tokenizer, part) for part in parts))


def encoded(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Return texts as one sequence of tokens, each followed by the token that ends a text."""
    tokens: list[int] = []
    for text in texts:
        tokens += [*tokenizer.encode(text), tokenizer.end_of_text]
    return torch.tensor(tokens)


def windows(tokens: Tensor, n: int, T: int) -> tuple[Tensor, Tensor]:
    """Return n random parts of a text, T tokens each, and for each token the one that follows: (n, T) twice."""
    starts = torch.randint(len(tokens) - T, (n, 1))
    places = starts + torch.arange(T)
    return tokens[places], tokens[places + 1]


def in_rows(tokens: Tensor, T: int) -> tuple[Tensor, Tensor]:
    """Return a whole text in rows of T tokens, and for each token the one that follows; what fills no row is left out."""
    n = (len(tokens) - 1) // T
    return tokens[: n * T].view(n, T), tokens[1 : n * T + 1].view(n, T)
