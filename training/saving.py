"""Saving a step as a checkpoint, so that a full disk loses the checkpoint and not the run."""

import time
from contextlib import nullcontext
from dataclasses import replace

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from system.errors import UserError, say, signed
from system.progress import announced
from system.world import OthersFailed
from training.guard import Guard
from training.learner import Learner
from training.log import RunLog
from training.run import Run


def save_checkpoint(
    run: Run,
    learner: Learner,
    progress: Progress,
    guard: Guard,
    log: RunLog,
    must_succeed: bool = False,
    keep: int | None = None,
) -> None:
    """Save the step that `progress` stands at. If the model is sharded, each process writes its shard; else the main one all.

    `keep` overrides keep_checkpoints. Raises UserError on a full disk if it `must_succeed`, else logs it.
    """
    channel = learner.save_channel
    if not (log.active or channel):
        return
    try:
        with channel.all_or_none("save") if channel else nullcontext():
            log.flush()  # a checkpoint must not be ahead of its metrics
        began = time.perf_counter()
        with announced(f"saving step {progress.step}", log.active):
            folder = checkpoint.save(
                run.out_dir,
                learner.model,
                learner.optimizer,
                run.data.tokenizer,
                replace(progress, guard=guard.state(), recorded=log.newest),
                run.about,
                run.config.keep_checkpoints if keep is None else keep,
                run.fallback,
                channel,
            )
    except UserError as error:
        if must_succeed:
            raise
        line = f"NOT SAVED: {error.problem}; only this checkpoint is lost"
        if log.active or not isinstance(error, OthersFailed):
            say(line if log.active else signed(line))
    else:
        log.say(f"saved {folder} in {time.perf_counter() - began:.1f} s")
