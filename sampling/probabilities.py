"""From logits to the probabilities that the next token is drawn from: pure functions."""

import torch
from torch import Tensor


def next_token_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    """Return the probabilities to draw the next token from: (..., V) -> (..., V).

    Divides the logits by the temperature, keeps the `top_k` most probable tokens (0: all), renormalizes, and of these
    keeps the fewest that together reach `top_p`. Ties go to the lower id. Temperature 0 is greedy: all probability
    goes to the first of the largest logits.
    """
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    # Subtracting the maximum changes no probability and keeps a tiny temperature from overflowing.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    probabilities, ids = scaled.softmax(-1).sort(dim=-1, descending=True, stable=True)
    if top_k > 0:
        probabilities[..., top_k:] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    if top_p < 1:
        before = probabilities.cumsum(-1) - probabilities  # the sum over more probable tokens
        probabilities[before >= top_p] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, ids, probabilities)
