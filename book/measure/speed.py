"""Tokens per second: training by the width of the network and the number of texts, and writing by the length of the context.

All in processor time, in turn with the other networks, so that what else runs on the machine hits all alike.
Shapes: B texts, T tokens.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from book.measure.config import KINDS, Kind, MeasureConfig
from book.measure.models import Shape, loss_of, make, parameters_of_each
from book.measure.results import summary
from system.errors import say

WIDTHS, BATCHES, T = (64, 128, 256, 512), (1, 8), 256  # channels, texts and tokens of a training step
CONTEXTS, N_WRITTEN = (64, 256, 1024, 4096), 32  # tokens that a text has when it is continued; tokens written
VOCABULARY, N_LAYER = 1024, 2
ROUNDS = 5  # in which each network is timed once
SECONDS = 0.3  # at least, for one timing
SEED = 1

Rates = dict[str, dict[str, Any]]  # summaries by kind and by what was varied


def shape(width: int) -> Shape:
    return Shape(VOCABULARY, width, N_LAYER, block_size=max(T, *CONTEXTS) + N_WRITTEN)


def training(B: int, kind: Kind, width: int) -> Callable[[], float]:
    """Return what trains a network on B texts for SECONDS at least, and returns the mean seconds for a token."""
    model = make(kind, shape(width), SEED)
    tokens = torch.randint(VOCABULARY, (B, T))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        (loss_of(model, tokens, tokens, VOCABULARY) / tokens.numel()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def timed() -> float:
        began, steps = time.process_time(), 0
        while time.process_time() - began < SECONDS or not steps:
            step()
            steps += 1
        return (time.process_time() - began) / steps / tokens.numel()

    return timed


def writing(kind: Kind, context: int) -> Callable[[], float]:
    """Return what writes N_WRITTEN tokens after a context, the likeliest one after another, and returns the seconds for one."""
    model: Any = make(kind, shape(WIDTHS[0]), SEED)  # each kind has a memory of its own type
    tokens = torch.randint(VOCABULARY, (1, context))

    @torch.inference_mode()
    def timed() -> float:
        x, memory = model.read(tokens, model.begin(context + N_WRITTEN))  # not timed
        began = time.process_time()
        for _ in range(N_WRITTEN):
            token = (x @ model.table.T).argmax(dim=-1)  # (1, 1)
            x, memory = model.read(token, memory)
        return (time.process_time() - began) / N_WRITTEN

    return timed


def in_turn(what: str, job: Callable[[Kind, int], Callable[[], float]], values: tuple[int, ...]) -> Rates:
    """Time a job of each network with each value, one network after another, for several rounds; return tokens/s."""
    rates: Rates = {kind: {} for kind in KINDS}
    for value in values:
        jobs = {kind: job(kind, value) for kind in KINDS}
        seconds = [{kind: timed() for kind, timed in jobs.items()} for _ in range(ROUNDS + 1)]
        for kind in KINDS:  # without the first round, in which memory and caches are cold
            rates[kind][str(value)] = summary([1 / each[kind] for each in seconds[1:]], 0)
        say(
            f"{what}, {value}: "
            + ", ".join(f"{kind} {rates[kind][str(value)]['mean']:,.0f}" for kind in KINDS)
        )
    return rates


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Time training with one text and with several by the width, and writing by the context."""
    results: dict[str, Any] = {
        "T": T,
        "written": N_WRITTEN,
        "seeds": [SEED],
        "parameters": {str(width): parameters_of_each(shape(width)) for width in WIDTHS},
        "training": {},
    }
    for B in BATCHES:
        results["training"][str(B)] = in_turn(f"training, {B} texts of width", partial(training, B), WIDTHS)
    results["writing"] = in_turn("writing after tokens", writing, CONTEXTS)
    return results
