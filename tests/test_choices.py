"""Attention's choice: the clearly fastest way, timed once for a run on each kind of CPU."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE

from model import Attention
from system import hardware
from training import choices
from training.choices import choose_attention, fastest
from training.config import TrainConfig
from training.run import Run, open_data, open_run, write_config


@pytest.mark.parametrize(
    ("sdpa", "math", "chosen"), [(1.0, 0.5, "math"), (1.0, 0.95, "sdpa"), (1.0, 2.0, "sdpa")]
)
def test_other_than_torchs_kernel_only_if_clearly_faster(
    sdpa: float, math: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shortest time of each counts, and not its first, which allocates memory."""
    clock, first = [0.0], {"sdpa", "math"}
    monkeypatch.setattr("training.choices.time.perf_counter", lambda: clock[0])

    def attend(attention: Attention) -> None:
        clock[0] += {"sdpa": sdpa, "math": math}[attention] * (9 if attention in first else 1)
        first.discard(attention)

    assert fastest(attend) == chosen


@pytest.fixture
def automatic(config: TrainConfig) -> TrainConfig:
    return replace(config, attention="auto")


def opened(config: TrainConfig) -> Run:
    return open_run(config, open_data(config.data_dir))


def choice(run: Run, timed: Attention, monkeypatch: pytest.MonkeyPatch) -> Attention:
    """Return the run's choice where timing would find `timed` the fastest."""
    monkeypatch.setattr(choices, "fastest", lambda _attend: timed)
    return choose_attention(run, ALONE, torch.float32, 8)


def test_a_run_keeps_its_choice_on_this_kind_of_cpu(
    automatic: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(automatic)
    assert choice(run, "math", monkeypatch) == "math"
    write_config(run)
    assert choice(opened(automatic), "sdpa", monkeypatch) == "math"
    assert choose_attention(opened(replace(automatic, attention="sdpa")), ALONE, torch.float32, 8) == "sdpa"
    other = opened(automatic)
    monkeypatch.setattr(hardware, "cpu_name", lambda: "another CPU")
    assert choice(other, "sdpa", monkeypatch) == "sdpa"
    write_config(other)
    monkeypatch.undo()
    assert choice(opened(automatic), "sdpa", monkeypatch) == "math"  # both are on record


def test_a_run_from_before_attention_was_timed_keeps_the_rule_of_then(
    automatic: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(automatic)
    write_config(run)
    path = Path(automatic.out_dir) / "config.json"
    content = json.loads(path.read_text())
    del content["attention"]
    path.write_text(json.dumps(content))
    resumed = opened(automatic)
    assert choice(resumed, "math", monkeypatch) == "sdpa"
    write_config(resumed)
    assert choice(opened(automatic), "math", monkeypatch) == "sdpa"


def test_both_ways_are_timed_on_the_layer(automatic: TrainConfig) -> None:
    """Without drawing random numbers: these belong to the weights."""
    before = torch.get_rng_state()
    assert choose_attention(opened(automatic), ALONE, torch.float32, 8) in choices.CPU_ATTENTION
    assert torch.equal(torch.get_rng_state(), before)


def test_long_sequences_are_not_timed(automatic: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain formula might not fit in memory."""
    run = opened(automatic)
    for longest, chosen in ((automatic.model.block_size, "math"), (automatic.model.block_size - 1, "sdpa")):
        monkeypatch.setattr(choices, "LONGEST_TIMED", longest)
        assert choice(replace(run, about={**run.about, "attention": {}}), "math", monkeypatch) == chosen
