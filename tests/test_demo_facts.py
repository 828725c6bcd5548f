"""The demo's questions: the committed files are drawn as they say, and the corpus answers each in these words or none."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from commands import run_here
from conftest import ROOT, one_line_error

from corpus.articles import read_pairs
from corpus.builtin.encyclopedia import articles
from tools.demo_facts import (
    N_PROMPTS,
    N_REWORDED,
    VALIDATION_FRACTION,
    Question,
    gives_away,
    is_stated,
    kinds,
)

FILES = {"demo_facts": N_PROMPTS, "demo_facts_reworded": N_REWORDED}
TEXT = {split: [] for split in ("train", "val")}
for article in articles():
    part = int(hashlib.sha256(article["id"].encode()).hexdigest()[:16], 16) / 2**64
    TEXT["val" if part < VALIDATION_FRACTION else "train"].append(article["text"])


def committed(name: str) -> list[dict[str, str]]:
    lines = (ROOT / "configs" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_committed_files_are_what_the_command_writes(tmp_path: Path) -> None:
    """After a deliberate change of the corpus: `python -m tools.demo_facts`."""
    done = run_here("tools/demo_facts.py", f"--out_dir={tmp_path / 'new'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" prompts, the first 'The ") == len(FILES)
    for name in FILES:
        file = f"{name}.jsonl"
        assert (tmp_path / "new" / file).read_bytes() == (ROOT / "configs" / file).read_bytes()
    (tmp_path / "file").touch()
    message = one_line_error(run_here("tools/demo_facts.py", f"--out_dir={tmp_path / 'file'}"))
    assert "choose another --out_dir" in message


@pytest.mark.parametrize("name", FILES)
def test_there_are_as_many_of_each_kind_and_none_gives_its_answer_away(name: str) -> None:
    rows = committed(name)
    assert Counter(row["kind"] for row in rows) == {kind.name: FILES[name] for kind in kinds()}
    assert len({row["prompt"] for row in rows}) == len(rows) == {"demo_facts": 300}.get(name, 100)
    pairs = read_pairs(str(ROOT / "configs" / f"{name}.jsonl"))
    assert pairs == [(row["prompt"], row["completion"], row["kind"]) for row in rows]
    for row in rows:
        assert re.match(r" \w", row["completion"])
        assert row["completion"].strip().casefold() not in re.findall(r"\w+", row["prompt"].casefold())
        assert row["completion"] not in row["prompt"]


def test_a_training_article_answers_each_prompt_and_none_contradicts_it() -> None:
    assert f"--validation_fraction={VALIDATION_FRACTION} " in (ROOT / "Makefile").read_text()
    assert 100 < len(TEXT["val"]) < len(TEXT["train"]) / 10
    for row in committed("demo_facts"):
        having = [text for text in TEXT["train"] if row["prompt"] in text]
        assert having, row
        for text in having:
            for after in text.split(row["prompt"])[1:]:
                assert after.startswith(row["completion"]), (row, after[:50])
                assert not after.removeprefix(row["completion"])[:1].isalnum()


def test_no_article_has_a_rewording_whatever_the_fact() -> None:
    everything = "\n".join(TEXT["train"] + TEXT["val"])
    for kind in kinds():
        for wording, occurs in [(kind.rewording, False), *((wording, True) for wording in kind.wordings)]:
            fixed = [re.escape(part) for part in re.split(r"\{\w+\}", wording)]
            assert bool(re.search(".{1,100}?".join(fixed), everything, re.IGNORECASE)) == occurs, wording
    for row in committed("demo_facts_reworded"):
        assert row["prompt"] not in everything


@pytest.mark.parametrize(
    ("prompt", "completion", "gives"),
    [
        ("The capital of Mexico is", " Mexico City", True),
        ("The laws of Slovakia are written in", " Slovak", True),
        ("Yamoussoukro is the capital of", " the Ivory Coast", False),
        ("The chemical symbol of iodine is", " I", False),
    ],
)
def test_a_completion_that_the_prompt_has_is_given_away(prompt: str, completion: str, gives: bool) -> None:
    assert gives_away(Question("any", prompt, completion)) == gives


def test_a_question_is_stated_only_with_one_answer() -> None:
    question = Question("any", "Hamlet is a play by", " Shakespeare")
    for text, stated in {
        "Hamlet is a play by Shakespeare.": True,
        "Hamlet is a play by Shakespeares. ": False,
        "Hamlet is a play by Shakespeare. Hamlet is a play by the Bard.": False,
        "Hamlet is a play.": False,
    }.items():
        assert is_stated(question, text) == stated
