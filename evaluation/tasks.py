"""From a task's items to what a model is asked, and from what it says to numbers.

Without examples before them, items are scored as EleutherAI's lm-evaluation-harness does (tests/test_lm_eval.py).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from corpus.tokenizer import Tokenizer
from evaluation.items import Item, Task
from evaluation.likelihood import Request
from system.errors import UserError


def with_examples(task: Task, n_shots: int) -> Task:
    """Return a task with `n_shots` other items, drawn at random and solved, before each context."""
    if not n_shots:
        return task
    if n_shots >= len(task.items):
        raise UserError(f"n_shots={n_shots}: {task.name} has {len(task.items)} items", "use fewer")
    items = []
    for number, item in enumerate(task.items):
        drawn = random.Random(f"{task.name} {number}").sample(range(len(task.items) - 1), n_shots)
        others = [task.items[index + (index >= number)] for index in drawn]
        solved = "".join(f"{other.context}{other.choices[other.answer]}\n\n" for other in others)
        items.append(item._replace(context=solved + item.context))
    return replace(task, items=items)


def requests_of(task: Task, tokenizer: Tokenizer, block_size: int) -> tuple[list[Request], int]:
    """Return a request for each choice of each item, and how many of them had to be cut on the left."""
    requests, n_cut = [], 0
    for number, item in enumerate(task.items, 1):
        before, choices = encoded(item, tokenizer)
        for text, after in zip(item.choices, choices, strict=True):
            place = f"{task.name}, item {number}: {text!r:.40}"
            requests.append(request(before, after, block_size, place))
            n_cut += len(before) + len(after) > block_size + 1
    return requests, n_cut


def fitting(task: Task, tokenizer: Tokenizer, block_size: int) -> Task:
    """Return the task without the items of which a choice is longer than block_size."""
    fits = [
        item for item in task.items if max(len(after) for after in encoded(item, tokenizer)[1]) <= block_size
    ]
    return replace(task, items=fits)


def encoded(item: Item, tokenizer: Tokenizer) -> tuple[list[int], list[list[int]]]:
    """Return the tokens of an item's context and of each choice after it; spaces at the context's end belong to the choices.

    An empty context is an end-of-text token. A choice's tokens are those of both together, behind as many as the context
    alone has, although they may begin otherwise: this is what the harness does.
    """
    context = item.context.rstrip()
    texts = [item.context[len(context) :] + text for text in item.choices]
    if not context:
        return [tokenizer.end_of_text], [tokenizer.encode(text) for text in texts]
    before = tokenizer.encode(context)
    return before, [tokenizer.encode(context + text)[len(before) :] for text in texts]


def request(before: Sequence[int], after: Sequence[int], block_size: int, place: str) -> Request:
    """Return the request to score the tokens `after` the tokens before them, of which the last ones are kept that fit.

    Raises UserError, which begins with `place`, if there is no token to score or too many.
    """
    if not after:
        raise UserError(f"{place} has no token of its own after its context", "change or delete it")
    if len(after) > block_size:
        found = f"{place} has {len(after)} tokens, the model's block_size is {block_size}"
        raise UserError(found, "shorten or delete it")
    return Request(np.array([*before, *after][-block_size - 1 :], dtype=np.int64), (len(after),))


@dataclass(frozen=True)
class Outcome:
    """What a model answered to each of N items, (N,) each."""

    right: np.ndarray  # whether the likeliest choice, or the greedy completion, is the right one
    right_normalised: np.ndarray | None  # the same by log-likelihood per character; of choices only
    log_likelihood: np.ndarray  # of the right answer, in nats

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss of the right answers."""
        return float(np.exp(-self.log_likelihood.mean()))


def outcome(task: Task, scores: np.ndarray) -> Outcome:
    """Judge the scores, (n_requests, 2), of a task's requests."""
    ends = np.cumsum([len(item.choices) for item in task.items])
    each = np.split(scores, ends[:-1])
    answers = [item.answer for item in task.items]
    likelihood = np.array([found[answer, 0] for found, answer in zip(each, answers, strict=True)])
    if task.kind == "completion":
        return Outcome(np.array([found[0, 1] == 1 for found in each]), None, likelihood)
    chosen = [found[:, 0].argmax() for found in each]
    per_character = [
        (found[:, 0] / item.lengths).argmax() for found, item in zip(each, task.items, strict=True)
    ]
    return Outcome(np.equal(chosen, answers), np.equal(per_character, answers), likelihood)


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean over N items, (N,); 0 for one item alone."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
