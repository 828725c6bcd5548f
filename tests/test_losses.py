"""The evaluation against a plain loop, bits per byte by hand, and that training does not notice it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ALONE, CPU
from torch.nn import functional as F

from corpus.bpe import train_bpe
from corpus.dataset import TokenDataset, evenly_spaced_windows
from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from evaluation.losses import Losses, evaluate
from model import GPT
from system.world import World
from training.config import TrainConfig
from training.run import with_vocabulary


@pytest.fixture
def data(data_dir: Path) -> TokenDataset:
    return TokenDataset(data_dir, "val")


@pytest.fixture
def model(config: TrainConfig) -> GPT:
    """A model far from uniform, with dropout, which an evaluation must not use."""
    shape = with_vocabulary(config, 257).model
    torch.manual_seed(3)
    model = GPT(type(shape)(**{**vars(shape), "dropout": 0.5}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 5
    return model


def measured(
    model: GPT,
    data: TokenDataset,
    starts: np.ndarray,
    size: int = 4,
    world: World = ALONE,
    tokenizer: Tokenizer | None = None,
) -> Losses:
    token_bytes = (tokenizer or open_tokenizer("bytes")).token_byte_lengths()
    return evaluate(model, data, starts, size, token_bytes, world, torch.float32)


def plain(model: GPT, data: TokenDataset, starts: np.ndarray) -> float:
    """Return the mean loss in nats, a window at a time."""
    model.eval()
    losses = []
    for start in starts.tolist():
        tokens = torch.from_numpy(data.read(start, model.config.block_size + 1).astype(np.int64))
        with torch.no_grad():
            logits = model(tokens[None, :-1])[0]
        losses += F.cross_entropy(logits, tokens[1:], reduction="none").tolist()
    model.train()
    return sum(losses) / len(losses)


@pytest.mark.parametrize("count", [1, 4, 11, None])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_equals_a_plain_loop_over_the_windows(
    model: GPT, data: TokenDataset, count: int | None, size: int
) -> None:
    starts = evenly_spaced_windows(data.n_tokens, model.config.block_size, count)
    losses = measured(model, data, starts, size)
    assert losses.nats_per_token == pytest.approx(plain(model, data, starts), rel=1e-6)
    assert losses.n_tokens == len(starts) * model.config.block_size


def test_bits_per_byte_of_text_without_article_ends(model: GPT, data: TokenDataset) -> None:
    """Where each token is a byte, bits per byte are bits per token."""
    starts = np.array([0, 16, 32])
    losses = measured(model, data, starts)
    assert losses.n_bytes == losses.n_tokens == 48
    assert losses.bits_per_byte == pytest.approx(losses.nats_per_token / math.log(2))


def test_end_of_text_adds_loss_and_no_bytes(model: GPT, data: TokenDataset) -> None:
    tokens = data.read(0, data.n_tokens)
    end = int(np.flatnonzero(tokens == 256)[0])
    starts = np.array([end - 5])  # its targets hold one end of text
    losses = measured(model, data, starts)
    assert (losses.n_tokens, losses.n_bytes) == (16, 15)
    assert losses.bits_per_byte == pytest.approx(losses.nats_per_token * 16 / math.log(2) / 15)
    assert losses.nats_per_token == pytest.approx(plain(model, data, starts), rel=1e-6)


@dataclass
class Text:
    """A data set of one text."""

    tokens: np.ndarray

    class manifest:
        has_pairs = False
        tokenizer = {"vocab_size": 300}  # noqa: RUF012
        dtype = "uint16"

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    def read(self, start: int, count: int) -> np.ndarray:
        return self.tokens[start : start + count]


def test_bytes_are_of_the_scored_text_in_utf8(model: GPT) -> None:
    """With tokens of several bytes, and characters of several bytes cut between tokens."""
    text = "café 数字 naïve " * 40
    tokenizer = train_bpe([text], 270)
    tokens = np.array(tokenizer.encode(text), dtype=np.uint16)[:17]
    model = GPT(type(model.config)(**{**vars(model.config), "vocab_size": 270}))
    losses = measured(model, Text(tokens), np.array([0]), tokenizer=tokenizer)  # type: ignore[arg-type]
    n_bytes = len(tokenizer.decode_bytes(tokens[1:].tolist()))
    assert n_bytes > 16
    assert losses.n_bytes == n_bytes
    assert losses.bits_per_byte == pytest.approx(losses.nats_per_token * 16 / math.log(2) / n_bytes)


def test_shares_of_processes_make_the_whole(
    model: GPT, data: TokenDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = evenly_spaced_windows(data.n_tokens, model.config.block_size, 7)
    whole = measured(model, data, starts)
    sums: list[torch.Tensor] = []
    monkeypatch.setattr(World, "sum", lambda self, tensor: sums.append(tensor) or tensor)
    parts = [measured(model, data, starts, world=World(rank, 3, CPU)) for rank in range(3)]
    assert sum(part.n_tokens for part in parts) == whole.n_tokens
    assert sum(part.n_bytes for part in parts) == whole.n_bytes
    nats = sum(part.nats_per_token * part.n_tokens for part in parts)
    assert nats / whole.n_tokens == pytest.approx(whole.nats_per_token, rel=1e-6)
    assert len(sums) == 3


def test_training_does_not_notice(model: GPT, data: TokenDataset) -> None:
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    losses = [measured(model, data, np.arange(0, 160, 16)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1]
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
