"""`--plan`: what a run is and will cost, from its settings, its data and ten steps on this machine. Writes nothing."""

import contextlib
import math
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch

from corpus.tokenizer import TOKENIZER_FILE
from evaluation.losses import Objective, language_model_loss
from model import GPT
from system import hardware
from system.errors import UserError, say
from system.memory import device_memory, in_words, own_memory, peak_memory
from system.progress import announced, duration
from system.world import World, start_world
from training.budget import (
    CLOSING_SECONDS,
    Costs,
    costs_of,
    n_by_minutes,
    n_due,
    seconds_of,
    timing_seconds,
    with_fitting_steps,
)
from training.choices import choose_parallel, n_shards_of
from training.config import TrainConfig
from training.learner import Learner, build_learner, make_validation
from training.log import announce, header, size_of
from training.measure import WARM_UP_STEPS, time_steps
from training.micro_batch import has_own_memory, memory_for, no_memory, share_batch
from training.plot import PLOT, plot_losses
from training.run import Run, open_together
from training.step_memory import StepMemory, step_memory

PROBE_STEPS, MOST_PROBE_SECONDS = 10, 120.0
MOST_EPOCHS = 4  # Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", section 5
WARM_UP_PARTS = 10  # the warm-up to use instead of one that is too long: a tenth of the steps
PARTS = {  # of the network, by what occurs in their parameters' names
    "token embedding": ("wte.",),
    "positions": ("wpe.",),
    "attention": (".c_attn.", ".attn.c_proj."),
    "MLP": (".mlp.",),
    "norms": (".ln_", "_norm."),
    "output layer": ("lm_head.",),
}


class Probe(NamedTuple):
    """What some steps of the run took."""

    n_steps: int
    costs: Costs
    start_up: (
        float  # seconds from the command's start to the first step that counts, excluding the plan's own work
    )
    peak: int  # bytes that this process had in use at most


class Disk(NamedTuple):
    """The run's checkpoints, in bytes and numbers."""

    checkpoint: int
    n_kept: int  # at a time, at most
    n_there: int  # already
    free: int  # bytes, on the file system of the run's folder


def plan(config: TrainConfig, objective: Objective = language_model_loss) -> None:
    """Print what the run of `config` is and will cost until its end; all processes call this, and the main one prints.

    Reads the run's folder and neither locks nor changes it, so that another process may be training there. Raises
    UserError where training would, but for what is only tried when a run is written.
    """
    began = time.monotonic()
    world = start_world(config.device, config.timeout_minutes)
    with announced(f"reading {config.data_dir} and {config.out_dir}", world.is_main):
        run = open_together(config, world)
    announce(run, world)
    if run.progress.step == run.config.max_steps:
        return
    seconds_to_read = time.monotonic() - began
    with torch.device("meta"):
        model = GPT(run.config.model)
    parts = ", ".join(f"{part} {count:,}" for part, count in parameters_by_part(model).items())
    tell(world, size_of(model), f"parts   {parts}")
    memory, micro_batch_size = estimated_memory(run, world, objective)
    own, available = own_memory(world.device), device_memory(world.device)
    tell(world, *memory_lines(memory, micro_batch_size, own, available, world))
    warnings, closing = list[str](), list[str]()
    # A GPU says itself that its memory is full, and a compiled step may need less than this estimate.
    tries = has_own_memory(world.device) or not available or own + memory.peak <= available
    if world.smallest(int(tries)):
        began = time.monotonic() - seconds_to_read  # excluding the estimate above
        learner = build_learner(run, world)
        tell(world, *header(run, learner, world)[1:])
        probe = probed(run, learner, world, objective, began)
        tell(world, probe_line(run, learner, probe, world))
        run, n_saves, closing = finishing(run, probe, world)
    else:
        n_saves = n_due(run, run.config.max_steps)[1]
        warnings.append(too_large(memory, available - own, run, micro_batch_size, world))
        closing = ["finish  not known, as no step was timed"]
    n_shards = n_shards_of(choose_parallel(run, world), world)
    disk = disk_of(run, model, memory.optimizer * n_shards, n_saves)
    warnings += warnings_about(run, disk)
    tell(
        world,
        *data_lines(run, model),
        disk_line(run, disk),
        *closing,
        *(f"WARNING {text}" for text in warnings),
    )
    world.wait()  # the main process still prints


def tell(world: World, *lines: str) -> None:
    """Print lines in the main process."""
    for line in lines if world.is_main else ():
        say(line)


def parameters_by_part(model: GPT) -> dict[str, int]:
    """Return the parameters in each of the `PARTS` that the network has, without the vocabulary's padding."""
    counts = dict.fromkeys(PARTS, 0)
    for name, weights in model.weights().items():
        (part,) = (part for part, keys in PARTS.items() if any(key in name for key in keys))
        counts[part] += weights.numel()
    return {part: count for part, count in counts.items() if count}


