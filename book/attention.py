"""The attention family, from a soft lookup to many heads, each in a few lines.

Shapes: B batch, T queries, S keys and values, D size of a query and of a key, C channels, H heads.
`mask` tells which keys each query may see: bool, (T, S) or (B, T, S).
"""

import math

import torch
from torch import Tensor, nn


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Look up the queries (..., T, D) among the keys (..., S, D), and return a mean of the values and its weights.

    It is a database whose rows all answer a little, the more the nearer their key is to the query: the weights are the
    softmax of the dot products. These are multiplied by `scale`, by default 1/sqrt(D) (Vaswani et al. 2017): dot
    products of D random numbers spread like sqrt(D), and a softmax of large numbers has next to no gradient.
    """
    scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else scale
    return weighted(queries @ keys.transpose(-2, -1) * scale, values, mask)


def weighted(scores: Tensor, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Turn scores (..., T, S) into weights that add up to one, and return the weighted mean of the values and the weights."""
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)  # (..., T, S)
    return weights @ values, weights


def causal_mask(T: int) -> Tensor:
    """Return which positions each position may see, itself and those before it: (T, T) bool."""
    return torch.ones(T, T, dtype=torch.bool).tril()


class AdditiveAttention(nn.Module):
    """The first attention (Bahdanau, Cho and Bengio 2014): a small network scores each pair of query and key."""

    def __init__(self, n_query: int, n_key: int, n_hidden: int) -> None:
        super().__init__()
        self.from_query = nn.Linear(n_query, n_hidden, bias=False)
        self.from_key = nn.Linear(n_key, n_hidden)
        self.score = nn.Linear(n_hidden, 1, bias=False)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return how well each key fits each query: (B, T, n_query), (B, S, n_key) -> (B, T, S)."""
        hidden = self.from_query(queries)[:, :, None] + self.from_key(keys)[:, None]  # (B, T, S, n_hidden)
        return self.score(torch.tanh(hidden)).squeeze(-1)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return weighted(self.scores(queries, keys), values, mask)


def hard_attention(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Look at one value, drawn by the softmax of the scores (Xu et al. 2015): (B, S), (B, S, C) -> (B, C), (B,).

    Drawing has no gradient. The second result is the logarithm of the probability of what was drawn, for `reinforce`.
    """
    drawn = torch.distributions.Categorical(logits=scores)
    place = drawn.sample()  # (B,)
    return values[torch.arange(len(values)), place], drawn.log_prob(place)


def reinforce(log_probabilities: Tensor, rewards: Tensor, baseline: Tensor | float = 0.0) -> Tensor:
    """Return a loss whose gradient is, on average, that of the negative expected reward (Williams 1992): (B,), (B,) -> ().

    Draws that did better than the baseline become more probable. The baseline changes nothing on average, and takes away
    most of the variance where it is near the mean reward.
    """
    return -((rewards - baseline).detach() * log_probabilities).mean()


class SelfAttention(nn.Module):
    """One head: each position asks all others, with its own query, key and value."""

    def __init__(self, n_embd: int, head_size: int, causal: bool = False) -> None:
        super().__init__()
        self.to_query = nn.Linear(n_embd, head_size, bias=False)
        self.to_key = nn.Linear(n_embd, head_size, bias=False)
        self.to_value = nn.Linear(n_embd, head_size, bias=False)
        self.causal = causal

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the heads' outputs and weights: (B, T, C) -> (B, T, D), (B, T, T)."""
        mask = causal_mask(x.shape[1]) if self.causal else None
        return attend(self.to_query(x), self.to_key(x), self.to_value(x), mask)


class MultiHeadAttention(nn.Module):
    """Several heads side by side, each with a part of the channels, and a matrix that mixes what they found.

    With `memory`, keys and values come from another sequence: cross-attention, as a decoder reads its encoder.
    """

    def __init__(self, n_embd: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.to_query = nn.Linear(n_embd, n_embd)
        self.to_key = nn.Linear(n_embd, n_embd)
        self.to_value = nn.Linear(n_embd, n_embd)
        self.mix = nn.Linear(n_embd, n_embd)

    def forward(
        self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return outputs and weights of all heads: (B, T, C), (B, S, C) -> (B, T, C), (B, H, T, S)."""
        memory = x if memory is None else memory
        q, k, v = (
            self.in_heads(part) for part in (self.to_query(x), self.to_key(memory), self.to_value(memory))
        )
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]  # the same for all heads
        y, weights = attend(q, k, v, mask)  # (B, H, T, D), (B, H, T, S)
        return self.mix(y.transpose(1, 2).flatten(2)), weights

    def in_heads(self, x: Tensor) -> Tensor:
        """Divide the channels: (B, T, C) -> (B, H, T, D)."""
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)
