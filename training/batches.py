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
    _, starts_of_share = own_sequences(run, learner, progress.sequences, world)
    begin = progress.sequences + world.rank * learner.share
    end = begin + learner.share
    for first, starts in zip(range(begin, end, learner.micro_batch_size), starts_of_share, strict=True):
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


def own_sequences(run: Run, learner: Learner, first: int, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Return this process's sequences of the step whose first one is number `first`: their numbers and their starts.

    Both are int64 (accumulation, micro_batch_size). Pairs of like length share a micro-batch, at the same time in all
    processes: a pair is padded to the longest beside it. The step is a sum over all of them, so its result is the same.
    """
    config, data = run.config, run.data.train
    count, size = config.sequences_per_step, learner.micro_batch_size
    starts = data.training_starts(config.model.block_size, config.seed, first, count)
    if data.manifest.has_pairs:
        own = data.in_order_of_length(starts).reshape(-1, world.size, size)[:, world.rank]
    else:
        own = np.arange(count).reshape(world.size, -1, size)[world.rank]
    return first + own, starts[own]
