"""Saving a step as a checkpoint, so that a full disk loses the checkpoint and not the run."""

import time
from dataclasses import replace

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from system.errors import UserError
from system.progress import announced
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
    """Save the step that `progress` stands at. Does nothing in other processes than the main one.

    `keep` overrides keep_checkpoints. Raises UserError on a full disk if it `must_succeed`, else logs it.
    """
    if not log.active:
        return
    try:
        log.flush()  # a checkpoint must not be ahead of its metrics
        began = time.perf_counter()
        with announced(f"saving step {progress.step}"):
            folder = checkpoint.save(
                run.out_dir,
                learner.model,
                learner.optimizer,
                run.data.tokenizer,
                replace(progress, guard=guard.state(), recorded=log.newest),
                run.about,
                run.config.keep_checkpoints if keep is None else keep,
                run.fallback,
            )
    except UserError as error:
        if must_succeed:
            raise
        log.say(f"NOT SAVED: {error.problem}; only this checkpoint is lost")
    else:
        log.say(f"saved {folder} in {time.perf_counter() - began:.1f} s")
