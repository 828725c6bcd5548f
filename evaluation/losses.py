"""Losses on fixed windows of held-out text, in nats per token and bits per byte.

Owns the evaluation's arithmetic. Which windows are evaluated is `data.py`'s; when, `train.py`'s.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from corpus.dataset import TokenDataset, batch
from model import GPT, IGNORED
from system import hardware
from system.world import World


@dataclass(frozen=True)
class Losses:
    """A loss over `n_tokens` scored tokens that stand for `n_bytes` of UTF-8 text."""

    nats_per_token: float
    bits_per_byte: float
    n_tokens: int
    n_bytes: int


@torch.inference_mode()
def evaluate(
    model: GPT,
    data: TokenDataset,
    starts: np.ndarray,
    micro_batch_size: int,
    token_bytes: np.ndarray,
    world: World,
    dtype: torch.dtype,
) -> Losses:
    """Score the windows that begin at the token positions `starts` (n_windows,), shared among the processes.

    `token_bytes` (V,) holds each token's UTF-8 bytes, 0 for end-of-text: it adds loss and no bytes. Leaves the
    model in training mode, and draws no random numbers.
    """
    own = starts[world.rank :: world.size]
    nats = [torch.zeros((), device=world.device)]
    n_tokens = n_bytes = 0
    model.eval()
    for first in range(0, len(own), micro_batch_size):
        inputs, targets = batch(data, own[first : first + micro_batch_size], model.config.block_size)
        scored = targets[targets != IGNORED]
        n_tokens += scored.size
        n_bytes += int(token_bytes[scored].sum())
        with hardware.autocast(world.device, dtype):
            nats.append(model(*_full_batch(inputs, targets, micro_batch_size, world.device)))
    model.train()
    total = torch.stack(nats).cpu().double().sum()
    sums = torch.stack([total, torch.tensor(n_tokens).double(), torch.tensor(n_bytes).double()])
    total_nats, total_tokens, total_bytes = world.sum(sums).tolist()
    per_byte = total_nats / math.log(2) / total_bytes if total_bytes else math.nan
    return Losses(total_nats / total_tokens, per_byte, int(total_tokens), int(total_bytes))


def _full_batch(
    inputs: np.ndarray, targets: np.ndarray, size: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fill a last, smaller batch with sequences that do not count: one shape, so nothing is compiled again."""
    padding = ((0, size - len(inputs)), (0, 0))
    full_inputs = np.pad(inputs, padding)
    full_targets = np.pad(targets, padding, constant_values=IGNORED)
    return torch.from_numpy(full_inputs).to(device), torch.from_numpy(full_targets).to(device)
