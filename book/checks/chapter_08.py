"""The checks of chapter 8: RMSNorm, rotary positions, SwiGLU, grouped heads, which must be model.py's."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from book.checks.exercise import Exercise, random
from model import GPTConfig, RMSNorm, rotary_angles, rotate


def _rows() -> Iterator[tuple[Any, ...]]:
    # Where numbers are small, eps matters.
    for size, shape in ((1.0, (2, 3, 8)), (0.001, (4, 6)), (50.0, (3, 5))):
        yield random(*shape) * size + size, random(shape[-1]), 1e-6


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    norm = RMSNorm(len(weight), eps)
    norm.weight.data = weight
    return norm(x)


def _eps_outside(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight


def _queries() -> Iterator[tuple[Any, ...]]:
    for B, n_head, T, D in ((1, 2, 5, 8), (2, 3, 7, 4)):
        config = GPTConfig(n_head=n_head, n_embd=n_head * D, position="rotary")
        cos, sin = rotary_angles(config, torch.arange(T))
        yield random(B, n_head, T, D), cos.double(), sin.double()


def _neighbours(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x[..., ::2], x[..., 1::2]
    return torch.stack([left * cos - right * sin, right * cos + left * sin], -1).flatten(-2)


def _mirrored(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos + right * sin, right * cos + left * sin], -1)


def _matrices() -> Iterator[tuple[Any, ...]]:
    for B, T, C, n in ((2, 3, 4, 6), (1, 5, 6, 3)):
        yield random(B, T, C), random(n, C), random(n, C), random(C, n)


EXERCISES = {
    "rms_norm": Exercise(
        inputs=_rows,
        right=_rms_norm,
        mistakes=[
            (
                lambda x, weight, eps: F.layer_norm(x, weight.shape, weight, eps=eps),
                "the mean is subtracted, as in LayerNorm: leave it alone",
            ),
            (
                lambda x, weight, eps: x / (x.pow(2).sum(-1, keepdim=True) + eps).sqrt() * weight,
                "it divides by the length of the vector: divide by the root of the *mean* of the squares",
            ),
            (
                lambda x, weight, eps: x / (x.pow(2).mean(-1, keepdim=True) + eps) * weight,
                "it divides by the mean of the squares: divide by its root",
            ),
            (
                lambda x, weight, eps: _rms_norm(x, torch.ones_like(weight), eps),
                "the result is not multiplied by `weight`",
            ),
            (
                lambda x, weight, eps: _rms_norm(x, weight, 0.0),
                "`eps` is not used: add it to the mean of the squares",
            ),
            (_eps_outside, "`eps` is added to the root: add it to the mean of the squares, under the root"),
        ],
    ),
    "rotate": Exercise(
        inputs=_queries,
        right=rotate,
        mistakes=[
            (
                _neighbours,
                "neighbouring channels are paired: here channel i belongs to channel i + D/2, as `x.chunk(2, dim=-1)` cuts them",
            ),
            (lambda x, cos, sin: rotate(x, cos, -sin), "it rotates backwards: swap plus and minus"),
            (_mirrored, "that is no rotation, as lengths change: one of the two sines has a minus"),
        ],
        results=("the rotated x",),
    ),
    "swiglu": Exercise(
        inputs=_matrices,
        right=lambda x, to_gate, to_value, to_output: F.silu(x @ to_gate.T) * (x @ to_value.T) @ to_output.T,
        mistakes=[
            (
                lambda x, to_gate, to_value, to_output: x @ to_gate.T * F.silu(x @ to_value.T) @ to_output.T,
                "SiLU goes to the value: it goes to the gate",
            ),
            (
                lambda x, to_gate, to_value, to_output: (
                    (x @ to_gate.T).sigmoid() * (x @ to_value.T) @ to_output.T
                ),
                "the gate goes through a sigmoid: SiLU is x times the sigmoid of x",
            ),
            (
                lambda x, to_gate, to_value, to_output: (
                    F.silu(x @ to_gate.T * (x @ to_value.T)) @ to_output.T
                ),
                "SiLU goes to the product: it goes to the gate, before the product",
            ),
            (
                lambda x, to_gate, to_value, to_output: x @ to_gate.T * (x @ to_value.T) @ to_output.T,
                "SiLU is missing",
            ),
            (
                lambda x, to_gate, to_value, to_output: (
                    (F.silu(x @ to_gate.T) + x @ to_value.T) @ to_output.T
                ),
                "gate and value are added: multiply them",
            ),
            (
                lambda x, to_gate, to_value, to_output: F.silu(x @ to_gate.T) * (x @ to_value.T),
                "the last matrix is missing",
            ),
        ],
    ),
    "grouped": Exercise(
        inputs=lambda: [(random(2, 2, 3, 4), 6), (random(1, 3, 5, 2), 6), (random(2, 4, 3, 2), 4)],
        right=lambda keys, n_head: keys.repeat_interleave(n_head // keys.shape[1], 1),
        mistakes=[
            (
                lambda keys, n_head: keys.repeat(1, n_head // keys.shape[1], 1, 1),
                "the heads come as 0, 1, 0, 1: neighbouring queries share a head, so they come as 0, 0, 1, 1",
            ),
            (
                lambda keys, n_head: keys.repeat_interleave(n_head, 1),
                "each head is repeated n_head times: repeat it n_head // K times, for n_head heads in all",
            ),
        ],
        results=("the heads",),
    ),
}
