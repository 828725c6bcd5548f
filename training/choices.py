"""Choices for this machine, made once and saved with the run: how attention is computed, whether to compile or to shard."""

import math
import time
from collections.abc import Callable

import torch

import model as network
from model import GPT, Attention
from system import hardware
from system.errors import UserError
from system.memory import total_memory
from system.world import World
from training.run import Run

CPU_ATTENTION: tuple[Attention, ...] = ("sdpa", "math")
PAYS = 0.9  # another way must take at most this share of the first one's time: timings vary by a few percent
N_TIMINGS = 4  # of each, in turn; the shortest counts, so not the first, which allocates memory
TIMED_TOKENS = 4096  # at most
SHARDED = ("fsdp", "hsdp")
BYTES_OF_DDP = 16  # for each parameter: itself, its gradient and AdamW's two moments, in float32
SHARE_OF_DDP = 0.5  # of the memory, at most; the rest is for activations
LONGEST_TIMED = 2048  # block_size: the formula's (T, T) weights of a longer one may not fit in memory


def choose_parallel(run: Run, world: World) -> str:
    """Return how the model is spread over the processes; "" for one alone. `auto` is ddp, or fsdp where that takes too much memory.

    A run keeps its first choice for each number of processes, as other sums would change the losses' last bits.
    """
    if not world.has_group:
        return ""
    if run.config.parallel != "auto":
        return run.config.parallel
    choices: dict[str, str] = run.about["parallel"]
    if (chosen := choices.get(str(world.size))) is not None:
        return chosen
    with torch.device("meta"):
        n_params = GPT(run.config.model).n_params()
    is_large = n_params * BYTES_OF_DDP > SHARE_OF_DDP * total_memory(world.device)
    n_large = world.sum(torch.tensor(float(is_large)))  # too large for one: sharded by all
    return choices.setdefault(str(world.size), "fsdp" if n_large else "ddp")


def n_shards_of(parallel: str, world: World) -> int:
    """Return over how many processes each parameter is sharded, 1 if it is not."""
    return {"fsdp": world.size, "hsdp": world.local_size}.get(parallel, 1)


def choose_attention(run: Run, world: World, dtype: torch.dtype, micro_batch_size: int) -> Attention:
    """Resolve attention=auto: on a CPU by timing a layer, elsewhere by what the device has; all processes call this.

    A run keeps what was fastest when it began on a CPU of this kind, as other sums would change the losses' last bits.
    Raises UserError if flash is requested and not available.
    """
    config, device = run.config, world.device
    try:
        by_rule = network.choose_attention(config.attention, config.model, device, dtype)
    except ValueError as error:
        raise UserError(str(error)) from None
    choices: dict[str, Attention] | None = run.about["attention"]
    is_long = config.model.block_size > LONGEST_TIMED
    if config.attention != "auto" or device.type != "cpu" or choices is None or is_long:
        return by_rule
    key, number = f"{hardware.cpu_name()}, {dtype}", 0
    if world.is_main:
        n_sequences = max(1, min(micro_batch_size, TIMED_TOKENS // config.model.block_size))
        chosen = choices.get(key) or fastest(
            lambda attention: network.attend_once(config.model, device, dtype, attention, n_sequences)
        )
        number = CPU_ATTENTION.index(chosen)
    choices[key] = CPU_ATTENTION[int(world.sum(torch.tensor(number)))]
    return choices[key]


def fastest(attend: Callable[[Attention], None]) -> Attention:
    """Return the fastest way to compute attention: the first, unless another one is clearly faster."""
    seconds = dict.fromkeys(CPU_ATTENTION, math.inf)
    for attention in CPU_ATTENTION * N_TIMINGS:
        began = time.perf_counter()
        attend(attention)
        seconds[attention] = min(seconds[attention], time.perf_counter() - began)
    first, *others = CPU_ATTENTION
    best = min(others, key=seconds.__getitem__)
    return best if seconds[best] < PAYS * seconds[first] else first


def choose_compile(run: Run, model: GPT, world: World, dtype: torch.dtype) -> tuple[bool, str]:
    """Return whether to compile the model, and if not, why. With `auto` a run keeps its first choice on each kind of device.

    The choice is saved with the run, in `about`: more processes or steps would change it, and so the losses' last bits.
    """
    request, kind = run.config.compile, world.device.type
    if request != "auto":
        return hardware.choose_compile(request, world.device, is_main=world.is_main)
    if run.data.train.manifest.has_pairs:
        return False, "auto: pairs have many lengths"
    choices: dict[str, bool] = run.about["compiled"]
    if choices.get(kind) is False:
        return False, "auto: as this run began"
    flops = own_flops(model, run, world)
    minutes = math.inf if choices.get(kind) else hardware.eager_minutes(world.device, dtype, flops)
    if run.config.max_minutes and minutes < math.inf:
        minutes = min(minutes, run.config.max_minutes)
    chosen = hardware.choose_compile(request, world.device, minutes, world.is_main)
    choices.setdefault(kind, chosen[0])
    return chosen


def own_flops(model: GPT, run: Run, world: World) -> float:
    """Return the floating-point operations of all the run's steps that one process computes."""
    T = run.data.train.tokens_per_sequence(run.config.model.block_size)
    n_tokens = run.config.max_steps * run.config.sequences_per_step * T
    return model.flops_per_token(round(T)) * n_tokens / world.size
