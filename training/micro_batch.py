"""How many sequences at a time a device's memory holds, and what to say where they do not fit.

Owns probing for `micro_batch_size=auto`. How a batch is shared among the processes is `config.py`'s.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from model import GPT
from system import hardware
from system.errors import UserError
from system.world import World
from training.config import TrainConfig

HEADROOM = 0.05  # of a GPU's memory, for what a run has and a probe has not: fragments, buffers of libraries


def choose_micro_batch_size(
    model: GPT, optimizer: torch.optim.Optimizer, share: int, world: World, dtype: torch.dtype
) -> tuple[int, str]:
    """Return the largest divisor of `share` that all processes have memory for, and the reason; all of them call this.

    Without a GPU it is the whole share: a CPU's memory is not refused but swapped, which no probe sees in time.
    Raises UserError where not even one sequence fits.
    """
    if not has_own_memory(world.device):
        return share, f"auto: the whole share, as {world.device.type} is not probed"
    with headroom_left(world.device):
        own = largest_that_fits(share, lambda size: probe(model, optimizer, size, world.device, dtype))
    size = world.smallest(own)
    if size == 0:
        raise no_memory(world.device, 1, share)
    return size, f"auto: the largest that fits, of the divisors of {share}"


def largest_that_fits(share: int, attempt: Callable[[int], None]) -> int:
    """Return the largest divisor of `share` with which `attempt` does not run out of memory, 0 where none does.

    Bisects the divisors: what one of them does not fit, no larger one does.
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
    """Do a forward and backward pass as in the fullest moment of a step; raise torch.OutOfMemoryError if need be.

    Gradients of earlier micro-batches and the optimizer's state are in memory. Eager, as compiling for each size
    would take minutes: a compiled model needs no more. Leaves weights, gradients and state as they were.
    """
    torch.cuda.empty_cache()
    try:
        n_missing = 0 if optimizer.state else 2  # AdamW's two moments, which its first step makes
        reserved = [torch.empty_like(weights) for weights in model.parameters() for _ in range(n_missing)]
        for weights in model.parameters():
            weights.grad = torch.zeros_like(weights)
        tokens = torch.zeros(size, model.config.block_size, dtype=torch.int64, device=device)
        with hardware.autocast(device, dtype):
            loss = model.forward(tokens, tokens)  # not model(): that is the compiled one
        loss.backward()
        reserved.clear()  # until here
    finally:
        optimizer.zero_grad(set_to_none=True)


def has_own_memory(device: torch.device) -> bool:
    """Return whether the device says when its memory does not suffice, so that one can probe."""
    return device.type == "cuda"


@contextmanager
def headroom_left(device: torch.device) -> Iterator[None]:
    """Let the block have all memory that other programs leave of a GPU, but for `HEADROOM` of the whole."""
    free, total = torch.cuda.mem_get_info(device)
    available = (free + torch.cuda.memory_reserved(device)) / total
    torch.cuda.set_per_process_memory_fraction(max(0.0, available - HEADROOM), device)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, device)
    torch.cuda.empty_cache()


@contextmanager
def memory_for(device: torch.device, size: int = 0, share: int = 0) -> Iterator[None]:
    """Refuse in one line what the block finds no memory for: micro-batches of this size, or the network alone."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise no_memory(device, size, share) from None


def no_memory(device: torch.device, size: int, share: int) -> UserError:
    """Return the refusal of what the device has no memory for, with the settings that help."""
    smaller = [divisor for divisor in divisors(share) if divisor < size]
    help_ = f"--micro_batch_size={smaller[-1]}, or auto" if smaller else "--block_size or a network smaller"
    what = f"micro_batch_size={size}" if size else "the network and its optimizer"
    return UserError(f"{what}: {device} has not enough memory: give {help_}")


def share_batch(config: TrainConfig, n_processes: int) -> tuple[int, int]:
    """Return each process's sequences per step, and those of one forward pass, at the most where that is `auto`.

    The global batch is the same for any number of processes. Raises UserError for what does not divide, with the
    nearest values that do.
    """
    total = config.sequences_per_step
    share = total // n_processes
    if total % n_processes:
        given, unit = ("batch_tokens", config.model.block_size) if config.batch_tokens else ("batch_size", 1)
        near = " or ".join(str(n * n_processes * unit) for n in (share, share + 1) if n)
        found = f"{given}={total * unit}"
        counts = nearest_divisors(total, n_processes)
        raise UserError(
            f"{found}: cannot be shared equally by {n_processes} processes: use {near}, or {counts} processes"
        )
    micro = share if config.micro_batch_size == "auto" else config.micro_batch_size or share
    if share % micro:
        near = nearest_divisors(share, micro)
        raise UserError(
            f"micro_batch_size={micro}: does not divide the {share} sequences of each process's step: use {near}"
        )
    return share, micro


def nearest_divisors(number: int, wanted: int) -> str:
    """Return in words the divisors of a number that are next to the one wanted."""
    lower = max(n for n in divisors(number) if n <= wanted)
    upper = min((n for n in divisors(number) if n >= wanted), default=number)
    return " or ".join(str(n) for n in sorted({lower, upper}))


def divisors(number: int) -> list[int]:
    """Return the divisors of a number, the smallest first."""
    return [n for n in range(1, number + 1) if number % n == 0]
