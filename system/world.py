"""One process or many: the rank and device of this process, and what the processes compute together.

torchrun starts the processes, or srun as docs/multinode.md says.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from system.errors import UserError, process_name
from system.hardware import choose_device
from system.memory import processes_per_node
from system.signals import deadly_interrupts

# The environment variables that torchrun sets, and their values for one process alone.
RANK_VARIABLES = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
MAX_RANKS = 8  # named in a message
T = TypeVar("T")
_left_groups: list[object] = []  # see World.stop


@dataclass(frozen=True)
class World:
    """This process among all: its `rank` of `size`, and its device."""

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0  # its number among the processes of its machine
    timeout: timedelta = timedelta(minutes=20)  # longest wait for another process
    launched: bool = False  # by torchrun or srun: a single process then runs the code of several
    local_size: int = 1  # processes of its machine

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    @property
    def has_group(self) -> bool:
        """Whether this process communicates, if only with itself."""
        return self.launched or self.size > 1

    @property
    def name(self) -> str:
        """The rank and the host, for messages."""
        return process_name(self.rank, self.size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor summed over all processes, on this one's device; alone, the tensor itself."""
        if self.has_group:
            tensor = tensor.to(self.device, copy=True)
            dist.all_reduce(tensor)
        return tensor

    def smallest(self, number: int) -> int:
        """Return the smallest of all processes' numbers."""
        numbers = torch.tensor(number, device=self.device)
        if self.has_group:
            dist.all_reduce(numbers, op=dist.ReduceOp.MIN)
        return int(numbers)

    def wait(self) -> None:
        """Wait until all processes get here."""
        self.sum(torch.zeros((), device=self.device)).item()

    def all_or_none(self) -> AbstractContextManager[None]:
        """Raise UserError in all processes if one of them raises it in the block: the others would wait for it.

        The block must not communicate.
        """
        return _all_or_none(self.sum, self.rank, self.size, "start")

    def from_main(self, text: str) -> str:
        """Return the main process's text in all processes."""
        own = list(text.encode()) if self.is_main else []
        n_bytes = int(self.sum(torch.tensor(len(own))))
        padded = torch.tensor(own or [0] * n_bytes, dtype=torch.uint8)
        return bytes(self.sum(padded).tolist()).decode()

    def main_first(self, do: Callable[[], T]) -> T:
        """Call `do` in the main process, then in the others, which find what it downloaded; return each one's result.

        Raises UserError in all if `do` does in one. It must not communicate.
        """
        found = []
        for is_turn in (self.is_main, not self.is_main):
            with self.all_or_none():
                if is_turn:
                    found.append(do())
        return found[0]

    def side_channel(self) -> "SideChannel":
        """Open a channel on the CPU between the processes; all call this."""
        # nccl has no CPU operations; with gloo the processes have such a channel already.
        needs_group = self.has_group and self.device.type == "cuda"
        group = dist.new_group(backend="gloo", timeout=self.timeout) if needs_group else None
        _left_groups.append(group)
        return SideChannel(group, self.rank, self.size)

    def keep_groups(self, groups: Sequence[dist.ProcessGroup]) -> None:
        """Keep process groups in memory until this process exits: see `stop`."""
        _left_groups.extend(groups)

    def stop(self) -> None:
        """Leave the process group. Only call it when all processes do: nccl waits for the others.

        The groups stay in memory: freeing gloo's waits for its threads, which may be waiting for Python's lock to free a
        tensor, and neither ever ends.
        """
        if self.has_group:
            _left_groups.append(dist.group.WORLD)
            dist.destroy_process_group()


@dataclass(frozen=True)
class SideChannel:
    """Sums of CPU tensors over the processes, which never wait for a device."""

    group: dist.ProcessGroup | None
    rank: int = 0
    size: int = 1

    def sum(self, tensor: torch.Tensor) -> None:
        """Replace the tensor by its sum over all processes."""
        dist.all_reduce(tensor, group=self.group)

    def start_sum(self, tensor: torch.Tensor) -> dist.Work:
        """Start replacing the tensor by its sum, and return the work to wait for."""
        work = dist.all_reduce(tensor, group=self.group, async_op=True)
        assert work is not None
        return work

    def wait(self, work: dist.Work) -> None:
        """Wait for a sum that was started."""
        work.wait()

    def all_or_none(self, doing: str) -> AbstractContextManager[None]:
        """Raise UserError in all processes if one of them raises it in the block, which must not communicate."""

        def summed(tensor: torch.Tensor) -> torch.Tensor:
            self.sum(tensor)
            return tensor

        return _all_or_none(summed, self.rank, self.size, doing)


