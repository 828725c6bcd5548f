"""Invented facts: each is trained on in four wordings and held out in the fifth, and the files never change."""

import hashlib
from pathlib import Path

from commands import run_here
from conftest import one_line_error

from corpus.articles import read_pairs
from tools.invented_pairs import WORDINGS, pairs


def test_facts_are_trained_on_in_every_wording_but_one() -> None:
    training, held_out = pairs()
    assert (len(training), len(held_out)) == (200, 50)
    assert not {row["prompt"] for row in training} & {row["prompt"] for row in held_out}
    facts = {row["id"].split("-")[0]: row["completion"] for row in training}
    assert len(set(facts.values())) == 50
    for row in held_out:
        assert facts[row["id"].split("-")[0]] == row["completion"]
    wordings = [row["id"].split("-")[1] for row in held_out]
    assert {wording: wordings.count(wording) for wording in wordings} == dict.fromkeys("01234", 10)
    assert len(WORDINGS) * 5 * 10 == 250


def test_the_command_writes_the_same_files_every_time(tmp_path: Path) -> None:
    done = run_here("tools/invented_pairs.py", f"--out_dir={tmp_path / 'new' / 'invented'}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new" / "invented"
    assert (
        f"{folder / 'train'}.jsonl: 200 pairs, the first 'The government of Hulihest sits in'" in done.stdout
    )
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in folder.iterdir()}
    assert digests == {"train.jsonl": "e993a7b6d70b7a95", "held_out.jsonl": "2238eece1f60efcc"}
    assert read_pairs(str(folder / "held_out.jsonl"))[0][:2] == ("The capital of Hulihest is", " Quilenok.")
    (tmp_path / "file").touch()
    message = one_line_error(run_here("tools/invented_pairs.py", f"--out_dir={tmp_path / 'file'}"))
    assert "choose another --out_dir" in message
