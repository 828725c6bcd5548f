"""The optimizer: parameter groups, AdamW, gradient clipping and the learning-rate schedule."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, gradient clipping and the schedule. Raises ValueError on invalid values."""

    learning_rate: float = 6e-4  # peak, reached at the end of warm-up
    final_fraction: float = 0.1  # learning rate at max_steps, as a fraction of the peak
    schedule: Literal["cosine", "trapezoid"] = "cosine"  # shape between warm-up and max_steps
    warmup_steps: int = 100  # steps of linear warm-up
    cooldown_fraction: float = 0.2  # share of max_steps the trapezoid's linear fall takes
    weight_decay: float = 0.1  # on matrices and embeddings, not on biases and norms
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW's averaging of gradients and of their squares
    epsilon: float = 1e-8  # AdamW's term against division by zero
    grad_clip: float = 1.0  # largest global gradient norm, 0: no clipping

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be above 0")
        for name in ("final_fraction", "cooldown_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be between 0 and 1")
        for name in ("warmup_steps", "weight_decay", "grad_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be below 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas}: must be two numbers in [0, 1)")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon}: must be above 0")


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


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split the parameters in two groups: matrices and embeddings decay, biases and norm gains do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Return AdamW over the model's parameters, fused: one kernel for the whole update, on every device we run on."""
    groups = [group for group in parameter_groups(model, config.weight_decay) if group["params"]]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=True
    )


def clip_gradients(model: nn.Module, max_norm: float, divisor: torch.Tensor) -> torch.Tensor:
    """Divide the gradients by `divisor` (), then scale them to a global norm of at most `max_norm` (0: any).

    Returns the norm before clipping, on the device and without waiting for it.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients) / divisor
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0) if max_norm else torch.ones_like(norm)
    torch._foreach_mul_(gradients, scale / divisor)
    return norm


def update(optimizer: torch.optim.Optimizer, skip: torch.Tensor) -> None:
    """Update the weights, unless `skip` (), a boolean on the device: then nothing changes, step counts included.

    Does not wait for the device, except on Apple's GPUs, whose fused kernel ignores `found_inf`.
    """
    if skip.device.type != "mps":
        setattr(optimizer, "found_inf", skip.float())  # noqa: B010  mypy does not know it
    elif skip.item():
        return
    optimizer.step()


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give every parameter group the learning rate `value`."""
    for group in optimizer.param_groups:
        group["lr"] = value
