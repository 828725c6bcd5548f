"""GPTConfig, the shape of the network in model.py. In a file of its own, so that a command line is read without torch."""

from dataclasses import dataclass
from typing import Literal, get_args

Attention = Literal["auto", "flash", "sdpa", "math"]
Position = Literal["learned", "rotary"]
NormKind = Literal["layernorm", "rmsnorm"]
MLPKind = Literal["gelu", "swiglu"]


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT; the defaults are GPT-2 124M. Raises ValueError on invalid values."""

    vocab_size: int = 0  # tokens in the vocabulary; 0: taken from the data's tokenizer
    block_size: int = 1024  # longest sequence, in tokens
    n_layer: int = 12  # transformer blocks
    n_head: int = 12  # query heads of each attention
    n_kv_head: int = 0  # key and value heads, for grouped-query attention; 0: n_head
    n_embd: int = 768  # channels between the blocks
    head_dim: int = 0  # size of one head; 0: n_embd / n_head
    n_inner: int = 0  # MLP hidden size; 0: 4 n_embd, or for swiglu 8/3 n_embd rounded up to a multiple of 64
    dropout: float = 0.0  # fraction of activations dropped in training, in [0, 1)
    position: Position = "learned"  # a trained vector per position, or rotations of queries and keys
    rope_theta: float = 10000.0  # base of the rotary wavelengths
    norm: NormKind = "layernorm"  # normalization of the activations
    norm_eps: float = 0.0  # added to the variance in the norms; 0: 1e-5 for layernorm, 1e-6 for rmsnorm
    mlp: MLPKind = "gelu"  # tanh-approximated GELU, or the gated SwiGLU
    qk_norm: bool = False  # normalize each head's queries and keys, before the rotation
    bias: bool = True  # biases in the linear layers and in LayerNorm
    tie_embeddings: bool = True  # one matrix for the token embedding and the output layer
    document_mask: bool = False  # tokens attend only within their own document, not across the window
    end_of_text: int = -1  # token between documents, for document_mask; -1: taken from the data's tokenizer

    def __post_init__(self) -> None:
        for key, least in [("block_size", 1), ("n_layer", 1), ("n_head", 1), ("n_embd", 1)]:
            self._require(key, getattr(self, key) >= least, f"at least {least}")
        for key in ["vocab_size", "n_kv_head", "head_dim", "n_inner", "norm_eps"]:
            self._require(key, getattr(self, key) >= 0, "positive, or 0 for its default")
        for key, kind in [("position", Position), ("norm", NormKind), ("mlp", MLPKind)]:
            self._require(key, getattr(self, key) in get_args(kind), f"one of {', '.join(get_args(kind))}")
        self._require("dropout", 0.0 <= self.dropout < 1.0, "in [0, 1)")
        self._require("end_of_text", self.end_of_text >= -1, "a token, or -1 for the tokenizer's")
        is_used = self.document_mask or self.end_of_text == -1
        self._require("end_of_text", is_used, "-1 without document_mask=True")
        self._require("rope_theta", self.rope_theta > 0.0, "positive")
        divides = self.head_dim > 0 or self.n_embd % self.n_head == 0
        self._require("n_embd", divides, f"divisible by n_head={self.n_head}, or head_dim set")
        self._require("n_head", self.n_head % self.kv_heads == 0, f"divisible by n_kv_head={self.n_kv_head}")
        even = self.position != "rotary" or self.head_size % 2 == 0
        odd = "head_dim" if self.head_dim else "n_embd"
        self._require(odd, even, f"such that rotary heads have an even size, not {self.head_size}")

    def _require(self, key: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{key}={getattr(self, key)!r}: must be {rule}")

    @property
    def kv_heads(self) -> int:
        return self.n_kv_head or self.n_head

    @property
    def head_size(self) -> int:
        return self.head_dim or self.n_embd // self.n_head

    @property
    def inner_size(self) -> int:
        default = round_up(8 * self.n_embd // 3, 64) if self.mlp == "swiglu" else 4 * self.n_embd
        return self.n_inner or default

    @property
    def eps(self) -> float:
        return self.norm_eps or (1e-5 if self.norm == "layernorm" else 1e-6)

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding matrices: a multiple of 64 multiplies faster."""
        return round_up(self.vocab_size, 64)


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
