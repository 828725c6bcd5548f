"""How a step's batch is divided: among the processes, and into micro-batches that fit in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from model import GPT
from system import hardware
from system.errors import UserError
from system.world import World
from training.config import TrainConfig
from training.optim import update

HEADROOM = 0.05  # of a GPU's memory: a run needs more than a probe, for fragments and libraries' buffers


def choose_micro_batch_size(
    model: GPT, optimizer: torch.optim.Optimizer, share: int, world: World, dtype: torch.dtype
) -> tuple[int, str]:
    """Return the largest divisor of `share` that fits in memory in all processes, and the reason; all of them call this.

    Without a GPU it is the whole share: a CPU swaps when memory runs out, which a probe would notice too late.
    Raises UserError if not even one sequence fits.
    """
    if not has_own_memory(world.device):
        return share, f"auto: all sequences of this process, as memory is not probed on {world.device.type}"
    with headroom_left(world.device):
        own = largest_that_fits(share, lambda size: probe(model, optimizer, size, world.device, dtype))
    size = world.smallest(own)
    if size == 0:
        raise no_memory(world.device, 1, share)
    return size, f"auto: the largest divisor of {share} that fits"


def largest_that_fits(share: int, attempt: Callable[[int], None]) -> int:
    """Return the largest divisor of `share` with which `attempt` does not run out of memory, 0 if there is none.

    Bisects the divisors: if one does not fit, no larger one does.
    """
    sizes = [0, *divisors(share)]
    fits, too_large = 0, len(sizes)
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        try:
            attempt(sizes[middle])
            fits = middle
        except torch.OutOfMemoryError:
            too_large = middle
    return sizes[fits]


def probe(
    model: GPT, optimizer: torch.optim.Optimizer, size: int, device: torch.device, dtype: torch.dtype
) -> None:
    """Do a forward and backward pass with all that a step holds in memory; may raise torch.OutOfMemoryError.

    That includes gradients of earlier micro-batches, the optimizer's state, and what its update needs besides. Eager, as
    compiling for each size takes minutes, and a compiled model needs no more memory. Leaves weights, gradients and state as
    they were.
    """
    torch.cuda.empty_cache()
    had_state = bool(optimizer.state)
    try:
        for weights in model.parameters():
            weights.grad = torch.zeros_like(weights)
        update(optimizer, skip=torch.ones((), dtype=torch.bool, device=device))  # allocates the state
        tokens = torch.zeros(size, model.config.block_size, dtype=torch.int64, device=device)
        with hardware.autocast(device, dtype):
            loss = model.forward(tokens, tokens)  # forward() itself is not compiled
        loss.backward()
    finally:
        optimizer.zero_grad(set_to_none=True)
        if not had_state:
            optimizer.state.clear()


def has_own_memory(device: torch.device) -> bool:
    """Return whether the device reports that it is out of memory, so that probing works."""
    return device.type == "cuda"


@contextmanager
def headroom_left(device: torch.device) -> Iterator[None]:
    """Let the block use all GPU memory that other programs leave, except `HEADROOM` of the whole."""
    free, total = torch.cuda.mem_get_info(device)
    available = (free + torch.cuda.memory_reserved(device)) / total
    torch.cuda.set_per_process_memory_fraction(max(0.0, available - HEADROOM), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)  # the log tells the peak of the run, not of the probes


@contextmanager
def memory_for(
    device: torch.device, size: int = 0, share: int = 0, can_shard: bool = False
) -> Iterator[None]:
    """Turn running out of memory in the block into a UserError, about micro-batches of this size or the network alone."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise no_memory(device, size, share, can_shard) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device's, numpy's or torch's memory is full; torch has no type of its own for the CPU's."""
    words = ("can't allocate memory", "Storage size calculation overflowed")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        part in str(error) for part in words
    )


def no_memory(device: torch.device, size: int, share: int, can_shard: bool = False) -> UserError:
    """Return the error for running out of memory, with the settings that help; `can_shard`: the processes hold copies."""
    smaller = [divisor for divisor in divisors(share) if divisor < size]
    fixes = ["--parallel=fsdp"] * can_shard
    if smaller:
        fixes.insert(0, f"--micro_batch_size={smaller[-1]}{', or auto' if has_own_memory(device) else ''}")
    elif size:
        fixes.insert(0, "--activation_checkpointing=block")
    fix = f"use {' or '.join([*fixes, 'a smaller --block_size or network'] if not smaller else fixes)}"
    what = f"micro_batch_size={size}" if size else "the network and its optimizer"
    return UserError(f"{what}: does not fit in the memory of {device}: {fix}")


def share_batch(config: TrainConfig, n_processes: int) -> tuple[int, int]:
    """Return the sequences of each process in a step, and those of one forward pass (with `auto`: the most there can be).

    The global batch is the same for any number of processes. Raises UserError if it does not divide, with the nearest
    values that do.
    """
    total = config.sequences_per_step
    share = total // n_processes
    if total % n_processes:
        key, unit = ("batch_tokens", config.model.block_size) if config.batch_tokens else ("batch_size", 1)
        near = " or ".join(str(n * n_processes * unit) for n in (share, share + 1) if n)
        counts = nearest_divisors(total, n_processes)
        raise UserError(
            f"{key}={total * unit}: must be divisible among {n_processes} processes: use {near}, or {counts} processes"
        )
    micro = share if config.micro_batch_size == "auto" else config.micro_batch_size or share
    if share % micro:
        near = nearest_divisors(share, micro)
        raise UserError(
            f"micro_batch_size={micro}: must divide the {share} sequences of each process's step: use {near}"
        )
    return share, micro


def nearest_divisors(number: int, wanted: int) -> str:
    """Return the divisors of a number that are nearest to the one wanted, as text."""
    lower = max(n for n in divisors(number) if n <= wanted)
    upper = min((n for n in divisors(number) if n >= wanted), default=number)
    return " or ".join(str(n) for n in sorted({lower, upper}))


def divisors(number: int) -> list[int]:
    """Return the divisors of a number in ascending order."""
    return [n for n in range(1, number + 1) if number % n == 0]
