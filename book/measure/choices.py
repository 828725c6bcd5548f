"""What each choice that sets Qwen3 apart from GPT-2 brings alone, for chapter 8.

Every model is trained for the same number of steps, once for each seed: other first weights and other windows.
"""

from typing import Any

import torch

from book.measure.config import MeasureConfig
from book.measure.results import summary
from book.small_gpt import loss_on, train
from book.text import Text, encyclopedia, windows
from model import GPT, GPTConfig
from system.errors import say

SHAPE: dict[str, Any] = {"vocab_size": 1024, "block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 64}
CHOICES: dict[str, dict[str, Any]] = {
    "GPT-2": {},
    "rotary positions": {"position": "rotary"},
    "no biases": {"bias": False},
    "RMSNorm": {"norm": "rmsnorm"},
    "SwiGLU": {"mlp": "swiglu", "n_inner": 171},  # as many parameters as the MLP that it replaces
    "QK-norm": {"qk_norm": True},
    "2 heads of keys and values": {"n_kv_head": 2},
    "Qwen3": {
        "position": "rotary", "norm": "rmsnorm", "mlp": "swiglu", "n_kv_head": 2, "qk_norm": True, "bias": False
    },
}  # fmt: skip
N_STEPS, B = 240, 16


def trained(text: Text, choice: dict[str, Any], seed: int, n_steps: int) -> tuple[GPT, float]:
    """Return GPT-2 with a choice changed, trained, and its loss on the validation text in nats per token."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**{**SHAPE, **choice}))
    train(model, lambda: windows(text.training, B, model.config.block_size), n_steps, seed)
    return model, loss_on(model, text.validation)


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Train GPT-2 with each choice."""
    text, n_steps, choices = encyclopedia(), max(1, round(N_STEPS * config.budget)), {}
    for name, choice in CHOICES.items():
        results = [trained(text, choice, seed, n_steps) for seed in config.all_seeds]
        losses = summary([loss for _, loss in results])
        choices[name] = {"parameters": results[0][0].n_params(), "nats_per_token": losses}
        say(f"{name}: {losses['mean']:.2f} nats per token")
    return {"seeds": list(config.all_seeds), "steps": n_steps, "batch": B, "choices": choices}
