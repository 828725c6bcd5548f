"""One process or many: who this process is, and what it does together with the others.

Owns the process group, the wrapping of the model and the reductions. torchrun starts the processes.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from system.errors import UserError
from system.hardware import choose_device

# What torchrun tells each process, and what holds alone.
PLACE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}


@dataclass(frozen=True)
class World:
    """This process among all: its number `rank` of `size`, and the device it computes on."""

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0  # its number among the processes of its machine
    timeout: timedelta = timedelta(minutes=20)  # the longest wait for another

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """This process in words."""
        return f"rank {self.rank} of {self.size} on {socket.gethostname()}"

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor summed over all processes, on this one's device: itself where there is but one."""
        if self.size > 1:
            tensor = tensor.to(self.device, copy=True)
            dist.all_reduce(tensor)
        return tensor

    def smallest(self, number: int) -> int:
        """Return the smallest of all processes' numbers."""
        numbers = torch.tensor(number, device=self.device)
        if self.size > 1:
            dist.all_reduce(numbers, op=dist.ReduceOp.MIN)
        return int(numbers)

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        self.sum(torch.zeros((), device=self.device)).item()

    @contextmanager
    def together(self) -> Iterator[None]:
        """End all processes where one of them is refused in the block, at once: the others would wait for it.

        Nothing in the block may be done together.
        """
        refusal: UserError | None = None
        try:
            yield
        except UserError as error:
            refusal = error
        n_refused = self.sum(torch.tensor(float(refusal is not None)))
        if refusal:
            raise refusal
        if n_refused:
            raise UserError(f"{int(n_refused)} other process(es) cannot begin: each says why")

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


def start_world(device: str, timeout_minutes: float = 20.0) -> World:
    """Join the processes torchrun started, by nccl on CUDA and gloo elsewhere; alone without torchrun.

    Whoever waits for another process for much longer than the timeout fails. Raises UserError for a device that this
    process cannot have, and where the others are not found.
    """
    size, rank, local_rank = (place(key, default) for key, default in PLACE.items())
    if not rank < size:
        raise UserError(
            f"RANK={rank} and WORLD_SIZE={size} in the environment: ranks go from 0 to one below the number of"
            " processes; one process alone needs neither"
        )
    if size > 1 and device.startswith("cuda:"):
        raise UserError(
            f"device={device}: {size} processes cannot share one GPU: use --device=cuda, one for each"
        )
    own_device = choose_device(device, local_rank)
    timeout = timedelta(minutes=1.1 * timeout_minutes)  # who watches over the steps speaks first
    if size > 1 and own_device.type == "mps":
        raise UserError(f"device={device}: {size} processes cannot share an Apple GPU: use --device=cpu")
    if size > 1:
        is_cuda = own_device.type == "cuda"
        backend, device_id = ("nccl", own_device) if is_cuda else ("gloo", None)
        try:
            dist.init_process_group(
                backend,
                store=store(timeout),
                timeout=timeout,
                rank=rank,
                world_size=size,
                device_id=device_id,
            )
        except (dist.DistError, ValueError) as error:
            found = f"rank {rank} does not find the other {size - 1} processes ({str(error).partition(chr(10))[0]})"
            raise UserError(f"{found}: start all of them, with torchrun or as docs/slurm.md says") from None
    return World(rank, size, own_device, local_rank, timeout)


def place(key: str, default: str) -> int:
    """Return what torchrun, or a line of docs/slurm.md, says of this process's place among all."""
    value = os.environ.get(key, default)
    if not value.isdecimal():
        raise UserError(
            f"{key}={value!r} in the environment: must be a whole number, or not set for one process"
        )
    return int(value)


def store(timeout: timedelta) -> dist.Store:
    """Return the store where the processes find each other.

    torchrun keeps one over its restarts, and in it the addresses of processes that are gone, for which gloo would wait.
    Each restart gets a part of its own; on several nodes, which do not count alike, torchrun must be told not to keep
    it: TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
    """
    found, _, _ = next(dist.rendezvous("env://", timeout=timeout))
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return found
    return dist.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", found)


def gradients_stay_local(model: nn.Module) -> AbstractContextManager:
    """Return the context for all but the last micro-batch of a step, in which nothing is sent."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
