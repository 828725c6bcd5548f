"""The four networks that are compared, with the same number of parameters, the same embedding and the same output layer.

The recurrent ones are torch's own fast nn.RNN and nn.LSTM, which the book's cells are tested to equal; the transformer is
the GPT of model.py. Shapes: B batch, T time (tokens), C channels (the size of an embedding), S states, V vocabulary.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from book.measure.config import KINDS, Kind
from model import GPT, Cache, GPTConfig, output_loss

GPT2_SPREAD = 0.02  # of GPT-2's matrices before training
HEAD_SIZE = 32  # of the transformer
MAX_HIDDEN = 4096  # of the recurrent networks
# How often a recurrent network has matrices for a state, for the output, and for a query.
SIZES: dict[Kind, tuple[int, int, int]] = {"rnn": (1, 1, 0), "lstm": (4, 1, 0), "lstm_attention": (4, 2, 1)}


class Memory(NamedTuple):
    """What a recurrent network keeps of a text while it reads it token by token."""

    state: Tensor | tuple[Tensor, Tensor] | None  # None: nothing read yet
    seen: Tensor  # (1, size, S), the earlier states, of a network that attends to them
    n_seen: int


class Recurrent(nn.Module):
    """An RNN or LSTM language model: one layer, then a matrix back to the embedding's size.

    The embedding starts with torch's default, a spread of one: with the GPT's 0.02 an LSTM hardly begins to learn in the time
    given. With attention, the output also gets a weighted mean of the states so far, its own included, as in Luong, Pham and
    Manning (2015), "general": the score of two states is a dot product with a matrix between.
    """

    def __init__(
        self, kind: Kind, vocab_size: int, n_embd: int, n_hidden: int, forget_bias: float = 1.0
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, n_embd)
        self.network: nn.RNN | nn.LSTM = (nn.RNN if kind == "rnn" else nn.LSTM)(
            n_embd, n_hidden, batch_first=True
        )
        attends = kind == "lstm_attention"
        self.query = nn.Linear(n_hidden, n_hidden, bias=False) if attends else None
        self.output = nn.Linear(2 * n_hidden if attends else n_hidden, n_embd)
        if isinstance(self.network, nn.LSTM):
            open_forget_gates(self.network, forget_bias)

    @property
    def table(self) -> Tensor:
        """The embedding, which is the output layer too: (V, C)."""
        return self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the output layer gets: (B, T) -> (B, T, C)."""
        states, _ = self.network(self.embed(tokens))  # (B, T, S)
        if self.query is None:
            return self.output(states)
        keys = states[:, None]  # (B, 1, T, S): one head
        found = F.scaled_dot_product_attention(self.query(keys), keys, keys, is_causal=True)[:, 0]
        return self.output(torch.cat([states, found], dim=-1))

    def begin(self, size: int) -> Memory:
        """Return the memory for one text of up to `size` tokens."""
        size = size if self.query is not None else 0
        return Memory(None, torch.zeros(1, size, self.network.hidden_size), 0)

    def read(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Read more tokens of one text, and return what the output layer gets for the last: (1, T) -> (1, 1, C)."""
        states, state = self.network(self.embed(tokens), memory.state)
        last, n_seen = states[:, -1:], memory.n_seen + tokens.shape[1]
        if self.query is None:
            return self.output(last), Memory(state, memory.seen, n_seen)
        memory.seen[:, memory.n_seen : n_seen] = states
        keys = memory.seen[:, :n_seen]
        found = F.scaled_dot_product_attention(self.query(last), keys, keys)
        return self.output(torch.cat([last, found], dim=-1)), Memory(state, memory.seen, n_seen)


class Transformer(nn.Module):
    """The GPT of model.py with the same interface.

    Its positions are rotary, which need no parameters, so that a longer text does not make a larger network. Its matrices
    start with a spread of 1/sqrt(C) instead of GPT-2's 0.02, which is made for wide networks: in one of 32 channels the
    scores of attention begin so near to zero that it takes ten times as long to find anything.
    """

    def __init__(self, vocab_size: int, n_embd: int, n_layer: int, block_size: int) -> None:
        super().__init__()
        heads = n_embd // HEAD_SIZE
        shape = GPTConfig(vocab_size, block_size, n_layer, heads, n_embd=n_embd, position="rotary")
        self.gpt = GPT(shape)
        with torch.no_grad():
            for matrix in (parameter for parameter in self.parameters() if parameter.ndim == 2):
                matrix.mul_(1 / (GPT2_SPREAD * math.sqrt(n_embd)))

    @property
    def table(self) -> Tensor:
        """The embedding, which is the output layer too: (V, C), with rows to a multiple of 64."""
        return self.gpt.lm_head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the output layer gets: (B, T) -> (B, T, C)."""
        return self.gpt(tokens, hidden=True)

    def begin(self, size: int) -> Cache:
        """Return the memory for one text of up to `size` tokens: its keys and values."""
        return Cache(self.gpt.config, 1, size)

    def read(self, tokens: Tensor, memory: Cache) -> tuple[Tensor, Cache]:
        """Read more tokens of one text, and return what the output layer gets for the last: (1, T) -> (1, 1, C)."""
        return self.gpt(tokens, cache=memory, hidden=True)[:, -1:], memory


Model = Recurrent | Transformer


class Shape(NamedTuple):
    """The transformer's shape; the others get as many parameters."""

    vocab_size: int
    n_embd: int
    n_layer: int
    block_size: int  # longest text that it is trained on


def make(kind: Kind, shape: Shape, seed: int, forget_bias: float = 1.0) -> Model:
    """Return an untrained network of a kind; `forget_bias` is for LSTMs."""
    torch.manual_seed(seed)
    if kind == "transformer":
        return Transformer(*shape)
    return Recurrent(kind, shape.vocab_size, shape.n_embd, n_hidden(kind, shape), forget_bias)


def n_hidden(kind: Kind, shape: Shape) -> int:
    """Return the size S of a recurrent network's state with which it has most nearly the transformer's parameters."""
    C, wanted = shape.n_embd, n_parameters(Transformer(*shape))
    n_gates, n_outputs, n_queries = SIZES[kind]

    def count(S: int) -> int:
        network = n_gates * S * (C + S + 2)  # input and state with a matrix and a bias each
        return shape.vocab_size * C + network + n_queries * S * S + n_outputs * S * C + C

    return min(range(1, MAX_HIDDEN), key=lambda S: abs(count(S) - wanted))


def n_parameters(model: nn.Module) -> int:
    """Count the parameters; a tied matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def parameters_of_each(shape: Shape) -> dict[str, int]:
    """Return the number of parameters of each kind of network."""
    return {kind: n_parameters(make(kind, shape, seed=1)) for kind in KINDS}


@torch.no_grad()
def open_forget_gates(lstm: nn.LSTM, bias: float) -> None:
    """Start with the forget gates mostly open: Jozefowicz, Zaremba and Sutskever (2015) recommend a bias of one."""
    size = lstm.hidden_size
    first, second = lstm.get_parameter("bias_ih_l0"), lstm.get_parameter("bias_hh_l0")
    first[size : 2 * size] = bias  # torch's order is input, forget, cell, output
    second[size : 2 * size] = 0.0  # the two biases are added


def loss_of(model: Model, inputs: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """Return the cross-entropy in nats, summed over the targets that are not IGNORED: (B, T) twice -> ().

    It is model.py's own, a part of the logits at a time, for all networks alike.
    """
    return output_loss(model(inputs).flatten(0, 1), model.table, targets.flatten(), vocab_size)
