"""The learner: the model, wrapped for several processes, its optimizer, and how they compute on this device."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import nn

from checkpointing import checkpoint
from corpus.dataset import CorruptShard
from evaluation.losses import Losses, Objective, evaluate
from model import GPT, Attention
from system import hardware
from system.parallel import replicate
from system.world import SideChannel, World
from training.choices import SHARDED, choose_attention, choose_compile, choose_parallel, n_shards_of
from training.micro_batch import choose_micro_batch_size, has_own_memory, memory_for, share_batch
from training.optim import make_optimizer
from training.run import Run
from training.sharding import build_sharded, compile_layers
from training.task_scores import TaskScores, open_tasks


@dataclass(frozen=True)
class Learner:
    """A model in training."""

    model: GPT  # with clean parameter names, compiled in place
    network: nn.Module  # the model, or DDP around it: call this one in a step
    parallel: str  # how it is spread over the processes: ddp, fsdp, hsdp; "" for one process alone
    optimizer: torch.optim.Optimizer
    dtype: torch.dtype  # of matrix multiplications, under autocast
    share: int  # sequences of this process in each step
    micro_batch_size: int  # sequences in each forward pass
    is_compiled: bool
    precision: str  # of matrix multiplications, as the setting
    attention: Attention  # how it is computed
    description: str  # precision, compile and attention, with reasons, for the log
    micro_batch_reason: str  # why this micro-batch size, if it was chosen automatically
    tasks: TaskScores  # of eval_tasks
    save_channel: SideChannel | None  # of processes that save their shards


def build_learner(run: Run, world: World) -> Learner:
    """Build the model and the optimizer: new, from the checkpoint to resume, or from the model of `init_from`."""
    config, device = run.config, world.device
    hardware.be_deterministic(device)
    dtype, dtype_reason = hardware.set_precision(config.precision, device)
    share, micro_batch_size = share_batch(config, world.size)
    tasks = open_tasks(run, world)
    parallel = choose_parallel(run, world)
    hardware.keep_freed_memory(device, keep=parallel not in SHARDED)
    with memory_for(device, can_shard=parallel == "ddp"):
        attention = choose_attention(run, world, dtype, micro_batch_size)
        model = build_model(run, world, parallel, attention, dtype)
        optimizer = make_optimizer(model, config.optimizer, dtype)
        if run.checkpoint:
            checkpoint.load_optimizer(run.checkpoint, model, optimizer)
        is_compiled, obstacle = choose_compile(run, model, world, dtype)
        if is_compiled and parallel in SHARDED:
            compile_layers(model)
        elif is_compiled:
            model.compile()  # in place: parameters keep their names
        micro_batch_reason = ""
        if config.micro_batch_size == "auto" and parallel in SHARDED and has_own_memory(device):
            from training.step_memory import (
                estimated_micro_batch_size,
            )  # loads parts of torch that few runs need

            micro_batch_size, micro_batch_reason = estimated_micro_batch_size(
                config, world, dtype, attention, share, n_shards_of(parallel, world)
            )
        elif config.micro_batch_size == "auto":
            micro_batch_size, micro_batch_reason = choose_micro_batch_size(
                model, optimizer, share, world, dtype
            )
        network = replicate(model, world) if parallel == "ddp" else model
    precision = "tf32" if config.precision == "tf32" else str(dtype).removeprefix("torch.")
    how = "compiled" if is_compiled else f"eager ({obstacle})"
    description = f"{precision} ({dtype_reason}), {how}, attention {attention}"
    return Learner(
        model,
        network,
        parallel,
        optimizer,
        dtype,
        share,
        micro_batch_size,
        is_compiled,
        precision,
        attention,
        description,
        micro_batch_reason,
        tasks,
        world.side_channel() if parallel in SHARDED else None,
    )


def build_model(run: Run, world: World, parallel: str, attention: Attention, dtype: torch.dtype) -> GPT:
    """Return the run's model, whole or sharded: new, or with the weights of its checkpoint or origin."""
    config = run.config
    torch.manual_seed(config.seed)
    if parallel in SHARDED:
        draws = run.checkpoint is None and run.origin is None
        model = build_sharded(config.model, attention, world, parallel == "hsdp", dtype, draws)
    else:
        model = GPT(config.model, attention).to(world.device)
    model.recompute_activations(config.activation_checkpointing == "block")
    if run.checkpoint:
        checkpoint.load_weights(run.checkpoint, model)
    elif run.origin:
        run.origin.load_weights(model)
    return model


def make_validation(
    run: Run, learner: Learner, world: World, objective: Objective, reject_data: Callable[[str], NoReturn]
) -> Callable[[], Losses]:
    """Return the function that evaluates the model on the run's validation windows and tasks, with all processes.

    If it finds a corrupt shard, it calls `reject_data` with the damage, in all of them.
    """
    data, config = run.data, run.config
    starts = data.val.validation_starts(config.model.block_size, config.eval_windows or None)
    token_bytes, micro_batch_size = data.tokenizer.token_byte_lengths(), learner.micro_batch_size
    how = (starts, micro_batch_size, token_bytes, world, learner.dtype, objective, learner.is_compiled)

    def validate() -> Losses:
        began = time.perf_counter()
        try:
            losses = evaluate(learner.model, data.val, *how)
        except CorruptShard as error:
            reject_data(error.problem)
        shares = learner.tasks.of(learner.model, world, learner.dtype)
        return replace(losses, tasks=shares, seconds=time.perf_counter() - began)

    return validate
