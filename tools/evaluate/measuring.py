"""The measures of an evaluation: what they need is found first, then each is taken of one model after the other."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from checkpointing import checkpoint, pretrained
from checkpointing.pretrained import Pretrained
from corpus.dataset import TokenDataset
from corpus.tokenizer import Tokenizer
from corpus.windows import evenly_spaced_windows
from evaluation.article_tasks import FROM_ARTICLES
from evaluation.contamination import Seen, contaminated
from evaluation.items import Task
from evaluation.journal import Journal
from evaluation.measures import Answers, Loss, Measured
from evaluation.scoring import fingerprint, score
from evaluation.task_sources import find_tasks
from evaluation.tasks import fitting, outcome, requests_of, with_examples
from evaluation.windows import by_document, other_tokens, read_split, windows
from model import GPT
from sampling.kernels import KERNELS, for_sampling
from system.errors import UserError
from system.progress import announced
from system.world import World
from tools.evaluate.config import EvaluateConfig
from tools.evaluate.results import path_of


@dataclass(frozen=True)
class Subject:
    """A model under test."""

    name: str
    model: GPT
    tokenizer: Tokenizer
    dtype: torch.dtype
    results: Path
    n_params: int
    precision: str
    fingerprint: str  # of the weights before any are rounded

    @property
    def label(self) -> str:
        """What tells its scores from those of other models."""
        return f"{self.name} {self.precision} {self.fingerprint}"


Measure = Callable[[Subject, World, Journal | None], Measured]


@dataclass(frozen=True)
class Work:
    """All that an evaluation reads but the weights."""

    models: list[Pretrained]
    data: TokenDataset | None
    tasks: list[Task]  # as they are asked
    plain_tasks: list[Task]  # without examples before their items
    notes: list[str]


def find_work(config: EvaluateConfig, check: bool) -> Work:
    """Find models, data and tasks, before minutes of work; `check` hashes checkpoints. Raises UserError."""
    models = [pretrained.find(spec, check) for spec in config.checkpoints]
    folder = config.data_dir
    if not folder and models[0].is_ours:
        folder = checkpoint.read_info(models[0].folder)["config"]["data_dir"]
    notes = []
    if folder and config.all_tasks and not config.data_dir and not os.path.exists(folder):
        notes.append(f"no loss is measured, as {folder}, which {models[0].name} was trained on, is not here")
        folder = ""
    data = TokenDataset(folder, "val") if folder else None
    kernels = KERNELS[config.quantize]
    if config.quantize != "none" and config.kernel not in kernels:
        found = f"kernel={config.kernel}: not with quantize={config.quantize}"
        raise UserError(found, f"use one of {', '.join(kernels)}")
    if data:
        reject_data(config, models, data)
    tasks = find_tasks(config.all_tasks, data)
    for number, task in enumerate(tasks):
        if task.name in FROM_ARTICLES:
            for model in models:
                tasks[number] = fitting(tasks[number], model.tokenizer(), model.config.block_size)
            n_left_out = len(task.items) - len(tasks[number].items)
            if n_left_out:
                notes.append(
                    f"{n_left_out} of {len(task.items)} items of {task.name} do not fit into block_size"
                )
    if data is None and not tasks:
        raise UserError("nothing to measure", "name a folder of prepared text with --data_dir, or --tasks")
    if data is None and config.contamination:
        raise UserError("contamination=True: no training text", "name its folder with --data_dir")
    asked = [with_examples(task, config.n_shots) for task in tasks]
    most = config.n_items or None
    asked, tasks = ([replace(task, items=task.items[:most]) for task in each] for each in (asked, tasks))
    for model in models:  # an item that is too long is found before anything is measured
        for task in asked:
            requests_of(task, model.tokenizer(), model.config.block_size)
    return Work(models, data, asked, tasks, notes)


def reject_data(config: EvaluateConfig, models: list[Pretrained], data: TokenDataset) -> None:
    """Raise UserError if the data do not fit the windows or a model, or if each model would score other windows."""
    given = [key for key in ("stride", "eval_windows") if getattr(config, key)]
    given += ["windows"] if config.windows != "stream" else []
    if data.manifest.has_pairs and given:
        problem = f"{given[0]}={getattr(config, given[0])}: {data.data_dir} has pairs, each of which is scored by itself"
        raise UserError(problem, "leave it out")
    for model in models:
        if data.manifest.has_pairs and model.tokenizer().hash != data.manifest.tokenizer["hash"]:
            raise other_tokens(data, model.name)
        if config.stride > model.config.block_size:
            found = f"stride={config.stride}: {model.name} has block_size={model.config.block_size}"
            raise UserError(found, "use at most that")
    kinds = {(model.config.block_size, model.tokenizer().hash) for model in models}
    if config.eval_windows and len(kinds) > 1:
        problem = f"eval_windows={config.eval_windows}: the models differ in block_size or tokenizer, so that each would score other text"
        raise UserError(problem, "leave it out")


def measures_of(config: EvaluateConfig, work: Work, world: World) -> dict[str, Measure]:
    """Return the measures by name; a name includes the settings that differ from their defaults. All processes call this."""

    def described(name: str, *keys: str) -> str:
        default = EvaluateConfig()
        changed = [key for key in keys if getattr(config, key) != getattr(default, key)]
        return ", ".join([name, *(f"{key}={getattr(config, key)}" for key in changed)])

    measures: dict[str, Measure] = {}
    if work.data:
        name = f"{os.path.normpath(work.data.data_dir)}, validation"
        name = described(name, "windows", "stride", "eval_windows")
        measures[name] = partial(measure_loss, data=work.data, config=config)
    checks: list[Seen | None] = [None] * len(work.tasks)
    if config.contamination and work.data:
        checks = [*contaminated(work.plain_tasks, TokenDataset(work.data.data_dir, "train"), world)]
    for task, check in zip(work.tasks, checks, strict=True):
        measures[described(task.name, "n_items", "n_shots")] = partial(measure_task, task=task, check=check)
    return measures


def subjects(config: EvaluateConfig, models: list[Pretrained], world: World) -> Iterator[Subject]:
    """Yield the models one after the other, each with its 8-bit copy if that is wanted. Keeps none of them in memory."""
    for found in models:
        with announced(f"loading {found.name}", world.is_main, sys.stderr):
            model, tokenizer, dtype = found.load(str(world.device), config.precision)
        precision = "tf32" if config.precision == "tf32" else str(dtype).removeprefix("torch.")
        about = (tokenizer, dtype, path_of(found), model.n_params(), precision, fingerprint(model))
        yield Subject(found.name, model, *about)
        if config.quantize != "none":
            model, kernel = for_sampling(model, dtype, config.quantize, config.kernel)
            yield Subject(f"{found.name}, {config.quantize}, kernel {kernel}", model, *about)
        del model


def measure_loss(
    subject: Subject, world: World, journal: Journal | None, data: TokenDataset, config: EvaluateConfig
) -> Loss:
    """Score a split."""
    size = subject.model.config.block_size
    split = read_split(data, subject.tokenizer)
    token_bytes = subject.tokenizer.token_byte_lengths()
    found = windows(split, size, config.windows, config.stride or size, token_bytes)
    if config.eval_windows:
        starts = evenly_spaced_windows(len(split.tokens), size, config.eval_windows)
        found = [found[start // size] for start in starts]
    requests, parts = [request for request, _ in found], [part for _, own in found for part in own]
    if not requests:
        problem = f"{data.data_dir}: no completion of its validation pairs begins within {size} tokens"
        raise UserError(problem, "use a model with a larger block_size")
    doing = f"scoring {data.data_dir}"
    scores = score(subject.model, requests, subject.dtype, world, doing, journal, subject.label)
    scored = by_document(parts, scores[:, 0], len(split.ends))
    return Loss(scored, data.cut_pairs(size), subject.tokenizer.hash)


def measure_task(
    subject: Subject, world: World, journal: Journal | None, task: Task, check: Seen | None
) -> Answers:
    """Answer a task's items."""
    requests, n_cut = requests_of(task, subject.tokenizer, subject.model.config.block_size)
    doing = f"answering {len(task.items):,} items of {task.name}"
    scores = score(subject.model, requests, subject.dtype, world, doing, journal, subject.label)
    return Answers(outcome(task, scores), check, n_cut)
