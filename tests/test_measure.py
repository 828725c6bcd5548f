"""Timing steps: it does the work of training, and changes nothing that is learned."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from conftest import ALONE, CPU, with_dropout
from safetensors.torch import load_file

from evaluation.losses import language_model_loss
from system.world import World
from train import train
from training import measure
from training.config import TrainConfig
from training.learner import Learner, build_learner
from training.measure import FEWEST_STEPS, WARM_UP_STEPS, take_step, time_evaluation, time_steps
from training.optim import learning_rate, set_learning_rate
from training.run import Run, open_data, open_run


def opened(config: TrainConfig) -> tuple[Run, Learner]:
    run = open_run(config, open_data(config.data_dir))
    return run, build_learner(run, ALONE)


def test_what_is_timed_is_a_step_of_training(config: TrainConfig) -> None:
    optimizer = replace(config.optimizer, grad_clip=0.01)
    config = replace(with_dropout(config), optimizer=optimizer, micro_batch_size=2, max_steps=3)
    run, learner = opened(config)
    progress = run.progress
    for step in range(3):
        set_learning_rate(learner.optimizer, learning_rate(step, 3, optimizer))
        take_step(run, learner, progress, ALONE, language_model_loss)
        progress = progress.stepped(config.sequences_per_step)
    train(config)
    trained = load_file(f"{config.out_dir}/step_00000003/model.safetensors")
    for name, weights in learner.model.weights().items():
        assert torch.equal(weights, trained[name]), name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("resumed", [False, True])
def test_timing_leaves_weights_state_and_random_numbers_as_they_were(
    config: TrainConfig, resumed: bool, optimizer: Literal["adamw", "muon"], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(with_dropout(config), optimizer=replace(config.optimizer, optimizer=optimizer))
    if resumed:
        train(replace(config, max_steps=5))
    run, learner = opened(replace(config, extend=True))
    _, same = opened(replace(config, extend=True))
    steps: list[int] = []
    real = measure.take_step
    monkeypatch.setattr(measure, "take_step", lambda *how: steps.append(how[2].step) or real(*how))
    random_numbers = torch.random.get_rng_state()
    assert len(time_steps(run, learner, ALONE, language_model_loss, n_steps=4)) == 4
    assert time_evaluation(run, learner, ALONE, language_model_loss) > 0
    assert steps == [run.progress.step + number for number in range(WARM_UP_STEPS + 4)]
    assert torch.equal(torch.random.get_rng_state(), random_numbers)
    assert learner.model.training
    pairs = zip(learner.model.parameters(), same.model.parameters(), strict=True)
    for own, other in pairs:
        assert own.grad is None
        assert torch.equal(own, other)
        state, expected = learner.optimizer.state.get(own, {}), same.optimizer.state.get(other, {})
        assert bool(state) == resumed
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_timing_ends_early_by_the_main_process_clock(config: TrainConfig) -> None:
    class SecondOfTwo(World):
        """The second process, where the main one has had enough after step 7."""

        n_steps = 0

        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            SecondOfTwo.n_steps += tensor.dim() == 0
            return tensor + (SecondOfTwo.n_steps == 7) if tensor.dim() == 0 else tensor

    run, learner = opened(config)
    assert len(time_steps(run, learner, ALONE, language_model_loss, seconds=0.0)) == FEWEST_STEPS
    learner = replace(learner, share=4, micro_batch_size=4)
    found = time_steps(run, learner, SecondOfTwo(1, 2, CPU), language_model_loss, seconds=0.0)
    assert len(found) == 7 - WARM_UP_STEPS


def test_an_evaluation_takes_as_long_as_its_forward_passes(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    run, learner = opened(replace(config, eval_windows=11, micro_batch_size=2))
    assert time_evaluation(run, learner, ALONE, language_model_loss) == 6, "passes of one tick each"
    assert time_evaluation(run, learner, World(0, 2, CPU), language_model_loss) == 3
