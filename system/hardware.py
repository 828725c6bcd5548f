"""What this machine can do: device, precision, torch.compile, peak FLOP/s. Automatic choices come with a reason."""

import ctypes
import math
import os
import platform
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from system.errors import UserError, first_line
from system.progress import announced

# Dense bfloat16 tensor-core peaks in FLOP/s, from NVIDIA's data sheets. The first key that occurs in the device's
# name as whole words counts (an L40 is not an L4).
PEAK_FLOPS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A40": 150e12,
    "A10": 125e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}

# Eager training on a CPU, in FLOP/s per thread: configs/demo.py on 2 threads, float32 on Zen 3 and bfloat16 on Zen 5
# (docs/measured.md, 14.2 MFLOP a token).
EAGER_CPU_FLOPS = {torch.float32: 33e9, torch.bfloat16: 110e9}
# Compiling costs 50 to 100 s on 2 cores where nothing is cached, and then training is about a quarter faster
# (docs/measured.md): it pays from 4 to 8 minutes on.
COMPILE_PAYS_MINUTES = 10.0


def choose_device(request: str, local_rank: int = 0) -> torch.device:
    """Return the device for this process: `auto` takes CUDA, else MPS, else the CPU.

    Raises UserError for a device that this machine or this build of torch does not have.
    """
    if request == "auto":
        request = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(request)
    except RuntimeError:
        raise UserError(f"device={request}: must be auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        return _cuda_device(device, request, local_rank)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps: torch finds no Apple GPU: use --device=cpu")
    if device.type not in ("cpu", "mps"):
        raise UserError(f"device={request}: must be auto, cpu, cuda, cuda:N or mps")
    return device


def _cuda_device(device: torch.device, request: str, local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        build = f"torch {torch.__version__} " + (
            "finds no GPU" if torch.version.cuda else "is built without CUDA"
        )
        raise UserError(f"device={request}: {build}: use --device=cpu, or install a CUDA build (README)")
    index = local_rank if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise UserError(
            f"device={request}: no GPU {index}, this machine has {torch.cuda.device_count()}: start fewer processes,"
            " or choose another --device"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def set_precision(request: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return the dtype of matrix multiplications for `auto`, `bfloat16`, `float32` or `tf32`, and the reason.

    Weights and optimizer state stay float32. `auto` takes bfloat16 where the hardware supports it: CUDA from compute
    capability 8.0, CPUs with AVX512-BF16 or AMX. `tf32`, on the same GPUs, is float32 with factors rounded to
    10 bits of mantissa: torch is told whether to use it. Raises UserError if bfloat16 is requested on an older GPU, or
    tf32 on any other device.
    """
    native, reason = _native_bfloat16(device)
    if request == "tf32" and not (device.type == "cuda" and native):
        found = device.type if device.type != "cuda" else f"{device}, whose {reason.partition(' lacks')[0]}"
        raise UserError(
            f"precision=tf32: needs an NVIDIA GPU of compute capability 8.0 or later, not {found}: use --precision=float32"
        )
    torch.set_float32_matmul_precision("high" if request == "tf32" else "highest")
    if request in ("float32", "tf32"):
        return torch.float32, "requested"
    if request == "bfloat16" and device.type == "cuda" and not native:
        raise UserError(f"precision=bfloat16: {reason}: use --precision=float32")
    if request == "bfloat16":
        return torch.bfloat16, "requested" if native else f"requested, though {reason}"
    return (torch.bfloat16 if native else torch.float32), reason


def _native_bfloat16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return (
            major >= 8,
            f"compute capability {major}.{minor} {'has' if major >= 8 else 'lacks'} native bfloat16",
        )
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private: some versions lack them
        native = any(getattr(torch.cpu, probe, bool)() for probe in probes)
        return native, f"this CPU {'has' if native else 'lacks'} native bfloat16"
    return False, f"float32 is the tested precision on {device.type}"


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Send a tensor to the device without waiting for it."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Return a context in which matrix multiplications run in `dtype`."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def choose_compile(
    request: str | bool, device: torch.device, eager_minutes: float = math.inf, is_main: bool = True
) -> tuple[bool, str]:
    """Return whether to compile the model, and if not, why: `auto` does if training is long, and it works.

    `eager_minutes` is how long training takes without. Raises UserError if compiling is required (`True`) and does not
    work.
    """
    if request is False:
        return False, "requested"
    if request == "auto" and device.type == "mps":
        return False, "torch.compile is experimental on mps"
    if request == "auto" and eager_minutes < COMPILE_PAYS_MINUTES:
        pays = f"compiling pays from {COMPILE_PAYS_MINUTES:.0f} min on"
        return False, f"auto: about {max(1, int(eager_minutes))} min of training, {pays}"
    try:
        with torch.no_grad(), announced("trying torch.compile on a small function", is_main):
            torch.compile(lambda x: torch.relu(x + 1) * 2, dynamic=False)(torch.ones(64, device=device))
    except Exception as error:  # many types: no C++ compiler, no Triton, an old GPU, a bug
        reason = f"torch.compile does not work here: {first_line(error)}"
        if request is True:
            raise UserError(f"compile=True: {reason}: use --compile=False") from None
        return False, reason
    return True, ""


def eager_minutes(device: torch.device, dtype: torch.dtype, flops: float) -> float:
    """Return about how long eager training takes that needs `flops` on this device; infinite where nothing is measured.

    It does not depend on the moment, so that the same command makes the same choice.
    """
    if device.type != "cpu":
        return math.inf
    return flops / (EAGER_CPU_FLOPS[dtype] * torch.get_num_threads()) / 60


def be_deterministic(device: torch.device) -> None:
    """Make CPU runs repeatable bit for bit, compiled or not.

    Otherwise the compiler may reorder the reductions of CPU code from run to run.
    """
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # It also fills fresh memory, a debugging aid that costs time in each step.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010  unknown to mypy


def keep_freed_memory(device: torch.device, keep: bool = True) -> None:
    """Let the C library keep the memory that a CPU's step frees for the next step, where it can; or never, to save memory.

    By default large tensors go back to the kernel, which clears each page again when it is next touched: a fifth to half of
    the time of a step with a large vocabulary. But what a sharded model gathers and frees leaves holes between the tensors
    that stay, and the process grows larger than without sharding. Does nothing without glibc; its older versions take a
    threshold of at most 32 MiB.
    """
    mmap_threshold, trim_threshold = -3, -1  # glibc's numbers for M_MMAP_THRESHOLD and M_TRIM_THRESHOLD
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if device.type == "cpu" else None
    if mallopt and keep:
        mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)
        mallopt(trim_threshold, 2**31 - 1)
    elif mallopt:
        mallopt(mmap_threshold, 2**20)  # by default it rises with what is freed


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the device's bfloat16 peak in FLOP/s, None if unknown."""
    if device.type != "cuda" or dtype != torch.bfloat16:
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_FLOPS.items() if re.search(rf"\b{key}\b", name)), None)


def describe(device: torch.device) -> str:
    """Return the device's name with its memory or threads."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads of {os.cpu_count()} cores)"
    return str(device)


def cpu_name() -> str:
    """Return the CPU's model name, as Linux knows it, and the instructions that torch uses on it."""
    name = cpu_field("model name") or platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def cpu_field(name: str) -> str:
    """Return what /proc/cpuinfo says about the first CPU, "" if it does not."""
    try:
        found = re.search(rf"^{name}\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return ""
    return found[1].strip() if found else ""
