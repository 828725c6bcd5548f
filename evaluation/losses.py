"""Losses on fixed windows of held-out text, in nats per token and bits per byte."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from corpus.dataset import CorruptShard, TokenDataset, batch
from model import GPT, IGNORED
from system import hardware
from system.errors import UserError
from system.progress import tracked
from system.world import World

Batch = tuple[Tensor, Tensor]  # inputs and targets, (B, T) int64 each, on the device
Objective = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]  # to a summed loss and what to divide it by


@dataclass(frozen=True)
class Losses:
    """A loss over `n_tokens` scored tokens, which stand for `n_bytes` of UTF-8 text."""

    nats_per_token: float
    bits_per_byte: float
    n_tokens: int
    n_bytes: int
    seconds: float = 0.0  # that the evaluation took
    tasks: dict[str, float] = field(default_factory=dict)  # shares of right answers, by task


def language_model_loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy summed over the scored targets, in nats, and their count."""
    inputs, targets = batch
    return model(inputs, targets), (targets != IGNORED).sum()


@torch.no_grad()  # inference mode would spoil what a sharded model gathers for training
def evaluate(
    model: GPT,
    data: TokenDataset,
    starts: np.ndarray,
    micro_batch_size: int,
    token_bytes: np.ndarray,
    world: World,
    dtype: torch.dtype,
    objective: Objective = language_model_loss,
    one_shape: bool = False,
) -> Losses:
    """Score the windows that begin at the token positions `starts` (n_windows,), shared among the processes.

    `token_bytes` (V,) holds each token's UTF-8 bytes, 0 for end-of-text, which adds loss and no bytes. Pairs are
    cut at the longest of each batch unless `one_shape` is needed, by compiled code. Leaves the model in training mode and
    draws no random numbers. Raises CorruptShard in all processes if one of them finds a token that the tokenizer does not
    have, and UserError if no token is scored.
    """
    began = time.perf_counter()
    own = starts[world.rank :: world.size]
    # As many passes in all processes, since they gather a sharded model together.
    firsts = range(0, -(-len(starts) // world.size), micro_batch_size)
    # In one tensor: small ones that stay would lie between large freed ones, whose memory a CPU could then not reuse.
    sums = torch.zeros(len(firsts), 2, device=world.device)  # of losses and of counts
    n_bytes, damage = 0, ""
    model.eval()
    try:
        for row, first in enumerate(tracked(firsts, f"evaluating {len(starts)} sequences", world.is_main)):
            own_starts = own[first : first + micro_batch_size]
            inputs = targets = np.zeros((0, model.config.block_size), dtype=np.int64)
            if not damage and len(own_starts):
                try:
                    inputs, targets = batch(data, own_starts, model.config.block_size, cut=not one_shape)
                except CorruptShard as error:
                    damage = error.problem
            n_bytes += int(token_bytes[targets[targets != IGNORED]].sum())
            with hardware.autocast(world.device, dtype):
                loss, count = objective(model, _full_batch(inputs, targets, micro_batch_size, world.device))
            sums[row] = torch.stack([loss, count])
    finally:
        model.train()
    own_sums = torch.cat([sums.cpu().double().sum(dim=0), torch.tensor([n_bytes, damage != ""])])
    total_nats, total_tokens, total_bytes, n_damaged = world.sum(own_sums).tolist()
    if n_damaged:
        raise CorruptShard(damage or "another process found a corrupt shard, see its error line")
    if not total_tokens:
        found = f"eval_windows={len(starts)}: none of these validation sequences has a token to score"
        raise UserError(found, "use more, or a larger --block_size")
    per_byte = total_nats / math.log(2) / total_bytes if total_bytes else math.nan
    return Losses(
        total_nats / total_tokens, per_byte, int(total_tokens), int(total_bytes), time.perf_counter() - began
    )


def _full_batch(inputs: np.ndarray, targets: np.ndarray, size: int, device: torch.device) -> Batch:
    """Pad a last, smaller batch with sequences that are not scored: one shape, so nothing is compiled again."""
    padding = ((0, size - len(inputs)), (0, 0))
    full = (
        torch.from_numpy(np.pad(inputs, padding)),
        torch.from_numpy(np.pad(targets, padding, constant_values=IGNORED)),
    )
    return hardware.to_device(full[0], device), hardware.to_device(full[1], device)
