"""The transformer (Vaswani et al. 2017): an encoder that reads all at once, and a decoder that looks at it.

Norms come before attention and MLP, as in GPT-2 and all that followed; the paper had them after.
Shapes: B batch, S source length, T target length, C channels, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from book.attention import MultiHeadAttention, causal_mask


def sinusoids(T: int, C: int) -> Tensor:
    """Return a vector for each position, waves of different lengths (Vaswani et al. 2017): (T, C), for an even C."""
    rates = 1 / 10_000 ** (torch.arange(0, C, 2) / C)  # (C/2,)
    angles = torch.arange(T)[:, None] * rates  # (T, C/2)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class MLP(nn.Sequential):
    """A network of one hidden layer, four times as wide, that each position goes through by itself."""

    def __init__(self, n_embd: int) -> None:
        super().__init__(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))


class Block(nn.Module):
    """Attention between positions, then an MLP within each; both add to what was there.

    With cross=True the block is a decoder's: it also looks at a memory, after it has looked at itself.
    """

    def __init__(self, n_embd: int, n_head: int, cross: bool = False) -> None:
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(n_embd), MultiHeadAttention(n_embd, n_head)
        self.norm_cross = nn.LayerNorm(n_embd) if cross else None
        self.cross = MultiHeadAttention(n_embd, n_head) if cross else None
        self.norm_2, self.mlp = nn.LayerNorm(n_embd), MLP(n_embd)

    def forward(self, x: Tensor, mask: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """Return (B, T, C) for x (B, T, C), a mask (T, T) of what may be seen, and a memory (B, S, C)."""
        x = x + self.attention(self.norm_1(x), mask=mask)[0]
        if self.cross is not None and self.norm_cross is not None:
            x = x + self.cross(self.norm_cross(x), memory)[0]
        return x + self.mlp(self.norm_2(x))


class Transformer(nn.Module):
    """An encoder and a decoder of blocks, with the interface of `Seq2Seq`."""

    def __init__(self, vocab_size: int, n_embd: int, n_head: int = 4, n_layer: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, n_embd)
        self.encoder = nn.ModuleList(Block(n_embd, n_head) for _ in range(n_layer))
        self.decoder = nn.ModuleList(Block(n_embd, n_head, cross=True) for _ in range(n_layer))
        self.norm_source, self.norm_target = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.output = nn.Linear(n_embd, vocab_size)

    def place(self, tokens: Tensor) -> Tensor:
        """Return the tokens' vectors, each with its position's added: (B, T) -> (B, T, C)."""
        x = self.embed(tokens)
        return x + sinusoids(*x.shape[1:])

    def encode(self, source: Tensor) -> Tensor:
        """Read a source, all positions at once: (B, S) -> (B, S, C)."""
        x = self.place(source)
        for block in self.encoder:
            x = block(x)
        return self.norm_source(x)

    def decode(self, seen: Tensor, memory: Tensor) -> Tensor:
        """Return logits of the token after each: (B, T), (B, S, C) -> (B, T, V)."""
        x, mask = self.place(seen), causal_mask(seen.shape[1])
        for block in self.decoder:
            x = block(x, mask, memory)
        return self.output(self.norm_target(x))

    def forward(self, source: Tensor, target: Tensor, begin: int) -> Tensor:
        """Return the mean cross-entropy, in nats per token, of a target (B, T) after a source (B, S)."""
        seen = F.pad(target[:, :-1], (1, 0), value=begin)
        logits = self.decode(seen, self.encode(source))
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    @torch.no_grad()
    def write(self, source: Tensor, T: int, begin: int) -> tuple[Tensor, None]:
        """Return the T most likely tokens, one after another, each after all before were read again: (B, T), None."""
        memory = self.encode(source)
        tokens = source.new_full((len(source), 1), begin)
        for _ in range(T):
            logits = self.decode(tokens, memory)[:, -1]
            tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], 1)
        return tokens[:, 1:], None
