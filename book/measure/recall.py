"""Recall by distance: pairs of a key and a value, then meaningless tokens, then a key; which value belongs to it?

    b=7 d=2 a=2 c=5  . . . . . . . .  a  ->  2

A pair is one token, so that a network need only find it and not also connect two. All four keys occur in each sequence, in
a random order, each with one of eight values, so guessing is right once in eight. The tokens between are drawn at random.
Shapes: B sequences, T tokens.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from book.measure.config import KINDS, Kind, MeasureConfig
from book.measure.models import Model, Shape, make, parameters_of_each
from book.measure.results import summary
from book.measure.training import Trained, best_rate, train
from system.errors import say

N_KEYS, N_VALUES, N_FILLERS = 4, 8, 8
PAIR, FILLER = 0, N_KEYS * N_VALUES  # the first token of each sort
KEY = FILLER + N_FILLERS
VALUE = KEY + N_KEYS
VOCABULARY = VALUE + N_VALUES

DISTANCES = (10, 30, 100, 300, 1000)  # tokens between the last pair and the question
SHAPE = Shape(VOCABULARY, n_embd=32, n_layer=1, block_size=max(DISTANCES) + N_KEYS + 1)
BATCH = 16  # sequences
SECONDS = 30.0  # of processor time for each training
RATES, TUNING_SEED = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 1
TUNING, TUNING_FAR = (30, 300), (10, 30)  # distances for tuning: where all are far, no rate helps at 300
SOLVED, SOLVED_BATCHES = (
    0.99,
    20,
)  # a training ends when this share of answers is right in the latest far batches
HELD_OUT = 256  # sequences for the score


def sequences(n: int, B: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return questions with n tokens between pairs and key, and their answers: (B, N_KEYS + n + 1), (B,)."""
    keys = torch.rand(B, N_KEYS, generator=generator).argsort(dim=1)  # (B, N_KEYS), each once
    values = torch.randint(N_VALUES, (B, N_KEYS), generator=generator)  # the value of the key at that place
    fillers = torch.randint(N_FILLERS, (B, n), generator=generator)
    place = torch.randint(N_KEYS, (B, 1), generator=generator)  # of the pair that is asked for
    asked, answer = keys.gather(1, place), values.gather(1, place)
    tokens = torch.cat([PAIR + keys * N_VALUES + values, FILLER + fillers, KEY + asked], dim=1)
    return tokens, VALUE + answer[:, 0]


def answers(model: Model, tokens: Tensor) -> Tensor:
    """Return the logits of the token after each sequence: (B, T) -> (B, V)."""
    return model(tokens)[:, -1] @ model.table[:VOCABULARY].T


class Lessons:
    """The batches of a training, and the share of right answers in each that was far: half of the longest distance or more.

    As in a text, most distances are short: each batch has one up to `longest`, drawn such that its logarithm is even. So a
    network can learn the task nearby and then stretch it. With `far_only`, all batches have the longest one.
    """

    def __init__(self, model: Model, longest: int, seed: int, far_only: bool = False) -> None:
        self.model, self.longest, self.far_only = model, longest, far_only
        self.generator = torch.Generator().manual_seed(seed)
        self.far_right: list[float] = []

    def loss(self) -> Tensor:
        """Return the loss of the next batch."""
        power = 1.0 if self.far_only else torch.rand((), generator=self.generator).item()
        n = round(self.longest**power)
        tokens, wanted = sequences(n, BATCH, self.generator)
        logits = answers(self.model, tokens)
        if n >= self.longest / 2:
            self.far_right.append((logits.argmax(dim=1) == wanted).float().mean().item())
        return F.cross_entropy(logits, wanted)

    def are_over(self) -> bool:
        """Return whether nothing is left to learn."""
        latest = self.far_right[-SOLVED_BATCHES:]
        return len(latest) == SOLVED_BATCHES and sum(latest) >= SOLVED * SOLVED_BATCHES


