"""How probable a model finds given tokens after others: what every evaluation of text is made of."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model import CHUNK_ROWS, GPT
from system import hardware

TOKENS_AT_ONCE, TOKENS_AT_ONCE_OF_GPU = 2**12, 2**15  # of a batch


class Request(NamedTuple):
    """Tokens, and how many of them are scored: `parts` are consecutive runs, and the last one ends the tokens."""

    tokens: np.ndarray  # (n,) int64
    parts: tuple[int, ...]  # lengths in tokens; their sum is less than n, since a token needs one before it

    @property
    def n_scored(self) -> int:
        """The number of tokens that are scored, each given all before it."""
        return sum(self.parts)


@torch.no_grad()
def score(model: GPT, requests: Sequence[Request], dtype: torch.dtype) -> list[np.ndarray]:
    """Return for each request the log-likelihood of each of its parts, in nats, and whether it is the model's greedy choice.

    Each result is (n_parts, 2) float64. Requests of like length share a batch, in which the shorter ones are padded on
    the right: no token sees what comes after it. Logits exist for the scored tokens only.
    """
    found: list[np.ndarray] = [np.empty((0, 2))] * len(requests)
    lengths = [len(request.tokens) - 1 for request in requests]
    for numbers in batches(lengths, tokens_at_once(model.transformer.wte.weight.device)):
        own = [requests[number] for number in numbers]
        likelihoods, greedy = _score_batch(model, own, dtype)
        ends = np.cumsum([length for request in own for length in request.parts])
        begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        sums = np.add.reduceat(likelihoods, begins), np.logical_and.reduceat(greedy, begins)
        each = np.split(np.stack(sums, axis=1), np.cumsum([len(request.parts) for request in own])[:-1])
        for number, result in zip(numbers, each, strict=True):
            found[number] = result
    return found


def tokens_at_once(device: torch.device) -> int:
    """Return how many tokens a batch has at most, if one sequence has not more."""
    return TOKENS_AT_ONCE_OF_GPU if device.type == "cuda" else TOKENS_AT_ONCE


def batches(lengths: Sequence[int], n_tokens: int) -> Iterator[list[int]]:
    """Yield the numbers of the sequences of each batch, longest first: at most `n_tokens` with padding, or one sequence."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    while order:
        size = max(1, n_tokens // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def _score_batch(
    model: GPT, requests: Sequence[Request], dtype: torch.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood of every scored token of a batch, one request after the other, and whether it is greedy."""
    device = model.transformer.wte.weight.device
    longest = max(len(request.tokens) for request in requests) - 1
    inputs = torch.zeros(len(requests), longest, dtype=torch.int64)
    is_scored = torch.zeros(len(requests), longest, dtype=torch.bool)
    for row, (tokens, parts) in enumerate(requests):
        inputs[row, : len(tokens) - 1] = torch.from_numpy(tokens[:-1])
        is_scored[row, len(tokens) - 1 - sum(parts) : len(tokens) - 1] = True
    targets = torch.from_numpy(np.concatenate([tokens[-sum(parts) :] for tokens, parts in requests]))
    inputs, is_scored, targets = (hardware.to_device(each, device) for each in (inputs, is_scored, targets))
    with hardware.autocast(device, dtype):
        x = model.transformer(inputs)[is_scored]  # (n_scored, C)
        pairs = zip(x.split(CHUNK_ROWS), targets.split(CHUNK_ROWS), strict=True)
        found = [_log_probabilities(model.logits(rows), wanted) for rows, wanted in pairs]
    likelihoods, greedy = (torch.cat(each).cpu().numpy() for each in zip(*found, strict=True))
    return likelihoods.astype(np.float64), greedy


def _log_probabilities(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the targets' log-probabilities, and whether no token has a larger one: (n, V) and (n,) -> (n,) twice."""
    logits = logits.float()
    wanted = logits.gather(1, targets[:, None])[:, 0]
    return wanted - logits.logsumexp(dim=1), wanted >= logits.amax(dim=1)
