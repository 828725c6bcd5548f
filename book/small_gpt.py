"""A short training loop for the GPT of model.py, and its loss on a text: for chapters that compare small models."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from book.text import in_rows
from book.trained import ROOT
from model import GPT
from training.config import OptimizerConfig, load_config_file
from training.optim import learning_rate, make_optimizer, set_learning_rate

RATES = replace(load_config_file(ROOT / "configs/demo.py").optimizer, warmup_steps=10)
Batch = tuple[Tensor, Tensor]  # tokens, and for each the one that follows: (B, T) twice


def train(
    model: GPT,
    batch: Callable[[], Batch],
    n_steps: int,
    seed: int = 1,
    config: OptimizerConfig = RATES,
    after_step: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Train on a new batch at each step as train.py does, and return each step's loss in nats per token.

    With the same seed, models of any shape see the same random batches. `after_step` is called with the number of finished steps,
    and must draw no random numbers.
    """
    optimizer = make_optimizer(model, config)
    torch.manual_seed(seed)
    losses = []
    for step in range(n_steps):
        set_learning_rate(optimizer, learning_rate(step, n_steps, config))
        inputs, targets = batch()
        loss = model(inputs, targets) / targets.numel()
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), config.grad_clip)
        optimizer.step()
        losses.append(loss.item())
        after_step(step + 1)
    return losses


@torch.no_grad()
def loss_on(model: GPT, tokens: Tensor) -> float:
    """Return the mean loss on a whole text in nats per token, in rows of block_size tokens."""
    inputs, targets = in_rows(tokens, model.config.block_size)
    pairs = zip(inputs.split(64), targets.split(64), strict=True)
    return sum(model(*pair).item() for pair in pairs) / targets.numel()
