"""The autopsy of a step that nothing was learned from: its text, and where in the network the numbers went wrong.

Owns the computing again and the files of `autopsy_step_00000123/` in the run's folder. Which steps those are is
`guard.py`'s to say.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from corpus.tokenizer import Tokenizer
from model import GPT, IGNORED
from system import hardware
from system.world import World
from training.guard import Verdict

ENOUGH = 3  # autopsies of skipped steps: the first ones tell the rest


@dataclass(frozen=True)
class Suspects:
    """A process's sequences of one step: the first one's number, token positions, inputs and targets (n, T)."""

    first: int
    starts: list[int]
    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Findings:
    """Nats per token and gradient norm of each sequence; norms over all of them by module and by parameter."""

    losses: list[float]
    grad_norms: list[float]
    activations: dict[str, float]
    gradients: dict[str, float]


def examine(model: GPT, suspects: Suspects, device: torch.device, dtype: torch.dtype) -> Findings:
    """Compute a step again, eagerly, without dropout, and a sequence at a time: that takes little memory.

    Modules come in the order in which they compute, so that the first norm that is not finite is where it began.
    Leaves the gradients of the parameters alone.
    """
    names, parameters = zip(*model.named_parameters(), strict=True)
    sums, losses, grad_norms = [torch.zeros_like(parameter) for parameter in parameters], [], []
    squares: dict[str, float] = {}

    def note(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        squares[name] = squares.get(name, 0.0) + norm(output) ** 2

    hooks = [
        module.register_forward_hook(partial(note, name)) for name, module in model.named_modules() if name
    ]
    model.eval()
    tokens = (torch.from_numpy(array).to(device) for array in (suspects.inputs, suspects.targets))
    for inputs, targets in zip(*tokens, strict=True):
        n_scored = (targets != IGNORED).sum().clamp(min=1)
        with hardware.autocast(device, dtype):
            loss = model.forward(inputs[None], targets[None]) / n_scored  # past what is compiled
        gradients = torch.autograd.grad(loss, parameters)
        losses.append(loss.item())
        grad_norms.append(math.hypot(*map(norm, gradients)))
        torch._foreach_add_(sums, gradients)
    model.train()
    for hook in hooks:
        hook.remove()
    activations = {name: math.sqrt(square) for name, square in squares.items()}
    return Findings(losses, grad_norms, activations, dict(zip(names, map(norm, sums), strict=True)))


def norm(tensor: Tensor) -> float:
    """Return the Euclidean norm, from float64 squares: they do not overflow."""
    tensor = tensor.detach().cpu() if tensor.device.type == "mps" else tensor.detach()  # which has no float64
    return torch.linalg.vector_norm(tensor, dtype=torch.float64).item()


def write(
    folder: Path,
    verdict: Verdict,
    suspects: Suspects,
    findings: Findings | None,
    weights_step: int,
    tokenizer: Tokenizer,
    world: World,
) -> None:
    """Write `report.json` and this process's sequences, `batch.jsonl`; with several processes named by rank.

    `findings` are those of the weights after `weights_step`, None where there was no memory. Raises OSError.
    """
    suffix = f"_rank_{world.rank}" if world.size > 1 else ""
    sequences: list[dict[str, Any]] = [
        {"number": number, "start": start} for number, start in enumerate(suspects.starts, suspects.first)
    ]
    report = {"reason": verdict.reason, **asdict(verdict), "rank": world.rank, "processes": world.size}
    del report["finished_at"]  # by a clock that means nothing elsewhere
    if findings:
        for sequence, loss, grad_norm in zip(sequences, findings.losses, findings.grad_norms, strict=True):
            sequence |= {"loss": loss, "grad_norm": grad_norm}
        bad = [name for name, value in findings.activations.items() if not math.isfinite(value)]
        report["first_bad_activation"] = bad[0] if bad else "none: computed again, all are finite"
        report |= {"activation_norms": findings.activations, "gradient_norms": findings.gradients}
        report["norms_are_with_weights_of_step"] = weights_step
    report["own_sequences"] = sequences
    ids = [
        [*row, *last[last != IGNORED].tolist()]
        for row, last in zip(suspects.inputs.tolist(), suspects.targets[:, -1:], strict=True)
    ]
    lines = [
        json.dumps({**sequence, "text": tokenizer.decode(row), "ids": row}, ensure_ascii=False)
        for sequence, row in zip(writable(sequences), ids, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"batch{suffix}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / f"report{suffix}.json").write_text(json.dumps(writable(report), indent=2) + "\n")


def writable(value: Any) -> Any:
    """Return the value with numbers that JSON does not have as words: "nan", "inf"."""
    if isinstance(value, dict):
        return {key: writable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [writable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
