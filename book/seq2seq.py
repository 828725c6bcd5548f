"""Sequence to sequence: an encoder reads, a decoder writes, with attention to what was read or without.

Shapes: B batch, S source length, T target length, C hidden size, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from book.attention import AdditiveAttention
from book.recurrent import GRUCell, unroll


class Seq2Seq(nn.Module):
    """An encoder and a decoder of GRUs (Sutskever, Vinyals and Le 2014; Cho et al. 2014).

    Without attention the decoder has nothing of the source but the encoder's last state, however long the source is. With it
    (Bahdanau, Cho and Bengio 2014), the decoder looks at the encoder's outputs before each step.
    """

    def __init__(self, vocab_size: int, n_hidden: int, attention: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, n_hidden)
        self.encoder = GRUCell(n_hidden, n_hidden)
        self.attention = AdditiveAttention(n_hidden, n_hidden, n_hidden) if attention else None
        self.decoder = GRUCell(2 * n_hidden if attention else n_hidden, n_hidden)
        self.output = nn.Linear(n_hidden, vocab_size)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder's outputs and its last state: (B, S) -> (B, S, C), (B, C)."""
        return unroll(self.encoder, self.embed(source))

    def step(self, token: Tensor, h: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the next token's logits (B, V), the decoder's next state (B, C), and where it looked (B, S)."""
        x, weights = self.embed(token), None  # (B, C)
        if self.attention is not None:
            context, weights = self.attention(h[:, None], memory, memory)  # (B, 1, C), (B, 1, S)
            x = torch.cat([x, context[:, 0]], dim=-1)  # (B, 2C)
            weights = weights[:, 0]
        output, h = self.decoder(x, h)
        return self.output(output), h, weights

    def forward(self, source: Tensor, target: Tensor, begin: int) -> Tensor:
        """Return the mean cross-entropy, in nats per token, of a target (B, T) after a source (B, S).

        The decoder sees the target's tokens before the one it predicts, whatever it would have written itself (teacher
        forcing); `begin` is the token before the first.
        """
        memory, h = self.encode(source)
        seen = F.pad(target[:, :-1], (1, 0), value=begin)  # (B, T)
        logits = []
        for token in seen.unbind(1):
            output, h, _ = self.step(token, h, memory)
            logits.append(output)
        return F.cross_entropy(torch.cat(logits), target.T.flatten())

    @torch.no_grad()
    def write(self, source: Tensor, T: int, begin: int) -> tuple[Tensor, Tensor | None]:
        """Return the T most likely tokens, one after another, and where the decoder looked: (B, T), (B, T, S)."""
        memory, h = self.encode(source)
        token = source.new_full((len(source),), begin)
        tokens, places = [], []
        for _ in range(T):
            logits, h, weights = self.step(token, h, memory)
            token = logits.argmax(dim=-1)
            tokens.append(token)
            places.append(weights)
        looked = torch.stack([w for w in places if w is not None], 1) if self.attention is not None else None
        return torch.stack(tokens, 1), looked
