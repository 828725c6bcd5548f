"""How much memory there is: of a device, and in use by this process."""

import os
import re
import resource
import sys
from pathlib import Path

import torch

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


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

    The processes of a machine share a CPU's memory, of which a container may have less than all. 0 where it is not known.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return 0
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else ""
    n_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    return min(total, int(limit) if limit.isdecimal() else total) // n_processes


def in_words(n_bytes: int) -> str:
    """Return bytes as MiB, or from 1 GiB on as GiB."""
    return f"{n_bytes / 2**30:,.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"


def _status(key: str) -> int:
    """Return what Linux says about this process's memory, in bytes; 0 elsewhere."""
    text = Path("/proc/self/status").read_text() if sys.platform == "linux" else ""
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
