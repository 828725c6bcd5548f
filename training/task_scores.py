"""eval_tasks: tasks that the model solves at each evaluation of a run."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from corpus.tokenizer import Tokenizer
from evaluation.article_tasks import FROM_ARTICLES
from evaluation.items import Task
from evaluation.scoring import score
from evaluation.task_sources import find_tasks
from evaluation.tasks import fitting, outcome, requests_of
from model import GPT
from system.errors import UserError, say
from system.parallel import gathered
from system.settings import listed
from system.world import World
from training.run import Run


class TaskScores:
    """The tasks of a run, as its model is asked them."""

    def __init__(self, tasks: Sequence[Task], tokenizer: Tokenizer, block_size: int) -> None:
        """Raises UserError if an item does not fit into block_size."""
        self.asked = [(task, requests_of(task, tokenizer, block_size)[0]) for task in tasks]

    @property
    def n_tokens(self) -> int:
        """How many tokens the model reads for them."""
        return sum(len(request.tokens) for _, requests in self.asked for request in requests)

    def of(self, model: GPT, world: World, dtype: torch.dtype) -> dict[str, float]:
        """Return the share of right answers by task, and by likelihood per character as NAME_normalised.

        All processes call this. Leaves the model in training mode.
        """
        shares = {}
        model.eval()
        try:
            for task, requests in self.asked:
                doing = f"answering {len(task.items):,} items of {task.name}"
                with gathered(model):
                    found = outcome(task, score(model, requests, dtype, world, doing))
                shares[task.name] = found.accuracy
                if found.right_normalised is not None:
                    shares[f"{task.name}_normalised"] = float(found.right_normalised.mean())
        finally:
            model.train()
        return shares


def open_tasks(run: Run, world: World) -> TaskScores:
    """Return the tasks of eval_tasks, at most task_items items of each, evenly spaced; all processes call this.

    Raises UserError if one is not found or does not fit. A run that resumes says so and does without.
    """
    config, data = run.config, run.data
    size = config.model.block_size

    def opened() -> TaskScores:
        tasks = find_tasks(listed(config.eval_tasks), data.val)
        tasks = [
            fitting(task, data.tokenizer, size) if task.name in FROM_ARTICLES else task for task in tasks
        ]
        return TaskScores([some(task, config.task_items) for task in tasks], data.tokenizer, size)

    try:
        return world.main_first(opened)
    except UserError as error:
        if not run.resumes:
            raise
        if world.is_main:
            say(f"TASKS are left out of this run's evaluations: {error}")
        return TaskScores([], data.tokenizer, size)


def some(task: Task, n_items: int) -> Task:
    """Return a task with `n_items` of its items, evenly spaced, or with all; all for 0."""
    total = len(task.items)
    if not n_items or n_items >= total:
        return task
    return replace(task, items=[task.items[number * total // n_items] for number in range(n_items)])
