"""Models in Hugging Face's layout: config.json and weight names, there and here.

Owns the two architectures of `transformers` that GPTConfig covers exactly, GPT-2 and dense Qwen3, as functions over
config.json and over tensors by name, and the reading of a folder's safetensors. Nothing of a model is ever executed,
and a pickle is never opened. Tokenizers are tokenizer.py's; hub names are hub.py's.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model import GPT, GPTConfig
from system.errors import UserError
from system.hub import CONFIG

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Family = Literal["gpt2", "qwen3"]
Shapes = dict[str, tuple[int, ...]]

# What each key must be, the first being what transformers takes where config.json lacks the key: with another value a
# model computes something that our network does not.
REQUIRED: dict[str, dict[str, tuple[Any, ...]]] = {
    "gpt2": {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False, True),  # the same but for rounding
        "add_cross_attention": (False,),
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
# GPT-2's matrices lie the other way round there: Conv1D keeps (in, out), Linear (out, in).
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
QWEN3_NAMES = {
    "transformer.wte.weight": ["model.embed_tokens.weight"],
    "transformer.ln_f.weight": ["model.norm.weight"],
    "lm_head.weight": ["lm_head.weight"],
    "ln_1.weight": ["input_layernorm.weight"],
    "attn.c_attn.weight": [f"self_attn.{part}_proj.weight" for part in "qkv"],
    "attn.q_norm.weight": ["self_attn.q_norm.weight"],
    "attn.k_norm.weight": ["self_attn.k_norm.weight"],
    "attn.c_proj.weight": ["self_attn.o_proj.weight"],
    "ln_2.weight": ["post_attention_layernorm.weight"],
    "mlp.c_fc.weight": ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
    "mlp.c_proj.weight": ["mlp.down_proj.weight"],
}
# Constants that old files hold beside the weights.
BUFFER = re.compile(r".*\.attn\.(bias|masked_bias)|.*\.rotary_emb\.inv_freq")


def family(config: GPTConfig) -> Family:
    """Return which of the two architectures `config` is; raise UserError naming what fits neither."""
    shape = (config.position, config.norm, config.mlp, config.qk_norm, config.bias)
    gpt2_heads = config.kv_heads == config.n_head and config.head_size * config.n_head == config.n_embd
    if shape == ("learned", "layernorm", "gelu", False, True) and gpt2_heads:
        return "gpt2"
    if shape == ("rotary", "rmsnorm", "swiglu", True, False):
        return "qwen3"
    keys = ("position", "norm", "mlp", "qk_norm", "bias", "n_head", "n_kv_head", "head_dim")
    found = ", ".join(f"{key}={getattr(config, key)}" for key in keys)
    raise UserError(
        f"the network is neither GPT-2 nor Qwen3, the architectures that transformers has: {found}"
    )


def read_config(folder: Path) -> GPTConfig:
    """Return the network that a folder's config.json describes; raise UserError for any that ours cannot be."""
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.get("model_type")
        if kind not in REQUIRED:
            raise UserError(
                f"{path}: model_type {kind!r}: supported are {' and '.join(REQUIRED)} (dense models)"
            )
        _refuse_other_arithmetic(path, kind, content)
        return _gpt2_config(content) if kind == "gpt2" else _qwen3_config(content)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except KeyError as error:
        raise UserError(f"{path} has no key {error.args[0]!r}: its model cannot be built") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: its model cannot be built: {error}") from None


def _refuse_other_arithmetic(path: Path, kind: str, content: dict[str, Any]) -> None:
    rope = _rope(content)
    found = {**content, "rope_type": rope.get("rope_type", rope.get("type", "default"))}
    for key, allowed in REQUIRED[kind].items():
        if found.get(key, allowed[0]) not in allowed:
            wanted = " or ".join(map(repr, allowed))
            raise UserError(f"{path}: {key}={found[key]!r:.60} is not supported, only {wanted}")
    layers = set(content.get("layer_types") or ["full_attention"])
    if layers != {"full_attention"}:
        raise UserError(
            f"{path}: layer_types has {', '.join(sorted(layers))}: supported is full_attention alone"
        )


def _rope(content: dict[str, Any]) -> dict[str, Any]:
    """Return the rotary settings: `rope_parameters` of transformers 5, or what 4 spreads over two keys."""
    given = content.get("rope_parameters") or content.get("rope_scaling") or {}
    theta = given.get("rope_theta", content.get("rope_theta", 10000.0))
    return {**given, "rope_theta": theta}


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


def _qwen3_config(content: dict[str, Any]) -> GPTConfig:
    return GPTConfig(
        vocab_size=content["vocab_size"],
        block_size=content["max_position_embeddings"],
        n_layer=content["num_hidden_layers"],
        n_head=content["num_attention_heads"],
        n_kv_head=content["num_key_value_heads"],
        n_embd=content["hidden_size"],
        head_dim=content["head_dim"],
        n_inner=content["intermediate_size"],
        position="rotary",
        rope_theta=float(_rope(content)["rope_theta"]),
        norm="rmsnorm",
        norm_eps=content.get("rms_norm_eps", 1e-6),
        mlp="swiglu",
        qk_norm=True,
        bias=False,
        tie_embeddings=content.get("tie_word_embeddings", False),
    )


