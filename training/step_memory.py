"""What a step holds in memory, found without using any: by a step on torch's fake tensors, which have shapes and no data."""

import weakref
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from evaluation.losses import Objective, language_model_loss
from model import GPT, Attention
from system.hardware import autocast
from system.memory import device_memory
from system.world import World
from training.config import TrainConfig
from training.micro_batch import HEADROOM, largest_that_fits, no_memory
from training.optim import clip_gradients, gradient_norm, gradients, make_optimizer, update


class StepMemory(NamedTuple):
    """The bytes of one process's tensors in a step."""

    weights: int
    gradients: int
    optimizer: int  # its state: AdamW's two moments, Muon's one of a matrix
    activations: int  # and everything else alive at the peak of forward and backward
    peak: int  # at most at a time: gradients come as activations go, so it can be less than the sum


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations in its block make, while they live, as `now` and at most (`peak`)."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._storages: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, until it is freed: views share it."""
        key, n_bytes = storage._cdata, storage.nbytes()

        def freed(_: object) -> None:
            del self._storages[key]
            self.now -= n_bytes

        if key not in self._storages:
            self._storages[key] = weakref.ref(storage, freed)
            self.now += n_bytes
            self.peak = max(self.peak, self.now)


def step_memory(
    config: TrainConfig,
    objective: Objective,
    world: World,
    dtype: torch.dtype,
    attention: Attention,
    micro_batch_size: int,
    accumulates: bool,
    n_shards: int = 1,
) -> StepMemory:
    """Return what a step of train.py holds in one process: a micro-batch forward and backward, then the update.

    `accumulates` tells whether a step has several micro-batches; the gradients of earlier ones are then held through a pass,
    as DDP's always are. Without compilation, which only saves memory. Counts tensors, not what libraries and the memory's
    allocator need besides.
    """
    # An Apple GPU's tensors are as large as a CPU's, and its update would ask a fake one for its value.
    device = torch.device("cpu") if world.device.type == "mps" else world.device
    with FakeTensorMode(), LiveBytes() as live:
        with device:
            model = GPT(config.model, attention)
            model.recompute_activations(config.activation_checkpointing == "block")
            tokens = torch.zeros(micro_batch_size, config.model.block_size, dtype=torch.int64)
            skip = torch.zeros((), dtype=torch.bool)
        weights = live.now - _n_bytes([tokens, skip])
        optimizer = make_optimizer(model, config.optimizer, dtype)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        gradient_bytes = _n_bytes(gradients(model))
        norm = gradient_norm(model)
        clip_gradients(model, config.optimizer.grad_clip, norm, norm)
        update(optimizer, skip)  # makes the optimizer's state, and what an update needs for a moment
        of_update = live.peak
        state = _n_bytes([value for entry in optimizer.state.values() for value in entry.values()])
        if not (accumulates or world.has_group):
            model.zero_grad(set_to_none=True)
        live.peak = live.now
        held = weights + state + _n_bytes(gradients(model))
        with autocast(device, dtype):
            loss, _ = objective(model, (tokens, tokens))
        loss.backward()
        activations = live.peak - held
    found = StepMemory(weights, gradient_bytes, state, activations, max(of_update, live.peak))
    return found if n_shards == 1 else of_a_shard(found, model, dtype, accumulates, n_shards)


def of_a_shard(
    whole: StepMemory, model: GPT, dtype: torch.dtype, accumulates: bool, n_shards: int
) -> StepMemory:
    """Return the memory of one of `n_shards` processes that share a model, from that of one that has all of it.

    Two layers and the outermost part are gathered at a time, each twice while the shards are put together, and have whole
    gradients in backward. Until the last of several micro-batches, each process has gradients of all parameters.
    """
    layer = sum(parameter.numel() for parameter in model.transformer.h[0].parameters())
    outermost = sum(parameter.numel() for parameter in model.parameters()) - layer * len(model.transformer.h)
    gathered = outermost * (2 * 4 + 4) + 2 * layer * (2 * dtype.itemsize + 4)
    weights, gradients, optimizer = (part // n_shards for part in whole[:3])
    gradients = whole.gradients if accumulates else gradients
    activations = whole.activations + gathered
    return StepMemory(
        weights, gradients, optimizer, activations, weights + gradients + optimizer + activations
    )


def estimated_micro_batch_size(
    config: TrainConfig, world: World, dtype: torch.dtype, attention: Attention, share: int, n_shards: int
) -> tuple[int, str]:
    """Return the largest divisor of `share` that should fit in memory in all processes of a sharded model, and the reason.

    It is estimated, not tried: processes that gather a model together would wait for the one that ran out of memory.
    """
    available = (1 - 2 * HEADROOM) * device_memory(world.device)

    def check(size: int) -> None:
        memory = step_memory(
            config, language_model_loss, world, dtype, attention, size, size < share, n_shards
        )
        if memory.peak > available:
            raise torch.OutOfMemoryError

    size = world.smallest(largest_that_fits(share, check))
    if size == 0:
        raise no_memory(world.device, 1, share)
    return size, f"auto: the largest divisor of {share} that should fit"


def _n_bytes(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
