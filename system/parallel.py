"""How a model is spread over the processes: DDP gives each a copy, FSDP a shard of each parameter.

FSDP is torch's FSDP2, `fully_shard` (Zhao et al. 2023, https://arxiv.org/abs/2304.11277). A shard is a parameter's rows from
`first_row` on. So are gradients and optimizer state sharded. Torch's DTensor stands for all shards together.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from system.errors import UserError
from system.world import World


class ShardPlace(NamedTuple):
    """Which of the shards a process has. With hybrid sharding, several hold the same shard; the first one writes it."""

    number: int
    n_shards: int
    writes: bool


def replicate(model: nn.Module, world: World) -> nn.Module:
    """Return the model in DDP, which averages gradients over the processes during backward; alone, the model itself.

    DDP holds all gradients in buckets. They exist before it does, so that it makes them views of its buckets; else
    those of the first micro-batches would be a second set of tensors.
    """
    if not world.has_group:
        return model
    ids = [world.device.index] if world.device.type == "cuda" else None
    for weights in model.parameters():
        weights.grad = torch.zeros_like(weights) if weights.requires_grad else None
    return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)


def sharding_mesh(world: World, hybrid: bool) -> DeviceMesh:
    """Return the processes as a mesh: a row of all, or with `hybrid` a row for each node. All processes call this.

    Raises UserError if the nodes do not have equally many processes, or if there is only one.
    """
    shape: tuple[int, ...] = (world.size,)
    names: tuple[str, ...] = ("shards",)
    if hybrid:
        n_nodes, left = divmod(world.size, world.local_size)
        is_equal = world.smallest(world.local_size) == -world.smallest(-world.local_size)
        is_in_order = world.smallest(int(world.rank % world.local_size == world.local_rank))
        if left or n_nodes == 1 or not (is_equal and is_in_order):
            found = f"{world.size} processes, {world.local_size} on this node"
            raise UserError(
                f"parallel=hsdp: must have several nodes with equally many processes, numbered node by node, found {found}: use --parallel=fsdp"
            )
        shape, names = (n_nodes, world.local_size), ("copies", "shards")
    mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=names)
    world.keep_groups(mesh.get_all_groups())
    return mesh


def shard(module: nn.Module, mesh: DeviceMesh, dtype: torch.dtype | None = None) -> None:
    """Shard a module's parameters that are not sharded yet, in place; all processes call this, children first.

    Forward and backward gather them, as `dtype` if it is given. Gradients are summed in float32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # takes a second to load

    policy = MixedPrecisionPolicy(dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    fully_shard(module, mesh=mesh, mp_policy=policy)


def reshard_after_evaluation(network: nn.Module) -> None:
    """Let a sharded network give back what a forward pass without backward has gathered; FSDP keeps its outermost part."""

    def reshard(module: Any, _inputs: object, _output: object) -> None:
        if not torch.is_grad_enabled():
            module.reshard()

    network.register_forward_hook(reshard)


@contextmanager
def gathered(network: Any) -> Iterator[None]:
    """Let the block use the outermost part of a sharded network, without calling the network itself; all processes do."""
    if is_sharded_model(network):
        network.unshard()
    try:
        yield
    finally:
        if is_sharded_model(network):
            network.reshard()


def sync_gradients(network: nn.Module, is_last: bool) -> AbstractContextManager:
    """Return the context of one forward and backward pass: the last one of a step averages gradients over the processes."""
    if isinstance(network, DistributedDataParallel) and not is_last:
        return network.no_sync()
    if is_sharded_model(network):
        sharded: Any = network
        sharded.set_requires_gradient_sync(
            is_last
        )  # until then, each process has gradients of all parameters
    return nullcontext()


def clear_gradients(network: nn.Module) -> None:
    """Clear the gradients before a step: under DDP they stay in its buckets, as zeros; else their memory is freed."""
    network.zero_grad(set_to_none=not isinstance(network, DistributedDataParallel))


def is_sharded_model(network: nn.Module) -> bool:
    """Return whether FSDP has the module's parameters."""
    return hasattr(network, "set_requires_gradient_sync")


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor is a DTensor, whose class takes a second to load."""
    return hasattr(tensor, "full_tensor")


def own(tensor: Any) -> Tensor:
    """Return the rows of a tensor that this process has, as a view: all of them unless it is sharded."""
    rows: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return rows


def whole(tensor: Any) -> Tensor:
    """Return all of a tensor; if it is sharded, all processes call this."""
    found: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
    return found


def shard_place(tensor: Any) -> ShardPlace:
    """Return which shard of a tensor this process has: of one, unless it is sharded."""
    if not is_sharded(tensor):
        return ShardPlace(0, 1, writes=True)
    mesh = tensor.device_mesh
    last = mesh.ndim - 1  # FSDP shards over the last dimension, and copies over the one before
    return ShardPlace(
        mesh.get_local_rank(last), mesh.size(last), mesh.ndim == 1 or mesh.get_local_rank(0) == 0
    )


def rows_per_shard(tensor: Tensor) -> int:
    """Return how many rows each shard of a tensor has; the last ones may have fewer, or none."""
    return -(-len(tensor) // shard_place(tensor).n_shards)


def first_row(tensor: Tensor) -> int:
    """Return the row of a tensor at which this process's rows begin."""
    return min(len(tensor), shard_place(tensor).number * rows_per_shard(tensor))


def sharded_like(parameter: Any, rows: Tensor) -> Tensor:
    """Return a tensor of the parameter's shape, sharded like it, of which `rows` are this process's."""
    if not is_sharded(parameter):
        return rows
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        rows, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )
