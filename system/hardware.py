"""What this machine can do: device, precision, compiling, peak arithmetic. Every choice comes with its reason.

Owns the probing of devices. How many processes there are is `distributed.py`'s.
"""

import os
import re
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from system.errors import UserError

Precision = Literal["auto", "float32", "bfloat16"]

# Dense bfloat16 tensor-core peaks in FLOP/s, from NVIDIA's data sheets; the first name that occurs in the
# device's name as whole words counts (an L40 is no L4).
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


def choose_device(request: str, local_rank: int = 0) -> torch.device:
    """Return the device for this process: `auto` takes CUDA, then MPS, then the CPU.

    Raises UserError for a device this machine, or this build of torch, does not have.
    """
    if request == "auto":
        request = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(request)
    except RuntimeError:
        raise UserError(f"device={request}: use auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        return _cuda_device(device, request, local_rank)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps: torch finds no Apple GPU here: use --device=cpu")
    if device.type not in ("cpu", "mps"):
        raise UserError(f"device={request}: use auto, cpu, cuda, cuda:N or mps")
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
            f"device={request}: this process needs GPU {index}, but there are {torch.cuda.device_count()}: "
            "start fewer processes"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def choose_precision(request: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return the dtype of the matrix products and the reason for it, for `auto`, `bfloat16` or `float32`.

    Weights and optimizer state stay float32. bfloat16 is taken where the hardware computes in it: CUDA from
    compute capability 8.0, CPUs with AVX512-BF16 or AMX. Raises UserError where bfloat16 is asked for in vain.
    """
    native, reason = _native_bfloat16(device)
    if request == "float32":
        return torch.float32, "asked for"
    if request == "bfloat16" and device.type == "cuda" and not native:
        raise UserError(f"precision=bfloat16: {reason}: use --precision=float32")
    if request == "bfloat16":
        return torch.bfloat16, "asked for" if native else f"asked for, though {reason}"
    return (torch.bfloat16 if native else torch.float32), reason


def _native_bfloat16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return (
            major >= 8,
            f"compute capability {major}.{minor} {'has' if major >= 8 else 'lacks'} native bfloat16",
        )
    if device.type == "cpu":
        probes = (
            "_is_avx512_bf16_supported",
            "_is_amx_tile_supported",
        )  # private, so absent in some versions
        native = any(getattr(torch.cpu, probe, bool)() for probe in probes)
        return native, f"this CPU {'has' if native else 'lacks'} native bfloat16"
    return False, f"float32 is the tested precision on {device.type}"


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Return the context in which matrix products run in `dtype`."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def choose_compile(request: str | bool, device: torch.device) -> tuple[bool, str]:
    """Return whether to compile the model, and why not: `auto` probes with a tiny function, empty where it works.

    Raises UserError where compiling is insisted on (`True`) and this machine cannot.
    """
    if request is False:
        return False, "asked for"
    if request == "auto" and device.type == "mps":
        return False, "torch.compile is young on mps"
    try:
        with torch.no_grad():
            torch.compile(lambda x: torch.relu(x + 1) * 2, dynamic=False)(torch.ones(64, device=device))
    except Exception as error:  # of many types: no C++ compiler, no Triton, an old GPU, a bug
        first_line = str(error).strip().partition("\n")[0]
        obstacle = f"torch.compile does not work here: {type(error).__name__}: {first_line}"
        if request is True:
            raise UserError(f"compile=True: {obstacle}: use --compile=False") from None
        return False, obstacle
    return True, ""


def be_deterministic(device: torch.device) -> None:
    """Make a CPU run repeat bit for bit, also when compiled; set float32 products to TF32 on CUDA.

    Compiled CPU code is not repeatable otherwise: the compiler may reorder reductions from run to run.
    """
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # Filling fresh memory, which goes with it, is a debugging aid and costs time in each step.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010  unknown to mypy
    else:
        torch.set_float32_matmul_precision("high")


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the device's peak in FLOP/s for bfloat16, or None where it is not known."""
    if device.type != "cuda" or dtype != torch.bfloat16:
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_FLOPS.items() if re.search(rf"\b{key}\b", name)), None)


def describe(device: torch.device) -> str:
    """Return the device in words: its name, and its threads or memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads of {os.cpu_count()} cores)"
    return str(device)
