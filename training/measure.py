"""Measuring on this machine: how long a run's steps and evaluations take, without training on them."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from checkpointing.checkpoint import Progress
from evaluation.losses import Objective
from system.hardware import autocast, wait_for
from system.parallel import clear_gradients, own, sync_gradients
from system.world import World
from training.batches import micro_batches
from training.learner import Learner
from training.optim import clip_gradients, gradient_norm, update
from training.run import Run
from training.shard_check import ShardCheck

WARM_UP_STEPS = 2  # not counted: they compile, allocate memory and lay out DDP's buckets
FEWEST_STEPS, MOST_STEPS = 3, 18  # to count, however long they take


def time_steps(
    run: Run,
    learner: Learner,
    world: World,
    objective: Objective,
    n_steps: int = MOST_STEPS,
    seconds: float = math.inf,
    restore: bool = True,
) -> list[float]:
    """Time up to `n_steps` training steps, and return the seconds of each; all processes call this.

    They do what train.py does, update included, with the sequences that the run comes to next. Weights, optimizer state
    and random numbers are afterwards as they were; without `restore`, weights and state are trained, and no copies of
    them take memory. The first `WARM_UP_STEPS` are not counted. Stops after `seconds` in all, by the main process's
    clock, but not before `FEWEST_STEPS` are counted.
    """
    progress, found, began = run.progress, list[float](), time.perf_counter()
    kept = left_as_it_was(learner) if restore else nullcontext()
    with kept, _own_random_numbers(world.device):
        while len(found) < WARM_UP_STEPS + n_steps:
            step_began = time.perf_counter()
            take_step(run, learner, progress, world, objective)
            wait_for(world.device)
            found.append(time.perf_counter() - step_began)
            progress = progress.stepped(run.config.sequences_per_step)
            enough = len(found) >= WARM_UP_STEPS + FEWEST_STEPS and time.perf_counter() - began > seconds
            if world.sum(torch.tensor(float(enough and world.is_main))):
                break
    return found[WARM_UP_STEPS:]


def take_step(run: Run, learner: Learner, progress: Progress, world: World, objective: Objective) -> None:
    """Do all the work of a step of train.py; nothing judges it, logs it or counts it."""
    sums = torch.zeros(2, device=world.device)
    for batch, is_last in micro_batches(run, learner, progress, world, _no_check(run)):
        with sync_gradients(learner.network, is_last):
            with autocast(world.device, learner.dtype):
                loss, count = objective(learner.network, batch)
            loss.backward()
        sums += torch.stack([loss.detach(), count])
    loss, count, norm = world.sum(torch.cat([sums, gradient_norm(learner.model)[None]])).unbind()
    count = count + (count == 0)
    clip_gradients(learner.model, run.config.optimizer.grad_clip, norm / count, count / world.size)
    update(learner.optimizer, skip=torch.zeros((), dtype=torch.bool, device=world.device))
    clear_gradients(learner.network)


def time_evaluation(run: Run, learner: Learner, world: World, objective: Objective) -> float:
    """Return about how many seconds an evaluation takes, by the tokens that it reads: one forward pass is timed, after one that may compile."""
    config = run.config
    n_windows = len(run.data.val.validation_starts(config.model.block_size, config.eval_windows or None))
    n_passes: float = math.ceil(math.ceil(n_windows / world.size) / learner.micro_batch_size)
    learner.model.eval()
    with _own_random_numbers(world.device), torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            batch, _ = next(micro_batches(run, learner, run.progress, world, _no_check(run)))
            with autocast(world.device, learner.dtype):
                objective(learner.model, batch)
            wait_for(world.device)
    learner.model.train()
    seconds = time.perf_counter() - began
    n_passes += learner.tasks.n_tokens / (world.size * batch[0].numel())
    return n_passes * seconds


@contextmanager
def left_as_it_was(learner: Learner) -> Iterator[None]:
    """Undo what the block does to the weights and the optimizer's state, of which the CPU's memory keeps copies."""
    parameters, state = [own(parameter) for parameter in learner.model.parameters()], learner.optimizer.state
    weights = [parameter.detach().to("cpu", copy=True) for parameter in parameters]
    before = {
        key: {name: own(x).to("cpu", copy=True) for name, x in entry.items()} for key, entry in state.items()
    }
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, values in zip(parameters, weights, strict=True):
                parameter.copy_(values)
            for key in list(state):
                if key not in before:
                    del state[key]
            for key, entry in before.items():
                for name, values in entry.items():
                    own(state[key][name]).copy_(values)


def _own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Give the block random numbers of its own: those outside do not change."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _no_check(run: Run) -> ShardCheck:
    """Return a check to which corrupt shards may be reported: the run meets them itself when it takes the step."""
    return ShardCheck(run.config.data_dir, run.data.train.manifest, active=False)
