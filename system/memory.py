"""How much memory there is: of a device, and in use by this process."""

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")  # of Linux, where containers and batch systems set limits


def peak_memory(device: torch.device) -> int:
    """Return the bytes that this process has had in use at most: on a GPU torch's tensors there, else all its memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # On Linux, ru_maxrss begins at what the process that started this one has used.
    if peak := _status("VmHWM"):
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def own_memory(device: torch.device) -> int:
    """Return the bytes of the device's memory that this process has in use; 0 where that is not known."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS")


def device_memory(device: torch.device) -> int:
    """Return the bytes that this process can have: what is free on its GPU, or its part of the machine's memory.

    0 where it is not known.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    return total_memory(device)


def total_memory(device: torch.device) -> int:
    """Return the bytes of a GPU, or this process's part of the machine's memory, whether in use or not; 0 where not known.

    The processes of a machine share a CPU's memory, of which a container may have less than all.
    """
    if device.type == "cuda":
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return 0
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([pages, *_limits(_text(Path("/proc/self/cgroup")))]) // (processes_per_node() or 1)


def processes_per_node() -> int:
    """Return how many processes train on this machine; 0 where the environment does not tell."""
    # torchrun's, or Slurm's where each task is a process of its own
    counts = (os.environ.get(name, "") for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"))
    return next((int(count) for count in counts if count.isdecimal() and int(count)), 0)


def _limits(groups: str) -> Iterator[int]:
    """Yield the memory limits of this process's control groups, old (v1) and new, and of all groups above them."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = CGROUPS / controllers
            for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
                if folder.is_relative_to(root):
                    for name in ("memory.max", "memory.limit_in_bytes"):
                        if (limit := _text(folder / name).strip()).isdecimal():
                            yield int(limit)


def in_words(n_bytes: int) -> str:
    """Return bytes as MiB, or from 1 GiB on as GiB."""
    return f"{n_bytes / 2**30:,.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"


def _status(key: str) -> int:
    """Return what Linux says about this process's memory, in bytes; 0 elsewhere."""
    found = re.search(rf"^{key}:\s+(\d+) kB", _text(Path("/proc/self/status")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _text(path: Path) -> str:
    """Return a file's text, "" if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
