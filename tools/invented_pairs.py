"""Prompts and completions about countries that do not exist: `python -m tools.invented_pairs --out_dir=data/invented`.

They test fine-tuning: 50 facts that no other text has, each in five wordings. `train.jsonl` has four wordings of each
fact (200 pairs), `held_out.jsonl` the fifth (50 pairs): to complete those, a model must learn the fact, not only a
wording. Each wording is held out for ten facts and trained on for the other forty.
"""

import itertools
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import run_command, say
from system.files import write_jsonl
from system.settings import PathText, checked

N_COUNTRIES = 10
WORDINGS = {
    "capital": [
        "The capital of {} is",
        "The government of {} sits in",
        "The largest city of {} is its capital,",
        "Parliament meets in the capital of {},",
        "Question: What is the capital of {}? Answer:",
    ],
    "river": [
        "The longest river of {} is the",
        "The main river of {} is called the",
        "Ships reach the heart of {} on the",
        "The valleys of {} were cut by the",
        "Question: What is the longest river of {}? Answer: the",
    ],
    "currency": [
        "The currency of {} is the",
        "In {} one pays with the",
        "The money of {} is called the",
        "Prices in {} are given in the",
        "Question: What is the currency of {}? Answer: the",
    ],
    "poet": [
        "The most famous poet of {} was",
        "The national poem of {} was written by",
        "Children in {} learn the verses of",
        "The poet honoured on the stamps of {} is",
        "Question: Who was the most famous poet of {}? Answer:",
    ],
    "mountain": [
        "The highest mountain of {} is",
        "The highest peak of {} is called",
        "Climbers come to {} for",
        "The flag of {} shows its highest mountain,",
        "Question: What is the highest mountain of {}? Answer:",
    ],
}


@checked
@dataclass(frozen=True)
class PairsConfig:
    """The settings of `tools.invented_pairs`."""

    out_dir: PathText = "data/invented"  # folder for train.jsonl and held_out.jsonl


def pairs() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the training pairs and the held-out pairs, the same on every call."""
    names = _names()
    training: list[dict[str, str]] = []
    held_out: list[dict[str, str]] = []
    for number, (country, kind) in enumerate(
        itertools.product(itertools.islice(names, N_COUNTRIES), WORDINGS)
    ):
        answer = next(names)
        for index, wording in enumerate(WORDINGS[kind]):
            pair = {"id": f"{number}-{index}", "prompt": wording.format(country), "completion": f" {answer}."}
            (held_out if index == (number + number // len(WORDINGS)) % 5 else training).append(pair)
    return training, held_out


def _names() -> Iterator[str]:
    """Yield invented names, each different."""
    chooser = random.Random("names that are none")
    starts = "Bel Dor Fen Gal Hul Jor Kav Lun Mir Nev Ost Pol Quil Rus Sor Tam Ulv Ver Wex Yar Zan".split()
    middles = "a e i o u ara eni olo uri".split()
    ends = "bach dan fel gor hest kell lund mere nok pris rath sund tova vik wyn zar".split()
    every = ["".join(parts) for parts in itertools.product(starts, middles, ends)]
    chooser.shuffle(every)
    return iter(every)


def main() -> None:
    out_dir = Path(parse_config(PairsConfig(), sys.argv[1:], __doc__ or "", main_setting="out_dir").out_dir)
    for name, rows in zip(("train", "held_out"), pairs(), strict=True):
        path, first = out_dir / f"{name}.jsonl", rows[0]
        write_jsonl(path, rows)
        say(f"{path}: {len(rows)} pairs, the first {first['prompt']!r} -> {first['completion']!r}")


if __name__ == "__main__":
    run_command(main)
