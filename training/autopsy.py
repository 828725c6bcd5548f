"""The autopsy of a bad step: its sequences as text, and where in the network its numbers went wrong.

A bad step leaves a folder `autopsy_step_00000123/` in the run's folder. guard.py decides which steps are bad.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from corpus.dataset import batch
from corpus.tokenizer import Tokenizer
from evaluation.losses import Losses
from model import GPT, IGNORED
from system import hardware
from system.errors import UserError, first_line
from system.parallel import is_sharded_model
from system.world import World
from training.batches import own_sequences
from training.guard import Guard, Verdict
from training.learner import Learner
from training.log import RunLog
from training.run import Run
from training.saving import save_checkpoint
from training.sharding import eager_loss

MAX_AUTOPSIES = 3  # of skipped steps in a run: the first ones tell enough


@dataclass(frozen=True)
class StepBatch:
    """This process's sequences of one step: their numbers, token positions, inputs and targets (n, T)."""

    numbers: list[int]
    starts: list[int]
    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Findings:
    """Nats per token and gradient norm of each sequence; norms over all of them by module and by parameter.

    Of a sharded model there are no gradients: each process would compute those of its sequences for all parameters.
    """

    losses: list[float]
    grad_norms: list[float]
    activations: dict[str, float]
    gradients: dict[str, float]


def stop_at(
    verdict: Verdict,
    run: Run,
    learner: Learner,
    progress: Progress,
    guard: Guard,
    log: RunLog,
    validate: Callable[[], Losses],
    world: World,
) -> UserError:
    """Save the weights from before the bad step if they are good, write its autopsy, and return the error to raise."""
    log.say(f"{verdict.reason}: the run stops")
    progress = progress.rewound(verdict.step - 1, verdict.sequences)
    val_loss = validate().nats_per_token
    good = guard.are_good(val_loss)
    is_saved = int(world.is_main and checkpoint.is_last(run.out_dir, progress.step))
    is_saved = int(world.sum(torch.tensor(is_saved)))  # another process might read an older `last`
    if good and progress.step > run.progress.step and not is_saved:
        save_checkpoint(run, learner, progress, guard, log, keep=0)  # keep all: this one may not be better
    log.say(write_autopsy(verdict, run, learner, world, examines=True))
    world.wait()  # the first process to exit may end the others, one of which is still writing
    return guard.error(
        verdict, val_loss, good, has_checkpoint=checkpoint.pointed(run.out_dir, "last") is not None
    )


def write_skipped_batch(verdict: Verdict, run: Run, learner: Learner, guard: Guard, world: World) -> str:
    """Write the sequences of a skipped step, for the first few of them, and return the log line about it."""
    if guard.n_skipped > MAX_AUTOPSIES:
        return f"no autopsy of step {verdict.step}: only the first {MAX_AUTOPSIES} skipped steps get one"
    return write_autopsy(verdict, run, learner, world, examines=False)


def write_autopsy(verdict: Verdict, run: Run, learner: Learner, world: World, examines: bool) -> str:
    """Write the autopsy of a bad step, and return the log line about it; `examines` computes the step again, for norms.

    Norms make sense only while the weights are still those of the step.
    """
    folder = run.out_dir / f"autopsy_step_{verdict.step:08d}"
    try:
        with all_succeed(world) if examines else contextlib.nullcontext():  # computing may be done together
            sequences = step_batch(verdict, run, learner, world)
        findings = examine(learner.model, sequences, world.device, learner.dtype) if examines else None
        write(folder, verdict, sequences, findings, run.data.tokenizer, world)
    except Exception as error:  # of any kind, out of memory too: an autopsy must not hide what it is about
        return f"no autopsy of step {verdict.step} ({first_line(error)})"
    return f"autopsy of step {verdict.step} in {folder}"


@contextlib.contextmanager
def all_succeed(world: World) -> Iterator[None]:
    """Raise the block's error, of any kind, or a UserError if it fails in another process."""
    own_error: Exception | None = None
    try:
        with world.all_or_none():
            try:
                yield
            except Exception as error:
                own_error = error
                raise UserError(str(error)) from None
    except UserError as error:
        raise own_error or error from None


