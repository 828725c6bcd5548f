"""Tokens per second: training with one text at a time and with several, reading at once and token by token.

All in processor time, in turn with the other networks, so that what else runs on the machine hits all alike.
Shapes: B texts, T tokens.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from book.measure.config import KINDS, MeasureConfig
from book.measure.models import Model, Shape, loss_of, make, parameters_of_each
from book.measure.results import summary
from system.errors import say

CONTEXTS = (64, 256, 1024, 4096)  # tokens that a text has when it is continued
N_WRITTEN = 32  # tokens written after each
SHAPE = Shape(vocab_size=1024, n_embd=64, n_layer=2, block_size=max(CONTEXTS) + N_WRITTEN)
T, BATCHES = 256, (1, 16)  # of a training step
ROUNDS = 7  # in which each network is timed once
SECONDS = 0.5  # at least, for one timing
SEED = 1


def training_step(model: Model, B: int) -> Callable[[], None]:
    """Return a whole step of training on B texts."""
    tokens = torch.randint(SHAPE.vocab_size, (B, T))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        (loss_of(model, tokens, tokens, SHAPE.vocab_size) / tokens.numel()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def reading_at_once(model: Any) -> Callable[[], None]:
    """Return the reading of one text of T tokens in one pass, with the logits of the next token."""
    tokens = torch.randint(SHAPE.vocab_size, (1, T))

    @torch.inference_mode()
    def read() -> None:
        x, _ = model.read(tokens, model.begin(T))
        x @ model.table.T

    return read


def writing(model: Any, context: int) -> Callable[[], float]:
    """Return what writes N_WRITTEN tokens after a context, the likeliest one after another, and returns the seconds for one."""
    tokens = torch.randint(SHAPE.vocab_size, (1, context))

    @torch.inference_mode()
    def write() -> float:
        x, memory = model.read(tokens, model.begin(context + N_WRITTEN))  # not timed
        began = time.process_time()
        for _ in range(N_WRITTEN):
            token = (x @ model.table.T).argmax(dim=-1)  # (1, 1)
            x, memory = model.read(token, memory)
        return (time.process_time() - began) / N_WRITTEN

    return write


def timed(call: Callable[[], None], n_tokens: int) -> Callable[[], float]:
    """Return what calls something for SECONDS at least, and returns the mean seconds for a token."""

    def measured() -> float:
        began, calls = time.process_time(), 0
        while time.process_time() - began < SECONDS or not calls:
            call()
            calls += 1
        return (time.process_time() - began) / calls / n_tokens

    return measured


def jobs_of(model: Model) -> dict[str, Callable[[], float]]:
    """Return what is timed of a network, by name; each returns the seconds for a token."""
    training = {f"training, {B} texts": timed(training_step(model, B), B * T) for B in BATCHES}
    writes = {f"writing after {context}": writing(model, context) for context in CONTEXTS}
    return training | {"reading at once": timed(reading_at_once(model), T)} | writes


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Time the networks in turn, for several rounds."""
    models = {kind: make(kind, SHAPE, SEED) for kind in KINDS}
    jobs = {kind: jobs_of(model) for kind, model in models.items()}
    rates: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in jobs[kind]} for kind in KINDS}
    for number in range(ROUNDS + 1):
        for kind in KINDS:
            for name, job in jobs[kind].items():
                rate = 1 / job()
                if number:  # the first time, memory and caches are still cold
                    rates[kind][name].append(rate)
        say(f"speed: round {number} of {ROUNDS}")
    networks = {kind: {name: summary(each, 0) for name, each in rates[kind].items()} for kind in KINDS}
    return {
        "T": T,
        "written": N_WRITTEN,
        "seeds": [SEED],
        "parameters": parameters_of_each(SHAPE),
        "tokens_per_second": networks,
    }
