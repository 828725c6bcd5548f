"""Reference models of transformers, with weights at which every part of a network shows in the logits."""

import json
import math
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

GPT2 = {"n_positions": 96, "n_embd": 48, "n_layer": 2, "n_head": 4, "vocab_size": 65}
QWEN3 = {
    "max_position_embeddings": 96,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 80,
    "vocab_size": 65,
}


@torch.no_grad()
def enlarge(model: torch.nn.Module) -> None:
    """Draw large weights, biases and norms included."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn_like(parameter))
        else:
            parameter.normal_(std=1.2 / math.sqrt(min(parameter.shape)))


def reference_config(kind: str, **changes: Any) -> GPT2Config | Qwen3Config:
    tokens = {"bos_token_id": None, "eos_token_id": None}
    return (
        GPT2Config(**{**GPT2, **tokens, **changes})
        if kind == "gpt2"
        else Qwen3Config(**{**QWEN3, **tokens, **changes})
    )


def reference_model(kind: str, **changes: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    build = GPT2LMHeadModel if kind == "gpt2" else Qwen3ForCausalLM
    model = build(reference_config(kind, **changes))
    enlarge(model)
    return model.eval()


def config_json(kind: str, version: int = 5, **changes: Any) -> dict[str, Any]:
    """Return config.json as transformers 4 or 5 writes it."""
    content = json.loads(reference_config(kind, **changes).to_json_string())
    if version == 4 and kind == "qwen3":
        rope = content.pop("rope_parameters")
        content |= {"rope_theta": rope["rope_theta"], "rope_scaling": None, "torch_dtype": "float32"}
    return content


@torch.no_grad()
def largest_difference(ours: torch.nn.Module, theirs: torch.nn.Module, vocab_size: int, T: int) -> float:
    """Return the largest difference of the logits, relative to their spread."""
    tokens = torch.randint(0, vocab_size, (3, T))
    expected, logits = theirs(tokens).logits, ours(tokens)
    assert logits.shape == expected.shape
    assert expected.std() > 0.5, "logits that hardly differ would prove nothing"
    return ((logits - expected).abs().max() / expected.std()).item()
