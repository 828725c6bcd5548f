"""A small part of the suite of faults, which is `make faults` as a whole; and that it can tell what is not survived."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, command_environment

from checkpointing import checkpoint
from tools.faults import damage
from tools.faults.runs import Lab, NotSurvived, Tally


def test_faults_are_survived() -> None:
    seed = random.SystemRandom().randrange(1, 10**6)
    words = ["--only=SIGKILL,lost", "--kills=5", f"--seed={seed}"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.faults", *words],
        cwd=ROOT,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seed {seed}" in done.stdout
    assert done.stdout.splitlines()[-1] == "faults: 7 tried, 7 survived"


def test_unknown_fault_is_refused(run) -> None:
    assert run("tools.faults", "--only=earthquake").returncode == 2


def test_what_is_not_survived_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Training that believes every file: the suite must see it."""
    lab, tally = Lab(tmp_path, 1), Tally()
    lab.prepare()
    monkeypatch.setattr(checkpoint, "read_checked", checkpoint.read_info)
    monkeypatch.setattr(damage, "FILES", (checkpoint.WEIGHTS,))
    monkeypatch.setattr(damage, "POINTERS", ())
    damage.checkpoint_flipped(lab, tally, None)
    assert (tally.tried, tally.survived) == (1, 0)
    assert "NOT SURVIVED" in capsys.readouterr().out


def test_comparison_sees_gaps_and_other_weights(tmp_path: Path) -> None:
    lab = Lab(tmp_path, 1)
    lab.prepare()
    run, other = lab.undisturbed((), max_steps=15), lab.undisturbed((), max_steps=15, seed=2)
    run.expect_same(run)
    with pytest.raises(NotSurvived, match="is not the undisturbed run's"):
        run.expect_same(other)
    with pytest.raises(NotSurvived, match="differs"):
        run.expect_same(other, exactly=False)
    metrics = run.out_dir / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    for changed in (lines[:4] + lines[5:], lines[:-1]):
        metrics.write_text("".join(changed))
        with pytest.raises(NotSurvived, match="gaps or doubles"):
            run.expect_same(run)
