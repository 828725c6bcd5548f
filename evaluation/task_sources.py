"""Where tasks come from: JSON lines, the hub, or the articles of a validation split."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from corpus.articles import jsonl_objects
from corpus.dataset import TokenDataset
from evaluation.article_tasks import FROM_ARTICLES
from evaluation.items import Format, Item, Task, format_of, read_item
from system import hub
from system.errors import UserError
from system.network import reachable

HUB = {  # name: dataset, subset, split
    "hellaswag": ("Rowan/hellaswag", "default", "validation"),
    "lambada": ("EleutherAI/lambada_openai", "default", "test"),
}


def find_tasks(specs: Sequence[str], data: TokenDataset | None) -> list[Task]:
    """Return the tasks with these names or in these files; `data` is the split with the articles.

    Raises UserError for one that is not found, has no item, or has the name of another.
    """
    found: dict[str, str] = {}
    tasks = []
    for spec in specs:
        task = from_articles(spec, data) if spec in FROM_ARTICLES else read_task(spec)
        if task.name in found:
            problem = f"{found[task.name]} and {spec}: both are named {task.name}"
            raise UserError(problem, "rename a file, or leave one out")
        found[task.name] = spec
        tasks.append(task)
    return tasks


def from_articles(name: str, data: TokenDataset | None) -> Task:
    """Return one of FROM_ARTICLES over a split; raise UserError if it has no articles, or too few."""
    if data is None or data.manifest.has_pairs:
        raise UserError(f"task {name}: no articles", "name a folder of prepared articles with --data_dir")
    kind, make = FROM_ARTICLES[name]
    task = Task(name, kind, make(data.texts()))
    if not task.items:
        problem = f"task {name}: the validation split of {data.data_dir} has too few articles"
        raise UserError(problem, "prepare it with a larger --validation_fraction")
    return task


def read_task(spec: str) -> Task:
    """Return the task in a JSONL file, or the one with this name on the hub. Raises UserError."""
    rows = hub_rows(*HUB[spec]) if spec in HUB else file_rows(spec)
    items: list[Item] = []
    form: Format | None = None
    for row, place in rows:
        form = form or format_of(row, place)
        items.append(read_item(form, row, place))
    if form is None:
        raise UserError(f"{spec} is empty", "it must have an item in each line")
    return Task(re.sub(r"\.jsonl(\.\w+)?$", "", os.path.basename(spec)), form.kind, items)


def file_rows(path: str) -> Iterable[tuple[Any, str]]:
    """Yield the rows of a JSONL file and where they are."""
    if not os.path.isfile(path):
        raise UserError(f"no task {path}", f"use a JSONL file, or one of {', '.join([*HUB, *FROM_ARTICLES])}")
    return ((row, place) for row, place, _ in jsonl_objects(path, ()))


def hub_rows(dataset: str, subset: str, split: str) -> Iterable[tuple[Any, str]]:
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
