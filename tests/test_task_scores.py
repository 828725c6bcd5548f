"""eval_tasks: a run's log has the shares that tools.evaluate finds, and training is the same with and without."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ALONE, elsewhere, final_files, losses, records
from preparing import write_jsonl

from evaluation.losses import language_model_loss
from system.errors import UserError
from tools.evaluate.__main__ import evaluate
from tools.evaluate.config import EvaluateConfig
from train import train
from training import measure
from training.config import TrainConfig
from training.learner import build_learner
from training.run import open_together

ITEMS = [
    {"prompt": f"the {n}", "choices": ["river runs", "zz", "old walls"], "answer": n % 3} for n in range(9)
]


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    write_jsonl(tmp_path / "swag.jsonl", ITEMS)
    write_jsonl(tmp_path / "ends.jsonl", [{"text": "the river runs"}, {"text": "old stone walls"}])
    return f"{tmp_path}/swag.jsonl, {tmp_path}/ends.jsonl"


def test_tasks_at_each_evaluation(
    config: TrainConfig, tasks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, model=replace(config.model, dropout=0.1))
    asked = elsewhere(config, "asked", eval_tasks=tasks)
    train(config)
    capsys.readouterr()
    train(asked)
    lines = [line for line in capsys.readouterr().out.splitlines() if " | validation loss" in line]
    shares = [
        {key: value for key, value in record.items() if key.startswith("task_")}
        for record in records(asked)
        if "val_loss" in record
    ]
    assert [list(found) for found in shares] == 2 * [["task_swag", "task_swag_normalised", "task_ends"]]
    last = shares[-1]
    assert (
        f" bits per byte | swag {last['task_swag']:.1%} | swag_normalised {last['task_swag_normalised']:.1%} |"
        f" ends {last['task_ends']:.1%} | "
    ) in lines[-1]
    assert losses(asked) == losses(config)
    assert final_files(asked) == final_files(config)

    evaluate(
        EvaluateConfig(f"{asked.out_dir}/step_00000010", tasks=tasks, device="cpu", precision="float32"),
        ALONE,
    )
    [measures] = json.loads((Path(asked.out_dir) / "evaluation/step_00000010.json").read_text()).values()
    assert measures["swag"]["accuracy"] == last["task_swag"]
    assert measures["swag"]["accuracy_normalised"] == last["task_swag_normalised"]
    assert measures["ends"]["accuracy"] == last["task_ends"]


def test_tasks_are_found_before_the_run_starts(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no task nowhere.jsonl: use a JSONL file, or one of hellaswag, "):
        train(replace(config, eval_tasks="nowhere.jsonl"))
    with pytest.raises(UserError, match=r"task leads: the validation split of .* has too few articles"):
        train(replace(config, eval_tasks="leads"))
    write_jsonl(tmp_path / "long.jsonl", [{"prompt": "x", "completion": "y" * 17}])
    with pytest.raises(UserError, match=r"long, item 1: 'y+' has 17 tokens, the model's block_size is 16"):
        train(replace(config, eval_tasks=f"{tmp_path}/long.jsonl"))
    assert not list(Path(config.out_dir).glob("*"))


def test_tasks_count_in_an_evaluations_time(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """max_minutes must know how long an evaluation takes: here 11 windows of 16 tokens, and 40 items of 8."""
    write_jsonl(tmp_path / "x.jsonl", [{"prompt": "abcd", "completion": "efgh"}] * 40)
    run = open_together(replace(config, eval_tasks=f"{tmp_path}/x.jsonl"), ALONE)
    learner = build_learner(run, ALONE)
    clock = iter(range(100))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    found = measure.time_evaluation(run, learner, ALONE, language_model_loss)  # a pass takes a second
    assert found == pytest.approx(2 + 40 * 8 / (8 * 16))
