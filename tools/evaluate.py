"""Measure how good a model is: `python -m tools.evaluate --checkpoint=out/demo --tasks=leads`.

Prints the loss on a validation split, whole, with 95 % intervals over its documents, and the share of right answers to tasks with
its standard error; the same as JSON goes beside the checkpoint. Several checkpoints, separated by commas, are compared with the first, document by document
and item by item. `torchrun --nproc_per_node=2 -m tools.evaluate ...` uses two processes. If it is stopped while it scores the split, rerun the same command to resume.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sampling.config import Kernel, Quantize
from system.command_line import parse_config
from system.errors import UserError, run_command, say
from system.files import fix_for, read_json, replace_file
from system.precision import Precision
from system.progress import announced
from system.settings import PathText, checked

if TYPE_CHECKING:
    import numpy as np
    import torch

    from checkpointing.pretrained import Pretrained
    from corpus.dataset import TokenDataset
    from corpus.tokenizer import Tokenizer
    from evaluation.measures import Measured
    from evaluation.tasks import Task
    from model import GPT
    from system.world import World

RESULTS_FILE = "evaluation.json"
HUB_RESULTS = Path("out/evaluation")  # of models from the hub, whose folder is a cache


@checked
@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure. Raises ValueError on invalid values."""

    checkpoint: PathText = "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name; or several, with commas
    data_dir: PathText = (
        ""  # whose validation split is scored; empty: the one the first checkpoint was trained on
    )
    windows: Literal["stream", "document"] = (
        "stream"  # document: each document alone, as lm-evaluation-harness does
    )
    stride: int = 0  # tokens that a window scores; the others are context. 0: block_size
    eval_windows: int = 0  # only so many windows, evenly spaced, as in training; 0: all
    tasks: str = ""  # with commas: JSONL files; hellaswag or lambada, from the hub; leads or last_words, of the articles
    n_items: int = 0  # of each task, the first; 0: all
    n_shots: int = 0  # solved items before each
    contamination: bool = False  # also say which items the training text of data_dir has
    quantize: Quantize = "none"  # int8: also with 8-bit weights, as sample.py has them
    kernel: Kernel = "auto"  # of the linear layers then
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of matrix multiplications

    def __post_init__(self) -> None:
        for key in ("stride", "eval_windows", "n_items", "n_shots"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0")
        if self.eval_windows and (self.windows != "stream" or self.stride):
            raise ValueError("eval_windows: must be 0 with --windows=document or a stride")

    @property
    def checkpoints(self) -> list[str]:
        """The models, of which the first is the one that the others are compared with."""
        return [spec.strip() for spec in self.checkpoint.split(",")]

    @property
    def all_tasks(self) -> list[str]:
        """The tasks, in their order."""
        return [spec.strip() for spec in self.tasks.split(",") if spec.strip()]


@dataclass(frozen=True)
class Subject:
    """A model under test."""

    name: str
    model: "GPT"
    tokenizer: "Tokenizer"
    dtype: "torch.dtype"
    results: Path
    n_params: int

    @property
    def precision(self) -> str:
        """The dtype's name."""
        return str(self.dtype).removeprefix("torch.")


def subjects(config: EvaluateConfig, world: "World") -> Iterator[Subject]:
    """Yield the models one after the other, each with its 8-bit copy if that is wanted."""
    from checkpointing import pretrained
    from sampling.kernels import for_sampling

    all_found = [pretrained.find(spec) for spec in config.checkpoints]  # each, before minutes of work
    for found in all_found:
        with announced(f"loading {found.name}", world.is_main, sys.stderr):
            model, tokenizer, dtype = found.load(str(world.device), config.precision)
        subject = Subject(found.name, model, tokenizer, dtype, results_file(found), model.n_params())
        yield subject
        if config.quantize != "none":
            fast, kernel = for_sampling(model, dtype, config.quantize, config.kernel)
            yield replace(subject, name=f"{found.name}, {config.quantize}, kernel {kernel}", model=fast)


def results_file(found: "Pretrained") -> Path:
    """Return where a model's results go: beside it, for a model on the hub under HUB_RESULTS."""
    if found.is_ours:
        return found.folder.parent / "evaluation" / f"{found.folder.name}.json"
    is_local = Path(found.name).expanduser().is_dir()
    return found.folder / RESULTS_FILE if is_local else HUB_RESULTS / f"{found.name.replace('/', '--')}.json"


def data_of(config: EvaluateConfig) -> "TokenDataset | None":
    """Return the validation split to score; None if none is named and the first checkpoint is no run's."""
    from checkpointing import checkpoint, pretrained
    from corpus.dataset import TokenDataset

    folder = config.data_dir
    if not folder:
        first = pretrained.find(config.checkpoints[0], check=False)
        folder = checkpoint.read_info(first.folder)["config"]["data_dir"] if first.is_ours else ""
    return TokenDataset(folder, "val") if folder else None


def tasks_of(config: EvaluateConfig, data: "TokenDataset | None") -> "list[Task]":
    """Return the tasks to solve; raise UserError for one that is not found."""
    from evaluation.tasks import FROM_ARTICLES, Task, read_task

    tasks = []
    for spec in config.all_tasks:
        if spec not in FROM_ARTICLES:
            task = read_task(spec)
        elif data is None or data.manifest.has_pairs:
            raise UserError(
                f"tasks={spec}: no articles", "name a folder of prepared articles with --data_dir"
            )
        else:
            kind, make = FROM_ARTICLES[spec]
            task = Task(spec, kind, make(articles(data)))
        if not task.items:
            raise UserError(
                f"tasks={spec}: {data and data.data_dir} has too few articles for it",
                "prepare it with a larger --validation_fraction",
            )
        tasks.append(Task(task.name, task.kind, task.items[: config.n_items or None]))
    return tasks


def articles(data: "TokenDataset") -> list[str]:
    """Return the texts of a split."""
    tokenizer = data.tokenizer()
    spans = zip(data.pair_starts.tolist(), data.pair_ends.tolist(), strict=True)
    return [tokenizer.decode(data.read(first, last - 1 - first).tolist()) for first, last in spans]


def measure_loss(
    subject: Subject, world: "World", journal: Path, data: "TokenDataset", config: EvaluateConfig
) -> "Measured":
    """Score a split."""
    from corpus.windows import evenly_spaced_windows
    from evaluation.measures import Loss
    from evaluation.scoring import score
    from evaluation.windows import by_document, read_split, windows

    size = subject.model.config.block_size
    split = read_split(data, subject.tokenizer)
    found = windows(
        split, size, config.windows, config.stride or size, subject.tokenizer.token_byte_lengths()
    )
    if config.eval_windows and not split.has_pairs:
        found = [
            found[start // size]
            for start in evenly_spaced_windows(len(split.tokens), size, config.eval_windows)
        ]
    requests, parts = [request for request, _ in found], [part for _, own in found for part in own]
    if not requests:
        problem = f"{data.data_dir}: no completion of its validation pairs begins within {size} tokens"
        raise UserError(problem, "use a model with a larger block_size")
    scores = score(
        subject.model,
        requests,
        subject.dtype,
        world,
        journal,
        subject.name,
        f"scoring {data.data_dir}",
    )
    return Loss(by_document(parts, scores[:, 0]))


def measure_task(
    subject: Subject, world: "World", journal: Path, task: "Task", seen: "np.ndarray | None"
) -> "Measured":
    """Answer a task's items."""
    from evaluation.measures import Answers
    from evaluation.scoring import score
    from evaluation.tasks import outcome, requests_of

    requests = requests_of(task, subject.tokenizer, subject.model.config.block_size)
    doing = f"answering {len(task.items):,} items of {task.name}"
    scores = score(subject.model, requests, subject.dtype, world, journal, subject.name, doing)
    return Answers(outcome(task, scores), seen)


def seen_in_training(task: "Task", data: "TokenDataset | None", world: "World") -> "np.ndarray":
    """Return which of a task's items the training text has, (N,) bool."""
    from corpus.dataset import TokenDataset
    from evaluation.contamination import contaminated

    if data is None:
        raise UserError("contamination=True: no training text", "name its folder with --data_dir")
    return contaminated(task, TokenDataset(data.data_dir, "train"), world.is_main)


def evaluate(config: EvaluateConfig, world: "World") -> None:
    """Measure everything of one model after the other, print it and keep it beside the model."""
    from evaluation.tasks import with_examples

    data = data_of(config)
    tasks = tasks_of(config, data)
    if data is None and not tasks:
        raise UserError("nothing to measure", "name a folder of prepared text with --data_dir, or --tasks")
    measures: dict[str, Callable[[Subject, World, Path], Measured]] = {}
    if data:
        measures[f"{data.data_dir}, validation"] = partial(measure_loss, data=data, config=config)
    for task in tasks:
        seen = seen_in_training(task, data, world) if config.contamination else None
        measures[task.name] = partial(measure_task, task=with_examples(task, config.n_shots), seen=seen)
    reference: dict[str, Measured] = {}  # of the first model
    for subject in subjects(config, world):
        if world.is_main:
            say(f"{subject.name}: {subject.n_params:,} parameters, {subject.precision}")
        for name, measure in measures.items():
            with journal_of(subject) as journal:
                found = measure(subject, world, journal)
                if world.is_main:
                    say(f"  {name}: {found.line(reference.get(name))}")
                    keep(subject, described(name, config), found.to_dict())
                    journal.unlink()
            reference.setdefault(name, found)


@contextlib.contextmanager
def journal_of(subject: Subject) -> Iterator[Path]:
    """Give the file that keeps what is done; raise UserError if it or the results cannot be written."""
    try:
        subject.results.parent.mkdir(parents=True, exist_ok=True)
        yield subject.results.with_suffix(".partial.jsonl")
    except OSError as error:
        problem = f"cannot write to {subject.results.parent} ({error.strerror}), where the results go"
        raise UserError(problem, fix_for(error, "make it a folder that you may write to")) from None


def described(name: str, config: EvaluateConfig) -> str:
    """Return a measure's name with the settings that change what it measures."""
    default = EvaluateConfig()
    keys = ("windows", "stride", "eval_windows", "n_items", "n_shots")
    changed = [
        f"{key}={getattr(config, key)}" for key in keys if getattr(config, key) != getattr(default, key)
    ]
    return ", ".join([name, *changed])


def keep(subject: Subject, name: str, values: dict[str, Any]) -> None:
    """Add a result to the model's file. Raises OSError."""
    try:
        content = read_json(subject.results, missing={})
    except UserError as error:
        raise UserError(error.problem, "delete it") from None
    content.setdefault(f"{subject.name}, {subject.precision}", {})[name] = values
    replace_file(subject.results, json.dumps(content, indent=1) + "\n")


def main() -> None:
    config = parse_config(EvaluateConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    with announced("loading torch", True, sys.stderr):
        from system.world import start_world

    world = start_world(config.device)
    evaluate(config, world)
    world.stop()


if __name__ == "__main__":
    run_command(main)
