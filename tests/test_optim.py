"""The schedule at its corners, the decay groups, an update against the formula, and clipping against torch."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from model import GPT, GPTConfig
from training.optim import (
    OptimizerConfig,
    clip_gradients,
    gradient_norm,
    gradients,
    learning_rate,
    make_optimizer,
    parameter_groups,
    set_learning_rate,
    update,
)

COSINE = OptimizerConfig(learning_rate=1.0, final_fraction=0.1, schedule="cosine", warmup_steps=10)
TRAPEZOID = OptimizerConfig(
    learning_rate=1.0, final_fraction=0.1, schedule="trapezoid", warmup_steps=10, cooldown_fraction=0.2
)
TINY = GPTConfig(vocab_size=61, block_size=8, n_layer=2, n_head=2, n_embd=16)


@pytest.mark.parametrize("config", [COSINE, TRAPEZOID], ids=["cosine", "trapezoid"])
def test_warm_up_is_linear_and_reaches_the_peak(config: OptimizerConfig) -> None:
    assert [learning_rate(step, 100, config) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )
    assert learning_rate(10, 100, config) == pytest.approx(1.0)


def test_cosine_at_its_quarters() -> None:
    quarters = [learning_rate(10 + 90 * quarter // 4, 370 // 4 + 8, COSINE) for quarter in range(0, 4, 2)]
    assert quarters == pytest.approx([1.0, 0.55])
    for progress in (0.25, 0.75):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2
        assert learning_rate(10 + round(400 * progress), 410, COSINE) == pytest.approx(expected)


def test_trapezoid_is_flat_then_falls_in_a_line() -> None:
    assert {learning_rate(step, 100, TRAPEZOID) for step in range(9, 81)} == {1.0}
    assert [learning_rate(step, 100, TRAPEZOID) for step in (85, 90, 95)] == pytest.approx(
        [0.775, 0.55, 0.325]
    )


@pytest.mark.parametrize("config", [COSINE, TRAPEZOID], ids=["cosine", "trapezoid"])
def test_schedule_has_no_jump_and_ends_at_the_final_fraction(config: OptimizerConfig) -> None:
    rates = [learning_rate(step, 1000, config) for step in range(1000)]
    after = rates[config.warmup_steps :]
    assert after == sorted(after, reverse=True)
    assert max(abs(a - b) for a, b in itertools.pairwise(after)) < 0.01
    assert learning_rate(1000, 1000, config) == pytest.approx(0.1)  # where the last update's slope leads


@pytest.mark.parametrize("schedule", ["cosine", "trapezoid"])
@pytest.mark.parametrize(("warmup", "cooldown"), [(0, 0.2), (0, 0.0), (0, 1.0), (5, 1.0), (20, 0.5)])
def test_odd_schedules_stay_between_zero_and_the_peak(schedule: str, warmup: int, cooldown: float) -> None:
    config = OptimizerConfig(learning_rate=2.0, schedule=schedule, warmup_steps=warmup, cooldown_fraction=cooldown)  # fmt: skip
    rates = [learning_rate(step, 10, config) for step in range(10)]
    assert all(0 < rate <= 2.0 for rate in rates)
    if not warmup:
        assert rates[0] == 2.0


@pytest.mark.parametrize("changes", [{}, {"tie_embeddings": False}, {"norm": "rmsnorm", "bias": False}])
def test_every_parameter_is_in_one_group_and_vectors_do_not_decay(changes: dict) -> None:
    model = GPT(GPTConfig(**{**vars(TINY), **changes}))
    decayed, plain = parameter_groups(model, 0.3)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    grouped = [id(parameter) for group in (decayed, plain) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert len(set(grouped)) == len(grouped)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(p)].endswith("bias") or ".ln_" in names[id(p)] for p in plain["params"])
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert "transformer.wte.weight" in {names[id(p)] for p in decayed["params"]}


def test_update_is_adamw() -> None:
    """Two updates against the formula of Loshchilov & Hutter 2019 (algorithm 2), in float64."""
    torch.manual_seed(0)
    model = GPT(TINY).double()
    config = OptimizerConfig(learning_rate=0.01, betas=(0.8, 0.9), epsilon=1e-6, weight_decay=0.3)
    optimizer = make_optimizer(model, config)
    expected = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    means = {name: torch.zeros_like(value) for name, value in expected.items()}
    squares = {name: torch.zeros_like(value) for name, value in expected.items()}
    for step in (1, 2):
        rate = 0.01 / step
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            means[name] = 0.8 * means[name] + 0.2 * parameter.grad
            squares[name] = 0.9 * squares[name] + 0.1 * parameter.grad**2
            mean, square = means[name] / (1 - 0.8**step), squares[name] / (1 - 0.9**step)
            decay = 0.3 if parameter.ndim >= 2 else 0.0
            expected[name] -= rate * (mean / (square.sqrt() + 1e-6) + decay * expected[name])
        set_learning_rate(optimizer, rate)
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-10, atol=1e-12)


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "ours": lambda model: make_optimizer(model, OptimizerConfig()),
    "Muon": lambda model: torch.optim.Muon(model.parameters()),
    "AdamW, not fused": lambda model: torch.optim.AdamW(model.parameters(), fused=False),
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_skipped_update_changes_nothing(name: str) -> None:
    """Whether the optimizer knows GradScaler's flag or, as all but the first, ignores it."""
    model = torch.nn.Linear(4, 4, bias=False)  # Muon takes matrices only
    optimizer = OPTIMIZERS[name](model)

    def step(skip: bool, gradient: float) -> list[torch.Tensor]:
        model.weight.grad = torch.full_like(model.weight, gradient)
        update(optimizer, torch.tensor(skip))
        states = [value for state in optimizer.state.values() for value in state.values()]
        return [tensor.detach().clone() for tensor in (model.weight, *states)]

    before = step(False, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(step(True, float("nan")), before, strict=True))
    changed = step(False, 1.0)
    assert not any(torch.equal(a, b) for a, b in zip(changed[:1], before[:1], strict=True))


