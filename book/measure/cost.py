"""Time and memory by the length of the text: attention written out, attention in one kernel, and an LSTM.

Each is one layer's core, forward and backward: attention from queries, keys and values on, the LSTM from its inputs on.
Shapes: H heads, T tokens, D head size, C channels (= H * D).
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from book.measure.config import MeasureConfig
from book.measure.results import summary
from model import fused_attention, math_attention
from system.errors import say

H, D = 4, 32
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
REPEATS = 5
FITTED = 512  # from this length on, exponents are fitted: below, fixed costs show
SEED = 1

Layer = Callable[[], None]


def attention(T: int, how: Callable[..., torch.Tensor]) -> Layer:
    """Return attention over T tokens, forward and backward."""
    q, k, v = (torch.randn(1, H, T, D, requires_grad=True) for _ in range(3))

    def run() -> None:
        torch.autograd.grad(how(q, k, v, 0.0).sum(), (q, k, v))

    return run


def lstm(T: int) -> Layer:
    """Return an LSTM with as many channels over T tokens, forward and backward."""
    layer = nn.LSTM(H * D, H * D, batch_first=True)
    x = torch.randn(1, T, H * D, requires_grad=True)

    def run() -> None:
        torch.autograd.grad(layer(x)[0].sum(), (x, *layer.parameters()))

    return run


LAYERS: dict[str, Callable[[int], Layer]] = {
    "math": lambda T: attention(T, math_attention),
    "sdpa": lambda T: attention(T, fused_attention),
    "lstm": lstm,
}


def peak_bytes(run: Layer) -> int:
    """Return the most memory that tensors took at one time during a run, beyond what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return int(np.cumsum([n_bytes for _, n_bytes in changes]).max())


def seconds_of(run: Layer) -> float:
    """Return the processor time of a run."""
    began = time.process_time()
    run()
    return time.process_time() - began


def exponent(lengths: Sequence[int], costs: Sequence[float]) -> float:
    """Return the p with which costs grow like T^p: the slope of a line through their logarithms."""
    kept = np.log([(T, cost) for T, cost in zip(lengths, costs, strict=True) if T >= FITTED])  # (lengths, 2)
    slope, _ = np.polyfit(kept[:, 0], kept[:, 1], deg=1)
    return round(float(slope), 2)


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Time the layers in turn at each length, and count their memory."""
    torch.manual_seed(SEED)
    layers: dict[str, Any] = {name: {"seconds": {}, "peak_mb": {}} for name in LAYERS}
    for T in LENGTHS:
        runs = {name: make(T) for name, make in LAYERS.items()}
        seconds: dict[str, list[float]] = {name: [] for name in LAYERS}
        for number in range(REPEATS + 1):
            for name, run in runs.items():
                used = seconds_of(run)
                seconds[name] += [used] if number else []  # the first time, memory is still cold
        for name, run in runs.items():
            layers[name]["seconds"][str(T)] = summary(seconds[name], 5)
            layers[name]["peak_mb"][str(T)] = round(peak_bytes(run) / 1e6, 3)
        say(f"cost: {T} tokens")
    for results in layers.values():
        times = [median(results["seconds"][str(T)]["each"]) for T in LENGTHS]
        results["time_exponent"] = exponent(LENGTHS, times)
        results["memory_exponent"] = exponent(LENGTHS, list(results["peak_mb"].values()))
    return {"heads": H, "head_size": D, "fitted_from": FITTED, "seeds": [SEED], "layers": layers}
