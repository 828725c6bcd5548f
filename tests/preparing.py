"""Shared by the tests of prepare_data.py: made-up articles, the command in this process, the documents it wrote."""

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import prepare_data
from corpus import articles
from corpus.articles import Batch
from corpus.dataset import TokenDataset
from corpus.manifest import Manifest, Shard, Split
from corpus.tokenizer import byte_tokenizer
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


TEXT_WORDS = (
    "the quick brown fox jumps over a lazy dog and counts 1987 days, isn't it? naïve café 中文 😀".split()
)
ODD_TEXTS = [
    "",
    "\x00 NUL \x00",
    "emoji 😀👩‍👩‍👧 and 中文字 and ไทย",
    "<|endoftext|> is text, <|fim_prefix|> too",
    "line\r\nends\n\n\n   and\tspaces   ",
    "".join(chr(code) for code in range(0x20, 0x3000) if not 0xD800 <= code < 0xE000),
]


def some_texts(n: int = 300, seed: int = 0) -> list[str]:
    """Return texts of enough made-up words for a thousand merges."""
    chooser = random.Random(seed)
    syllables = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]
    made_up = ["".join(chooser.choices(syllables, k=chooser.randrange(2, 6))) for _ in range(500)]
    return [" ".join(chooser.choices(TEXT_WORDS + made_up, k=60)) + "\n" + " " * (i % 4) for i in range(n)]


def gpt2_cache() -> str:
    """Return the folder where tiktoken has cached GPT-2's vocabulary; skip the test if it is not set."""
    if "TIKTOKEN_CACHE_DIR" not in os.environ:
        pytest.skip("set TIKTOKEN_CACHE_DIR to a folder where tiktoken has cached gpt2")
    return os.environ["TIKTOKEN_CACHE_DIR"]


def write_dataset(folder: Path, tokens: np.ndarray, shard_tokens: int, vocab_size: int = 1000) -> None:
    """Write a data folder by hand: the format is a promise to later readers, not just what the writer writes."""
    tokenizer = byte_tokenizer()
    tokenizer.save(folder / "tokenizer.json")
    shards = []
    for number, start in enumerate(range(0, len(tokens), shard_tokens)):
        part = tokens[start : start + shard_tokens]
        (folder / f"train_{number:05}.bin").write_bytes(part.tobytes())
        digest = hashlib.sha256(part.tobytes()).hexdigest()
        shards.append(Shard(f"train_{number:05}.bin", len(part), part.nbytes, digest))
    manifest = Manifest(
        dtype=tokens.dtype.name,
        tokenizer={"name": "bytes", "hash": tokenizer.hash, "vocab_size": vocab_size, "end_of_text": 256},
        splits={"train": Split(1, len(tokens), len(tokens), tuple(shards)), "val": Split(0, 0, 0, ())},
        skipped_documents=0,
        source={"kind": "files", "files": []},
        options={},
    )
    (folder / "manifest.json").write_text(manifest.to_json())


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
    """Tokenizes in this process, which saves the start of others."""

    def __init__(self, workers: int) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def tokenized(
        self, batches: Iterable[Batch], tokenizer_path: Path, validation_fraction: float
    ) -> Iterator[TokenizedBatch]:
        yield from map(Worker(tokenizer_path, validation_fraction).tokenize, batches)


def prepare(out_dir: Path, source: Path | str, **options: Any) -> None:
    """Run the command in this process; it starts worker processes only if `workers` is set."""
    settings = {"tokenizer": "bytes", "validation_fraction": 0.2, **options}
    arguments = [f"--{key}={value}" for key, value in settings.items()]
    with pytest.MonkeyPatch.context() as patch:
        if "workers" not in options:
            patch.setattr(prepare_data, "WorkerPool", InProcess)
        prepare_data.main([f"--out_dir={out_dir}", f"--source={source}", *arguments])


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
