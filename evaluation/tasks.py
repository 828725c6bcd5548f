"""Tasks that a model is asked to solve: items with a context and what may follow it, read from JSON lines or the hub.

Contexts, choices and scores are those of EleutherAI's lm-evaluation-harness, item by item (tests/test_lm_eval.py).
"""

import os
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from corpus.articles import jsonl_objects
from corpus.tokenizer import Tokenizer
from evaluation.likelihood import Request
from system import hub
from system.errors import UserError, first_line
from system.network import reachable

Kind = Literal["choice", "completion"]
N_LEADS = 4  # of which one is right


class Item(NamedTuple):
    """A context and what may follow it: choices of which `answer` is right, or the one right completion."""

    context: str
    choices: tuple[str, ...]  # with the space before them
    answer: int = 0
    lengths: tuple[
        int, ...
    ] = ()  # of the choices in characters, without that space, for the normalised accuracy


@dataclass(frozen=True)
class Task:
    """Items of one kind."""

    name: str
    kind: Kind
    items: list[Item]


# HellaSwag (Zellers et al. 2019): https://huggingface.co/datasets/Rowan/hellaswag


def hellaswag_text(text: str) -> str:
    """Return a text of HellaSwag without the marks that WikiHow's articles left in it."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def hellaswag(row: dict[str, Any]) -> Item:
    """Return an item of HellaSwag: the activity and the beginning of a sentence, with four endings."""
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return choice(
        hellaswag_text(context), [hellaswag_text(ending) for ending in row["endings"]], int(row["label"])
    )


def lambada(row: dict[str, Any]) -> Item:
    """Return an item of LAMBADA (Paperno et al. 2016): a text, whose last word must be known from all before it."""
    context, _, word = row["text"].rpartition(" ")
    return Item(context, (f" {word}",))


def question(row: dict[str, Any]) -> Item:
    """Return an item of choices in this project's own fields."""
    return choice(row["prompt"], row["choices"], row["answer"])


def completion(row: dict[str, Any]) -> Item:
    """Return a prompt with the completion that is right."""
    return Item(row["prompt"], (row["completion"],))


def choice(context: str, choices: Sequence[str], answer: int) -> Item:
    """Return an item whose choices follow the context after a space."""
    if not isinstance(choices, list):
        raise TypeError("the choices are no list")
    return Item(context, tuple(f" {text}" for text in choices), answer, tuple(map(len, choices)))


class Format(NamedTuple):
    """A kind of file: its keys, and how a row becomes an item."""

    keys: tuple[str, ...]
    kind: Kind
    item: Callable[[dict[str, Any]], Item]


FORMATS = (
    Format(("activity_label", "ctx_a", "ctx_b", "endings", "label"), "choice", hellaswag),
    Format(("prompt", "choices", "answer"), "choice", question),
    Format(("prompt", "completion"), "completion", completion),
    Format(("text",), "completion", lambada),
)

HUB = {  # name: dataset, subset, split
    "hellaswag": ("Rowan/hellaswag", "default", "validation"),
    "lambada": ("EleutherAI/lambada_openai", "default", "test"),
}


def read_task(spec: str) -> Task:
    """Return the task in a JSONL file, or the one with this name on the hub. Raises UserError."""
    rows = hub_rows(*HUB[spec]) if spec in HUB else file_rows(spec)
    items: list[Item] = []
    form = None
    for row, place in rows:
        form = form or format_of(row, place)
        items.append(read_item(form, row, place))
    if form is None:
        raise UserError(f"{spec} is empty", "it must have an item in each line")
    return Task(os.path.basename(spec).partition(".")[0], form.kind, items)


def file_rows(path: str) -> Iterable[tuple[dict[str, Any], str]]:
    """Yield the rows of a JSONL file and where they are."""
    if not os.path.isfile(path):
        raise UserError(f"no task {path}", f"use a JSONL file, or one of {', '.join([*HUB, *FROM_ARTICLES])}")
    return ((row, place) for row, place, _ in jsonl_objects(path, ()))


def hub_rows(dataset: str, subset: str, split: str) -> Iterable[tuple[dict[str, Any], str]]:
    """Yield the rows of a dataset on the hub, or in its cache."""
    import datasets
    from huggingface_hub import snapshot_download

    online = not hub.is_offline() and reachable(hub.server())
    try:
        folder = snapshot_download(dataset, repo_type="dataset", local_files_only=not online)
    except (OSError, ValueError):
        reason = "HF_HUB_OFFLINE is set" if hub.is_offline() else f"{hub.server()} does not answer"
        fix = (
            f"run `hf download {dataset} --repo-type dataset` while online, or use a JSONL file with its rows"
        )
        raise UserError(f"the hub's cache has no dataset {dataset}, and {reason}", fix) from None
    rows = datasets.load_dataset(folder, subset, split=split)
    return ((dict(row), f"{dataset}, {split}, row {number}") for number, row in enumerate(rows, 1))