def with_gradients(scale: float, seed: int = 0) -> GPT:
    """Return a model with gradients: `scale` times random numbers, the same for the same seed."""
    model = GPT(TINY)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)
    return model


def clipped(model: GPT, max_norm: float, divisor: float) -> torch.Tensor:
    """Divide and clip the gradients; return their norm before clipping."""
    norm = gradient_norm(model) / divisor
    clip_gradients(model, max_norm, norm, torch.tensor(divisor))
    return norm


@pytest.mark.parametrize("max_norm", [1.0, 1e6], ids=["clipped", "below the limit"])
def test_sums_are_clipped_as_torch_clips_means(max_norm: float) -> None:
    count = 24.0
    sums, means = with_gradients(count), with_gradients(1.0)
    expected = torch.nn.utils.clip_grad_norm_(means.parameters(), max_norm)
    assert (float(expected) > max_norm) == (max_norm == 1.0)
    norm = clipped(sums, max_norm, count)
    torch.testing.assert_close(norm, expected)
    torch.testing.assert_close(gradients(sums), gradients(means))


def test_grad_clip_zero_only_divides() -> None:
    sums, means = with_gradients(24.0), with_gradients(1.0)
    norm = clipped(sums, 0.0, 24.0)
    torch.testing.assert_close(norm, torch.nn.utils.get_total_norm(gradients(means)))
    torch.testing.assert_close(gradients(sums), gradients(means))


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_norm_of_a_bad_gradient_is_not_finite(max_norm: float, value: float) -> None:
    """The guard judges by it; clipping must not hide it."""
    model = with_gradients(1.0)
    gradients(model)[3].view(-1)[0] = value
    assert not clipped(model, max_norm, 8.0).isfinite()


def test_parameters_without_gradients_are_left_alone() -> None:
    model, whole = with_gradients(3.0), with_gradients(3.0)
    model.transformer.wpe.weight.grad = None
    norm = clipped(model, 1.0, 1.0)
    assert model.transformer.wpe.weight.grad is None
    assert norm < clipped(whole, 1.0, 1.0)


def test_clipping_runs_on_devices_without_foreach_kernels() -> None:
    """Such as MPS: torch takes the meta device for another one of them."""
    model = nn.Linear(3, 2, device="meta")
    model(torch.ones(4, 3, device="meta")).sum().backward()
    clip_gradients(model, 1.0, gradient_norm(model), torch.ones((), device="meta"))
    assert gradient_norm(model).shape == ()
