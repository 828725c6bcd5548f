"""eval_tasks: a run's log has the shares that tools.evaluate finds, and training is the same with and without."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ALONE, Ranks, elsewhere, final_files, losses, records
from preparing import write_jsonl

from corpus.tokenizer import byte_tokenizer
from evaluation.items import Item, Task
from evaluation.losses import language_model_loss
from evaluation.tasks import fitting
from system.errors import UserError
from tools.evaluate.__main__ import evaluate
from tools.evaluate.config import EvaluateConfig
from train import train
from training import measure
from training.config import TrainConfig
from training.learner import build_learner
from training.run import open_together
from training.task_scores import some

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


def test_an_evaluation_asks_some_items() -> None:
    items = [Item(str(number), (" x",)) for number in range(10)]
    assert [item.context for item in some(Task("x", "completion", items), 4).items] == ["0", "2", "5", "7"]
    assert (
        some(Task("x", "completion", items), 0).items
        == some(Task("x", "completion", items), 99).items
        == items
    )


def test_two_processes_ask_together(config: TrainConfig, tasks: str, ranks: Ranks) -> None:
    config = replace(config, eval_tasks=tasks.replace(", ", ","), max_steps=5)
    train(config)
    other = elsewhere(config, "two")
    assert [command.status() for command in ranks(other, other)] == [0, 0]
    for one, two in zip(records(config)[-1].items(), records(other)[-1].items(), strict=True):
        assert two == pytest.approx(one) if not one[0].startswith("task_") else one == two


def test_a_run_goes_on_without_a_task_that_is_gone(
    config: TrainConfig, tasks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, eval_tasks=tasks)
    train(config)
    Path(tasks.partition(",")[0]).unlink()
    capsys.readouterr()
    train(config)  # which is finished
    assert "is finished: step 10" in capsys.readouterr().out
    train(replace(config, max_steps=15, extend=True))
    out = capsys.readouterr().out
    assert "TASKS are left out of this run's evaluations: no task " in out
    assert "task_ends" in records(config)[9]
    assert "task_ends" not in records(config)[14]


def test_articles_that_do_not_fit_are_not_asked(data_dir: Path) -> None:
    items = [Item("Rome\n\n", ("Rome is a city.", "x" * size), 0, (15, size)) for size in (10, 40, 16, 17)]
    found = fitting(Task("leads", "choice", items), byte_tokenizer(), 18)
    assert [item.lengths[1] for item in found.items] == [10, 16]  # with the two newlines


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
