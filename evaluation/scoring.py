"""Scoring many requests with all processes, so that a stop costs seconds: what is done lies in a journal."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from evaluation import likelihood
from evaluation.likelihood import Request
from model import GPT
from system.files import append_to_file
from system.progress import tracked
from system.world import World

JOURNAL_SECONDS = 10.0  # between two entries of the journal
WEIGHTS_STEP = 997  # of the weights that identify a model, one in so many


def score(
    model: GPT,
    requests: Sequence[Request],
    dtype: torch.dtype,
    world: World,
    journal: Path,
    name: str,
    doing: str,
) -> np.ndarray:
    """Return the log-likelihood of each part of each request, in nats, and whether it is the greedy choice: (n_parts, 2) float64.

    The processes share the requests, and all return the same. What an earlier call wrote to the journal about the same
    requests, weights and name of a model is not computed again. Raises OSError if the journal cannot be written.
    """
    key = key_of(name, model, requests, dtype)
    done = read_journal(journal, key) if world.is_main else {}
    is_done = world.sum(_flags(done, len(requests))).cpu() > 0
    left = [number for number in range(len(requests)) if not is_done[number]]
    lengths = [len(requests[number].tokens) for number in left]
    every = list(likelihood.batches(lengths, likelihood.tokens_at_once(world.device)))
    groups = [every[first : first + world.size] for first in range(0, len(every), world.size)]
    if world.is_main and not done:
        journal.write_text(json.dumps({"key": key}) + "\n")
    new: dict[int, np.ndarray] = {}  # not in the journal yet
    written = time.monotonic()
    for group in tracked(groups, doing, world.is_main):  # a batch for each process
        own = [left[place] for batch in group[world.rank : world.rank + 1] for place in batch]
        found = likelihood.score(model, [requests[number] for number in own], dtype)
        numbers = [left[place] for batch in group for place in batch]
        new |= _shared(dict(zip(own, found, strict=True)), numbers, requests, world)
        if time.monotonic() - written > JOURNAL_SECONDS and world.is_main:
            append_to_file(journal, json.dumps({str(key): new[key].tolist() for key in new}) + "\n")
            done, new, written = done | new, {}, time.monotonic()
    done |= new if world.is_main else {}
    return np.concatenate(list(_shared(done, range(len(requests)), requests, world).values()))


def _flags(done: Iterable[int], n: int) -> torch.Tensor:
    flags = torch.zeros(n)
    flags[list(done)] = 1
    return flags


def _shared(
    own: dict[int, np.ndarray], numbers: Iterable[int], requests: Sequence[Request], world: World
) -> dict[int, np.ndarray]:
    """Return the results of all processes for these requests; each result is known to one process."""
    rows = [own.get(number, np.zeros((len(requests[number].parts), 2))) for number in numbers]
    together = world.sum(torch.from_numpy(np.concatenate(rows))).cpu().numpy()
    return dict(zip(numbers, np.split(together, np.cumsum([len(row) for row in rows])[:-1]), strict=True))


def key_of(name: str, model: GPT, requests: Sequence[Request], dtype: torch.dtype) -> str:
    """Return what tells one evaluation from another: a hash over all of this, and a sample of the weights."""
    digest = hashlib.sha256(f"{name} {dtype}".encode())
    for key, weights in model.weights().items():
        digest.update(key.encode() + weights.flatten()[::WEIGHTS_STEP].float().cpu().numpy().tobytes())
    for tokens, parts in requests:
        digest.update(repr(parts).encode() + tokens.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def read_journal(path: Path, key: str) -> dict[int, np.ndarray]:
    """Return the results that a stopped evaluation left, by request; none if they are of another evaluation."""
    try:
        first, *lines = path.read_text().splitlines()
        if json.loads(first) != {"key": key}:
            return {}
    except (OSError, ValueError):
        return {}
    done: dict[int, np.ndarray] = {}
    for line in lines:
        with contextlib.suppress(ValueError):  # a last line that was cut off
            done |= {int(number): np.array(result) for number, result in json.loads(line).items()}
    return done
