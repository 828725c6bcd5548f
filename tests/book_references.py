"""What the tests of the book's networks share: comparing two networks, and giving torch's the weights of ours."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from book.attention import MultiHeadAttention


def difference(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Return the largest difference of the outputs and of the gradients of all inputs."""
    results = []
    for network in (ours, theirs):
        own = [x.clone().requires_grad_() for x in inputs]
        y = network(*own)
        (y * torch.sin(torch.arange(y.numel())).view_as(y)).sum().backward()
        results.append([y.detach(), *(x.grad for x in own)])
    assert all(a.abs().max() > 1e-3 for a in results[1]), "zeros would prove nothing"
    return max((a - b).abs().max().item() for a, b in zip(*results, strict=True))


def copy_heads(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.to_query, ours.to_key, ours.to_value)
    theirs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    theirs.out_proj.load_state_dict(ours.mix.state_dict())
