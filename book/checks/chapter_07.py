"""The checks of chapter 7: LayerNorm, the waves of the positions, a block."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from book.checks.exercise import Exercise, random
from book.transformer import Block, sinusoids

Layer = Callable[[Tensor], Tensor]


def _rows() -> Iterator[tuple[Any, ...]]:
    # Where numbers are small, eps matters.
    for size, shape in ((1.0, (2, 3, 8)), (0.003, (4, 6)), (50.0, (3, 5))):
        C = shape[-1]
        yield random(*shape) * size + 2 * size, random(C), random(C), 1e-5


def _by_hand(
    x: Tensor, w: Tensor, b: Tensor, eps: float, dim: Any = -1, correction: int = 0, power: float = 0.5
) -> Tensor:
    variance = x.var(dim, keepdim=True, correction=correction)
    return (x - x.mean(dim, keepdim=True)) / (variance + eps) ** power * w + b


def _eps_outside(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, correction=0) + eps) * weight + bias


def _waves(T: int, C: int, step: int = 2, first: int = 0) -> Tensor:
    angles = (torch.arange(T) + first)[:, None] / 10_000 ** (torch.arange(0, C * step // 2, step) / C)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def _halves(T: int, C: int) -> Tensor:
    waves = sinusoids(T, C)
    return torch.cat([waves[:, ::2], waves[:, 1::2]], 1)


def _layers() -> Iterator[tuple[Any, ...]]:
    for C, n_head, B, T in ((8, 2, 2, 5), (6, 3, 3, 4)):
        block = Block(C, n_head).double().requires_grad_(False)
        for parameter in block.parameters():
            parameter.copy_(random(*parameter.shape) / math.sqrt(C))

        def attention(x: Tensor, block: Block = block) -> Tensor:
            return block.attention(x)[0]

        yield random(B, T, C), block.norm_1, attention, block.norm_2, block.mlp


def _block(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, mlp: Layer) -> Tensor:
    x = x + attention(norm_1(x))
    return x + mlp(norm_2(x))


def _norms_after(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, mlp: Layer) -> Tensor:
    x = norm_1(x + attention(x))
    return norm_2(x + mlp(x))


def _side_by_side(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, mlp: Layer) -> Tensor:
    return x + attention(norm_1(x)) + mlp(norm_2(x))


def _normed_stream(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, mlp: Layer) -> Tensor:
    x = norm_1(x)
    x = norm_2(x + attention(x))
    return x + mlp(x)


EXERCISES = {
    "layer_norm": Exercise(
        inputs=_rows,
        right=lambda x, weight, bias, eps: F.layer_norm(x, weight.shape, weight, bias, eps),
        mistakes=[
            (
                lambda x, weight, bias, eps: _by_hand(x, weight, bias, eps, correction=1),
                "the variance is the unbiased one, divided by C - 1: divide by C, with `correction=0`",
            ),
            (
                lambda x, weight, bias, eps: _by_hand(x, weight, bias, eps, power=1.0),
                "it divides by the variance: divide by its root",
            ),
            (
                lambda x, weight, bias, eps: _by_hand(x, weight, bias, eps, dim=tuple(range(x.ndim))),
                "mean and variance are taken over other tokens too: take them along the last dimension",
            ),
            (
                lambda x, weight, bias, eps: _by_hand(x, weight, bias, eps, dim=-2),
                "mean and variance are taken over the tokens: take them along the last dimension",
            ),
            (
                lambda x, weight, bias, eps: F.layer_norm(x, weight.shape, eps=eps),
                "the result is not multiplied by `weight` and shifted by `bias`",
            ),
            (
                lambda x, weight, bias, eps: F.layer_norm(x, weight.shape, weight, bias, 0.0),
                "`eps` is not used: add it to the variance",
            ),
            (_eps_outside, "`eps` is added to the root: add it to the variance, under the root"),
        ],
    ),
    "sinusoids": Exercise(
        inputs=lambda: [(5, 8), (60, 6), (3, 2)],
        right=sinusoids,
        mistakes=[
            (_halves, "all sines come before all cosines: let them alternate, sine and cosine of each rate"),
            (
                lambda T, C: sinusoids(T, C).unflatten(1, (-1, 2)).flip(2).flatten(1),
                "sine and cosine are swapped: the sine comes first",
            ),
            (
                lambda T, C: _waves(T, C, step=1),
                "the rates fall too slowly: the exponents are 0, 2, 4, ... divided by C",
            ),
            (lambda T, C: _waves(T, C, first=1), "the first position is 0, not 1"),
        ],
        results=("the waves",),
    ),
    "block": Exercise(
        inputs=_layers,
        right=_block,
        mistakes=[
            (
                lambda x, norm_1, attention, norm_2, mlp: mlp(norm_2(attention(norm_1(x)))),
                "nothing is added to x: each half is x plus what it computes",
            ),
            (_norms_after, "the norms come after the adding: here each half reads a normalized x"),
            (_side_by_side, "the MLP reads the x from before the attention: let it read the sum"),
            (_normed_stream, "x itself is normalized: only what each half reads is"),
            (
                lambda x, norm_1, attention, norm_2, mlp: x + attention(x) + mlp(x + attention(x)),
                "the norms are missing: each half reads a normalized x",
            ),
        ],
        results=("the block's output",),
    ),
}
