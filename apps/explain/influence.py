"""How much each earlier token influenced each prediction of a model, by four methods.

A text has T tokens. A method returns (T, T): row t is about the prediction of token t, column j about the token j that
influenced it. Only j < t can. Everything else is zero, and so is row 0, since nothing precedes the first token.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model import GPT, Cache, LayerCache, attention_weights

KEPT_KEYS = 32  # of a prediction in each head, at most; the rest of its weights is known as a sum
KEPT_WEIGHTS = 12 * 13 * 1024 * KEPT_KEYS  # of a text, at most: all that of 1,024 tokens of GPT-2
CHUNK_TOKENS = 64  # predictions whose logits exist at a time, and whose gradients share a forward pass
TOKENS_OF_A_PASS = 1024  # that leave_one_out computes together
BITS = 1 / math.log(2)  # in a nat

Progress = Callable[[Sequence[range]], Iterable[range]]  # passes on its items, and may show how far they are


def ranges(stop: int, size: int) -> list[range]:
    """Return 0 ... stop in ranges of `size`, the last one first: the longest text takes most memory, and fails at once."""
    return [range(start, min(start + size, stop)) for start in range(0, stop, size)][::-1]


class Predictions(NamedTuple):
    """What the model expected at each token."""

    surprisal: Tensor  # (T,) bits; NaN for the first token, which is not predicted
    top: Tensor  # (T, k) int64: the most probable tokens
    probabilities: Tensor  # (T, k), theirs


@torch.no_grad()
def predictions(model: GPT, tokens: Tensor, k: int) -> Predictions:
    """Return the surprisal of each of (T,) tokens and the k most probable ones at its place."""
    k = min(k, model.config.vocab_size)
    hidden = model(tokens[None, :-1], hidden=True)[0]  # (T - 1, C)
    surprisal = [tokens.new_full((1,), torch.nan, dtype=torch.float32)]
    top = [tokens.new_zeros((1, k))]
    probabilities = [surprisal[0].new_zeros((1, k))]
    for rows, targets in zip(hidden.split(CHUNK_TOKENS), tokens[1:].split(CHUNK_TOKENS), strict=True):  # fmt: skip
        logarithms = model.logits(rows).log_softmax(dim=-1)  # (n, V)
        best = logarithms.topk(k)
        surprisal.append(F.nll_loss(logarithms, targets, reduction="none") * BITS)
        top.append(best.indices)
        probabilities.append(best.values.exp())
    return Predictions(torch.cat(surprisal), torch.cat(top), torch.cat(probabilities))


class Attention(NamedTuple):
    """The attention of all layers and heads. Weights of a row add to one, and the kept ones to less."""

    keys: Tensor  # (L, H + 1, T, k) int64, ascending: the strongest keys of each row; the mean over heads comes first
    weights: Tensor  # (L, H + 1, T, k), theirs
    mean: Tensor  # (T, T) over all layers and heads
    rollout: Tensor  # (T, T)


def kept_keys(model: GPT, T: int) -> int:
    """Return how many keys of each prediction and head are kept of T tokens: fewer in a large model."""
    n_rows = model.config.n_layer * (model.config.n_head + 1) * T
    return max(1, min(KEPT_KEYS, T, KEPT_WEIGHTS // n_rows))


@torch.no_grad()
def attention(model: GPT, tokens: Tensor, n_kept: int) -> Attention:
    """Return the attention from which each of (T,) tokens was predicted: that of the position before it.

    Rollout follows attention through all layers at once (Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928):
    half of what a position has comes from itself, half from where the mean head looks.
    """
    T = len(tokens)
    keys, weights, means = [], [], []
    flow = torch.eye(T, device=tokens.device)  # (T, T)

    def take(layer: Tensor) -> None:  # (H, T, T)
        nonlocal flow
        mean = layer.mean(dim=0)  # (T, T)
        flow = (0.5 * mean + 0.5 * torch.eye(T, device=mean.device)) @ flow
        kept = strongest(by_prediction(torch.cat([mean[None], layer])), n_kept)
        keys.append(kept[0])
        weights.append(kept[1])
        means.append(mean)

    with attention_passed_to(model, take):
        model(tokens[None], hidden=True)
    mean = torch.stack(means).mean(dim=0)  # (T, T)
    return Attention(torch.stack(keys), torch.stack(weights), by_prediction(mean), by_prediction(flow))


@contextmanager
def attention_passed_to(model: GPT, take: Callable[[Tensor], None]) -> Iterator[None]:
    """Call `take` with the (H, T, T) attention weights of each layer in turn, when the model reads one text."""

    def hook(layer: Any, inputs: tuple[Any, ...]) -> None:
        x, rotary, _, visible = inputs
        q, k, _ = layer.project(x, rotary)
        take(attention_weights(q, k, visible)[0].float())

    handles = [block.get_submodule("attn").register_forward_pre_hook(hook) for block in model.transformer.h]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def by_prediction(weights: Tensor) -> Tensor:
    """Move each position's row to the token that was predicted from it: (..., T, T) -> (..., T, T)."""
    return F.pad(weights[..., :-1, :], (0, 0, 1, 0))


