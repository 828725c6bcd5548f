"""The guard by itself: which losses and gradient norms it judges bad, when it ends a run, and what it remembers."""

import json
import math
import time
from typing import Any

import pytest
import torch
from conftest import CPU
from poison import NAN

from checkpointing.checkpoint import Progress
from evaluation.losses import Losses
from system.errors import UserError
from training.guard import MAX_SKIPPED, SPIKE_DEVIATIONS, SPREAD_STEPS, WINDOW_STEPS, Guard


def judge(guard: Guard, losses: list[float], first: int = 1, grad_norm: float = 1.0) -> list[bool]:
    """Return for each loss whether the guard skips its step."""
    norm = torch.tensor(grad_norm)
    skips = [
        bool(guard.judge(Progress(step - 1), torch.tensor(loss), torch.tensor(loss), norm))
        for step, loss in enumerate(losses, first)
    ]
    assert [verdict.skipped for verdict in guard.verdicts(late=0)] == skips, "the verdict is what was done"
    return skips


def new_guard(on_nonfinite: Any = "skip", sequences: int = 400, state: dict | None = None) -> Guard:
    return Guard(CPU, on_nonfinite, sequences, Progress(guard=state), vocab_size=50)


NOISY = [
    4.0 + 0.2 * (-1) ** step for step in range(SPREAD_STEPS)
]  # deviation 0.2; for 400 sequences at least 0.15


@pytest.mark.parametrize(
    ("loss", "skipped"),
    [
        (4.0 + 0.2 * (SPIKE_DEVIATIONS + 0.1), True),
        (4.0 + 0.2 * (SPIKE_DEVIATIONS - 0.1), False),
        (-100.0, False),
        (NAN, True),
    ],
)
def test_spike_is_ten_deviations_above_the_mean(loss: float, skipped: bool) -> None:
    assert judge(new_guard(), [*NOISY, loss])[-1] is skipped
    assert judge(new_guard(), [*NOISY[1:], loss])[-1] is (loss != loss), "too few losses to tell"


@pytest.mark.parametrize(("sequences", "distance"), [(1, 11.0), (25, 3.0), (10_000, 1.1)])
def test_least_deviation_falls_with_the_batch(sequences: int, distance: float) -> None:
    for loss, skipped in ((2.0 + distance + 0.01, True), (2.0 + distance - 0.01, False)):
        assert judge(new_guard(sequences=sequences), [*[2.0] * SPREAD_STEPS, loss])[-1] is skipped


@pytest.mark.parametrize("norm", [float("inf"), NAN])
def test_gradient_norm_that_is_not_finite_is_bad(norm: float) -> None:
    guard = new_guard()
    guard.judge(Progress(), torch.tensor(2.0), torch.tensor(2.0), torch.tensor(norm))
    (verdict,) = guard.verdicts(late=0)
    assert verdict.skipped
    assert verdict.reason == f"the gradient norm of step 1 is {norm}"


def evaluate(guard: Guard, *losses: float) -> None:
    for loss in losses:
        guard.checked(Losses(loss, loss, 10, 10), 7)


@pytest.mark.parametrize("sequences", [16, 10_000])
def test_weights_are_good_unless_their_loss_is_far_above_the_runs_own(sequences: int) -> None:
    """Whatever the batch, and though an evaluation between has found the weights wrecked."""
    guard = new_guard(sequences=sequences)
    for losses, good, bad in (
        ((), math.log(50) + 0.2, math.log(50) + 0.4),  # of a new run: no better than a guess
        ((9.0,), math.log(50) + 0.2, 9.0),
        ((4.0, 3.0), 3.2, 3.4),
        ((3.2, 3.4, 3.6), 3.8, 4.0),  # it overfits
        ((6.0, 7.0), 3.8, 6.0),
        ((3.5,), 3.7, 3.9),  # it has recovered
    ):
        evaluate(guard, *losses)
        assert (guard.are_good(good), guard.are_good(bad), guard.are_good(NAN)) == (True, False, False)


def test_good_weights_stay_near_the_best_ones() -> None:
    """However slowly their loss rises; also when the run resumes in between."""
    guard, rising = new_guard(), [1.0 + 0.25 * n for n in range(20)]
    evaluate(guard, *rising[:5])
    guard = Guard(CPU, "skip", 400, Progress(9, best_val_loss=1.0, guard=guard.state()), 50)
    evaluate(guard, *rising[5:])
    assert (guard.are_good(3.0), guard.are_good(3.01)) == (True, False)


def test_good_loss_comes_from_the_state_or_an_older_checkpoints_best() -> None:
    guard = new_guard()
    evaluate(guard, 3.0, 2.0)
    old = Progress(9, best_val_loss=2.0, guard={"spread": [0.0, 0.0, 0.0], "skipped": []})
    for other in (new_guard(state=guard.state()), Guard(CPU, "skip", 400, old, 50)):
        assert (other.are_good(2.2), other.are_good(2.4)) == (True, False)


def test_the_best_loss_over_other_windows_is_forgotten_for_good() -> None:
    """Not only by the command that changes the windows: the run's own best loss remains that over the earlier ones."""
    state = new_guard().state() | {"val_loss": None, "best_val_loss": None}  # as run.py clears them
    for loss in (3.9, 3.8, 3.7):
        guard = Guard(CPU, "skip", 400, Progress(9, best_val_loss=0.5, guard=state), 50)
        assert (guard.are_good(loss), guard.are_good(9.0)) == (True, False)
        evaluate(guard, loss)
        state = json.loads(json.dumps(guard.state()))


