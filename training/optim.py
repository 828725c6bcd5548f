"""The optimizer: parameter groups, gradient clipping and the learning-rate schedule. Muon is in muon.py."""

import math
from collections.abc import Set
from typing import Any

import torch
from torch import nn

from model import GPT
from system.parallel import own, whole
from training.config import OptimizerConfig
from training.muon import Muon, hidden_matrices


def learning_rate(step: int, max_steps: int, config: OptimizerConfig) -> float:
    """Return the learning rate of the update that follows `step` finished ones, 0 <= step < max_steps.

    Linear warm-up, then either a cosine to `final_fraction` of the peak (GPT-3, appendix B) or a plateau and a
    linear fall to it (the trapezoid of Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations"); both end at `max_steps`.
    """
    peak = config.learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        start = config.warmup_steps
        progress = (step - start) / max(1, max_steps - start)
        height = (1 + math.cos(math.pi * progress)) / 2
    else:
        start = max(config.warmup_steps, round(max_steps * (1 - config.cooldown_fraction)))
        height = min(1.0, (max_steps - step) / max(1, max_steps - start))
    return peak * (config.final_fraction + (1 - config.final_fraction) * height)


def parameter_groups(
    model: nn.Module, weight_decay: float, excluded: Set[int] = frozenset()
) -> list[dict[str, Any]]:
    """Split the parameters in two groups: matrices and embeddings decay, biases and norm gains do not.

    Leaves out those whose id() is `excluded`, and groups without parameters.
    """
    parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in excluded]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    model: GPT, config: OptimizerConfig, dtype: torch.dtype = torch.float32
) -> torch.optim.Optimizer:
    """Return AdamW over the model's parameters, or Muon over the blocks' matrices with AdamW over all others.

    AdamW is fused: one kernel for the whole update, on every device we run on. Muon multiplies matrices in `dtype`.
    """
    matrices = hidden_matrices(model) if config.optimizer == "muon" else []
    others = parameter_groups(model, config.weight_decay, {id(parameter) for parameter, _ in matrices})
    adamw = torch.optim.AdamW(
        others, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=True
    )
    if config.optimizer == "adamw":
        return adamw
    relative_rate = (config.matrix_learning_rate or config.learning_rate) / config.learning_rate
    return Muon(matrices, adamw, relative_rate, config.weight_decay, dtype)


def gradient_norm(model: nn.Module) -> torch.Tensor:
    """Return the global norm of the gradients (), on the device and without waiting for it.

    If they are sharded, all processes call this, and get the norm over all shards.
    """
    return whole(torch.nn.utils.get_total_norm(gradients(model)))


def clip_gradients(model: nn.Module, max_norm: float, norm: torch.Tensor, divisor: torch.Tensor) -> None:
    """Divide the gradients by `divisor` (), then scale them to a global norm of at most `max_norm` (0: any).

    `norm` () is what the global norm is after the division.
    """
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0) if max_norm else torch.ones_like(norm)
    torch._foreach_mul_([own(gradient) for gradient in gradients(model)], scale / divisor)


def gradients(model: nn.Module) -> list[torch.Tensor]:
    """Return the gradients of the parameters that have one."""
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def update(optimizer: torch.optim.Optimizer, skip: torch.Tensor) -> None:
    """Update the weights, unless `skip` (), a boolean on the device: then nothing changes, step counts included.

    Optimizers with `_step_supports_amp_scaling` (fused AdamW, our Muon) read the flag on the device, as they do from a
    GradScaler. For all others, and on Apple's GPUs, whose fused kernel ignores it, each step waits for the device.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False) and skip.device.type != "mps":
        setattr(optimizer, "found_inf", skip.float())  # noqa: B010  mypy does not know it
    elif skip.item():
        return
    optimizer.step()


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give every parameter group the learning rate `value`, those with a `relative_rate` that multiple of it."""
    for group in optimizer.param_groups:
        group["lr"] = value * group.get("relative_rate", 1.0)