def hf_config(config: GPTConfig, end_of_text: int) -> dict[str, Any]:
    """Return config.json for a network of ours, readable by transformers 4 and 5 and by llama.cpp's converter."""
    tokens = {"bos_token_id": end_of_text, "eos_token_id": end_of_text}
    common = {
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "dtype": "float32",
    }
    common |= {"torch_dtype": "float32", "initializer_range": 0.02, **tokens}
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
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
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
        "use_sliding_window": False,
        "sliding_window": None,
        "layer_types": ["full_attention"] * config.n_layer,
        **common,
    }


def layout(config: GPTConfig) -> dict[str, Shapes]:
    """Return, for each of our weights, the ones there that it is made of, joined along its rows, with their shapes."""
    with torch.device("meta"):
        ours = {name: tuple(weight.shape) for name, weight in GPT(config).weights().items()}
    if family(config) == "gpt2":
        return {name: {name: _flip(name, shape)} for name, shape in ours.items()}
    found: dict[str, Shapes] = {}
    for name, shape in ours.items():
        layer = re.fullmatch(r"transformer\.h\.(\d+)\.(.*)", name)
        theirs = QWEN3_NAMES[layer[2] if layer else name]
        theirs = [f"model.layers.{layer[1]}.{part}" for part in theirs] if layer else theirs
        rows = [shape[0] // len(theirs)] * len(theirs)
        if len(theirs) == 3:  # queries, keys, values
            rows = [heads * config.head_size for heads in (config.n_head, config.kv_heads, config.kv_heads)]
        found[name] = {part: (n, *shape[1:]) for part, n in zip(theirs, rows, strict=True)}
    return found


def our_weights(config: GPTConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a model there as our network's weights.

    Raises ValueError where a name is missing or left over, or a shape is another.
    """
    gpt2 = family(config) == "gpt2"
    if gpt2:  # some files, the hub's among them, hold the body alone, without its prefix
        bare = {
            name: name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
            for name in tensors
        }
        tensors = {bare[name]: tensor for name, tensor in tensors.items()}
    pieces = layout(config)
    expected = {part: shape for shapes in pieces.values() for part, shape in shapes.items()}
    left_over = {name for name in tensors.keys() - expected.keys() if not BUFFER.fullmatch(name)}
    if config.tie_embeddings and "lm_head.weight" in left_over:
        embedding = tensors.get(next(iter(pieces["transformer.wte.weight"])))
        if embedding is not None and torch.equal(tensors["lm_head.weight"], embedding):
            left_over.remove("lm_head.weight")  # the tied matrix, once more
    missing = expected.keys() - tensors.keys()
    if missing or left_over:
        found = f"missing {_few(missing)}, left over {_few(left_over)}"
        raise ValueError(f"weights do not fit config.json: {found}")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, config.json makes it {shape}")
    joined = {name: _joined([tensors[part] for part in shapes]) for name, shapes in pieces.items()}
    return {
        name: weight.T if gpt2 and name.endswith(TRANSPOSED) else weight for name, weight in joined.items()
    }


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat(tensors) if len(tensors) > 1 else tensors[0]


def _few(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:2])
    return f"{first} ... ({len(names)})" if len(names) > 2 else first or "nothing"


def hf_weights(config: GPTConfig, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our network's weights under the names and in the shapes they have there."""
    gpt2 = family(config) == "gpt2"
    found: dict[str, Tensor] = {}
    for name, shapes in layout(config).items():
        weight = weights[name].T if gpt2 and name.endswith(TRANSPOSED) else weights[name]
        pieces = weight.split([shape[0] for shape in shapes.values()])
        found |= {part: piece.contiguous() for part, piece in zip(shapes, pieces, strict=True)}
    return found


def _flip(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[::-1] if name.endswith(TRANSPOSED) else shape


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder's safetensors, in one file or in several that an index names."""
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        return _read_file(folder, WEIGHTS)
    try:
        places = dict(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"])
        files = sorted(set(places.values()))
        elsewhere = [file for file in files if Path(file).name != file]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read {folder / INDEX} ({error}): get it again") from None
    if elsewhere:
        raise UserError(f"{folder / INDEX} names {elsewhere[0]!r}: its files must be in the same folder")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _read_file(folder, file)
    missing = sorted(places.keys() - tensors.keys())
    if missing:
        lacking = f"{places[missing[0]]} lacks {missing[0]}"
        raise UserError(f"{folder}: {lacking}, which {INDEX} promises: get it again")
    return tensors


def _read_file(folder: Path, name: str) -> dict[str, Tensor]:
    path = folder / name
    pickles = sorted(file.name for file in folder.glob("*.bin"))
    if not path.is_file() and pickles:
        raise UserError(
            f"{folder} has {pickles[0]} and no {name}: a pickle can run any program when it is opened, so it is not"
            " opened here: get the model's safetensors"
        )
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{folder}: {name} is missing: get it again") from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {path} ({error}): it may be cut off, get it again") from None