def estimated_memory(run: Run, world: World, objective: Objective) -> tuple[StepMemory, int]:
    """Return the memory that a step will take, and its micro-batch: a single sequence where `auto` has yet to choose.

    Where attention=auto times the choices, which takes memory, or attention=flash compiles a kernel for masked documents, the
    estimate is of torch's own attention.
    """
    config, device = run.config, world.device
    hardware.be_deterministic(
        device
    )  # as training does: the compiler, which it imports, takes memory of the process
    dtype, _ = hardware.set_precision(config.precision, device)
    share, micro_batch_size = share_batch(config, world.size)
    if config.micro_batch_size == "auto" and has_own_memory(device):
        micro_batch_size = 1
    compiles = config.model.document_mask and config.attention == "flash"  # which tensors without data cannot
    attention = "sdpa" if config.attention == "auto" or compiles else config.attention
    with announced("estimating the memory of a step", world.is_main), memory_for(device):
        accumulates = micro_batch_size < share
        n_shards = n_shards_of(choose_parallel(run, world), world)
        found = step_memory(
            config, objective, world, dtype, attention, micro_batch_size, accumulates, n_shards
        )
    return found, micro_batch_size


def too_large(memory: StepMemory, available: int, run: Run, micro_batch_size: int, world: World) -> str:
    """Return the warning that a step does not fit in memory."""
    fixed = memory.weights + memory.gradients + memory.optimizer
    if fixed < available:
        share, _ = share_batch(run.config, world.size)
        can_shard = choose_parallel(run, world) == "ddp"
        return str(no_memory(world.device, micro_batch_size, share, can_shard))
    need = (
        f"weights, gradients and optimizer need {in_words(fixed)}, {world.device} has {in_words(available)}"
    )
    fixes = ["--parallel=fsdp"] * (choose_parallel(run, world) == "ddp") + ["a smaller network"]
    return f"{need}: use {' or '.join(fixes)}"


def probed(run: Run, learner: Learner, world: World, objective: Objective, began: float) -> Probe:
    """Do some steps of the run and an evaluation, and leave the weights trained. The start-up counts from `began`."""
    doing = f"{'compiling and ' if learner.is_compiled else ''}timing {PROBE_STEPS} steps"
    with announced(doing, world.is_main), memory_for(world.device, learner.micro_batch_size, learner.share):
        steps = time_steps(run, learner, world, objective, PROBE_STEPS, MOST_PROBE_SECONDS, restore=False)
        seconds = time.monotonic() - began
        costs = costs_of(run, learner, world, objective, steps)
        if world.smallest(int(costs.evaluation < MOST_PROBE_SECONDS)):
            # A real one, as it may take more memory than a step.
            validate = make_validation(run, learner, world, objective, _corrupt)
            costs = costs._replace(evaluation=validate().seconds)
    if world.is_main and not has_own_memory(world.device):
        # As training does at its end, because matplotlib takes memory too. A picture must not end a plan either.
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Exception):
            plot_losses(Path(folder), Path(folder) / PLOT)
    start_up = max(0.0, seconds - (len(steps) + WARM_UP_STEPS) * costs.step)
    return Probe(len(steps), costs, start_up, peak_memory(world.device))


def _corrupt(damage: str) -> NoReturn:
    raise UserError(damage)


def memory_lines(
    memory: StepMemory, micro_batch_size: int, own: int, available: int, world: World
) -> list[str]:
    """Return the lines about a step's memory: its parts, all at a time, and what there is."""
    parts = zip(("weights", "gradients", "optimizer", "activations"), memory, strict=False)
    listed = ", ".join(f"{part} {in_words(n_bytes)}" for part, n_bytes in parts)
    beside = (
        f", plus {in_words(own)} for Python and torch" if own and not has_own_memory(world.device) else ""
    )
    there = f"; {in_words(available)} available on {world.device}" if available else ""
    return [
        f"memory  {listed} (micro-batch {micro_batch_size})",
        f"peak    {in_words(memory.peak)} of tensors in each process{beside}{there}",
    ]


def probe_line(run: Run, learner: Learner, probe: Probe, world: World) -> str:
    """Return the line about what was measured."""
    tokens = tokens_per_step(run) / probe.costs.step
    peak = hardware.peak_flops(world.device, learner.dtype)
    flops = learner.model.flops_per_token(round(tokens_per_step(run) / run.config.sequences_per_step))
    mfu = f", MFU {tokens * flops / (peak * world.size):.1%}" if peak else ""
    whose = "tensors took" if has_own_memory(world.device) else "the process took"
    return (
        f"probe   {probe.n_steps} steps: {probe.costs.step:.3g} s a step, {tokens:,.0f} tokens/s{mfu};"
        f" {probe.costs.evaluation:.2g} s an evaluation; {whose} at most {in_words(probe.peak)}"
    )