def step_batch(verdict: Verdict, run: Run, learner: Learner, world: World) -> StepBatch:
    """Load this process's sequences of the step."""
    numbers, starts = (part.ravel() for part in own_sequences(run, learner, verdict.sequences, world))
    inputs, targets = batch(run.data.train, starts, run.config.model.block_size)
    return StepBatch(numbers.tolist(), starts.tolist(), inputs, targets)


def examine(model: GPT, sequences: StepBatch, device: torch.device, dtype: torch.dtype) -> Findings:
    """Compute a step again, eagerly, without dropout, one sequence at a time to save memory.

    Modules are listed in the order in which they compute, so the first norm that is not finite is where it began.
    Leaves the parameters' gradients alone, and the model as it was.
    """
    parameters = {} if is_sharded_model(model) else dict(model.named_parameters())
    sums = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    losses, grad_norms = list[float](), list[float]()
    squares: dict[str, float] = {}

    def note(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        squares[name] = squares.get(name, 0.0) + norm(output) ** 2

    hooks = [
        module.register_forward_hook(partial(note, name)) for name, module in model.named_modules() if name
    ]
    try:
        model.eval()
        tokens = (torch.from_numpy(array).to(device) for array in (sequences.inputs, sequences.targets))
        for inputs, targets in zip(*tokens, strict=True):
            n_scored = (targets != IGNORED).sum().clamp(min=1)
            with hardware.autocast(device, dtype), torch.set_grad_enabled(bool(parameters)):
                loss = eager_loss(model, inputs[None], targets[None]) / n_scored
            note("the output layer and its loss", model, (), loss)
            losses.append(loss.item())
            if parameters:
                gradients = torch.autograd.grad(loss, list(parameters.values()))
                grad_norms.append(math.hypot(*map(norm, gradients)))
                torch._foreach_add_(list(sums.values()), gradients)
    finally:
        model.train()
        for hook in hooks:
            hook.remove()
    activations = {name: math.sqrt(square) for name, square in squares.items()}
    return Findings(losses, grad_norms, activations, {name: norm(total) for name, total in sums.items()})


def norm(tensor: Tensor) -> float:
    """Return the Euclidean norm, from float64 squares, which do not overflow."""
    tensor = tensor.detach().cpu() if tensor.device.type == "mps" else tensor.detach()  # MPS has no float64
    return torch.linalg.vector_norm(tensor, dtype=torch.float64).item()


def write(
    folder: Path,
    verdict: Verdict,
    batch: StepBatch,
    findings: Findings | None,
    tokenizer: Tokenizer,
    world: World,
) -> None:
    """Write `report.json` and this process's sequences, `batch.jsonl`; with several processes, named by rank."""
    suffix = f"_rank_{world.rank}" if world.size > 1 else ""
    sequences: list[dict[str, Any]] = [
        {"number": number, "start": start} for number, start in zip(batch.numbers, batch.starts, strict=True)
    ]
    report = {"reason": verdict.reason, **asdict(verdict), "rank": world.rank, "processes": world.size}
    del report["finished_at"]  # means nothing outside this process
    if findings:
        for key, values in (("loss", findings.losses), ("grad_norm", findings.grad_norms)):
            for sequence, value in zip(sequences, values, strict=False):  # no gradients of a sharded model
                sequence[key] = value
        bad = [name for name, value in findings.activations.items() if not math.isfinite(value)]
        report["first_bad_activation"] = bad[0] if bad else "none: computed again, all are finite"
        report |= {"activation_norms": findings.activations, "gradient_norms": findings.gradients}
    report["own_sequences"] = sequences
    ids = [
        [*row, *last[last != IGNORED].tolist()]
        for row, last in zip(batch.inputs.tolist(), batch.targets[:, -1:], strict=True)
    ]
    lines = [
        json.dumps({**sequence, "text": tokenizer.decode(row), "ids": row}, ensure_ascii=False)
        for sequence, row in zip(as_json(sequences), ids, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"batch{suffix}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / f"report{suffix}.json").write_text(json.dumps(as_json(report), indent=2) + "\n")


def as_json(value: Any) -> Any:
    """Return the value with the numbers that JSON lacks as strings: "nan", "inf"."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
