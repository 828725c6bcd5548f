"""The micro-batches of a step: this process's sequences, on its device."""

import random
from collections.abc import Iterator

import numpy as np
import torch

from checkpointing.checkpoint import Progress
from corpus.dataset import CorruptShard, batch
from evaluation.losses import Batch
from model import IGNORED
from system.hardware import to_device
from system.world import World
from training.learner import Learner
from training.run import Run
from training.shard_check import ShardCheck


def micro_batches(
    run: Run, learner: Learner, progress: Progress, world: World, check: ShardCheck
) -> Iterator[tuple[Batch, bool]]:
    """Yield this process's micro-batches of the next step, (B, T) int64 each (pairs: shorter), and whether each is the step's last.

    Dropout is seeded before each by the run's seed and the micro-batch's place in the run, so it has no state to save.
    A corrupt shard is reported to `check`, which stops the run in all processes; its batch is not scored.
    """
    config, T = run.config, run.config.model.block_size
    begin = progress.sequences + world.rank * learner.share
    end = begin + learner.share
    for first in range(begin, end, learner.micro_batch_size):
        starts = run.data.train.training_starts(T, config.seed, first, learner.micro_batch_size)
        try:
            # Compiled code is for one shape: another one would be compiled again, and round differently.
            inputs, targets = batch(run.data.train, starts, T, cut=not learner.is_compiled)
        except CorruptShard as error:
            check.report(error.problem)
            inputs = np.zeros((len(starts), T), dtype=np.int64)
            targets = np.full_like(inputs, IGNORED)
        if config.model.dropout:
            torch.manual_seed(random.Random(f"dropout {config.seed} {first}").getrandbits(63))
        tokens = (to_device(torch.from_numpy(part), world.device) for part in (inputs, targets))
        yield (next(tokens), next(tokens)), first + learner.micro_batch_size == end
