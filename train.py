"""Train a GPT: `[torchrun ...] train.py [configs/x.py] [--key=value ...]`, from a config to checkpoints.

Rerun the same command to resume. `train` is the whole loop; what a long run needs beside it lives in training/.
"""

import faulthandler
import importlib
import os
import sys
import time
from pathlib import Path

from system.command_line import read_command
from system.progress import announced
from training.config import TrainConfig, parse_train_config

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(parse_train_config, __doc__ or "")
    with announced("loading torch", active=os.environ.get("RANK", "0") == "0"):
        importlib.import_module("torch")

import torch
from torch import Tensor

from checkpointing.checkpoint import Progress
from evaluation.losses import Objective, language_model_loss
from system.errors import run_command
from system.hardware import autocast
from system.parallel import clear_gradients, sync_gradients
from system.signals import Signals, ignore_signals
from system.world import World, start_world
from training.autopsy import stop_at, write_skipped_batch
from training.batches import micro_batches
from training.budget import within_minutes
from training.guard import Guard
from training.learner import Learner, build_learner, make_validation
from training.log import announce, open_log
from training.micro_batch import memory_for
from training.optim import clip_gradients, gradient_norm, learning_rate, set_learning_rate, update
from training.overwrite import overwrite
from training.requests import Requests
from training.run import Run, only_trainer, open_together
from training.saving import save_checkpoint
from training.shard_check import ShardCheck
from training.watchdog import Watchdog


def train(config: TrainConfig, objective: Objective = language_model_loss) -> Progress:
    """Train the run that `config` describes until its end or a signal, and return its progress.

    A step minimizes the sum of `objective` over all micro-batches and processes, divided by the sum of its counts. The
    result does not depend on how many of either there are. No line of a step waits for the device.
    Raises UserError if the config, the data or the run's folder do not fit together.
    """
    if config.overwrite:
        overwrite(config)
    began = time.monotonic()
    world = start_world(config.device, config.timeout_minutes)
    lock = only_trainer(Path(config.out_dir), world.is_main)  # from before the run is read until its end
    with Signals() as signals, Watchdog(world, config.timeout_minutes) as watchdog, lock:
        with announced(f"reading {config.data_dir} and {config.out_dir}", world.is_main):
            run = open_together(config, world)
        announce(run, world)
        if run.progress.step == run.config.max_steps:
            return run.progress

        learner = build_learner(run, world)
        run = within_minutes(run, learner, world, objective, began)  # with max_minutes, fewer steps
        config, progress = run.config, run.progress
        batch, vocabulary = config.sequences_per_step, config.model.vocab_size
        guard = Guard(world.device, config.on_nonfinite, batch, progress, vocabulary)
        requests = Requests(run, world, signals)
        validate = make_validation(run, learner, world, objective, requests.reject_data)
        watchdog.observe(lambda: (progress.step, (progress, requests.n_check_waits)), requests.lost_contact)
        fits = memory_for(world.device, learner.micro_batch_size, learner.share, learner.parallel == "ddp")
        with fits, open_log(run, learner, world) as log:
            while True:
                due = requests.due(progress.step)
                for verdict in guard.verdicts(late=0 if due.pauses else 1):  # the newest step still runs
                    if verdict.ends:
                        raise stop_at(verdict, run, learner, progress, guard, log, validate, world)
                    log.stepped(verdict)
                    if verdict.skipped:
                        log.say(write_skipped_batch(verdict, run, learner, guard, world))
                if due.evaluate:
                    losses = guard.checked(validate(), progress.step)
                    progress = progress.evaluated(losses.nats_per_token, losses.bits_per_byte)
                    log.evaluated(progress, losses)
                if due.save:
                    save_checkpoint(run, learner, progress, guard, log, must_succeed=due.stop)
                    requests.tried_to_save()
                if due.pauses:
                    log.restart_clock(progress.step)
                if due.stop:
                    break

                rate = learning_rate(progress.step, config.max_steps, config.optimizer)
                set_learning_rate(learner.optimizer, rate)
                own = accumulate_gradients(run, learner, progress, world, objective, requests.check)
                loss, count, norm = world.sum(own).unbind()
                count = count + (count == 0)  # nothing scored: the loss is 0
                clip_gradients(learner.model, config.optimizer.grad_clip, norm / count, count / world.size)
                skip = guard.judge(progress, loss / count, own[0] / count, norm / count)
                update(learner.optimizer, skip)
                clear_gradients(learner.network)
                progress = progress.stepped(config.sequences_per_step)
            requests.finish(progress.step, log.say)
            log.finish(run, progress, requests.stopped_by)
    return progress


def accumulate_gradients(
    run: Run, learner: Learner, progress: Progress, world: World, objective: Objective, check: ShardCheck
) -> Tensor:
    """Add up the gradients of the next step, micro-batch by micro-batch; return this process's loss, count and norm (3,).

    The processes average their gradients once, after the last micro-batch. Each then computes the norm of the average.
    They use the mean of these norms, so that all clip alike, and all skip a step in which a single one is not finite.
    """
    sums = torch.zeros(2, device=world.device)
    for batch, is_last in micro_batches(run, learner, progress, world, check):
        with sync_gradients(learner.network, is_last):
            with autocast(world.device, learner.dtype):
                loss, count = objective(learner.network, batch)
            loss.backward()
        sums += torch.stack([loss.detach(), count])
    return torch.cat([sums, gradient_norm(learner.model)[None]])


def main(config: TrainConfig | None = None) -> None:
    # Prints where a process was when a fault ends it, for example when a shard is truncated while it is read.
    faulthandler.enable(2)
    config = config or parse_train_config(sys.argv[1:], __doc__ or "")
    if config.plan:
        from training.plan import plan  # loads parts of torch that training does not need

        plan(config)
    else:
        train(config)
    ignore_signals()


if __name__ == "__main__":
    # Exit at once: at a normal exit Weights & Biases waits without limit, and a tensor still held by a thread of gloo's
    # aborts the process.
    run_command(lambda: main(CONFIG), os._exit, resumes=not CONFIG.plan)