def finishing(run: Run, probe: Probe, world: World) -> tuple[Run, int, list[str]]:
    """Return the run with the steps that max_minutes allows, its checkpoints, and the lines about time and price to its end."""
    start_up = probe.start_up
    if run.is_timed:
        start_up += timing_seconds(run, probe.costs)
        run = with_fitting_steps(run, probe.costs, world, start_up)
    config, n_steps = run.config, run.config.max_steps - run.progress.step
    n_evaluations, n_saves = n_due(run, config.max_steps)
    n_saves += n_by_minutes(run, probe.costs, config.max_steps)
    seconds = start_up + seconds_of(run, probe.costs, config.max_steps) + CLOSING_SECONDS
    lines = [
        f"finish  in {duration(seconds)}: {n_steps:,} steps in {duration(n_steps * probe.costs.step)},"
        f" {n_evaluations:,} evaluation{'s' * (n_evaluations != 1)}, {n_saves:,} checkpoint{'s' * (n_saves != 1)}"
    ]
    if config.price_per_hour:
        cost = seconds / 3600 * config.price_per_hour
        lines.append(
            f"cost    {cost:,.2f} until then, at {config.price_per_hour:g} an hour for all machines together"
        )
    return run, n_saves, lines


def tokens_per_step(run: Run) -> float:
    """Return the tokens of a step; an average, as pairs differ in length."""
    return run.config.sequences_per_step * run.data.train.tokens_per_sequence(run.config.model.block_size)


def epochs(run: Run, n_steps: int) -> float:
    """Return how many times so many steps read the training data."""
    return n_steps * run.config.sequences_per_step / run.data.train.n_sequences(run.config.model.block_size)


def data_lines(run: Run, model: GPT) -> list[str]:
    """Return the lines about tokens and operations: of the whole run, and of what is left of a run that has begun."""
    config, tokens = run.config, tokens_per_step(run)
    flops = model.flops_per_token(round(tokens / config.sequences_per_step))
    left = config.max_steps - run.progress.step

    def read(n_steps: int) -> str:
        return f"{n_steps:,} steps = {n_steps * tokens:,.0f} tokens, {epochs(run, n_steps):.3g} epochs"

    rest = f"; left: {read(left)}" if run.progress.step else ""
    return [
        f"tokens  {tokens:,.0f} a step x {read(config.max_steps)}{rest}",
        f"flops   {flops / 1e6:,.1f} million a token, {flops * tokens * left:.3g} to finish",
    ]


def disk_of(run: Run, model: GPT, optimizer: int, n_saves: int) -> Disk:
    """Return what the run's checkpoints take: the newest ones, the best, the one resumed from and one being written.

    `optimizer` is the size of its state, in bytes.
    """
    config = run.config
    weights = sum(values.numel() * values.element_size() for values in model.weights().values())
    tokenizer = (Path(config.data_dir) / TOKENIZER_FILE).stat().st_size
    there = len([*run.out_dir.glob("step_*")]) if run.out_dir.is_dir() else 0
    n_kept = there + n_saves
    if config.keep_checkpoints:
        n_kept = max(there, min(config.keep_checkpoints + 2 + run.resumes, n_kept))
    place = next(folder for folder in (run.out_dir, *run.out_dir.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Disk(weights + optimizer + tokenizer, n_kept, there, free)


def disk_line(run: Run, disk: Disk) -> str:
    """Return the line about the checkpoints."""
    return (
        f"disk    {in_words(disk.checkpoint)} a checkpoint, at most {disk.n_kept:,} at a time ="
        f" {in_words(disk.n_kept * disk.checkpoint)}; {in_words(disk.free)} free in {run.out_dir}"
    )


def warnings_about(run: Run, disk: Disk) -> list[str]:
    """Return what is likely to be a mistake, each with a fix."""
    config, found = run.config, list[str]()
    warmup_steps, max_steps = config.optimizer.warmup_steps, config.max_steps
    if warmup_steps >= max_steps:
        fix = f"use --warmup_steps={max_steps // WARM_UP_PARTS}"
        found.append(
            f"warmup_steps={warmup_steps}: the run ends at step {max_steps}, before its warm-up does: {fix}"
        )
    n_epochs, most = epochs(run, max_steps), math.floor(MOST_EPOCHS * max_steps / epochs(run, max_steps))
    if n_epochs > MOST_EPOCHS:
        fix = f"prepare more text{f', or use --max_steps={most}' if most else ''}"
        source = f"beyond {MOST_EPOCHS} epochs less and less is learned (Muennighoff et al. 2023)"
        found.append(
            f"max_steps={max_steps}: reads the training data {n_epochs:.3g} times, and {source}: {fix}"
        )
    new = (disk.n_kept - disk.n_there) * disk.checkpoint
    if new > disk.free:
        fix = "make room, lower --keep_checkpoints or choose another --out_dir"
        found.append(
            f"out_dir={config.out_dir}: checkpoints need {in_words(new)}, {in_words(disk.free)} are free: {fix}"
        )
    return found
