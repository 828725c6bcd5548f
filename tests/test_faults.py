"""A small part of the suite of faults (`make faults` is the whole), and that the suite sees what is not survived."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from checkpointing import checkpoint
from system.errors import UserError
from tools.faults import __main__ as faults
from tools.faults import damage
from tools.faults.commands import NotSurvived
from tools.faults.runs import Lab, Tally


@pytest.mark.serial
def test_faults_are_survived(capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(1, 10**6)
    faults.main(faults.FaultsConfig(only="SIGKILL,lost", kills=1, losses=1, seed=seed))
    output = capsys.readouterr().out
    assert f"seed {seed}" in output
    assert output.splitlines()[-1] == "faults: 2 tried, 2 survived", output


def test_unknown_fault_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"only=earthquake: must be in the name of a fault: SIGKILL at a random"
    ):
        faults.main(faults.FaultsConfig(only="earthquake"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("faults"), 1)
    lab.prepare()
    return lab


@pytest.fixture
def lab(prepared: Lab) -> Iterator[Lab]:
    yield prepared
    prepared.clean_up()


def believe_every_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkpoint, "read_checked", checkpoint.read_info)
    patch.setattr(damage, "FILES", ("model*",))
    patch.setattr(damage, "POINTERS", ())


def keep_suspect_checkpoints(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkpoint, "set_aside", lambda *_arguments: None)
    patch.setattr(damage, "flip", flip_a_valid_token)


def lose_best(patch: pytest.MonkeyPatch) -> None:
    set_aside = checkpoint.set_aside

    def set_aside_and_lose(out_dir: Path, newest_trusted: Path | None) -> None:
        set_aside(out_dir, newest_trusted)
        (out_dir / "best").unlink()

    patch.setattr(checkpoint, "set_aside", set_aside_and_lose)
    patch.setattr(damage, "flip", flip_a_valid_token)


def flip_a_valid_token(_lab: Lab, shard: Path) -> None:
    """Change a token to another valid one, so that only the shard's hash tells."""
    tokens = np.fromfile(shard, dtype=np.uint16)
    tokens[np.flatnonzero(tokens < 256)[0]] ^= 1
    tokens.tofile(shard)


@pytest.mark.parametrize(
    ("weaken", "fault", "found"),
    [
        (believe_every_file, damage.checkpoint_flipped, "no line about model.safetensors"),
        (keep_suspect_checkpoints, damage.shard_flipped, "may have learned from corrupt data"),
        (lose_best, damage.shard_flipped, "best names None"),
    ],
)
def test_what_is_not_survived_is_counted(
    weaken: Callable[..., None],
    fault: Callable[..., None],
    found: str,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The commands are forked from this process, so they are weakened as well."""
    tally = Tally()
    weaken(monkeypatch)
    fault(lab, tally, None)
    assert (tally.tried, tally.survived) == (1, 0)
    output = capsys.readouterr().out
    assert "NOT SURVIVED" in output
    assert found in output


def test_comparison_sees_gaps_and_other_weights(lab: Lab) -> None:
    run, other = lab.undisturbed(max_steps=15), lab.undisturbed(max_steps=15, seed=2)
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
