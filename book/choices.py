"""What each choice that sets Qwen3 apart from GPT-2 brings alone: `python -m book.choices`, for chapter 8.

Every model is trained three times, with other first weights and other windows. About a quarter of an hour on a slow CPU.
"""

from collections.abc import Iterator
from typing import Any

import torch

from book.small_gpt import loss_on, train
from book.text import Text, encyclopedia
from model import GPT, GPTConfig

SHAPE: dict[str, Any] = {"vocab_size": 1024, "block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 64}
CHOICES: dict[str, dict[str, Any]] = {
    "GPT-2": {},
    "rotary positions": {"position": "rotary"},
    "no biases": {"bias": False},
    "RMSNorm": {"norm": "rmsnorm"},
    "SwiGLU": {"mlp": "swiglu", "n_inner": 171},
    "QK-norm": {"qk_norm": True},
    "2 heads of keys and values": {"n_kv_head": 2},
    "Qwen3": {
        "position": "rotary", "norm": "rmsnorm", "mlp": "swiglu", "n_kv_head": 2, "qk_norm": True, "bias": False
    },
}  # fmt: skip
N_STEPS, SEEDS = 240, (1, 2, 3)


def trained(text: Text, choice: dict[str, Any], seed: int) -> tuple[GPT, float]:
    """Return GPT-2 with a choice changed, trained, and its loss on the validation text in nats per token."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**{**SHAPE, **choice}))
    train(model, text.training, N_STEPS, seed=seed)
    return model, loss_on(model, text.validation)


def rows() -> Iterator[str]:
    """Yield a table of the choices: parameters, mean loss, and the smallest and largest loss."""
    text = encyclopedia()
    yield "| | parameters | nats per token, mean of 3 seeds | smallest to largest |\n|---|---|---|---|"
    for name, choice in CHOICES.items():
        results = [trained(text, choice, seed) for seed in SEEDS]
        losses = sorted(loss for _, loss in results)
        mean = sum(losses) / len(losses)
        yield f"| {name} | {results[0][0].n_params():,} | {mean:.2f} | {losses[0]:.2f} to {losses[-1]:.2f} |"


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
