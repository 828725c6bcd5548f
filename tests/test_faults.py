"""A small part of the suite of faults, which is `make faults` as a whole; and that it can tell what is not survived."""

import random
from pathlib import Path

import pytest

import checkpoint
from tools import damage
from tools.fault_runs import Lab, NotSurvived, Tally
from tools.faults import FAULTS


@pytest.mark.parametrize(
    ("only", "tried", "options"),
    [("SIGKILL", 6, ["--kills=6"]), ("lost,checkpoint file with a bit", 8, [])],
)
def test_faults_are_survived(run, only: str, tried: int, options: list[str]) -> None:
    seed = random.SystemRandom().randrange(1, 10**6)
    done = run("tools.faults", f"--only={only}", f"--seed={seed}", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seed {seed}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"faults: {tried} tried, {tried} survived"


def test_unknown_fault_is_refused(run) -> None:
    assert run("tools.faults", "--only=earthquake").returncode == 2


def test_what_is_not_survived_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Training that believes every file: the suite must see it."""
    lab, tally = Lab(tmp_path, 1), Tally()
    lab.prepare()
    real = checkpoint.read_info
    monkeypatch.setattr(checkpoint, "read_info", lambda folder, hashed=True: real(folder, hashed=False))
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


def test_each_fault_says_what_it_does() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())