class Setup(NamedTuple):
    """What is measured."""

    kind: Kind
    far_only: bool = False  # all sequences of a training have the same distance
    forget_bias: float = 1.0  # of an LSTM before training


def learned(setup: Setup, n: int, seed: int, learning_rate: float, seconds: float) -> tuple[Model, Trained]:
    """Return a network that was trained up to a distance, or at that one only, and what that took."""
    model = make(setup.kind, SHAPE, seed, setup.forget_bias)
    lessons = Lessons(model, n, seed, setup.far_only)
    return model, train(model, lessons.loss, learning_rate, seconds, lessons.are_over)


@torch.no_grad()
def score(model: Model, n: int, seed: int) -> float:
    """Return the share of right answers on sequences that no training has seen."""
    generator = torch.Generator().manual_seed(1_000_000 + seed)
    tokens, wanted = sequences(n, HELD_OUT, generator)
    parts = zip(tokens.split(BATCH), wanted.split(BATCH), strict=True)
    return sum(int((answers(model, part).argmax(1) == right).sum()) for part, right in parts) / HELD_OUT


def tuned(setup: Setup, config: MeasureConfig) -> tuple[float, dict[str, float]]:
    """Choose the learning rate with which a network is wrong least, then done soonest, at two distances with one seed."""
    seconds = SECONDS * config.budget

    def cost(learning_rate: float) -> float:
        total = 0.0
        for n in TUNING_FAR if setup.far_only else TUNING:
            model, run = learned(setup, n, TUNING_SEED, learning_rate, seconds)
            total += 1 - score(model, n, TUNING_SEED) + 0.1 * run.seconds / seconds
        return total

    return best_rate(RATES, cost)


def at_distance(
    name: str, setup: Setup, n: int, learning_rate: float, config: MeasureConfig
) -> dict[str, Any]:
    """Train for a distance with each seed; return the scores there and at the others, and the seconds until it was solved."""
    scores: dict[int, list[float]] = {distance: [] for distance in DISTANCES}
    runs: list[Trained] = []
    for seed in config.all_seeds:
        model, run = learned(setup, n, seed, learning_rate, SECONDS * config.budget)
        runs.append(run)
        for distance in DISTANCES:
            scores[distance].append(score(model, distance, seed))
        say(f"{name}, distance {n}, seed {seed}: {scores[n][-1]:.0%} right after {run.seconds:.1f} s")
    return {
        "right": summary(scores[n]),
        "right_at": {str(distance): summary(values) for distance, values in scores.items()},
        "seconds": summary([run.seconds for run in runs], 1),
        "steps": [run.steps for run in runs],
        "solved": [run.was_stopped for run in runs],
    }


def measured(name: str, setup: Setup, config: MeasureConfig) -> dict[str, Any]:
    """Tune a network, then train it for each distance."""
    rate, scores = tuned(setup, config)
    say(f"{name}: learning rate {rate}")
    distances = {str(n): at_distance(name, setup, n, rate, config) for n in DISTANCES}
    return {"learning_rate": rate, "tuning": scores, "distances": distances}


def measure_all(setups: dict[str, Setup], config: MeasureConfig) -> dict[str, Any]:
    """Train each network up to each distance for an equal time, and score it there and elsewhere."""
    return {
        "seconds": SECONDS * config.budget,
        "seeds": list(config.all_seeds),
        "chance": 1 / N_VALUES,
        "batch": BATCH,
        "parameters": parameters_of_each(SHAPE),
        "networks": {name: measured(name, setup, config) for name, setup in setups.items()},
    }


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Train all networks with distances from short to long."""
    return measure_all({kind: Setup(kind) for kind in KINDS}, config)


def measure_far(config: MeasureConfig) -> dict[str, Any]:
    """Train LSTM and transformer where all sequences of a training have the same distance."""
    setups = {
        "transformer": Setup("transformer", far_only=True),
        "lstm": Setup("lstm", far_only=True),
        "lstm_bias_5": Setup("lstm", far_only=True, forget_bias=5.0),
    }
    return measure_all(setups, config)
