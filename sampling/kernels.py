"""The linear layers of a model that samples, by the kernel that is fastest on this machine.

Decoding multiplies a few rows with every weight of the model for each token, so what counts is how fast weights are read.
Float kernels differ in rounding only. With quantize="int8" weights are integers with a scale for each output channel, a
quarter of the memory of float32: the kernels "fbgemm" and "onednn" round the activations too, the others only the weights.
"""

import contextlib
import copy
import math
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model import GPT
from sampling.config import Kernel, Quantize
from system.errors import UserError, first_line

PACKED_ROWS = 8  # that oneDNN chooses its layout for; any other number is right too, and as fast
TIMED_ROWS = 8  # at most, so that the choice takes little time
TIMED_BYTES = 100e6  # of float32 weights, so that no cache holds them
N_TIMINGS = 5  # of each kernel, in turn; the shortest counts
MAX_TIME_RATIO = 0.9  # of another kernel to the first, for it to be taken: timings vary by a few percent
MAX_ERROR = 0.1  # of the largest output, for a kernel that is as it should be, whatever it rounds


class TorchLinear(nn.Module):
    """Torch's own multiplication, with the weights in the dtype."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
        self.bias = in_dtype(layer.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.dtype), self.weight, self.bias)


class PackedLinear(nn.Module):
    """The same in oneDNN, with weights in the layout that it reads in order."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype), PACKED_ROWS)
        self.bias = in_dtype(layer.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, "none", [], "")


class TransposedLinear(nn.Module):
    """Torch's multiplication with the weights by input channel, which one thread reads faster for a single row."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = layer.weight.detach().to(dtype).T.contiguous()  # (C, O)
        self.bias = in_dtype(layer.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(self.dtype) @ self.weight
        return y if self.bias is None else y + self.bias


class Int8Linear(nn.Module):
    """8-bit weights in plain torch: they are converted for each call, which saves memory but no time."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight, scales = quantized(layer.weight.detach())
        self.scales, self.bias = scales.to(dtype), in_dtype(layer.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x.to(self.dtype), self.weight.to(self.dtype)) * self.scales
        return y if self.bias is None else y + self.bias


class Int8PackLinear(nn.Module):
    """8-bit weights, and activations in bfloat16: torch's kernel for weight-only quantization."""

    dtype = torch.bfloat16

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, scales = quantized(layer.weight.detach())
        self.scales, self.bias = scales.to(self.dtype), in_dtype(layer.bias, self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.to(self.dtype).reshape(-1, x.shape[-1])  # (N, C)
        y = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scales)
        y = y if self.bias is None else y + self.bias
        return y.view(*x.shape[:-1], -1)


