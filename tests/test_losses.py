"""The evaluation against a plain loop, bits per byte by hand, that it does not disturb training, and other objectives."""

import gc
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ALONE, CPU, elsewhere, final_files, losses, records
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.bpe import train_bpe
from corpus.dataset import CorruptShard, TokenDataset, evenly_spaced_windows
from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from evaluation.losses import Batch, Losses, Objective, evaluate, language_model_loss
from model import GPT
from system import hardware
from system.errors import UserError
from system.world import World
from train import train
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
    objective: Objective = language_model_loss,
) -> Losses:
    token_bytes = (tokenizer or open_tokenizer("bytes")).token_byte_lengths()
    found = evaluate(model, data, starts, size, token_bytes, world, torch.float32, objective)
    assert found.seconds > 0
    return replace(found, seconds=0.0)  # so that equal losses compare equal


def test_an_evaluation_keeps_no_tensor_of_each_batch(model: GPT, data: TokenDataset) -> None:
    """Small ones between the large ones of the batches would keep a CPU's memory from being used again."""
    n_alive = []

    def counting(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        n_alive.append(sum(issubclass(type(one), Tensor) and one.numel() <= 2 for one in gc.get_objects()))
        return language_model_loss(network, batch)

    measured(model, data, data.validation_starts(model.config.block_size, 12), 1, objective=counting)
    assert len(n_alive) == 12
    assert n_alive[-1] <= n_alive[1]


def plain(model: GPT, data: TokenDataset, starts: np.ndarray) -> float:
    """Return the mean loss in nats, a window at a time."""
    model.eval()
    nats = []
    for start in starts.tolist():
        tokens = torch.from_numpy(data.read(start, model.config.block_size + 1).astype(np.int64))
        with torch.no_grad():
            logits = model(tokens[None, :-1])[0]
        nats += F.cross_entropy(logits, tokens[1:], reduction="none").tolist()
    model.train()
    return sum(nats) / len(nats)


@pytest.mark.parametrize("count", [1, 4, 11, None])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_equals_a_plain_loop_over_the_windows(
    model: GPT, data: TokenDataset, count: int | None, size: int
) -> None:
    starts = evenly_spaced_windows(data.n_tokens, model.config.block_size, count)
    found = measured(model, data, starts, size)
    assert found.nats_per_token == pytest.approx(plain(model, data, starts), rel=1e-6)
    assert found.n_tokens == len(starts) * model.config.block_size


def test_bits_per_byte_of_text_without_article_ends(model: GPT, data: TokenDataset) -> None:
    """Where each token is a byte, bits per byte are bits per token."""
    starts = np.array([0, 16, 32])
    found = measured(model, data, starts)
    assert found.n_bytes == found.n_tokens == 48
    assert found.bits_per_byte == pytest.approx(found.nats_per_token / math.log(2))


def test_end_of_text_adds_loss_and_no_bytes(model: GPT, data: TokenDataset) -> None:
    tokens = data.read(0, data.n_tokens)
    end = int(np.flatnonzero(tokens == 256)[0])
    starts = np.array([end - 5])  # its targets hold one end of text
    found = measured(model, data, starts)
    assert (found.n_tokens, found.n_bytes) == (16, 15)
    assert found.bits_per_byte == pytest.approx(found.nats_per_token * 16 / math.log(2) / 15)
    assert found.nats_per_token == pytest.approx(plain(model, data, starts), rel=1e-6)


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
    found = measured(model, Text(tokens), np.array([0]), tokenizer=tokenizer)  # type: ignore[arg-type]
    n_bytes = len(tokenizer.decode_bytes(tokens[1:].tolist()))
    assert n_bytes > 16
    assert found.n_bytes == n_bytes
    assert found.bits_per_byte == pytest.approx(found.nats_per_token * 16 / math.log(2) / n_bytes)


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


def test_evaluation_does_not_disturb_training(model: GPT, data: TokenDataset) -> None:
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    found = [measured(model, data, np.arange(0, 160, 16)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1]
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def doubled(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    loss, count = language_model_loss(model, batch)
    return 2 * loss, count


def doubled_with_its_count(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    loss, count = language_model_loss(model, batch)
    return 2 * loss, 2 * count


def of_vowels(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Score only the tokens that are vowels: each sequence has another number of them."""
    inputs, targets = batch
    vowels = torch.isin(targets, torch.tensor(list(b"aeiou")))
    return language_model_loss(model, (inputs, targets.where(vowels, -1)))


def val_losses(config: TrainConfig) -> list[float]:
    return [record["val_loss"] for record in records(config) if "val_loss" in record]


def test_an_evaluation_that_fails_leaves_the_model_in_training(model: GPT, data: TokenDataset) -> None:
    def failing(_model: nn.Module, _batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        measured(model, data, np.arange(0, 160, 16), objective=failing)
    assert model.training


def test_evaluation_scores_with_the_objective(model: GPT, data: TokenDataset) -> None:
    starts = np.arange(0, 160, 16)
    plain = measured(model, data, starts)
    assert measured(model, data, starts, objective=doubled).nats_per_token == 2 * plain.nats_per_token
    vowels = measured(model, data, starts, objective=of_vowels)
    tokens = np.concatenate([data.read(int(start) + 1, 16) for start in starts])
    assert vowels.n_tokens == np.isin(tokens, list(b"aeiou")).sum()
    assert vowels.nats_per_token != plain.nats_per_token


def test_training_minimizes_the_objective(config: TrainConfig) -> None:
    train(config)
    twice, same, vowels = (elsewhere(config, name) for name in ("twice", "same", "vowels"))
    train(twice, objective=doubled)
    assert losses(twice)[0] == 2 * losses(config)[0]
    assert val_losses(twice)[0] == 2 * val_losses(config)[0]
    assert records(twice)[1]["grad_norm"] == pytest.approx(2 * records(config)[1]["grad_norm"])
    assert losses(twice)[-1] < losses(twice)[0] - 1, "it falls"
    train(same, objective=doubled_with_its_count)
    assert final_files(same) == final_files(config), "the loss is divided by the objective's own count"
    vowels = replace(vowels, max_steps=60, eval_interval=60, checkpoint_interval=60)
    train(vowels, objective=of_vowels)
    assert losses(vowels)[-1] < 2.0, "it has learned that all tokens are vowels: log(5) is 1.6"


def test_micro_batches_weigh_as_much_as_their_counts(config: TrainConfig) -> None:
    """The loss of a step is one mean over all that is scored, not a mean of the micro-batches' means."""
    train(config, objective=of_vowels)
    for size in (1, 4):
        small = elsewhere(config, f"micro_{size}", micro_batch_size=size)
        train(small, objective=of_vowels)
        assert losses(small) == pytest.approx(losses(config), rel=1e-5)
        assert val_losses(small) == pytest.approx(val_losses(config), rel=1e-5)


def test_tokens_are_sent_to_the_device_without_waiting_for_it(
    model: GPT, data: TokenDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(hardware, "to_device", lambda tokens, _device: sent.append(tokens) or tokens)
    measured(model, data, np.arange(6), size=4)
    assert [tuple(tokens.shape) for tokens in sent] == [(4, model.config.block_size)] * 4


def test_nothing_to_score_is_one_line(model: GPT, data: TokenDataset) -> None:
    """As in pairs whose completions all begin after block_size tokens: not all pairs, but those that are sampled."""
    nothing = (torch.zeros(()), torch.zeros((), dtype=torch.int64))
    with pytest.raises(
        UserError,
        match=r"^eval_windows=3: none of these .* has a token to score: use more, or a larger --block_size$",
    ):
        measured(model, data, np.arange(3), objective=lambda _model, _batch: nothing)


def test_corrupt_shard_of_another_process_ends_the_evaluation_in_all(model: GPT, data: TokenDataset) -> None:
    class OneOfTwo(World):
        """One of two processes; the other one found an invalid token."""

        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor + torch.tensor([9.0, 9.0, 9.0, 1.0])

    with pytest.raises(CorruptShard, match=r"^another process found a corrupt shard"):
        measured(model, data, np.arange(3), world=OneOfTwo(0, 2, CPU))
    assert model.training
