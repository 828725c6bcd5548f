"""Decoding on CUDA: a step of all layers as one CUDA graph.

For one token, launching a model's few hundred kernels one by one takes longer than running them. A graph launches all of
them at once, but always with the same shapes and memory: so there is one for each number of rows and length of cache in
powers of two, recorded when it is first needed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model import GPT, Cache, LayerCache
from system.hardware import to_device

LEAST_LENGTH = 256  # of the cache that a graph reads
N_WARM_UPS = 3  # before recording: a kernel's first calls allocate memory, and compile it


class DeviceCache(Cache):
    """Some rows and positions of a cache, with lengths that the device reads: no shape depends on them."""

    def __init__(self, cache: Cache, B: int, size: int, lengths: Tensor) -> None:
        self.keys, self.values = cache.keys[:, :B, :, :size], cache.values[:, :B, :, :size]
        self.size, self.device_lengths = size, lengths  # (B,) int64

    def extend(self, T: int) -> tuple[Tensor, list[LayerCache]]:
        """Make room for one token more in each row: see Cache. The caller counts `lengths` up."""
        if T != 1:
            raise ValueError(f"{T} tokens: only one at a time has the same shapes each time")
        positions = self.device_lengths[:, None]  # (B, 1)
        visible = torch.arange(self.size, device=positions.device) <= positions[..., None]  # (B, 1, S)
        where = (torch.arange(len(positions), device=positions.device)[:, None], slice(None), positions)
        layers = zip(self.keys, self.values, strict=True)
        return positions, [LayerCache(*layer, where, False, visible) for layer in layers]


def next_logits(model: GPT, tokens: Tensor, cache: Cache) -> Tensor:
    """Return the logits that follow each row's newest token: (B,) -> (B, V)."""
    x = model.transformer(tokens[:, None], cache)  # (B, 1, C)
    return model.logits(x[:, 0])


class Recorded(NamedTuple):
    """A graph, with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    tokens: Tensor  # (B,)
    lengths: Tensor  # (B,)
    logits: Tensor  # (B, V)


class DecodingGraphs:
    """The graphs of a model that continues the rows of a cache. With `compile`, their kernels are compiled first."""

    def __init__(self, model: GPT, cache: Cache, compile: bool = False) -> None:
        self.model, self.cache = model, cache
        self.graphs: dict[tuple[int, int], Recorded] = {}
        self.next_logits = torch.compile(next_logits, fullgraph=True) if compile else next_logits

    def decode(self, newest: Tensor, n: int) -> Tensor:
        """Continue the first n rows by their newest tokens, (B,); return the logits, (n, V), valid until the next call."""
        shape = graph_shape(n, max(self.cache.lengths[:n]) + 1, len(newest), self.cache.size)
        # Rows that are not in use compute something at position 0, which nothing sees: a text begins with its prompt.
        lengths = to_device(torch.tensor([*self.cache.lengths[:n], *[0] * (shape[0] - n)]), newest.device)
        if shape not in self.graphs:
            self.graphs[shape] = self.record(newest[: shape[0]].clone(), lengths.clone(), shape[1])
        recorded = self.graphs[shape]
        recorded.tokens.copy_(newest[: shape[0]])
        recorded.lengths.copy_(lengths)
        recorded.graph.replay()
        for row in range(n):
            self.cache.lengths[row] += 1
        return recorded.logits[:n]

    def record(self, tokens: Tensor, lengths: Tensor, size: int) -> Recorded:
        """Record a step of these rows. To take it several times changes nothing: the same keys are written again."""
        cache = DeviceCache(self.cache, len(tokens), size, lengths)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(N_WARM_UPS):
                self.next_logits(self.model, tokens, cache)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self.next_logits(self.model, tokens, cache)
        return Recorded(graph, tokens, lengths, logits)


def graph_shape(n: int, length: int, slots: int, size: int) -> tuple[int, int]:
    """Return the rows and the length of cache of the smallest graph for n rows of at most this length."""
    rows, part = 1, min(LEAST_LENGTH, size)
    while rows < n:
        rows *= 2
    while part < length:
        part *= 2
    return min(rows, slots), min(part, size)
