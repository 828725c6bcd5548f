"""A run that ends in time: its steps are fixed once, and it is then the run that has so many steps."""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ALONE, Ranks, completed, elsewhere, final_files, losses, records

from checkpointing.checkpoint import Progress
from system import hardware
from system.errors import UserError
from system.signals import Signals
from train import train
from training import budget
from training.budget import FEWEST_STEPS, Costs, last_step, seconds_of, with_steps
from training.config import TrainConfig
from training.learner import build_learner
from training.requests import Requests
from training.run import Run, open_data, open_run

NEVER = 10**6


@pytest.fixture
def limited(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A run of 20 steps of which 7 fit in its time."""
    fix_at(monkeypatch, 7)
    return replace(config, max_steps=20, max_minutes=1.0)


def fix_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let this step be the last one that fits, by the main process's measure."""
    monkeypatch.setattr(budget, "last_step", lambda *_: step if os.environ.get("RANK", "0") == "0" else 9)


def opened(config: TrainConfig, step: int = 0, **changes: object) -> Run:
    run = open_run(config, open_data(config.data_dir))
    return replace(run, config=replace(run.config, **changes), progress=Progress(step, 8 * step))


@pytest.mark.parametrize(
    ("step", "max_steps", "interval", "costs", "seconds", "expected"),
    [
        (0, 1000, NEVER, Costs(1.0, 0.0, 0.0), 100.5, 100),
        (0, 1000, NEVER, Costs(0.1, 0.0, 0.0), 100.5, 1000),
        (0, 10**12, NEVER, Costs(1.0, 0.0, 0.0), 1e6, 10**6),
        (0, 1000, NEVER, Costs(1.0, 5.0, 7.0), 100.5, 88),  # the end is evaluated and saved
        (0, 1000, 10, Costs(1.0, 3.0, 2.0), 100.5, 65),  # so are 10, ..., 60
        (0, 1000, 10, Costs(1.0, 3.0, 2.0), 105.5, 70),  # no more at the end than at any other of them
        (7, 1000, NEVER, Costs(1.0, 0.0, 0.0), 100.5, 107),
        (0, 1000, NEVER, Costs(30.0, 0.0, 0.0), 60.0, FEWEST_STEPS),
        (0, 1000, NEVER, Costs(1.0, 0.0, 0.0), -5.0, FEWEST_STEPS),  # compiling took longer
        (7, 9, NEVER, Costs(30.0, 0.0, 0.0), 5.0, 9),
    ],
)  # fmt: skip
def test_steps_that_fit(
    config: TrainConfig, step: int, max_steps: int, interval: int, costs: Costs, seconds: float, expected: int
) -> None:
    intervals = {"eval_interval": NEVER, "checkpoint_interval": interval}
    assert last_step(opened(config, step, max_steps=max_steps, **intervals), costs, seconds) == expected


@pytest.mark.parametrize("first", [0, 4, 7])
def test_what_falls_due_is_counted(config: TrainConfig, first: int) -> None:
    """As training does it, to any end, from any step that it branches from."""
    for last in range(first + 1, first + 14):
        run = opened(config, first, max_steps=last, eval_interval=4, checkpoint_interval=6)
        requests = Requests(run, ALONE, Signals())
        due = [requests.due(step) for step in range(first, last + 1)]
        assert seconds_of(run, Costs(0.0, 1.0, 0.0), last) == sum(item.evaluate for item in due[1:])
        assert seconds_of(run, Costs(0.0, 0.0, 1.0), last) == sum(item.save for item in due[1:])


def test_evaluation_before_the_first_step_is_counted(config: TrainConfig) -> None:
    train(config)
    started = opened(replace(elsewhere(config, "started"), init_from=config.out_dir), eval_interval=NEVER)
    assert seconds_of(started, Costs(0.0, 1.0, 0.0), 3) == 2


def test_saves_by_the_clock_are_counted(config: TrainConfig) -> None:
    run = opened(
        config, max_steps=100, eval_interval=NEVER, checkpoint_interval=NEVER, checkpoint_minutes=0.5
    )
    assert seconds_of(run, Costs(1.0, 0.0, 2.0), 100) == 100 + 2 + 3 * 2


@pytest.mark.parametrize(
    ("warmup_steps", "max_steps", "end", "expected"),
    [(50, 800, 800, 50), (50, 800, 600, 50), (50, 800, 400, 40), (2000, 10**6, 500, 50), (5, 10, 4, 2), (0, 10, 4, 0)],
)  # fmt: skip
def test_warm_up_takes_a_tenth_or_the_share_that_it_had(
    config: TrainConfig, warmup_steps: int, max_steps: int, end: int, expected: int
) -> None:
    optimizer = replace(config.optimizer, warmup_steps=warmup_steps)
    found = with_steps(replace(config, optimizer=optimizer, max_steps=max_steps), end)
    assert (found.max_steps, found.optimizer.warmup_steps) == (end, expected)


def test_limited_run_is_the_run_with_these_steps(
    limited: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(limited).step == 7
    text = capsys.readouterr().out
    assert "step 0 to 20 or as far as 1 min allow\n" in text
    assert "\ntime    max_minutes=1: 7 of 20 steps, 2 of them warm-up, about " in text
    for name in ("config.json", "step_00000005/checkpoint.json", "step_00000007/checkpoint.json"):
        about = json.loads((Path(limited.out_dir) / name).read_text())
        assert about["config"]["max_steps"] == about["identity"]["max_steps"] == 7
        assert about["config"]["optimizer"]["warmup_steps"] == about["identity"]["warmup_steps"] == 2
        assert about["requested"] == {"max_steps": 20, "warmup_steps": 5}
    by_hand = elsewhere(with_steps(limited, 7), "by_hand", max_minutes=0.0)
    train(by_hand)
    assert final_files(limited) == final_files(by_hand)
    assert records(limited) == records(by_hand)
    train(replace(by_hand, out_dir=limited.out_dir))
    assert "is finished: step 7" in capsys.readouterr().out, "it is that run"


def test_same_command_resumes_to_the_same_end(limited: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was killed."""
    train(limited)
    killed = elsewhere(limited, "killed")
    shutil.copytree(limited.out_dir, killed.out_dir)
    (Path(killed.out_dir) / "last").write_text("step_00000005\n")
    new = elsewhere(limited, "new")
    Path(new.out_dir).mkdir()
    shutil.copy(Path(limited.out_dir) / "config.json", new.out_dir)
    monkeypatch.delattr(budget, "last_step")  # nothing is decided again
    for config in (killed, new):
        assert train(config).step == 7
        assert final_files(config) == final_files(limited)
        assert records(config) == records(limited)


@pytest.mark.serial
def test_two_processes_take_the_main_one_at_its_word(limited: TrainConfig, ranks: Ranks) -> None:
    assert "7 of 20 steps" in completed(ranks(limited, limited)[0])
    by_hand = elsewhere(with_steps(limited, 7), "by_hand", max_minutes=0.0)
    train(by_hand)
    assert losses(limited) == pytest.approx(losses(by_hand), rel=1e-5)


def test_measuring_decides(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time from the command's start counts: steps of a minute each, in an hour."""
    monkeypatch.setattr(budget, "measured_costs", lambda *_: Costs(60.0, 0.0, 0.0))
    config = replace(config, max_steps=1000, max_minutes=60.0)
    run = opened(config)
    learner = build_learner(run, ALONE)

    def fixed(began: float) -> int:
        return budget.within_minutes(run, learner, ALONE, lambda *_: None, began).config.max_steps  # type: ignore[arg-type, return-value]

    now = budget.time.monotonic()
    assert fixed(now) == 58, "an hour less the margin"
    assert fixed(now - 40 * 60) == 18
    monkeypatch.setattr(budget, "measured_costs", lambda *_: Costs(60.0, 0.0, math.nan))
    old = replace(run, is_new=False)
    assert budget.within_minutes(old, learner, ALONE, lambda *_: None, now) is old  # type: ignore[arg-type, return-value]


Reopen = Callable[..., Run]


@pytest.fixture
def reopen(limited: TrainConfig) -> Reopen:
    """A function that opens the run of 7 steps with another command."""
    train(limited)
    return lambda **changes: open_run(replace(limited, **changes), open_data(limited.data_dir))


def test_another_limit_is_ignored_and_said(reopen: Reopen) -> None:
    assert reopen().notes == []
    run = reopen(max_minutes=5.0)
    assert run.config.max_steps == 7
    changed = "changed since last time: max_minutes 1.0 -> 5.0"
    assert run.notes == [
        changed,
        "max_minutes=5 is ignored: it fixes the steps of a new run only, and this one ends at step 7",
    ]


def test_without_the_limit_it_is_a_shorter_run(reopen: Reopen) -> None:
    with pytest.raises(UserError, match=r"with max_steps=7 \(not 20\): add --extend to train it longer"):
        reopen(max_minutes=0.0)
    with pytest.raises(UserError, match=r"with max_steps=7 \(not 18\): add --extend to train it longer"):
        reopen(max_steps=18)
    assert reopen(max_minutes=0.0, max_steps=7).config.max_steps == 7


@pytest.mark.parametrize("max_steps", [12, 20, 30])
def test_limited_run_can_be_extended(
    reopen: Reopen, limited: TrainConfig, max_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to the steps that were requested at first; the same command then resumes it, and the first one does not."""
    run = reopen(extend=True, max_steps=max_steps)
    assert (run.config.max_steps, run.config.optimizer.warmup_steps) == (max_steps, 2)
    assert run.notes == [
        f"max_minutes=1 is ignored: it fixes the steps of a new run only, and this one ends at step {max_steps}"
    ]
    longer = replace(limited, extend=True, max_steps=max_steps)
    assert train(longer).step == max_steps
    assert train(longer).step == max_steps
    if max_steps != 20:
        message = "set --max_steps=30" if max_steps == 30 else "add --extend"
        with pytest.raises(UserError, match=message):
            train(limited)


def test_run_that_began_without_a_limit_keeps_its_end(config: TrainConfig) -> None:
    train(config)
    run = open_run(replace(config, max_minutes=1.0), open_data(config.data_dir))
    assert (run.config.max_steps, run.is_new) == (10, False)
    assert (
        run.notes[-1]
        == "max_minutes=1 is ignored: it fixes the steps of a new run only, and this one ends at step 10"
    )


def test_compiling_pays_by_the_shorter_of_steps_and_limit(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "eager_minutes", lambda *_: 100.0)
    learner = build_learner(opened(replace(config, compile="auto", max_minutes=2.0)), ALONE)
    assert "eager (auto: about 2 min of training" in learner.description
