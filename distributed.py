"""One process or many: who this process is, and what it does together with the others.

Owns the process group, the wrapping of the model and the reductions. torchrun starts the processes.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from errors import UserError
from hardware import choose_device


@dataclass(frozen=True)
class World:
    """This process among all: its number `rank` of `size`, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor summed over all processes, on this process's device where nccl needs it there."""
        if self.size > 1:
            tensor = tensor.to(self.device) if self.device.type == "cuda" else tensor
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        self.sum(torch.zeros((), device=self.device)).item()

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model with gradients averaged over the processes during backward."""
        if self.size == 1:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)

    def stop(self) -> None:
        """Leave the process group, at a good end alone: with nccl this waits for the others."""
        if self.size > 1:
            dist.destroy_process_group()


def start_world(device: str) -> World:
    """Join the processes torchrun started, by nccl on CUDA and gloo elsewhere; alone without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if size > 1 and device.startswith("cuda:"):
        raise UserError(
            f"device={device}: {size} processes cannot share one GPU: use --device=cuda, one for each"
        )
    own_device = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size > 1 and own_device.type == "mps":
        raise UserError(f"device={device}: {size} processes cannot share an Apple GPU: use --device=cpu")
    if size > 1:
        is_cuda = own_device.type == "cuda"
        backend, device_id = ("nccl", own_device) if is_cuda else ("gloo", None)
        dist.init_process_group(backend, store=store(), rank=rank, world_size=size, device_id=device_id)
    return World(rank, size, own_device)


def store() -> dist.Store:
    """Return the store where the processes find each other.

    torchrun keeps one over its restarts, and in it the addresses of processes that are gone, for which gloo would wait.
    Each restart gets a part of its own; on several nodes, which do not count alike, torchrun must be told not to keep
    it: TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
    """
    found, _, _ = next(dist.rendezvous("env://"))
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return found
    return dist.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", found)


def leave() -> None:
    """End this process at once, with success, if it is one of several.

    A thread of gloo's may still hold a tensor, and letting go of it while the interpreter ends aborts the process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def gradients_stay_local(model: nn.Module) -> AbstractContextManager:
    """Return the context for all but the last micro-batch of a step, in which nothing is sent."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
