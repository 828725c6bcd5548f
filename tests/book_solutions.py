"""Solutions of the book's exercises, as a reader would write them in book/exercises/."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


# Chapter 1
def bigram_loss(counts: Tensor, tokens: Tensor, added: float) -> float:
    p = counts + added
    p = p / p.sum(1, keepdim=True)
    return -p[tokens[:-1], tokens[1:]].log().mean().item()


def bits_per_byte(nats_per_token: float, n_tokens: int, n_bytes: int) -> float:
    return nats_per_token * n_tokens / n_bytes / math.log(2)


def softmax(logits: Tensor) -> Tensor:
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


# Chapter 2
def rnn_step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
    return torch.tanh(x @ W.T + h @ U.T + b)


def clipped(gradients: list[Tensor], longest: float) -> list[Tensor]:
    length = math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))
    factor = min(1.0, longest / length)
    return [gradient * factor for gradient in gradients]


# Chapter 3
def lstm_step(x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, d: Tensor) -> Tensor:
    reset, update, new = (x @ W.T + b).chunk(3, dim=-1)
    reset_h, update_h, new_h = (h @ U.T + d).chunk(3, dim=-1)
    r, z = (reset + reset_h).sigmoid(), (update + update_h).sigmoid()
    return z * h + (1 - z) * (new + r * new_h).tanh()


# Chapter 4
def shifted(target: Tensor, begin: int) -> Tensor:
    first = torch.full((len(target), 1), begin)
    return torch.cat([first, target[:, :-1]], 1)


def share_by_place(written: Tensor, target: Tensor) -> Tensor:
    return (written == target).float().mean(0)


def write(step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], h: Tensor, begin: int, n: int) -> Tensor:
    tokens = torch.full((len(h),), begin)
    written = []
    for _ in range(n):
        logits, h = step(tokens, h)
        tokens = logits.argmax(-1)
        written.append(tokens)
    return torch.stack(written, 1)


# Chapter 5
def additive_scores(h: Tensor, memory: Tensor, W: Tensor, U: Tensor, b: Tensor, v: Tensor) -> Tensor:
    hidden = (h @ W.T)[:, None] + memory @ U.T + b  # (B, S, K)
    return hidden.tanh() @ v


def context(scores: Tensor, memory: Tensor) -> Tensor:
    return (scores.softmax(-1)[:, :, None] * memory).sum(1)


def reinforce_loss(log_p: Tensor, rewards: Tensor, baseline: float) -> Tensor:
    return -((rewards.detach() - baseline) * log_p).mean()


# Chapter 6
def attention(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
    weights = scores.softmax(-1)
    return weights @ values, weights


def causal_weights(scores: Tensor) -> Tensor:
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -math.inf).softmax(-1)


def in_heads(x: Tensor, n_head: int) -> Tensor:
    B, T, C = x.shape
    return x.view(B, T, n_head, C // n_head).transpose(1, 2)


def sliding_mask(T: int, n_back: int) -> Tensor:
    back = torch.arange(T)[:, None] - torch.arange(T)
    return (back >= 0) & (back <= n_back)


# Chapter 7
def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.pow(2).mean(-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weight + bias


def sinusoids(T: int, C: int) -> Tensor:
    angles = torch.arange(T)[:, None] / 10_000 ** (torch.arange(0, C, 2) / C)
    waves = torch.zeros(T, C)
    waves[:, 0::2], waves[:, 1::2] = angles.sin(), angles.cos()
    return waves


def block(
    x: Tensor,
    norm_1: Callable[[Tensor], Tensor],
    attention: Callable[[Tensor], Tensor],
    norm_2: Callable[[Tensor], Tensor],
    mlp: Callable[[Tensor], Tensor],
) -> Tensor:
    x = x + attention(norm_1(x))
    return x + mlp(norm_2(x))


# Chapter 8
def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def swiglu(x: Tensor, to_gate: Tensor, to_value: Tensor, to_output: Tensor) -> Tensor:
    gate = x @ to_gate.T
    return (gate * gate.sigmoid() * (x @ to_value.T)) @ to_output.T


def grouped(keys: Tensor, n_head: int) -> Tensor:
    n_shared = n_head // keys.shape[1]
    return torch.stack([keys[:, head // n_shared] for head in range(n_head)], 1)


# Chapter 9
def merged(
    first: tuple[Tensor, Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    largest = torch.maximum(first[0], second[0])
    a = first[1] * (first[0] - largest).exp()
    b = second[1] * (second[0] - largest).exp()
    mean = (a[:, None] * first[2] + b[:, None] * second[2]) / (a + b)[:, None]
    return largest, a + b, mean


def attention_flops(T: int, C: int, n_head: int) -> int:
    return 2 * 2 * T * T * C


# Chapter 10
def learning_rate(step: int, max_steps: int, peak: float, warmup_steps: int, final_fraction: float) -> float:
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    height = (1 + math.cos(math.pi * progress)) / 2
    return peak * (final_fraction + (1 - final_fraction) * height)


def accumulated(
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor], weight: Tensor, parts: list[tuple[Tensor, Tensor]]
) -> Tensor:
    n_tokens = sum(len(targets) for _, targets in parts)
    for inputs, targets in parts:
        (loss_of(weight, inputs, targets) / n_tokens).backward()
    return weight.grad


# Chapter 11
def top_k(p: Tensor, k: int) -> Tensor:
    return p.where(p >= p.topk(k).values[:, -1:], 0)


def top_p(p: Tensor, reach: float) -> Tensor:
    values, ids = p.sort(-1, descending=True)
    kept = values.cumsum(-1) - values < reach
    return torch.zeros_like(p).scatter(-1, ids, values.where(kept, 0))


def attend_with_cache(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
    weights = (q @ keys.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
    return weights @ values, keys, values


# Chapter 12
def rollout(weights: Tensor) -> Tensor:
    total = torch.eye(weights.shape[-1], dtype=weights.dtype)
    for layer in weights:
        total = (layer / 2 + torch.eye(len(layer), dtype=layer.dtype) / 2) @ total
    return total


def surprisal_without(logits_of: Callable[[Tensor, Tensor], Tensor], tokens: Tensor, left_out: int) -> float:
    positions = torch.tensor([t for t in range(len(tokens) - 1) if t != left_out])
    log_p = logits_of(tokens[positions], positions)[-1].log_softmax(-1)
    return -log_p[tokens[-1]].item() / math.log(2)


def induction_score(weights: Tensor, n: int) -> Tensor:
    return torch.stack([weights[:, n + i, i + 1] for i in range(n)]).mean(0)
