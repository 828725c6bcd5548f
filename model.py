"""The network: GPT is the model, GPTConfig (model_config.py) sets its shape.

It covers three families exactly, by options that can be set one by one: GPT-2 (the defaults: learned positions,
LayerNorm, tanh-GELU, biases, tied embeddings), Llama (rotary positions, RMSNorm, grouped-query attention, SwiGLU,
no bias) and Qwen3's dense models (Llama's, with QK-norm).

Shapes: B batch, T time (tokens), C channels (= n_embd), H heads, D head size, V vocabulary.
Grouped-query attention has fewer heads for keys and values: K of them (K = H without it).
"""

import copy
import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.utils.checkpoint import checkpoint

from model_config import Attention, GPTConfig

IGNORED = -1  # a target that the loss leaves out

CHUNK_ROWS, CHUNK_ROWS_OF_GPU = 512, 4096  # tokens whose logits exist at a time
FUSED_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]
PADDED = (
    "transformer.wte.weight",
    "lm_head.weight",
)  # parameters with a row for each token, and rows of padding


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precisions to float32 and leave float64 alone."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class RMSNorm(nn.Module):
    """Scale to a root mean square of one, computed in float32 (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        normalized = F.rms_norm(at_least_float32(x), self.weight.shape, eps=self.eps)
        return self.weight * normalized.to(self.weight.dtype)


def make_norm(config: GPTConfig, size: int) -> nn.Module:
    if config.norm == "rmsnorm":
        return RMSNorm(size, config.eps)
    return nn.LayerNorm(size, eps=config.eps, bias=config.bias)


def rotary_angles(config: GPTConfig, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return cos and sin of each position's rotations, in float32 whatever the model's dtype: (..., T) -> (..., 1, T, D/2).

    Each forward pass computes them once for all layers. That costs next to nothing, and there is no buffer that
    `.to(bfloat16)` could round or a model built on the meta device could leave empty.
    """
    D = config.head_size
    exponents = torch.arange(0, D, 2, device=positions.device, dtype=torch.float32) / D  # (D/2,)
    frequencies = 1.0 / config.rope_theta**exponents  # (D/2,)
    angles = positions[..., None, :, None].float() * frequencies  # (..., 1, T, D/2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair of channels i and i + D/2 by the angle of its position. (B, H, T, D) -> (B, H, T, D).

    Source: RoFormer, https://arxiv.org/abs/2104.09864, which pairs neighbouring channels instead.
    """
    left, right = x.chunk(2, dim=-1)  # (B, H, T, D/2) each
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def document_mask(config: GPTConfig, attention: Attention, tokens: Tensor) -> Tensor | BlockMask | None:
    """Return which keys each token sees if documents are masked: those up to itself in its own document. None: all up to itself.

    An end-of-text token belongs to the document that follows it. So a document's first token is predicted from that alone,
    and a text after an end-of-text token, as evaluation and sampling have it, is one document.
    (B, T) -> (B, 1, T, T) bool, or for "flash" as flex attention takes it (https://arxiv.org/abs/2412.05496).
    """
    if not config.document_mask:
        return None
    B, T = tokens.shape
    documents = (tokens == config.end_of_text).cumsum(dim=1)  # (B, T): numbers

    def sees(b: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (documents[b, query] == documents[b, key]) & (query >= key)

    if attention == "flash":
        return create_block_mask(sees, B, None, T, T, device=str(tokens.device))
    return (documents[:, None, :, None] == documents[:, None, None, :]).tril()  # (B, 1, T, T)


def math_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float, visible: Tensor | None = None) -> Tensor:
    """Causal attention written out: what the fused kernels compute. (B, H, T, D) -> (B, H, T, D)."""
    v = v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)  # (B, H, T, D)
    return F.dropout(attention_weights(q, k, visible), dropout) @ v


def attention_weights(q: Tensor, k: Tensor, visible: Tensor | None = None) -> Tensor:
    """How much each query takes from each key up to its own, or from each `visible` one: (B, H, T, D), (B, K, T, D) -> (B, H, T, T)."""
    H, T, D = q.shape[1:]
    k = k.repeat_interleave(H // k.shape[1], dim=1)  # (B, H, T, D): each key head serves a group of queries
    scores = (q / math.sqrt(D)) @ k.transpose(-2, -1)  # (B, H, T, T)
    if visible is not None:
        return scores.masked_fill(~visible, -math.inf).softmax(dim=-1)
    future = torch.full((T, T), -math.inf, dtype=q.dtype, device=q.device).triu(1)  # (T, T)
    return (scores + future).softmax(dim=-1)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float, visible: Tensor | None = None) -> Tensor:
    """The same in torch's own kernels, most of which never hold the (T, T) weights."""
    causal, grouped = visible is None, q.shape != k.shape
    return F.scaled_dot_product_attention(q, k, v, visible, dropout, causal, enable_gqa=grouped)


def flexible_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float, visible: BlockMask) -> Tensor:
    """The same in flex attention, which skips blocks of keys that no query of a block sees. Raises ValueError with dropout."""
    if dropout:
        raise ValueError(f"attention='flash' with document_mask needs dropout=0, not {dropout}")
    # Compiled code compiles it too; eager, it would hold all (T, T) weights.
    attend = flex_attention if torch.compiler.is_compiling() else compiled_flex_attention()
    return attend(q, k, v, block_mask=visible, enable_gqa=q.shape != k.shape)


