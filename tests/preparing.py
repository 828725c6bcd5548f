"""What the tests of preparing data share: made-up articles, the command, and what came out, decoded."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

import prepare_data
from corpus import articles
from corpus.articles import Batch
from corpus.dataset import TokenDataset
from corpus.workers import TokenizedBatch, Worker, WorkerPool

ROOT = Path(__file__).parents[1]
WORDS = "lorem ipsum dolor sit amet café 中文 😀 1999 isn't".split()


def some_articles(n: int, seed: int = 0) -> list[dict[str, Any]]:
    chooser = random.Random(seed)
    return [
        {
            "id": str(number),
            "url": f"https://example.org/{number}",
            "title": f"Title {number}",
            "text": " ".join(chooser.choices(WORDS, k=chooser.randrange(5, 80))) + "\n",
        }
        for number in range(n)
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def document(row: dict[str, Any]) -> str:
    return f"{row['title']}\n\n{row['text']}"


def decoded(out_dir: Path, split: str) -> list[str]:
    """Return the documents of a split, cut at end-of-text."""
    dataset = TokenDataset(out_dir, split)
    tokenizer = dataset.tokenizer()
    tokens = dataset.read(0, dataset.n_tokens)
    ends = np.flatnonzero(tokens == tokenizer.end_of_text)
    assert dataset.n_tokens == (ends[-1] + 1 if len(ends) else 0)
    return [tokenizer.decode(part[:-1].tolist()) for part in np.split(tokens, ends + 1)[:-1]]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class InProcess(WorkerPool):
    """Tokenizes in this process, for tests in which it does not matter where."""

    def __init__(self, workers: int) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def tokenized(
        self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
    ) -> Iterator[TokenizedBatch]:
        yield from map(Worker(tokenizer_path, validation_fraction).tokenize, batches)


def prepare(out_dir: Path, source: Path | str, **options: Any) -> None:
    settings = {"tokenizer": "bytes", "validation_fraction": 0.2, **options}
    prepare_data.main(
        [f"--out_dir={out_dir}", f"--source={source}", *(f"--{k}={v}" for k, v in settings.items())]
    )


def lay_out_like_the_hub(folder: Path) -> None:
    (folder / "en").mkdir(parents=True)
    (folder / "de").mkdir()
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/*\n"
            for name in ("de", "en")
        )
        + "---\n"
    )
    for number in range(3):
        table = pyarrow.Table.from_pylist(some_articles(40, seed=number))
        pyarrow.parquet.write_table(table, folder / "en" / f"train-0000{number}-of-00003.parquet")
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(some_articles(9)), folder / "de/train-00000-of-00001.parquet"
    )


def batches_of(rows: list[dict[str, Any]], at_once: int) -> Iterator[Batch]:
    for start in range(0, len(rows), at_once):
        part = [
            articles.Article(row["id"], row["title"], row["text"]) for row in rows[start : start + at_once]
        ]
        yield Batch(0, start // at_once, part, ["somewhere"] * len(part), 1.0)