class Int8Activations(nn.Module):
    """8-bit weights and activations. Each row is rounded to a scale of its own, so it does not depend on the rows beside it."""

    dtype = torch.float32

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.pack(*quantized(layer.weight.detach()))
        self.bias = in_dtype(layer.bias, torch.float32)
        # Without VNNI, sums of two products are kept in 16 bits, where 8-bit activations would overflow.
        self.levels = 127 if torch.cpu._is_vnni_supported() else 63

    def pack(self, weight: Tensor, scales: Tensor) -> None:
        raise NotImplementedError

    def multiply(self, x: Tensor) -> Tensor:
        """Return the product with rows whose numbers are in [-1, 1], which are rounded here: (N, C) -> (N, O)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        rows = x.float().reshape(-1, x.shape[-1])  # (N, C)
        largest = rows.abs().amax(-1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny)  # (N, 1)
        y = self.multiply(rows / largest)  # (N, O)
        y = y * largest if self.bias is None else torch.addcmul(self.bias, y, largest)
        return y.view(*x.shape[:-1], -1)


class FbgemmLinear(Int8Activations):
    """In fbgemm, the faster one where there is no VNNI."""

    def pack(self, weight: Tensor, scales: Tensor) -> None:
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch will drop such tensors; then other kernels remain
            matrix = torch._make_per_channel_quantized_tensor(weight, scales.double(), zeros, axis=0)
        self.weight = torch.ops.quantized.linear_prepack(matrix, None)

    def multiply(self, x: Tensor) -> Tensor:
        operator = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        return operator(x, 1 / self.levels, self.levels + 1, self.weight)


class OneDnnInt8Linear(Int8Activations):
    """In oneDNN."""

    def pack(self, weight: Tensor, scales: Tensor) -> None:
        self.weight, self.scales = torch.ops.onednn.qlinear_prepack(weight, None), scales
        self.zeros = torch.zeros(len(scales), dtype=torch.int64)

    def multiply(self, x: Tensor) -> Tensor:
        integers = (x * self.levels).round_().add_(self.levels + 1).to(torch.uint8)
        inputs = (integers, 1 / self.levels, self.levels + 1)
        matrix = (self.weight, self.scales, self.zeros)
        output: tuple = (1.0, 0, torch.float32, "none", [], "")
        return torch.ops.onednn.qlinear_pointwise(*inputs, *matrix, None, *output)


Make = Callable[[nn.Linear, torch.dtype], nn.Module]
KERNELS: dict[Quantize, dict[Kernel, Make]] = {
    "none": {"torch": TorchLinear, "onednn": PackedLinear, "transposed": TransposedLinear},
    "int8": {
        "fbgemm": FbgemmLinear,
        "onednn": OneDnnInt8Linear,
        "int8pack": Int8PackLinear,
        "torch": Int8Linear,
    },
}


def for_sampling(
    model: GPT,
    dtype: torch.dtype = torch.float32,
    quantize: Quantize = "none",
    kernel: Kernel = "auto",
    rows: int = TIMED_ROWS,
) -> tuple[GPT, Kernel]:
    """Return the model in evaluation mode with linear layers for sampling, and their kernel.

    `dtype` is that of matrix multiplications and of the cache, where the kernel has a choice. It shares its other
    weights with the model, which stays as it is. "auto" takes the kernel that is fastest for `rows` texts at a time,
    measured; on anything but a CPU it is "torch". Raises UserError for a kernel that this machine or `quantize` does not have.
    """
    shared = {id(parameter): parameter for parameter in model.parameters()}
    copied = copy.deepcopy(model, shared).eval()
    if kernel == "auto":
        kernel = fastest(copied, dtype, quantize, rows)
    if kernel not in KERNELS[quantize]:
        others = ", or use --quantize=int8" if quantize == "none" else ""
        known = ", ".join(KERNELS[quantize])
        raise UserError(f"kernel={kernel}: not with quantize={quantize}: must be auto, {known}{others}")
    make = KERNELS[quantize][kernel]
    for parent in list(copied.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, built(make, layer, dtype, kernel))
    return copied, kernel


@torch.no_grad()
def built(make: Make, layer: nn.Linear, dtype: torch.dtype, kernel: Kernel) -> nn.Module:
    """Return a layer that has multiplied a row rightly; raise UserError if torch's kernel is missing or has changed."""
    row = layer.weight[:1]  # any of its inputs' size
    try:
        made = make(layer, dtype)
        found = made(row)
    except (RuntimeError, AttributeError, TypeError) as error:  # no such operator, or other arguments
        problem = first_line(error)
    else:
        expected = F.linear(row, layer.weight, layer.bias)
        if (found - expected).abs().max() <= MAX_ERROR * expected.abs().max():
            return made
        problem = "its results are wrong"
    raise UserError(f"kernel={kernel}: not available here: {problem}: use --kernel=auto")


def fastest(model: GPT, dtype: torch.dtype, quantize: Quantize, rows: int) -> Kernel:
    """Return the kernel that takes the least time for the layers of some rows; the first one if none is clearly faster."""
    if model.lm_head.weight.device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return "torch"
    rows = min(rows, TIMED_ROWS)
    layers: list[nn.Linear] = []
    for layer in model.transformer.modules():
        if isinstance(layer, nn.Linear) and sum(4 * other.weight.numel() for other in layers) < TIMED_BYTES:
            layers.append(layer)
    made: dict[Kernel, list[nn.Module]] = {}
    for kernel, make in KERNELS[quantize].items():
        with contextlib.suppress(UserError):
            made[kernel] = [built(make, layer, dtype, kernel) for layer in layers]
    seconds = dict.fromkeys(made, math.inf)
    for kernel in [*made] * N_TIMINGS:
        seconds[kernel] = min(seconds[kernel], seconds_for(rows, made[kernel], layers))
    best = min(made, key=seconds.__getitem__)
    first = next(iter(made))
    return best if seconds[best] < MAX_TIME_RATIO * seconds[first] else first


@torch.inference_mode()
def seconds_for(rows: int, made: list[nn.Module], layers: list[nn.Linear]) -> float:
    """Return how long layers take for some rows."""
    inputs = [layer.weight.new_ones(rows, layer.in_features) for layer in layers]
    began = time.perf_counter()
    for layer, x in zip(made, inputs, strict=True):
        layer(x)
    return time.perf_counter() - began


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix as integers of -127 to 127, and the scale of each of its rows: (O, C) -> (O, C), (O,)."""
    scales = (weight.float().abs().amax(-1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    return (weight / scales[:, None]).round().to(torch.int8), scales


def in_dtype(bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a bias in a dtype, or None if there is none."""
    return None if bias is None else bias.detach().to(dtype)
