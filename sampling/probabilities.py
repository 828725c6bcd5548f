"""From logits to the probabilities that the next token is drawn from: pure functions."""

import torch
from torch import Tensor


def next_token_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    """Return the probabilities to draw the next token from: (..., V) -> (..., V).

    The logits are divided by the temperature; of the tokens in order of probability (equal ones: lower ids
    first) the `top_k` first stay (0: all), and of these, renormalized, the fewest that reach `top_p` together.
    Temperature 0 is greedy: all probability goes to the first of the largest logits.
    The settings are ones that `check_sampling` lets pass.
    """
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    # Without the maximum, which changes no probability, a tiny temperature cannot overflow.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    probabilities, ids = scaled.softmax(-1).sort(dim=-1, descending=True, stable=True)
    if top_k > 0:
        probabilities[..., top_k:] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    if top_p < 1:
        before = probabilities.cumsum(-1) - probabilities  # of the more probable tokens together
        probabilities[before >= top_p] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, ids, probabilities)


def check_sampling(temperature: float, top_k: int, top_p: float, n_samples: int, max_new_tokens: int) -> None:
    """Raise ValueError for a setting that is out of range, by name and value."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature={temperature}: must be finite and at least 0 (0: greedy)")
    if top_k < 0:
        raise ValueError(f"top_k={top_k}: must be at least 0 (0: all tokens)")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: must be in (0, 1] (1: all tokens)")
    if n_samples < 1:
        raise ValueError(f"n_samples={n_samples}: must be at least 1")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens}: must be at least 0")
