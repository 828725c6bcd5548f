"""The micro-batches of a step: this process's sequences, on its device."""

import random
from collections.abc import Iterator

import numpy as np
import torch

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from corpus.dataset import batch
from evaluation.losses import Batch
from system.errors import UserError
from system.world import World
from training.learner import Learner
from training.run import Run
from training.shard_check import corrupt_data


def micro_batches(
    run: Run, learner: Learner, progress: Progress, world: World
) -> Iterator[tuple[Batch, bool]]:
    """Yield the inputs and targets, (B, T) int64 each, of this process's share of the next step, and whether they are the last.

    Dropout is seeded before each by the run's seed and the micro-batch's place in the run, so it has no state to save.
    Raises UserError if a shard is corrupt, after setting aside what may have learned from it.
    """
    config, T = run.config, run.config.model.block_size
    begin = progress.sequences + world.rank * learner.share
    end = begin + learner.share
    for first in range(begin, end, learner.micro_batch_size):
        starts = run.data.train.training_starts(T, config.seed, first, learner.micro_batch_size)
        inputs, targets = (to_device(torch.from_numpy(part), world.device) for part in load(run, starts))
        if config.model.dropout:
            torch.manual_seed(random.Random(f"dropout {config.seed} {first}").getrandbits(63))
        yield (inputs, targets), first + learner.micro_batch_size == end


def load(run: Run, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and targets (B, T) at these token positions of the training split."""
    try:
        return batch(run.data.train, starts, run.config.model.block_size)
    except UserError as error:  # a token that the tokenizer does not have
        checkpoint.set_aside(run.out_dir, run.checkpoint if run.resumes else None)
        raise corrupt_data(str(error).rpartition(": ")[0], run.config.data_dir) from None


def to_device(tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Send tokens to the device without waiting for it."""
    if device.type == "cuda":
        return tokens.pin_memory().to(device, non_blocking=True)
    return tokens.to(device)
