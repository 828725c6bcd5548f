"""eval_tasks: tasks that the model solves at each evaluation of a run."""

from collections.abc import Sequence

import torch

from corpus.tokenizer import Tokenizer
from evaluation.items import Task
from evaluation.scoring import score
from evaluation.tasks import outcome, requests_of
from model import GPT
from system.world import World


class TaskScores:
    """The tasks of a run, as its model is asked them. Raises UserError if one does not fit into block_size."""

    def __init__(self, tasks: Sequence[Task], tokenizer: Tokenizer, block_size: int) -> None:
        self.asked = [(task, requests_of(task, tokenizer, block_size)[0]) for task in tasks]

    @property
    def n_tokens(self) -> int:
        """How many tokens the model reads for them."""
        return sum(len(request.tokens) for _, requests in self.asked for request in requests)

    def of(self, model: GPT, world: World, dtype: torch.dtype) -> dict[str, float]:
        """Return the share of right answers by task, and by likelihood per character as NAME_normalised; all processes call this.

        Leaves the model in training mode.
        """
        shares = {}
        model.eval()
        try:
            for task, requests in self.asked:
                found = outcome(
                    task,
                    score(
                        model, requests, dtype, world, f"answering {len(task.items):,} items of {task.name}"
                    ),
                )
                shares[task.name] = found.accuracy
                if found.right_normalised is not None:
                    shares[f"{task.name}_normalised"] = float(found.right_normalised.mean())
        finally:
            model.train()
        return shares
