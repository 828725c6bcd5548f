"""From logits to the next token: pure functions of a row's own logits, settings and random number."""

import torch
from torch import Tensor


def candidates(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the probabilities to draw the next token from, and the tokens' ids: (B, V) -> (B, n), (B, n).

    Divides the logits by the temperature (above 0), keeps the `top_k` most probable tokens (0: all), renormalizes, of
    these keeps the fewest that together reach `top_p`, and of these the ones that are at least `min_p` times as probable
    as the first (https://arxiv.org/abs/2407.01082). What is not kept has probability 0; the rest is not renormalized.
    With `top_k`, `top_p` or `min_p` the most probable token comes first, otherwise ids are in their order.
    """
    V = logits.shape[-1]
    # Subtracting the maximum changes no probability and keeps a tiny temperature from overflowing.
    if not top_k and top_p >= 1 and not min_p:
        scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
        return scaled.softmax(-1), torch.arange(V, device=logits.device).expand_as(logits)
    largest, ids = logits.topk(min(top_k or V, V), dim=-1)  # (B, n)
    probabilities = ((largest - largest[..., :1]) / temperature).softmax(-1)  # (B, n)
    before = probabilities.cumsum(-1) - probabilities  # the sum over more probable tokens
    kept = (before < top_p) & (probabilities >= min_p * probabilities[..., :1])
    kept[..., 0] = True
    return probabilities.where(kept, 0), ids


def drawn(probabilities: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """Return for each row the id that its number in [0, 1) falls on: (B, n), (B, n), (B,) -> (B,).

    The probabilities need not sum to 1. An id with probability 0 is never drawn.
    """
    sums = probabilities.cumsum(-1)  # (B, n)
    wanted = (
        uniforms.to(sums)[:, None] * sums[:, -1:]
    )  # (B, 1); always below the last sum, as uniforms are below 1
    places = torch.searchsorted(sums, wanted, right=True).clamp_(max=sums.shape[-1] - 1)  # (B, 1)
    return ids.gather(-1, places)[:, 0]


def penalized(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Return logits that make the `seen` ids less probable: (V,), (n,) -> (V,).

    Positive logits are divided by the penalty, negative ones multiplied (CTRL, https://arxiv.org/abs/1909.05858).
    """
    found = logits[seen]
    return logits.index_copy(-1, seen, torch.where(found > 0, found / penalty, found * penalty))