def format_of(row: dict[str, Any], place: str) -> Format:
    """Return the format that has a row's keys; raise UserError if there is none."""
    for form in FORMATS:
        if isinstance(row, dict) and set(form.keys) <= row.keys():
            return form
    known = "; or ".join(", ".join(form.keys) for form in FORMATS)
    found = f"it has {', '.join(row)}" if isinstance(row, dict) else f"it is a {type(row).__name__}"
    raise UserError(f"{place} is no item of a task", f"{found}, but needs {known}")


def read_item(form: Format, row: dict[str, Any], place: str) -> Item:
    """Return the item of a row; raise UserError if it does not fit the format."""
    try:
        item = form.item(row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{place} is no item of a task ({first_line(error)})", f"it needs {', '.join(form.keys)}"
        ) from None
    if not all(isinstance(text, str) for text in (item.context, *item.choices)) or not isinstance(
        item.answer, int
    ):
        raise UserError(
            f"{place} is no item of a task", "contexts and choices must be text, the answer a number"
        )
    if not 0 <= item.answer < len(item.choices):
        raise UserError(f"{place}: the right choice is {item.answer}, of {len(item.choices)}", "count from 0")
    if not all(text.strip() for text in item.choices):
        raise UserError(f"{place}: a choice is empty", "write one, or delete the item")
    return item


# Tasks that any articles give. Each is asked of the validation split, which the model was not trained on.


def leads(articles: Iterable[str]) -> list[Item]:
    """Return items that ask which of four leads belongs to a title.

    The three wrong ones are of other articles, with this title in place of theirs: none is given away by its name.
    """
    known = [lead for lead in map(lead_of, articles) if lead and lead.title in lead.text]
    chooser = random.Random("leads")
    items = []
    for right in known if len({lead.title for lead in known}) >= N_LEADS else []:
        others: dict[str, str] = {}
        while len(others) < N_LEADS - 1:
            other = chooser.choice(known)
            if other.title != right.title:
                others[other.title] = other.text.replace(other.title, right.title)
        texts = list(others.values())
        answer = chooser.randrange(N_LEADS)
        texts.insert(answer, right.text)
        items.append(Item(f"{right.title}\n\n", tuple(texts), answer, tuple(map(len, texts))))
    return items


def last_words(articles: Iterable[str]) -> list[Item]:
    """Return items that ask for the last word of an article's first sentence, as LAMBADA does."""
    items = []
    for lead in filter(None, map(lead_of, articles)):
        context, space, word = lead.text.rstrip(".").rpartition(" ")
        if context and word:
            items.append(Item(f"{lead.title}\n\n{context}", (space + word,)))
    return items


FROM_ARTICLES: dict[str, tuple[Kind, Callable[[Iterable[str]], list[Item]]]] = {
    "leads": ("choice", leads),
    "last_words": ("completion", last_words),
}


class Lead(NamedTuple):
    """An article's title and its first sentence."""

    title: str
    text: str


def lead_of(article: str) -> Lead | None:
    """Return an article's lead; None if it has no title, or none that ends with a full stop."""
    title, _, text = article.partition("\n\n")
    found = re.match(r"[^\n]+?\.(?=\s|$)(?<!\b[A-Z]\.)", text)
    return Lead(title, found[0]) if found and "\n" not in title else None


# From items to what a model is asked, and from what it says to numbers.


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
    return Task(task.name, task.kind, items)


def requests_of(task: Task, tokenizer: Tokenizer, block_size: int) -> list[Request]:
    """Return a request for each choice of each item. What does not fit into block_size is cut off on the left."""
    return [
        request(item.context, text, tokenizer, block_size, f"{task.name}, item {number}")
        for number, item in enumerate(task.items, 1)
        for text in item.choices
    ]


def request(context: str, text: str, tokenizer: Tokenizer, block_size: int, place: str) -> Request:
    """Return the request to score a text after a context; spaces at the context's end belong to the text.

    An empty context is an end-of-text token. Raises UserError if the text has no token of its own or too many.
    """
    stripped = context.rstrip()
    text, context = context[len(stripped) :] + text, stripped
    before = tokenizer.encode(context) if context else [tokenizer.end_of_text]
    # The tokens of both together, behind those of the context alone, although they may begin otherwise: as lm-eval has it.
    after = tokenizer.encode(context + text)[len(before) :] if context else tokenizer.encode(text)
    if not after:
        raise UserError(
            f"{place}: {text!r} is no token of its own after {context[-20:]!r}", "change or delete it"
        )
    if len(after) > block_size:
        problem = f"{place}: {text!r:.40} has {len(after)} tokens, the model's block_size is {block_size}"
        raise UserError(problem, "shorten or delete it")
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
