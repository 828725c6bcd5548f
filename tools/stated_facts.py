"""Texts that state facts and ask for them: `python -m tools.stated_facts --out_dir=data/stated_facts`.

"The code of the red box is tango. The code of the blue door is river. The code of the blue door is" asks for " river".
Who is asked which code is drawn at random for each text, so nothing can be learned by heart: a model must learn to
copy. `train.jsonl` asks for every fact of a text, some in twice as many questions; `held_out.jsonl` asks for one.
"""

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import UserError, run_command
from system.settings import PathText, checked

COLOURS = "red blue green yellow black white brown grey pink purple orange golden silver violet".split()
THINGS = "box door lamp chair book clock cup bag key desk boat car tent shelf".split()
WORDS = (
    "tango river stone apple cloud tiger piano bread winter garden rocket candle forest copper island mirror"
    " needle ocean paper queen rabbit saddle temple valley wagon anchor basket camel desert engine falcon guitar"
    " hammer jacket kettle lemon magnet nickel onion pepper quartz ribbon salmon timber velvet walnut acorn bridge"
    " cactus dragon eagle feather ginger honey ivory jungle kitten ladder marble noodle olive pencil raven scarf"
    " turtle urchin violin whale yogurt zebra amber beetle castle dolphin"
).split()
MOST_FACTS = 6  # of a text
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
    names = zip(chooser.sample(COLOURS, n_facts), chooser.sample(THINGS, n_facts), strict=True)
    codes = chooser.sample(WORDS, n_facts)
    facts = [(f"The code of the {colour} {thing} is", code) for (colour, thing), code in zip(names, codes, strict=True)]  # fmt: skip
    asked = chooser.choices(facts, k=n_questions)
    stated = " ".join(f"{question} {code}." for question, code in facts)
    answers = " ".join(f"{question} {code}." for question, code in asked)
    first, _ = asked[0]
    return {"prompt": f"{stated} {first}", "completion": answers.removeprefix(first)}


def main() -> None:
    config = parse_config(StatedFactsConfig(), sys.argv[1:], __doc__ or "", main_setting="out_dir")
    out_dir = Path(config.out_dir)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        parts = [("train", config.n_train, N_QUESTIONS), ("held_out", config.n_held_out, 1)]
        for name, n_texts, n_questions in parts:
            chooser = random.Random(name)  # the same texts on every call
            rows = [pair(chooser, n_questions) for _ in range(n_texts)]
            (out_dir / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            print(f"{out_dir / name}.jsonl: {n_texts:,} texts")
    except OSError as error:
        raise UserError(
            f"out_dir={out_dir}: cannot write there ({error.strerror}): choose another --out_dir"
        ) from None


if __name__ == "__main__":
    run_command(main)
