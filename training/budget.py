"""max_minutes: a new run's steps, fixed once by the time that some of them take, so that its schedule ends in time."""

import math
import time
from bisect import bisect_right
from dataclasses import asdict, replace
from typing import NamedTuple

import torch

from evaluation.losses import Objective
from system.errors import say
from system.progress import announced, duration
from system.world import World
from training.config import TrainConfig
from training.learner import Learner
from training.measure import MOST_STEPS, WARM_UP_STEPS, time_evaluation, time_steps
from training.micro_batch import memory_for
from training.run import Run
from training.same_run import recorded_identity

TIMING_SHARE, MOST_TIMING_SECONDS = 0.05, 60.0  # of the time, for timing steps
MARGIN = 0.03  # share of the time held back, in case steps get slower
CLOSING_SECONDS = 2.0  # for drawing the losses
SAVED_BYTES_PER_SECOND = 200e6  # written, flushed and hashed
FEWEST_STEPS = 10  # that a run has, however little its time
WARM_UP_SHARE = 0.1  # of the steps, at most, for warm-up, unless the config gives it more


class Costs(NamedTuple):
    """How long the parts of a run take, in seconds."""

    step: float
    evaluation: float
    save: float


def within_minutes(run: Run, learner: Learner, world: World, objective: Objective, began: float) -> Run:
    """Return a new run with the steps that fit in its max_minutes, counted from `began` on; any other run as it is.

    All processes call this, and the main one decides. What was requested is kept in `about`, so that the same command
    resumes the run.
    """
    if not run.is_timed:
        return run
    can_shard = learner.parallel == "ddp"
    memory = memory_for(world.device, learner.micro_batch_size, learner.share, can_shard)
    with announced("timing some steps for max_minutes", world.is_main), memory:
        costs = measured_costs(run, learner, world, objective)
    return with_fitting_steps(run, costs, world, time.monotonic() - began)


def timing_seconds(run: Run, costs: Costs) -> float:
    """Return how long timing steps for max_minutes takes, if they take this long."""
    most = min(TIMING_SHARE * 60 * run.config.max_minutes, MOST_TIMING_SECONDS)
    return min(most, (WARM_UP_STEPS + MOST_STEPS) * costs.step)


def with_fitting_steps(run: Run, costs: Costs, world: World, spent: float) -> Run:
    """Return the run with the steps that fit in its max_minutes, of which `spent` seconds have passed, and say so."""
    config = run.config
    left = (1 - MARGIN) * 60 * config.max_minutes - CLOSING_SECONDS - spent
    own = last_step(run, costs, left) if world.is_main else 0
    fixed = with_steps(config, int(world.sum(torch.tensor(own))))
    if world.is_main:
        total = spent + seconds_of(run, costs, fixed.max_steps) + CLOSING_SECONDS
        say(f"time    {description(config, fixed, costs, total)}")
    about = {
        "config": asdict(fixed),
        "identity": {**run.about["identity"], **recorded_identity(fixed)},
        "requested": {"max_steps": config.max_steps, "warmup_steps": config.optimizer.warmup_steps},
    }
    return replace(run, config=fixed, about=run.about | about)


def measured_costs(run: Run, learner: Learner, world: World, objective: Objective) -> Costs:
    """Time steps for a small part of max_minutes, and return the costs."""
    seconds = min(TIMING_SHARE * 60 * run.config.max_minutes, MOST_TIMING_SECONDS)
    return costs_of(
        run, learner, world, objective, time_steps(run, learner, world, objective, seconds=seconds)
    )


def costs_of(run: Run, learner: Learner, world: World, objective: Objective, steps: list[float]) -> Costs:
    """Return the costs with steps of these seconds: an evaluation's forward pass is timed, a checkpoint is estimated by size."""
    evaluation = time_evaluation(run, learner, world, objective)
    n_bytes = 3 * 4 * learner.model.n_params()  # weights and at most two moments, in float32
    return Costs(sum(steps) / len(steps), evaluation, n_bytes / SAVED_BYTES_PER_SECOND)


def last_step(run: Run, costs: Costs, seconds: float) -> int:
    """Return the last step, at most max_steps, that is done after `seconds`, but at least `FEWEST_STEPS` from here."""
    first, max_steps = run.progress.step, run.config.max_steps
    steps = range(first + 1, max_steps + 1)
    n_fitting = bisect_right(steps, seconds, key=lambda step: seconds_of(run, costs, step))
    return first + max(n_fitting, min(FEWEST_STEPS, len(steps)))


def n_due(run: Run, last: int) -> tuple[int, int]:
    """Return how many evaluations and how many checkpoints fall due until step `last`, which gets both."""
    first, saves, evaluations = run.progress.step, run.config.checkpoint_interval, run.config.eval_interval

    def multiples(interval: int) -> int:
        return last // interval - first // interval

    is_between = last % saves > 0  # the end is evaluated and saved too
    n_saves = multiples(saves) + is_between
    n_evaluations = multiples(saves) + multiples(evaluations) - multiples(math.lcm(saves, evaluations))
    return n_evaluations + (is_between and last % evaluations > 0) + run.starts_trained, n_saves


def seconds_of(run: Run, costs: Costs, last: int) -> float:
    """Return how long training takes until step `last` is evaluated and saved, with all that falls due before."""
    n_evaluations, n_saves = n_due(run, last)
    seconds = (
        (last - run.progress.step) * costs.step + n_evaluations * costs.evaluation + n_saves * costs.save
    )
    return seconds + n_by_minutes(run, costs, last) * costs.save


def n_by_minutes(run: Run, costs: Costs, last: int) -> int:
    """Return about how many checkpoints fall due by checkpoint_minutes until step `last`."""
    if not run.config.checkpoint_minutes:
        return 0
    n_evaluations, n_saves = n_due(run, last)
    seconds = (
        (last - run.progress.step) * costs.step + n_evaluations * costs.evaluation + n_saves * costs.save
    )
    return int(seconds // (60 * run.config.checkpoint_minutes))


def with_steps(config: TrainConfig, max_steps: int) -> TrainConfig:
    """Return the config with another end, and with no more warm-up than a tenth of its steps or the share that it had."""
    warmup_steps = config.optimizer.warmup_steps
    share = max(WARM_UP_SHARE, warmup_steps / config.max_steps)
    optimizer = replace(config.optimizer, warmup_steps=min(warmup_steps, round(share * max_steps)))
    return replace(config, max_steps=max_steps, optimizer=optimizer)


def description(config: TrainConfig, fixed: TrainConfig, costs: Costs, total: float) -> str:
    """Return what was decided and why, for the log; `total` are the seconds from the command's start to its end."""
    warmup_steps = fixed.optimizer.warmup_steps
    shorter = f", {warmup_steps} of them warm-up" if warmup_steps != config.optimizer.warmup_steps else ""
    return (
        f"max_minutes={config.max_minutes:g}: {fixed.max_steps} of {config.max_steps} steps{shorter}, about"
        f" {duration(total)}: {costs.step:.3g} s a step, {costs.evaluation:.2g} s an evaluation,"
        f" {costs.save:.2g} s a checkpoint"
    )
