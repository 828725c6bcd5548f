"""Scoring many requests with all processes, so that a stop costs seconds: what is done lies in a journal."""

import hashlib
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from evaluation import likelihood
from evaluation.journal import Journal, Rows
from evaluation.likelihood import Request
from model import GPT
from system.errors import say
from system.progress import tracked
from system.world import World

JOURNAL_SECONDS = 10.0  # between two entries of the journal
WEIGHTS_STEP = 997  # of the weights that identify a model, one in so many


def score(
    model: GPT,
    requests: Sequence[Request],
    dtype: torch.dtype,
    world: World,
    doing: str,
    journal: Journal | None = None,
    label: str = "",
) -> np.ndarray:
    """Return the log-likelihood of each part of each request, in nats, and whether it is the greedy choice: (n_parts, 2) float64.

    The processes share the requests, and all return the same. What the main process's journal has of the same requests under
    the same label is not computed again: the label must tell this model and its precision from all others.
    """
    key = key_of(label, requests) if journal else ""
    done = dict(journal.known(key)) if journal else {}
    is_done = world.sum(_flags(done, len(requests))).cpu() > 0
    left = [number for number in range(len(requests)) if not is_done[number]]
    lengths = [len(requests[number].tokens) for number in left]
    every = list(likelihood.batches(lengths, likelihood.tokens_at_once(world.device)))
    groups = [every[first : first + world.size] for first in range(0, len(every), world.size)]
    if done:
        say(f"resuming: {len(done):,} of {len(requests):,} texts are scored")
    new: Rows = {}  # not in the journal yet
    written = time.monotonic()
    for group in tracked(groups, doing, world.is_main):  # a batch for each process
        own = [
            left[place] for place in group[world.rank % len(group)]
        ]  # none idle: they gather a sharded model together
        found = likelihood.score(model, [requests[number] for number in own], dtype)
        if world.rank >= len(group):  # another process has the same
            own, found = [], []
        numbers = [left[place] for batch in group for place in batch]
        new |= _shared(dict(zip(own, found, strict=True)), numbers, requests, world)
        if journal and time.monotonic() - written > JOURNAL_SECONDS:
            journal.add(key, new)
            done, new, written = done | new, {}, time.monotonic()
    if journal and new:
        journal.add(key, new)
    done |= new if world.is_main else {}
    return np.concatenate(list(_shared(done, range(len(requests)), requests, world).values()))


def _flags(done: Iterable[int], n: int) -> torch.Tensor:
    flags = torch.zeros(n)
    flags[list(done)] = 1
    return flags


def _shared(own: Rows, numbers: Iterable[int], requests: Sequence[Request], world: World) -> Rows:
    """Return the results of all processes for these requests; each result is known to one process."""
    rows = [own.get(number, np.zeros((len(requests[number].parts), 2))) for number in numbers]
    together = world.sum(torch.from_numpy(np.concatenate(rows))).cpu().numpy()
    return dict(zip(numbers, np.split(together, np.cumsum([len(row) for row in rows])[:-1]), strict=True))


def key_of(label: str, requests: Sequence[Request]) -> str:
    """Return what tells one evaluation from another, by the label of the model and all that it is asked."""
    digest = hashlib.sha256(label.encode())
    for tokens, parts in requests:
        digest.update(repr(parts).encode() + tokens.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def fingerprint(model: GPT) -> str:
    """Return a hash over a sample of each of the weights, for the label of a model."""
    digest = hashlib.sha256()
    for name, weights in model.weights().items():
        digest.update(name.encode() + weights.flatten()[::WEIGHTS_STEP].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