class OthersFailed(UserError):
    """Other processes failed, and print why."""


@contextmanager
def _all_or_none(
    summed: Callable[[torch.Tensor], torch.Tensor], rank: int, size: int, doing: str
) -> Iterator[None]:
    """Raise UserError in all processes if one does in the block: its own, or OthersFailed. `doing` names what failed, for the message."""
    error: UserError | None = None
    try:
        yield
    except UserError as own_error:
        error = own_error
    # A constant, whose value is known even among tensors without data (fake ones).
    failed = torch.tensor([float(number == rank and error is not None) for number in range(size)])
    ranks = [str(number) for number, has_failed in enumerate(summed(failed)) if has_failed]
    if error:
        raise error
    if ranks:
        more = f" and {len(ranks) - MAX_RANKS} more" if len(ranks) > MAX_RANKS else ""
        raise OthersFailed(f"cannot {doing}: see the error line of rank {', '.join(ranks[:MAX_RANKS])}{more}")


def start_world(device: str, timeout_minutes: float = 20.0) -> World:
    """Join the processes torchrun started, with nccl on CUDA and gloo elsewhere; alone without torchrun.

    With RANK and WORLD_SIZE set, a single process runs the code of several (not on Apple GPUs, which have no backend).
    A process that waits for another for longer than the timeout fails. Raises UserError if this process cannot have
    the device, or if the other processes are not found.
    """
    size, rank, local_rank = size_and_ranks()
    if size > 1 and device.startswith("cuda:"):
        raise UserError(
            f"device={device}: {size} processes cannot share one GPU: use --device=cuda, one GPU each"
        )
    own_device = choose_device(device, local_rank)
    if size > 1 and own_device.type == "mps":
        raise UserError(f"device={device}: {size} processes cannot share an Apple GPU: use --device=cpu")
    timeout = timedelta(minutes=1.1 * timeout_minutes)  # a bit longer, so that the watchdog speaks first
    launched = {"RANK", "WORLD_SIZE"} <= os.environ.keys() and own_device.type != "mps"
    local_size = processes_per_node() or size
    world = World(rank, size, own_device, local_rank, timeout, launched, local_size)
    if world.has_group:
        backend, device_id = ("nccl", own_device) if own_device.type == "cuda" else ("gloo", None)
        try:
            with deadly_interrupts():
                dist.init_process_group(
                    backend,
                    store=store(timeout) if size > 1 else dist.HashStore(),  # alone, there is nobody to find
                    timeout=timeout,
                    rank=rank,
                    world_size=size,
                    device_id=device_id,
                )
        except (dist.DistError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the other {size - 1} process(es) are not found ({reason}): start all of them, with torchrun or as"
                " docs/multinode.md says"
            ) from None
    return world


def size_and_ranks() -> tuple[int, int, int]:
    """Return the number of processes, this one's rank and its local rank, from the environment; alone, (1, 0, 0).

    Raises UserError if they are not numbers, or if the rank is not below the number of processes.
    """
    size, rank, local_rank = (_rank_variable(key, default) for key, default in RANK_VARIABLES.items())
    if not rank < size:
        raise UserError(
            f"RANK={rank} and WORLD_SIZE={size} in the environment: RANK must be below WORLD_SIZE; a single process needs"
            " neither"
        )
    return size, rank, local_rank


def _rank_variable(key: str, default: str) -> int:
    value = os.environ.get(key, default)
    if not value.isdecimal():
        raise UserError(
            f"{key}={value!r} in the environment: must be a whole number, or unset for a single process"
        )
    return int(value)


def store(timeout: timedelta) -> dist.Store:
    """Return the store through which the processes find each other.

    torchrun keeps one store over its restarts, with the addresses of lost processes, for which gloo would wait. So each
    restart gets its own prefix. Several nodes count restarts differently: there torchrun must not share its store.
    Raises UserError if it does, and may restart.
    """
    shares = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    restarts, nodes = (
        int(os.environ.get(key, 0)) for key in ("TORCHELASTIC_MAX_RESTARTS", "GROUP_WORLD_SIZE")
    )
    if shares and restarts and nodes > 1:
        raise UserError(
            f"max_restarts={restarts} of torchrun on {nodes} nodes: a restart may wait for the lost processes:"
            " set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on all nodes"
        )
    found, _, _ = next(dist.rendezvous("env://", timeout=timeout))
    if not shares:
        return found
    return dist.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", found)


def is_from_collective(error: BaseException) -> bool:
    """Return whether an error was raised by communication with other processes.

    nccl's errors have a type. gloo's are RuntimeErrors, whose messages begin with the place in gloo's source.
    """
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
