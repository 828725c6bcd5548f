"""Texts that state facts and ask for them: `python -m tools.stated_facts --out_dir=data/stated_facts`.

"Give Anna honey. Give Boris rivers. Give Carla tea. Give Boris" asks for " rivers". Who gets what is drawn at random for
each text, so nothing can be learned by heart: a model must learn to copy. `train.jsonl` asks many times in a text,
`held_out.jsonl` once.
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import run_command, say
from system.files import write_jsonl
from system.settings import PathText, checked

NAMES = "Anna Boris Carla David Elena Felix Greta Hugo Irene Jonas Karin Lukas Maria Oscar".split()
WORDS = (
    "honey rivers stones apples clouds tigers pianos bread gardens rockets candles copper islands mirrors paper rabbits"
    " wagons camels lemons tea"
).split()
MOST_FACTS = 4  # of a text
N_QUESTIONS = 8  # of a training text


@checked
@dataclass(frozen=True)
class StatedFactsConfig:
    """The settings of `tools.stated_facts`."""

    out_dir: PathText = "data/stated_facts"  # folder for train.jsonl and held_out.jsonl
    n_train: int = 40_000  # training texts
    n_held_out: int = 200  # held-out texts, each with one question

    def __post_init__(self) -> None:
        for key in ("n_train", "n_held_out"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")


def pair(chooser: random.Random, n_questions: int) -> dict[str, str]:
    """Return a text up to its first question, and what follows: the answer, then more questions and answers."""
    n_facts = chooser.randint(2, MOST_FACTS)
    names, words = chooser.sample(NAMES, n_facts), chooser.sample(WORDS, n_facts)
    facts = [(f"Give {name}", word) for name, word in zip(names, words, strict=True)]
    asked = chooser.choices(facts, k=n_questions)
    stated = " ".join(f"{question} {word}." for question, word in facts)
    answers = " ".join(f"{question} {word}." for question, word in asked)
    first, _ = asked[0]
    return {"prompt": f"{stated} {first}", "completion": answers.removeprefix(first)}


def main() -> None:
    config = parse_config(StatedFactsConfig(), sys.argv[1:], __doc__ or "", main_setting="out_dir")
    out_dir = Path(config.out_dir)
    for name, n_texts, n_questions in [
        ("train", config.n_train, N_QUESTIONS),
        ("held_out", config.n_held_out, 1),
    ]:
        chooser = random.Random(name)  # the same texts on every call
        write_jsonl(out_dir / f"{name}.jsonl", [pair(chooser, n_questions) for _ in range(n_texts)])
        say(f"{out_dir / name}.jsonl: {n_texts:,} texts")


if __name__ == "__main__":
    run_command(main)
