"""Pairs to train on that articles give for free, for a model that summarizes or one that embeds.

    python -m apps.search.pairs --out_dir=data/lead_pairs                     # an article's body -> its lead: configs/summarize.py
    python -m apps.search.pairs --kind=sentences --out_dir=data/sentence_pairs   # a sentence -> the passage it is from

`train.jsonl` is for `prepare_data.py --source=pairs:...`; `held_out.jsonl` has articles that are not in it: of leads, with
lead and body in full.
"""

import hashlib
import heapq
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from apps.search.passages import Section, embedded_text, passages, sections, sentences, summary_prompt
from corpus.articles import Article, has_text, read_batches
from corpus.sources import find_source
from system.command_line import parse_config
from system.errors import UserError, run_command, say
from system.progress import Bar
from system.settings import PathsText, PathText, checked

BODY_WORDS, LEAD_WORDS = 220, 60  # of a pair, at most; the lead is cut after a sentence
LEAST_BODY, LEAST_LEAD = 100, 15  # words of an article that gives one
SENTENCE_WORDS = 8  # of a sentence that stands for its passage, at least
LEAST_REST = 40  # words of its passage without it


@checked
@dataclass(frozen=True)
class PairsConfig:
    """Which pairs to write. Raises ValueError on invalid values."""

    out_dir: PathText = "data/lead_pairs"  # folder for train.jsonl and held_out.jsonl
    kind: Literal["leads", "sentences"] = "leads"
    source: PathsText = "hub"  # hub, builtin, a folder like a hub dataset, or globs of text files
    dataset: str = "wikimedia/wikipedia"  # the hub dataset to read
    subset: str = "20231101.en"  # its subset (hub and folder)
    n_shards: int = 1  # parquet files of the subset to read; 0: all (hub and folder)
    n_held_out: int = 200  # articles

    def __post_init__(self) -> None:
        for name in ("n_shards", "n_held_out"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 0")


class Body(NamedTuple):
    """An article in two: what it says first, and the rest."""

    lead: str
    body: str


def divided(text: str) -> Body | None:
    """Return an article's lead and its other sections; None if it does not have both, long enough."""
    first, *rest = sections(text) or [Section("", "")]
    body = "\n".join(section.text for section in rest)
    if first.heading or len(first.text.split()) < LEAST_LEAD or len(body.split()) < LEAST_BODY:
        return None
    return Body(first.text, body)


def lead_pairs(article: Article) -> Iterator[dict[str, Any]]:
    """Yield an article's body as prompt and its lead as completion, shortened, and both in full."""
    if found := divided(article.text or ""):
        title = article.title or ""
        prompt = summary_prompt(title, up_to(found.body, BODY_WORDS))
        pair = {"id": article.id, "prompt": prompt, "completion": f" {up_to(found.lead, LEAD_WORDS)}"}
        yield {**pair, "title": title, **found._asdict()}


def sentence_pairs(article: Article) -> Iterator[dict[str, Any]]:
    """Yield for each passage one of its sentences as prompt, and the rest as completion."""
    title = article.title or ""
    rng = random.Random(f"{article.id} {title}")
    for number, passage in enumerate(passages(article.text or "")):
        parts = sentences(passage.text)
        long = [n for n, part in enumerate(parts) if len(part.split()) >= SENTENCE_WORDS]
        if not long:
            continue
        chosen = rng.choice(long)
        if len(passage.text.split()) < LEAST_REST + len(parts[chosen].split()):
            continue
        rest = " ".join(parts[:chosen] + parts[chosen + 1 :])
        completion = embedded_text(title, passage.section, rest)
        yield {"id": f"{article.id}-{number}", "prompt": parts[chosen], "completion": completion}


def up_to(text: str, most: int) -> str:
    """Return the first sentences of a text, up to a number of words; of a longer first one, its first words."""
    kept: list[str] = []
    for sentence in sentences(text):
        if sum(len(one.split()) for one in kept) + len(sentence.split()) > most:
            break
        kept.append(sentence)
    return " ".join(kept or text.split()[:most])


def write_pairs(config: PairsConfig) -> tuple[int, int]:
    """Write the pairs of all articles, and return how many there are for training and held out."""
    source = find_source(config.source, config.dataset, config.subset, config.n_shards)
    make = lead_pairs if config.kind == "leads" else sentence_pairs
    folder = Path(config.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    held_out: list[tuple[int, int, list[dict[str, Any]]]] = []  # a heap of those with the largest hashes
    n_training = 0
    progress = Bar("articles", 1).show()
    with (folder / "train.jsonl").open("w") as file, progress:
        for batch in read_batches(source):
            for place, article in enumerate(filter(has_text, batch.articles)):
                if not (found := list(make(article))):
                    continue
                rank = hashlib.sha256(f"{article.id} {article.title}".encode()).digest()
                order = int.from_bytes(rank[:8], "big"), batch.file << 40 | batch.number << 20 | place
                if len(held_out) < config.n_held_out:
                    heapq.heappush(held_out, (*order, found))
                    continue
                if config.n_held_out:
                    found = heapq.heappushpop(held_out, (*order, found))[-1]
                write_rows(file, [{key: row[key] for key in ("id", "prompt", "completion")} for row in found])
                n_training += len(found)
            progress.update(batch.done)
    with (folder / "held_out.jsonl").open("w") as file:
        for *_, found in sorted(held_out, reverse=True):
            write_rows(file, found)
    return n_training, sum(len(found) for *_, found in held_out)


def write_rows(file: Any, rows: list[dict[str, Any]]) -> None:
    """Write rows as lines of JSON."""
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    config = parse_config(PairsConfig(), sys.argv[1:], __doc__ or "", main_setting="out_dir")
    try:
        n_training, n_held_out = write_pairs(config)
    except OSError as error:
        fix = "choose another --out_dir"
        raise UserError(f"out_dir={config.out_dir}: cannot write there ({error.strerror})", fix) from None
    if not n_training + n_held_out:
        raise UserError(f"source={config.source}: no article gives a pair", "use longer articles")
    if not n_training:
        raise UserError(
            f"n_held_out={config.n_held_out}: that is all articles that give a pair", "set a smaller one"
        )
    say(f"{config.out_dir}: {n_training:,} pairs to train on, {n_held_out:,} held out")


if __name__ == "__main__":
    run_command(main, resumes=False)
