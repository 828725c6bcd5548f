"""Translate between Hugging Face's config.json and GPTConfig, for GPT-2, Llama and dense Qwen3 models.

Weights live in `huggingface_weights.py`, tokenizers in `corpus/tokenizer_json.py`, hub names in `system/hub.py`.
"""

import json
from pathlib import Path
from typing import Any, Literal

from model_config import GPTConfig
from system.errors import UserError
from system.files import cannot_read
from system.hub import CONFIG

Family = Literal["gpt2", "llama", "qwen3"]

# Supported values of each key; the first is transformers' default when the key is absent. With any other value the
# model computes something our network does not.
REQUIRED: dict[str, dict[str, tuple[Any, ...]]] = {
    "gpt2": {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False, True),  # differs only in rounding
        "add_cross_attention": (False,),
        "quantization_config": (None,),
    },
    "llama": {
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "rope_type": ("default",),
        "quantization_config": (None,),
    },
    "qwen3": {
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "use_sliding_window": (False,),
        "rope_type": ("default",),
        "quantization_config": (None,),
    },
}


def family(config: GPTConfig) -> Family:
    """Return which family `config` belongs to; raise UserError if to none."""
    shape = (config.position, config.norm, config.mlp, config.bias)
    gpt2_heads = config.kv_heads == config.n_head and config.head_size * config.n_head == config.n_embd
    if shape == ("learned", "layernorm", "gelu", True) and gpt2_heads and not config.qk_norm:
        return "gpt2"
    if shape == ("rotary", "rmsnorm", "swiglu", False):
        return "qwen3" if config.qk_norm else "llama"
    keys = ("position", "norm", "mlp", "qk_norm", "bias", "n_head", "n_kv_head", "head_dim")
    found = ", ".join(f"{key}={getattr(config, key)}" for key in keys)
    raise UserError(f"the network must be GPT-2, Llama or Qwen3 to run in transformers: found {found}")


def read_config(folder: Path) -> GPTConfig:
    """Return the network that a folder's config.json describes; raise UserError if ours cannot compute it."""
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no {CONFIG} in {folder}: weights need their {CONFIG} beside them") from None
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None
    try:
        kind = content.get("model_type")
        if kind not in REQUIRED:
            raise UserError(
                f"{path}: model_type={kind!r}: must be gpt2, llama or qwen3, the supported models"
            )
        _check_supported(path, kind, content)
        return _gpt2_config(content) if kind == "gpt2" else _llama_config(content, kind)
    except KeyError as error:
        raise UserError(f"{path} has no key {error.args[0]!r}: a {kind} model needs it") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not describe a model ({error}): use the {CONFIG} that came with it"
        ) from None


def _check_supported(path: Path, kind: str, content: dict[str, Any]) -> None:
    rope = _rope(content)
    found = {**content, "rope_type": rope.get("rope_type", rope.get("type", "default"))}
    for key, allowed in REQUIRED[kind].items():
        if found.get(key, allowed[0]) not in allowed:
            supported = " or ".join(map(repr, allowed))
            raise UserError(f"{path}: {key}={found[key]!r:.60} is not supported: must be {supported}")
    layers = set(content.get("layer_types") or ["full_attention"])
    if layers != {"full_attention"}:
        raise UserError(
            f"{path}: layer_types has {', '.join(sorted(layers))}: must be full_attention in all layers"
        )


def _rope(content: dict[str, Any]) -> dict[str, Any]:
    """Return the rotary settings: transformers 5 has `rope_parameters`, transformers 4 spreads them over two keys."""
    settings = content.get("rope_parameters") or content.get("rope_scaling") or {}
    theta = settings.get("rope_theta", content.get("rope_theta", 10000.0))
    return {**settings, "rope_theta": theta}


def _gpt2_config(content: dict[str, Any]) -> GPTConfig:
    return GPTConfig(
        vocab_size=content["vocab_size"],
        block_size=content["n_positions"],
        n_layer=content["n_layer"],
        n_head=content["n_head"],
        n_embd=content["n_embd"],
        n_inner=content.get("n_inner") or 0,
        norm_eps=content.get("layer_norm_epsilon", 1e-5),
        tie_embeddings=content.get("tie_word_embeddings", True),
    )


def _llama_config(content: dict[str, Any], kind: Family) -> GPTConfig:
    """Read the config of a Llama, or of a Qwen3, which differs by its QK-norm and names its head size."""
    is_qwen3 = kind == "qwen3"
    return GPTConfig(
        vocab_size=content["vocab_size"],
        block_size=content["max_position_embeddings"],
        n_layer=content["num_hidden_layers"],
        n_head=content["num_attention_heads"],
        n_kv_head=content["num_key_value_heads"] if is_qwen3 else content.get("num_key_value_heads") or 0,
        n_embd=content["hidden_size"],
        head_dim=content["head_dim"] if is_qwen3 else content.get("head_dim") or 0,
        n_inner=content["intermediate_size"],
        position="rotary",
        rope_theta=float(_rope(content)["rope_theta"]),
        norm="rmsnorm",
        norm_eps=content.get("rms_norm_eps", 1e-6),
        mlp="swiglu",
        qk_norm=is_qwen3,
        bias=False,
        tie_embeddings=content.get("tie_word_embeddings", False),
    )


def to_huggingface(config: GPTConfig, end_of_text: int) -> dict[str, Any]:
    """Return the config.json of our network, for transformers 4 and 5 and llama.cpp's converter."""
    common = {
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "dtype": "float32",
        "torch_dtype": "float32",
        "initializer_range": 0.02,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
    }
    if family(config) == "gpt2":
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_positions": config.block_size,
            "n_ctx": config.block_size,
            "n_embd": config.n_embd,
            "n_layer": config.n_layer,
            "n_head": config.n_head,
            "n_inner": config.inner_size,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.eps,
            **{f"{place}_pdrop": config.dropout for place in ("attn", "embd", "resid")},
            **common,
        }
    llama = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "max_position_embeddings": config.block_size,
        "hidden_size": config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "intermediate_size": config.inner_size,
        "hidden_act": "silu",
        "rms_norm_eps": config.eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": False,
        "attention_dropout": config.dropout,
        **common,
    }
    if family(config) == "llama":
        return {**llama, "mlp_bias": False}
    return {
        **llama,
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "use_sliding_window": False,
        "sliding_window": None,
        "layer_types": ["full_attention"] * config.n_layer,
    }
