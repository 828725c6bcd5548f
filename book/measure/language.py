"""Language modelling: bits per byte of held-out text after an equal time of training, and how much text that takes.

Shapes: B sequences, T tokens.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from book.measure.config import KINDS, Kind, MeasureConfig
from book.measure.models import Model, Shape, loss_of, make, parameters_of_each
from book.measure.results import summary
from book.measure.training import best_rate, train
from book.text import encyclopedia, in_rows, windows
from corpus.dataset import TokenDataset
from system.errors import UserError, say

N_EMBD, N_LAYER = 64, 2
B, T = 4, 256  # small batches: many steps in a short time
SECONDS = 30.0  # of processor time for each training
TUNING_SECONDS, TUNING_SEED, RATES = 15.0, 1, (3e-3, 1e-2, 3e-2, 1e-1)
MAX_TRAINING, VALIDATION_ROWS = (
    10_000_000,
    128,
)  # tokens from the beginning of the training text; rows of T tokens
SHARED, SHARES = (
    1_000_000,
    {"1/30": 1 / 30, "1/10": 1 / 10, "1/3": 1 / 3, "1": 1.0},
)  # tokens, and parts of them
COMPARED = ("lstm", "transformer")  # with each share; the others with all of it
LONGER = 8  # times SECONDS that the compared ones also get, with one seed and all MAX_TRAINING tokens


class Corpus(NamedTuple):
    """A text for training and one for judging."""

    name: str
    training: Tensor  # tokens
    validation: tuple[Tensor, Tensor]  # inputs and targets (rows, T)
    token_bytes: Tensor  # (V,) int64, the text bytes of each token

    @property
    def shape(self) -> Shape:
        return Shape(len(self.token_bytes), N_EMBD, N_LAYER, T)


def corpus(data_dir: str) -> Corpus:
    """Return the text of a prepared data folder, or the built-in encyclopedia."""
    if not data_dir:
        text = encyclopedia()
        name, training, validation = "the built-in encyclopedia", text.training, text.validation
        lengths = text.tokenizer.token_byte_lengths()
    else:
        splits = TokenDataset(data_dir), TokenDataset(data_dir, "val")
        name = f"{data_dir}, {splits[0].manifest.tokenizer['name']}"
        training, validation = (
            torch.from_numpy(split.read(0, min(split.n_tokens, MAX_TRAINING)).astype(np.int64))
            for split in splits
        )
        lengths = splits[0].tokenizer().token_byte_lengths()
        if splits[0].manifest.has_pairs or min(map(len, (training, validation))) <= T:
            raise UserError(f"data_dir={data_dir}: must hold articles, more than {T} tokens of each split")
    inputs, targets = in_rows(validation, T)
    rows = torch.linspace(0, len(inputs) - 1, min(VALIDATION_ROWS, len(inputs))).long()  # evenly spread
    return Corpus(name, training[:MAX_TRAINING], (inputs[rows], targets[rows]), torch.from_numpy(lengths))


@torch.no_grad()
def bits_by_place(model: Model, text: Corpus) -> Tensor:
    """Return the mean bits that each place of a row costs, with the row so far as context: (T,) float64."""
    rows = zip(*(part.split(B) for part in text.validation), strict=True)
    bits = torch.zeros(T, dtype=torch.float64)
    for inputs, targets in rows:
        logits = model(inputs) @ model.table.T  # (B, T, V)
        logits = logits[..., : text.shape.vocab_size].log_softmax(dim=-1)
        bits -= logits.gather(2, targets[..., None]).sum(dim=0)[:, 0].double() / math.log(2)
    return bits / len(text.validation[0])


def bits_per_byte(by_place: Tensor, text: Corpus) -> float:
    """Divide the bits of all places by the bytes of the text; the token that ends an article has none."""
    n_bytes = int(text.token_bytes[text.validation[1]].sum())
    return float(by_place.sum()) * len(text.validation[0]) / n_bytes


class Learned(NamedTuple):
    """What a training reached: at its end, and at best, where one would have stopped it."""

    at_end: float  # bits per byte
    at_best: float
    bits_by_place: Tensor  # at best (T,)
    tokens_read: int


def learn(kind: Kind, text: Corpus, tokens: Tensor, seed: int, rate: float, seconds: float) -> Learned:
    """Train a network on random windows of `tokens`, and judge it from time to time."""
    model = make(kind, text.shape, seed)  # which also seeds the windows
    places: list[Tensor] = []

    def loss_of_batch() -> Tensor:
        return loss_of(model, *windows(tokens, B, T), text.shape.vocab_size) / (B * T)

    run = train(model, loss_of_batch, rate, seconds, look=lambda: places.append(bits_by_place(model, text)))
    best = min(places, key=lambda bits: bits.sum().item())
    return Learned(bits_per_byte(places[-1], text), bits_per_byte(best, text), best, run.steps * B * T)


def tuned(kind: Kind, text: Corpus, config: MeasureConfig) -> tuple[float, dict[str, float]]:
    """Choose the learning rate with the fewest bits per byte after a shorter training, with one seed."""

    def score(rate: float) -> float:
        seconds = TUNING_SECONDS * config.budget
        return learn(kind, text, text.training, TUNING_SEED, rate, seconds).at_best

    return best_rate(RATES, score)


def trained_on(
    kind: Kind, text: Corpus, n_tokens: int, rate: float, seconds: float, seeds: range
) -> dict[str, Any]:
    """Train on the first tokens of the text with each seed; return losses, by place too, and how much was read."""
    tokens = text.training[:n_tokens]
    runs = []
    for seed in seeds:
        runs.append(learn(kind, text, tokens, seed, rate, seconds))
        say(
            f"{kind}, {len(tokens)} tokens, {seconds:.0f} s, seed {seed}: {runs[-1].at_best:.3f} bits per byte"
        )
    by_place = torch.stack([run.bits_by_place for run in runs]).mean(dim=0)
    return {
        "tokens": len(tokens),
        "seconds": seconds,
        "bits_per_byte": summary([run.at_best for run in runs]),
        "at_end": summary([run.at_end for run in runs]),
        "tokens_read": summary([run.tokens_read for run in runs], 0),
        "bits_by_place": [round(bits, 3) for bits in by_place.tolist()],
    }


def measured(kind: Kind, text: Corpus, config: MeasureConfig) -> dict[str, Any]:
    """Tune a network and train it on the shared text; the compared ones also on parts of it, and for longer on more."""
    rate, scores = tuned(kind, text, config)
    say(f"{kind}: learning rate {rate}")
    seconds, n_tokens = SECONDS * config.budget, min(SHARED, len(text.training))
    results: dict[str, Any] = {"learning_rate": rate, "tuning": scores, "shares": {}}
    for name, share in SHARES.items():
        if share == 1 or kind in COMPARED:
            part = int(share * n_tokens)
            results["shares"][name] = trained_on(kind, text, part, rate, seconds, config.all_seeds)
    if kind in COMPARED:
        results["longer"] = trained_on(
            kind, text, MAX_TRAINING, rate, LONGER * seconds, range(TUNING_SEED, TUNING_SEED + 1)
        )
    return results


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Train each network for an equal time, the compared ones also on less text and for longer."""
    text = corpus(config.data_dir)
    return {
        "text": text.name,
        "seconds": SECONDS * config.budget,
        "tuning_seconds": TUNING_SECONDS * config.budget,
        "seeds": list(config.all_seeds),
        "T": T,
        "batch": B,
        "validation_tokens": text.validation[1].numel(),
        "bytes_per_token": round(float(text.token_bytes[text.validation[1]].double().mean()), 3),
        "parameters": parameters_of_each(text.shape),
        "networks": {kind: measured(kind, text, config) for kind in KINDS},
    }