def test_skipped_losses_are_not_in_the_spread() -> None:
    clean, disturbed = new_guard(), new_guard()
    judge(clean, NOISY)
    judge(disturbed, [*NOISY, NAN, 1e30])
    assert clean.state()["spread"] == disturbed.state()["spread"]
    assert disturbed.state()["skipped"] == [SPREAD_STEPS + 1, SPREAD_STEPS + 2]


def test_spread_is_mean_and_variance_of_the_first_losses() -> None:
    guard = new_guard()
    judge(guard, NOISY[:50])
    n, mean, variance = guard.state()["spread"]
    assert n == 50
    assert mean == pytest.approx(4.0, abs=1e-5)
    assert variance == pytest.approx(0.04, rel=1e-4)


def test_spread_follows_later_losses() -> None:
    """Once SPREAD_STEPS losses are counted, each new one moves the mean by a hundredth of its distance."""
    guard = new_guard()
    judge(guard, [4.0] * SPREAD_STEPS + [5.0])
    n, mean, variance = guard.state()["spread"]
    assert n == SPREAD_STEPS == 100
    assert (mean, variance) == (pytest.approx(4.01), pytest.approx(0.99 * 0.01))


def test_state_comes_back_exactly() -> None:
    guard = new_guard()
    judge(guard, [10.0 / (step + 3) for step in range(77)] + [NAN])
    state = json.loads(json.dumps(guard.state()))
    other = new_guard(state=state)
    assert torch.equal(other.spread, guard.spread)
    assert torch.equal(other.skipped, guard.skipped)
    assert other.n_skipped == guard.n_skipped == 1


def test_last_good_step_is_not_a_skipped_one() -> None:
    guard = Guard(CPU, "skip", 400, Progress(9, guard={"spread": [0.0, 0.0, 0.0], "skipped": [3, 8, 9]}), 50)
    assert guard.last_good_step == 7
    judge(guard, [2.0, NAN], first=10)
    assert guard.last_good_step == 10


def test_ten_skips_in_a_thousand_steps_are_the_limit() -> None:
    def ends(*steps: int) -> list[bool]:
        guard = new_guard()
        for step in steps:
            guard.judge(Progress(step - 1), torch.tensor(NAN), torch.tensor(NAN), torch.tensor(NAN))
        return [verdict.ends for verdict in guard.verdicts(late=0)]

    assert (MAX_SKIPPED, WINDOW_STEPS) == (10, 1000)
    assert ends(*range(1, 11)) == [False] * 10
    assert ends(*range(1, 11), WINDOW_STEPS) == [False] * 10 + [True]
    assert ends(*range(1, 11), WINDOW_STEPS + 1) == [False] * 11, "the first of the ten is too long ago"


def test_all_steps_after_the_end_are_skipped() -> None:
    guard = new_guard("stop")
    assert judge(guard, [3.0, NAN, 3.0, 3.0]) == [False, True, True, True]
    n, mean, _variance = guard.state()["spread"]
    assert (n, mean) == (1, 3.0), "the state remains that of the step before the end"


def test_verdicts_come_a_step_late() -> None:
    guard = new_guard()
    for step in (1, 2, 3):
        guard.judge(Progress(step - 1), torch.tensor(2.0), torch.tensor(2.0), torch.tensor(1.0))
        assert [verdict.step for verdict in guard.verdicts(late=1)] == ([step - 1] if step > 1 else [])
    assert [verdict.step for verdict in guard.verdicts(late=0)] == [3]


@pytest.mark.parametrize("loss", [float("inf"), NAN])
def test_validation_loss_that_is_not_finite_is_an_error(loss: float) -> None:
    with pytest.raises(UserError, match=rf"the validation loss of step 7 is {loss}, .*--learning_rate"):
        evaluate(new_guard(), loss)
    fine = Losses(3.0, 4.0, 10, 10)
    assert new_guard().checked(fine, 7) is fine


def test_other_figures_travel_with_the_verdict() -> None:
    guard = new_guard()
    for step in (1, 2):
        scalars = [torch.tensor(value) for value in (2.0, 2.0, 1.0)]
        guard.judge(Progress(step - 1), *scalars, weight_norm=torch.tensor(7.0 * step))
    assert [verdict.figures for verdict in guard.verdicts(late=0)] == [
        {"weight_norm": 7.0},
        {"weight_norm": 14.0},
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_waiting_for_a_gpu_leaves_the_core_to_others() -> None:
    gpu = torch.device("cuda")
    guard = Guard(gpu, "skip", 400, Progress(), vocab_size=50)
    scalar = torch.ones((), device=gpu)
    guard.judge(Progress(), scalar, scalar, scalar)
    list(guard.verdicts(late=0))
    torch.cuda._sleep(2 * 10**9)  # cycles: about a second
    guard.judge(Progress(1), scalar, scalar, scalar)
    wall, busy = time.perf_counter(), time.process_time()
    list(guard.verdicts(late=0))
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    assert wall > 0.3
    assert busy < wall / 2