@functools.cache
def compiled_flex_attention() -> Any:
    """Return flex attention as a kernel for the shapes it gets, compiled once for all layers."""
    return torch.compile(flex_attention)


def flash_obstacle(config: GPTConfig, device: torch.device, dtype: torch.dtype) -> str:
    """Return why attention="flash" is not available for this shape, device and compute dtype; empty if it is."""
    if device.type != "cuda":
        return f"it needs a CUDA device, not {device.type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    if config.document_mask and config.dropout:
        return f"with document_mask it needs dropout=0, not {config.dropout}"
    with warnings.catch_warnings(record=True) as reasons, sdpa_kernel(FUSED_KERNELS):
        warnings.simplefilter("always")
        try:
            attend_once(config, device, dtype)
        except RuntimeError as error:
            size = f"head size {config.head_size}"
            return "; ".join([f"{size}: {error}", *(str(reason.message) for reason in reasons)])
    return ""


def attend_once(
    config: GPTConfig, device: torch.device, dtype: torch.dtype, attention: Attention = "sdpa", B: int = 2
) -> None:
    """Run one attention layer forward and backward as training does: at block_size, on views of one projection."""
    with torch.device("meta"):  # initializing it there draws no random numbers
        layer = CausalSelfAttention(config, attention)
    layer.to_empty(device=device)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)  # memory that was never written may hold nan, or slow denormals
    T = config.block_size
    x = torch.zeros(B, T, config.n_embd, device=device, requires_grad=True)  # (B, T, C)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        positions = torch.arange(T, device=device)
        rotary = rotary_angles(config, positions) if config.position == "rotary" else None
        tokens = torch.zeros(B, T, dtype=torch.int64, device=device)  # (B, T)
        y = layer(x, rotary, None, document_mask(config, attention, tokens))
    y.sum().backward()


def choose_attention(
    attention: Attention, config: GPTConfig, device: torch.device, dtype: torch.dtype
) -> Attention:
    """Resolve "auto" for this device and compute dtype; raise ValueError if "flash" is not available.

    "auto" becomes "flash" where CUDA's fused kernels run, so that torch cannot fall back to a slower one later, else
    "sdpa", as with documents masked, where "flash" compiles a kernel of its own. On a CPU in bfloat16 it becomes "math" up to
    512 tokens, where the weights stay in the cache; training times both instead (training/choices.py). Call it once, before
    building the model: a compiled model checks nothing.
    """
    if attention not in ("auto", "flash"):
        return attention
    if device.type == "cpu" and dtype == torch.bfloat16 and config.block_size <= 512 and attention == "auto":
        return "math"
    if config.document_mask and attention == "auto":
        return "sdpa"
    obstacle = flash_obstacle(config, device, dtype)
    if attention == "flash" and obstacle:
        raise ValueError(f"attention='flash' is not available: {obstacle}: use attention='auto'")
    return "sdpa" if obstacle else "flash"


def cached_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """Attention of new tokens to the cache: (B, H, T, D), (B, K, S, D) twice, (B, T, S) -> (B, H, T, D).

    The queries that share a key head are multiplied together, so keys and values are read once. `visible` tells which
    keys each token sees; None: all.
    """
    H, K = q.shape[1], k.shape[1]
    grouped = q.reshape(len(q), K, -1, q.shape[-1])  # (B, K, H/K * T, D)
    mask = None if visible is None else visible[:, None].repeat(1, 1, H // K, 1)  # (B, 1, H/K * T, S)
    return F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask).reshape(q.shape)