def strongest(weights: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest weights of each row in the order of their keys: keys and weights, (..., T, k) each."""
    keys = weights.topk(k).indices.sort().values
    return keys, weights.gather(-1, keys)


def gradient_x_input(model: GPT, tokens: Tensor, progress: Progress = iter) -> Tensor:
    """Return how each token's log-probability changes with the length of an earlier token's embedding: bits, (T, T).

    The gradient by the embedding, multiplied with it (Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713): what
    would be left out if the model were linear. Positive: the token made the prediction more probable.
    """
    result = torch.zeros(len(tokens), len(tokens), device=tokens.device)
    for positions in progress(ranges(len(tokens) - 1, CHUNK_TOKENS)):
        with torch.enable_grad(), leaf_embeddings(model) as embeddings:
            hidden = model(tokens[None, : positions.stop], hidden=True)[0]  # (n, C)
            for position in positions:
                target = tokens[position + 1]
                log_probability = model.logits(hidden[position]).log_softmax(dim=-1)[target] * BITS
                (gradient,) = torch.autograd.grad(log_probability, embeddings[0], retain_graph=True)
                products = (gradient * embeddings[0])[0].sum(dim=-1).detach()  # (n,)
                result[position + 1, : positions.stop] = products
    return result


@contextmanager
def leaf_embeddings(model: GPT) -> Iterator[list[Tensor]]:
    """Yield a list that gets the tokens' embeddings, (1, T, C), when the model reads a text; gradients end at them."""
    found: list[Tensor] = []

    def hook(_: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        found.append(embedded.detach().requires_grad_())
        return found[0]

    handle = model.transformer.wte.register_forward_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


@torch.no_grad()
def leave_one_out(model: GPT, tokens: Tensor, progress: Progress = iter) -> Tensor:
    """Return how much more surprising each token becomes when one earlier token is left out: bits, (T, T).

    Nothing attends to a token that is left out, and the others keep their positions. If it is the last before the
    prediction, the position before it predicts. At the second token nothing would be left: NaN. Positive: the token made
    the prediction more probable.
    """
    T, device = len(tokens), tokens.device
    result = torch.zeros(T, T, device=device)
    whole = Cache(model.config, 1, T, device, model.transformer.wte.weight.dtype)
    hidden = model(tokens[None], cache=whole, hidden=True)[0]  # (T, C)
    surprisal = surprisals(model, hidden[:-1], tokens[1:])  # (T - 1,)
    result.diagonal(-1)[1:] = surprisals(model, hidden[: max(0, T - 2)], tokens[2:])
    for left_out in progress(ranges(T - 2, max(1, TOKENS_OF_A_PASS // T))):
        cache = WithoutOne(model.config, whole, left_out)
        after = tokens[left_out.start + 1 : -1].expand(len(left_out), -1)  # (n, T')
        again = model(after, cache=cache, hidden=True)  # (n, T', C)
        for row, token in enumerate(left_out):
            changed = surprisals(model, again[row, token - left_out.start :], tokens[token + 2 :])
            result[token + 2 :, token] = changed
    result[1:] -= surprisal[:, None]
    result = result.tril(-1)
    result[1:2, 0] = torch.nan
    return result


def surprisals(model: GPT, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the bits of each target, given what the output layer gets: (n, C), (n,) -> (n,)."""
    parts = zip(hidden.split(CHUNK_TOKENS), targets.split(CHUNK_TOKENS), strict=True)
    return (
        torch.cat([F.cross_entropy(model.logits(x), wanted, reduction="none") for x, wanted in parts]) * BITS
    )


class WithoutOne(Cache):
    """A text whose rows each leave out another of some tokens in a row; it goes on after the first of them."""

    def __init__(self, config: Any, whole: Cache, left_out: range) -> None:
        self.left_out = left_out
        shape = (-1, len(left_out), -1, -1, -1)
        self.keys = whole.keys.expand(shape).contiguous()  # (L, n, K, T, D)
        self.values = whole.values.expand(shape).contiguous()

    def extend(self, T: int) -> tuple[Tensor, list[LayerCache]]:
        """Return the positions of the T tokens after the first that is left out, (1, T), and the layers' parts."""
        first, device = self.left_out.start + 1, self.keys.device
        positions = torch.arange(first, first + T, device=device)  # (T,)
        seen = torch.arange(first + T, device=device)  # (S,)
        is_left_out = seen == torch.tensor(self.left_out, device=device)[:, None]  # (n, S)
        # A token that is left out sees itself, so that its row is not empty; nothing uses it.
        visible = (seen <= positions[:, None]) & ~is_left_out[:, None]  # (n, T, S)
        visible |= seen == positions[:, None]
        where = (slice(None), slice(None), slice(first, first + T))
        parts = zip(self.keys[..., : first + T, :], self.values[..., : first + T, :], strict=True)
        return positions[None], [LayerCache(*layer, where, False, visible) for layer in parts]
