"""Saving a step as a checkpoint, so that a full disk loses the checkpoint and not the run."""

import time
from dataclasses import replace
from pathlib import Path

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from system.errors import UserError
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
    is_last: bool = False,
    protected: Path | None = None,
    keep: int | None = None,
) -> None:
    """Save the step that `progress` stands at; only the main process, whose log is active, does.

    The `protected` checkpoint is kept as well; `keep` overrides keep_checkpoints. Raises UserError if the disk does not
    take the checkpoint and it `is_last`.
    """
    if not log.active:
        return
    try:
        log.flush()  # a checkpoint must not be ahead of its metrics
        began = time.perf_counter()
        folder = checkpoint.save(
            run.out_dir,
            learner.model,
            learner.optimizer,
            run.data.tokenizer,
            replace(progress, guard=guard.state(), recorded=log.newest),
            run.about,
            run.config.keep_checkpoints if keep is None else keep,
            protected,
        )
    except UserError as error:
        if is_last:
            raise
        reason = str(error).rpartition(": ")[0]
        log.say(f"NOT SAVED: {reason}; training continues and saves at the next checkpoint")
    else:
        log.say(f"saved {folder} in {time.perf_counter() - began:.1f} s")