class LayerCache(NamedTuple):
    """A layer's keys and values, with room for T new tokens of each text."""

    keys: Tensor  # (B, K, S, D), a view of the cache's memory
    values: Tensor  # (B, K, S, D)
    where: tuple[Any, slice, Any]  # of the new tokens: slices, or where lengths differ, rows and positions
    begins: bool  # all texts do, so that attention to the new tokens is enough
    visible: Tensor | None  # (B, T, S): the keys that each new token sees; None: all

    def store(self, k: Tensor, v: Tensor) -> None:
        """Keep the new tokens' keys and values, (B, K, T, D) each."""
        if isinstance(self.where[0], Tensor):  # then heads come after positions
            k, v = k.transpose(1, 2), v.transpose(1, 2)
        self.keys[self.where] = k
        self.values[self.where] = v


class Cache:
    """Keys and values of the tokens so far, so that decoding computes those of the new ones only.

    It is allocated once, for B texts of `size` tokens (0: block_size); grouped heads are not repeated in it. Row b
    belongs to a text of which `lengths[b]` tokens have been seen; memory behind them may hold anything finite and is
    never seen. Use it under torch.no_grad(), with the `dtype` of the keys.
    """

    def __init__(
        self,
        config: GPTConfig,
        B: int,
        size: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.size = size or config.block_size
        if config.position == "learned" and self.size > config.block_size:
            raise ValueError(f"size={size}: learned positions end at block_size={config.block_size}")
        shape = (config.n_layer, B, config.kv_heads, self.size, config.head_size)
        # On a CPU, memory of zeros costs nothing until it is written.
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = [0] * B
        self.in_use = range(B)  # the rows that a forward pass continues

    def rows(self, start: int, stop: int) -> "Cache":
        """Return some rows as a cache, of the same memory and lengths."""
        part = copy.copy(self)
        part.in_use = range(start, stop)
        return part

    def extend(self, T: int) -> tuple[Tensor, list[LayerCache]]:
        """Make room for T tokens more in each row: return their positions, (B, T), and the layers' parts.

        Raises ValueError if the longest row has no room.
        """
        rows, device = self.in_use, self.keys.device
        lengths = [self.lengths[row] for row in rows]
        longest = max(lengths) + T
        if self.size < longest:
            raise ValueError(f"{longest} tokens are more than the cache has room for, size={self.size}")
        for row in rows:
            self.lengths[row] += T
        positions = torch.tensor(lengths, device=device)[:, None] + torch.arange(T, device=device)  # (B, T)
        every, visible = slice(None), None
        are_equal, begins = min(lengths) == max(lengths), longest == T
        if not begins and (T > 1 or not are_equal):
            visible = torch.arange(longest, device=device) <= positions[..., None]  # (B, T, S)
        where: tuple[Any, slice, Any] = (every, every, slice(longest - T, longest))
        if not are_equal:
            where = (torch.arange(len(rows), device=device)[:, None], every, positions)
        keys, values = (memory[:, rows.start : rows.stop, :, :longest] for memory in (self.keys, self.values))
        layers = [LayerCache(*layer, where, begins, visible) for layer in zip(keys, values, strict=True)]
        return positions, layers


class CausalSelfAttention(nn.Module):
    def __init__(self, config: GPTConfig, attention: Attention) -> None:
        super().__init__()
        H, K, D = config.n_head, config.kv_heads, config.head_size
        self.heads = (H, K, K)  # of queries, keys, values
        self.head_size = D
        self.attention = attention
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, sum(self.heads) * D, bias=config.bias)
        self.q_norm = make_norm(config, D) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, D) if config.qk_norm else nn.Identity()
        self.c_proj = nn.Linear(H * D, config.n_embd, bias=config.bias)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        past: LayerCache | None = None,
        visible: Tensor | BlockMask | None = None,
    ) -> Tensor:
        B, T, _ = x.shape
        q, k, v = self.project(x, rotary)  # (B, H, T, D), (B, K, T, D), (B, K, T, D)
        if past is not None:
            past.store(k, v)
        if past is None or past.begins:
            y = self.attend(q, k, v, visible)  # (B, H, T, D)
        else:
            y = cached_attention(q, past.keys, past.values, past.visible)  # (B, H, T, D)
        y = y.transpose(1, 2).reshape(B, T, -1)  # (B, T, H * D)
        return F.dropout(self.c_proj(y), self.dropout, self.training)  # (B, T, C)

    def project(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values: (B, T, C) -> (B, H, T, D), (B, K, T, D), (B, K, T, D)."""
        B, T, _ = x.shape
        qkv = self.c_attn(x).view(B, T, -1, self.head_size).transpose(1, 2)  # (B, H + 2K, T, D)
        q, k, v = qkv.split(self.heads, dim=1)  # (B, H, T, D), (B, K, T, D), (B, K, T, D)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        return q.to(v.dtype), k.to(v.dtype), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | BlockMask | None = None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if self.attention == "flash" and not q.is_cuda:
            raise ValueError(
                f"attention='flash' needs a CUDA device, not {q.device.type}: use attention='auto'"
            )
        if isinstance(visible, BlockMask):
            return flexible_attention(q, k, v, dropout, visible)
        if self.attention == "math":
            return math_attention(q, k, v, dropout, visible)
        if self.attention == "flash":
            with sdpa_kernel(FUSED_KERNELS):
                return fused_attention(q, k, v, dropout, visible)
        return fused_attention(q, k, v, dropout, visible)


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gated = config.mlp == "swiglu"
        self.dropout = config.dropout
        n_inner = config.inner_size
        self.c_fc = nn.Linear(config.n_embd, 2 * n_inner if self.gated else n_inner, bias=config.bias)
        self.c_proj = nn.Linear(n_inner, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)  # (B, T, n_inner), or (B, T, 2 n_inner): gate, value
        if self.gated:
            gate, value = x.chunk(2, dim=-1)  # (B, T, n_inner) each
            x = F.silu(gate) * value
        else:
            x = F.gelu(x, approximate="tanh")
        return F.dropout(self.c_proj(x), self.dropout, self.training)  # (B, T, C)


class Block(nn.Module):
    """A layer. If it `recomputes`, backward computes its activations again instead of keeping them (https://arxiv.org/abs/1604.06174)."""

    recomputes = False

    def __init__(self, config: GPTConfig, attention: Attention) -> None:
        super().__init__()
        self.ln_1 = make_norm(config, config.n_embd)
        self.attn = CausalSelfAttention(config, attention)
        self.ln_2 = make_norm(config, config.n_embd)
        self.mlp = MLP(config)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        past: LayerCache | None = None,
        visible: Tensor | BlockMask | None = None,
    ) -> Tensor:
        if self.recomputes and torch.is_grad_enabled():
            return checkpoint(self.compute, x, rotary, past, visible, use_reentrant=False)
        return self.compute(x, rotary, past, visible)

    def compute(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        past: LayerCache | None,
        visible: Tensor | BlockMask | None,
    ) -> Tensor:
        x = x + self.attn(self.ln_1(x), rotary, past, visible)
        return x + self.mlp(self.ln_2(x))


class ChunkedLoss(torch.autograd.Function):
    """The output layer and its cross-entropy, a chunk of rows at a time: the (N, V) logits never exist as a whole.

    In a small model they are the largest tensor, and writing and reading them costs more than anything but the matrix
    multiplications. A chunk's gradients are computed right after its loss, as Liger Kernel does
    (https://arxiv.org/abs/2410.10989), so nothing is computed twice. It has no second derivatives.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, vocab_size: int, needs_gradient: bool
    ) -> Tensor:
        n_rows = CHUNK_ROWS if x.device.type == "cpu" else CHUNK_ROWS_OF_GPU
        precise = torch.promote_types(x.dtype, torch.float32)
        matrix = weight.to(x.dtype)  # (V, C)
        loss = torch.zeros((), dtype=precise, device=x.device)
        grad_x = torch.empty_like(x) if needs_gradient else None
        grad_weight = torch.zeros_like(weight, dtype=precise) if needs_gradient else None
        for start in range(0, len(x), n_rows):
            rows, wanted = x[start : start + n_rows], targets[start : start + n_rows]  # (n, C), (n,)
            logits = (rows @ matrix.T).to(precise)  # (n, V)
            logits[:, vocab_size:] = -math.inf  # the padding gets no probability
            log_probabilities = logits.log_softmax(dim=-1)
            loss += F.nll_loss(log_probabilities, wanted, ignore_index=IGNORED, reduction="sum")
            if grad_x is None or grad_weight is None:
                continue
            # The gradient of the logits: the probabilities, less one for the target.
            grad = log_probabilities.exp_()  # (n, V)
            grad.scatter_add_(1, wanted.clamp(min=0)[:, None], grad.new_full((len(wanted), 1), -1.0))
            grad = grad.to(x.dtype)
            scored = (wanted != IGNORED)[:, None]  # (n, 1)
            grad_x[start : start + n_rows] = grad @ matrix * scored
            grad_weight += grad.T @ (rows * scored)
        ctx.save_for_backward(grad_x, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_x, grad_weight = ctx.saved_tensors
        return grad_x * grad_loss, grad_weight * grad_loss, None, None, None


def output_loss(x: Tensor, weight: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """Return the output layer's cross-entropy in nats, summed over targets that are not IGNORED: (N, C), (V, C), (N,) -> ().

    Rows of `weight` from `vocab_size` on are padding. The loss is float32 (float64 for a float64 model).
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    needs_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    with torch.autocast(device, enabled=False):
        return ChunkedLoss.apply(x, weight, targets, vocab_size, needs_gradient)


class Transformer(nn.Module):
    """Everything between the tokens and the output layer."""

    def __init__(self, config: GPTConfig, attention: Attention) -> None:
        super().__init__()
        self.config = config
        self.attention = attention
        self.wte = nn.Embedding(config.padded_vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd) if config.position == "learned" else None
        self.h = nn.ModuleList(Block(config, attention) for _ in range(config.n_layer))
        self.ln_f = make_norm(config, config.n_embd)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        T = tokens.shape[1]
        visible = None
        pasts: Sequence[LayerCache | None] = [None] * len(self.h)
        if cache is not None:
            positions, pasts = cache.extend(T)  # (B, T)
        elif self.config.block_size < T:
            raise ValueError(
                f"{T} tokens are more than block_size={self.config.block_size}: crop the sequence"
            )
        else:
            positions = torch.arange(T, device=tokens.device)  # (T,)
            visible = document_mask(self.config, self.attention, tokens)  # (B, 1, T, T)
        x = self.wte(tokens)  # (B, T, C)
        rotary = None
        if self.wpe is None:
            rotary = rotary_angles(self.config, positions)
        else:
            x = x + self.wpe(positions)
        x = F.dropout(x, self.config.dropout, self.training)
        for block, past in zip(self.h, pasts, strict=True):
            x = block(x, rotary, past, visible)
        return self.ln_f(x)  # (B, T, C)


class GPT(nn.Module):
    """A decoder-only transformer language model.

    `attention` sets how attention is computed, not what: "math" in plain torch, "sdpa" by the kernel that torch
    picks, "flash" by CUDA's fused kernels only. `choose_attention` resolves "auto"; without it, "auto" means "sdpa".
    """

    def __init__(self, config: GPTConfig, attention: Attention = "auto") -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise ValueError(f"vocab_size={config.vocab_size}: must be the tokenizer's number of tokens")
        if config.document_mask and config.end_of_text < 0:
            raise ValueError(f"end_of_text={config.end_of_text}: must be the tokenizer's, for document_mask")
        if attention not in get_args(Attention):
            raise ValueError(f"attention={attention!r}: must be one of {', '.join(get_args(Attention))}")
        self.config = config
        self.transformer = Transformer(config, attention)
        self.lm_head = nn.Linear(config.n_embd, config.padded_vocab_size, bias=False)
        self.output_loss = output_loss
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Tie the embeddings and draw all weights, as GPT-2 does.

        Matrices are normal with a standard deviation of 0.02; those that write to the residual stream (c_proj: two
        per layer) are divided by sqrt(2 n_layer), to keep its variance. Biases are zero, norms one. The rows that pad
        the vocabulary start at zero and stay there: no loss includes them. A model that was built on the meta device
        calls this again after `to_empty`.
        """
        if self.config.tie_embeddings:
            self.lm_head.weight = self.transformer.wte.weight
        for name, parameter in self.named_parameters():
            self.init_weight(name, parameter)

    def init_weight(self, name: str, parameter: Tensor) -> None:
        """Draw one parameter. In the order of `named_parameters`, they get the values of `init_weights`."""
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            scale = math.sqrt(2 * self.config.n_layer) if name.endswith("c_proj.weight") else 1.0
            nn.init.normal_(parameter, std=0.02 / scale)
        if name in PADDED:
            parameter[self.config.vocab_size :].zero_()

    def recompute_activations(self, recomputes: bool) -> None:
        """Let backward compute the layers' activations again, instead of keeping them."""
        for block in self.transformer.h:
            assert isinstance(block, Block)
            block.recomputes = recomputes

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile in place; on a CPU all but the loss, whose many chunks the compiler would unroll."""
        if self.lm_head.weight.is_cpu:
            self.output_loss = torch.compiler.disable(output_loss)
        super().compile(*args, **kwargs)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        last_only: bool = False,
        cache: Cache | None = None,
        hidden: bool = False,
    ) -> Tensor:
        """Return logits, or with targets the loss: cross-entropy in nats, summed over targets that are not IGNORED.

        tokens and targets are (B, T) int64; logits are (B, T, V), with last_only (B, 1, V) for the last position.
        Logits and loss are float32 (float64 for a float64 model), under autocast too. With a cache, the tokens continue
        its texts, each of which is one document, and it holds them afterwards. With hidden, return what the output layer
        gets: (B, T, C).
        """
        x = self.transformer(tokens, cache)  # (B, T, C)
        if hidden:
            return x
        if targets is not None:
            rows = x.flatten(0, 1)  # (B * T, C)
            return self.output_loss(rows, self.lm_head.weight, targets.flatten(), self.config.vocab_size)
        return self.logits(x[:, -1:] if last_only else x)  # (B, T, V)

    def logits(self, x: Tensor) -> Tensor:
        """Apply the output layer: (..., C) -> (..., V)."""
        # The multiplication uses the padded size, which is faster; nothing after it sees the padding.
        return at_least_float32(self.lm_head(x)[..., : self.config.vocab_size])

    def weights(self) -> dict[str, Tensor]:
        """Return the parameters by name, as views without the vocabulary's padding; tied ones occur once."""
        rows = self.config.vocab_size
        return {
            name: parameter.detach()[:rows] if name in PADDED else parameter.detach()
            for name, parameter in self.named_parameters()
        }

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of `weights()`, also of a model whose parameters are sharded over processes."""
        shapes = {name: tuple(parameter.shape) for name, parameter in self.named_parameters()}
        return {
            name: (self.config.vocab_size, *shape[1:]) if name in PADDED else shape
            for name, shape in shapes.items()
        }

    def check_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless these are the names and shapes of this model's weights."""
        own = self.weight_shapes()
        if own.keys() != shapes.keys():
            missing, left_over = sorted(own.keys() - shapes.keys()), sorted(shapes.keys() - own.keys())
            raise ValueError(f"the weights do not match the model: missing {missing}, unexpected {left_over}")
        for name, expected in own.items():
            if shapes[name] != expected:
                raise ValueError(f"{name} has shape {shapes[name]}: the model needs {expected}")

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy in the result of another model's `weights()`; raise ValueError if names or shapes differ."""
        self.check_shapes({name: tuple(weight.shape) for name, weight in weights.items()})
        for name, parameter in self.weights().items():
            parameter.copy_(weights[name])

    def n_params(self, embeddings: bool = True) -> int:
        """Count parameters, without the vocabulary's padding; embeddings=False leaves out wte, wpe and lm_head."""
        tables = () if embeddings else (*PADDED, "transformer.wpe.weight")
        return sum(math.prod(shape) for name, shape in self.weight_shapes().items() if name not in tables)

    def flops_per_token(self, T: int) -> int:
        """Count floating-point operations per trained token (forward + backward) in sequences of T tokens.

        PaLM, appendix B (https://arxiv.org/abs/2204.02311): 6 N + 12 L H D T. N counts the weights of the linear
        layers, output layer included: 2 operations each forward, 4 backward. The second term is the two matrix
        multiplications of attention, including what a kernel can skip: the half after a token, other documents.
        """
        config = self.config
        weights = sum(module.weight.numel() for module in self.modules() if isinstance(module, nn.Linear))
        weights -= (config.padded_vocab_size - config.vocab_size) * config.n_embd
        return 6 * weights + 12 * config.n_layer * config.n_head * config.head_size * T
