"""The command tools.evaluate: what it prints and keeps, with stops, several processes, pairs and models that differ."""

import json
import math
import random
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ALONE, ROOT, elsewhere, records
from preparing import prepare, write_jsonl

from checkpointing import pretrained
from corpus.dataset import TokenDataset
from evaluation import bootstrap, likelihood, scoring
from evaluation.items import Item, Task
from evaluation.journal import Journal
from evaluation.likelihood import Request, score
from evaluation.tasks import outcome, requests_of, with_examples
from evaluation.windows import spans
from system.errors import UserError
from system.files import locked
from tools.evaluate.__main__ import evaluate
from tools.evaluate.config import EvaluateConfig
from tools.evaluate.results import path_of
from tools.faults.commands import Command
from train import train
from training.config import TrainConfig

QUESTIONS = [{"prompt": f"the {word}", "choices": ["river", "zz", "old walls"], "answer": n % 3} for n, word in enumerate("ab cde f ghij k".split() * 2)]  # fmt: skip


@pytest.fixture
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LEAST_DOCUMENTS", 2)


def evaluated(capsys: pytest.CaptureFixture[str], **settings: Any) -> list[str]:
    capsys.readouterr()
    evaluate(EvaluateConfig(device="cpu", precision="float32", **settings), ALONE)
    return capsys.readouterr().out.splitlines()


def results(config: TrainConfig) -> dict[str, Any]:
    [path] = (Path(config.out_dir) / "evaluation").iterdir()
    return json.loads(path.read_text())


@pytest.mark.usefixtures("few_documents")
def test_the_bits_per_byte_are_those_of_training(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, max_steps=4, eval_interval=4, eval_windows=7)
    train(config)
    trained = records(config)[-1]["val_bits_per_byte"]
    lines = evaluated(capsys, checkpoint=config.out_dir, eval_windows=7, quantize="int8")
    name, loss, fast, small, *_ = lines
    assert re.fullmatch(rf"{config.out_dir}: [\d,]+ parameters, float32", name)
    number = r"(\d+\.\d{4})"
    form = rf"  {config.data_dir}, validation, eval_windows=7: {number} bits per byte \({number} to {number}\), {number} nats per token, perplexity [\d.]+"
    n_tokens = 7 * config.model.block_size
    found = re.fullmatch(rf"{form}, over \d+ documents, {n_tokens:,} tokens, [\d,]+ bytes", loss)
    assert found
    assert float(found[1]) == pytest.approx(trained, abs=1e-4)
    assert float(found[2]) < float(found[1]) < float(found[3])
    assert fast == f"{config.out_dir}, int8, kernel torch: {name.split(': ')[1]}"
    found = re.fullmatch(rf"{form}, ([+-]{number}) bits per byte \([+-]{number} to [+-]{number}\)", small)
    assert found
    assert float(found[1]) - trained == pytest.approx(float(found[5]), abs=2e-4)
    values = results(config)[f"{config.out_dir}, float32"][f"{config.data_dir}, validation, eval_windows=7"]
    assert values["bits_per_byte"] == pytest.approx(trained, rel=1e-5)


@pytest.mark.usefixtures("few_documents")
def test_checkpoints_side_by_side(
    config: TrainConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = replace(config, model=replace(config.model, block_size=64), max_steps=2)
    other = elsewhere(config, "other", max_steps=12)
    train(config)
    train(other)
    chooser = random.Random(1)
    path = tmp_path / "swag.jsonl"
    rows = [
        {"prompt": "the river", "choices": [chooser.choice("abc") * k for k in (3, 1)], "answer": 1}
        for _ in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    both = f"{config.out_dir},{other.out_dir}"
    lines = evaluated(capsys, checkpoint=both, tasks=f" {path},", windows="document", n_items=8)
    *lines, head, first, second = lines
    assert len(lines) == 6
    assert lines[1].startswith(f"  {config.data_dir}, validation, windows=document: ")
    share = r"-?[\d.]+ ± [\d.]+ %"
    assert re.fullmatch(
        rf"  swag, n_items=8: {share} right, {share} by likelihood per character, of 8 items", lines[2]
    )
    assert re.fullmatch(
        rf"  swag, n_items=8: {share} right, {share} by likelihood per character, [+-]{share}", lines[5]
    )
    content = results(config), results(other)
    names = [f"{config.data_dir}, validation, windows=document", "swag, n_items=8"]
    values = [next(iter(one.values())) for one in content]
    difference = values[1][names[0]]["bits_per_byte"] - values[0][names[0]]["bits_per_byte"]
    assert head.split() == " ".join(names).split()
    assert re.fullmatch(rf"{config.out_dir}, float32 +[\d.]+ +{share}", first)
    change = rf"{re.escape(f'{difference:+.4f}')} \([^)]+\)"
    assert re.fullmatch(rf"{other.out_dir}, float32 +[\d.]+, {change} +{share}, [+-]{share}", second)
    assert f", {difference:+.4f} bits per byte (" in lines[4]
    assert difference < 0
    assert values[1][names[0]]["difference"] == pytest.approx(difference)
    assert values[1][names[0]]["compared_with"] == f"{config.out_dir}, float32"
    assert "difference" not in values[0][names[0]]
    assert values[1][names[1]]["difference"] == pytest.approx(
        values[1][names[1]]["accuracy"] - values[0][names[1]]["accuracy"]
    )
    assert values[0][names[1]]["items"] == 8
    data = TokenDataset(config.data_dir, "val")
    assert values[0][names[0]]["tokens"] == data.n_tokens - len(data.pair_ends)  # without end-of-text tokens
    folder = Path(config.out_dir) / "evaluation"
    [file] = folder.iterdir()  # no journal
    file.write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*\.json \(.*\): delete it$"):
        evaluated(capsys, checkpoint=config.out_dir, tasks=str(path))
    assert not capsys.readouterr().out  # found before anything is measured
    file.write_text('{"a": 1}')
    with pytest.raises(UserError, match=r"json is not a file of results: move it away"):
        evaluated(capsys, checkpoint=config.out_dir)
    file.unlink()
    with locked(folder), pytest.raises(UserError, match=r"another evaluation writes to .*: wait until it is"):
        evaluated(capsys, checkpoint=config.out_dir)
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(
        UserError, match=r"cannot write to .*evaluation \(File exists\): make it a folder that"
    ):
        evaluated(capsys, checkpoint=config.out_dir, tasks=str(path))


@pytest.fixture
def trained(config: TrainConfig) -> TrainConfig:
    config = replace(config, model=replace(config.model, block_size=24), max_steps=2)
    train(config)
    return config


@pytest.fixture
def questions(tmp_path: Path) -> str:
    path = tmp_path / "questions.jsonl"
    write_jsonl(path, QUESTIONS)
    return str(path)


@pytest.mark.usefixtures("few_documents")
def test_every_setting_of_the_measures_counts(
    trained: TrainConfig, questions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stride, examples and the check of the training text, against the functions that they set."""
    model, tokenizer, dtype = pretrained.load(trained.out_dir, "cpu", "float32")
    data = TokenDataset(trained.data_dir, "val")
    tokens = data.read(0, data.n_tokens).astype(np.int64)
    requests = [Request(tokens[begin : end + 1], (n,)) for begin, end, n in spans(len(tokens) - 1, 24, 7)]
    nats = -np.concatenate(score(model, requests, dtype))[:, 0].sum()
    items = [Item(row["prompt"], tuple(f" {text}" for text in row["choices"]), row["answer"], tuple(map(len, row["choices"]))) for row in QUESTIONS]  # fmt: skip
    task = with_examples(Task("questions", "choice", items), 2)
    task = replace(task, items=task.items[:7])
    asked, n_cut = requests_of(task, tokenizer, 24)
    answers = outcome(task, np.concatenate(score(model, asked, dtype)))

    settings = {"stride": 7, "n_shots": 2, "n_items": 7, "contamination": True, "tasks": f"{questions},leads"}
    with pytest.raises(UserError, match=r"task leads: the validation split of .* has too few articles"):
        evaluated(capsys, checkpoint=trained.out_dir, **settings)
    lines = evaluated(capsys, checkpoint=trained.out_dir, **settings | {"tasks": questions})
    loss, found = next(iter(results(trained).values())).values()
    assert loss["nats_per_token"] == pytest.approx(nats / (len(tokens) - 1), rel=1e-6)
    assert found["accuracy"] == pytest.approx(answers.accuracy)
    assert found["accuracy_normalised"] == pytest.approx(answers.right_normalised.mean())  # type: ignore[union-attr]
    assert found["contexts_cut"] == n_cut == 21
    assert found["items_seen_in_training"] == 0
    assert f", {n_cut} contexts cut to fit block_size, of 7 items" in lines[2]


def test_items_that_were_read_in_training_are_counted_apart(
    trained: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TokenDataset(trained.data_dir).texts()[3]
    rows = [{"prompt": text[:10], "completion": text[10:26]}, {"prompt": "the", "completion": " x"}]
    rows += [{"prompt": f"{n} zzz #####", "completion": " yyy ?????"} for n in range(3)]
    write_jsonl(tmp_path / "known.jsonl", rows)
    lines = evaluated(
        capsys, checkpoint=trained.out_dir, tasks=str(tmp_path / "known.jsonl"), contamination=True
    )
    assert ", 1 items seen in training, 1 too short to tell, 0.0 ± 0.0 % right of those not seen" in lines[2]
    found = results(trained)[f"{trained.out_dir}, float32"]["known"]
    assert (found["items_seen_in_training"], found["items_too_short_to_tell"]) == (1, 1)
    assert found["accuracy_of_unseen"] == 0


def test_a_stop_costs_what_was_not_scored_yet(
    trained: TrainConfig, questions: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two measures is interrupted: the same command does not repeat the first, another one does."""
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", 500)
    monkeypatch.setattr(scoring, "JOURNAL_SECONDS", 0.0)
    calls = 0

    def counted(*args: Any) -> list[np.ndarray]:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return score(*args)

    monkeypatch.setattr(scoring.likelihood, "score", counted)
    stop_at = -1
    settings = {"checkpoint": trained.out_dir, "tasks": questions}
    lines = evaluated(capsys, **settings)
    n_all, calls, stop_at = calls, 0, calls
    with pytest.raises(KeyboardInterrupt):
        evaluated(capsys, **settings)
    calls, stop_at = 0, -1
    resumed = evaluated(capsys, **settings)
    assert [line for line in resumed if not line.startswith("resuming: ")] == lines
    assert re.fullmatch(r"resuming: \d+ of \d+ texts are scored", resumed[1])
    assert calls == 1
    calls = 0
    assert evaluated(capsys, **settings) == lines  # it ended well before: nothing is left of it
    assert calls == n_all


def test_two_processes_find_what_one_does(
    trained: TrainConfig, questions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"checkpoint": trained.out_dir, "tasks": questions, "contamination": True}
    lines = evaluated(capsys, **settings)
    values = results(trained)
    shutil.rmtree(Path(trained.out_dir) / "evaluation")
    status, out, errors = in_two_processes(tmp_path, device="cpu", precision="float32", **settings)
    assert status == [0, 0], errors
    assert out == ["\n".join(lines) + "\n", ""]
    assert rounded(results(trained)) == rounded(values)

    # Half of it is done: both processes must know which half, or they would wait for each other for ever.
    journal = Journal(tmp_path / "x.jsonl")
    requests = [Request(np.arange(5 + number % 7), (2,)) for number in range(20)]
    model, _, dtype = pretrained.load(trained.out_dir, "cpu", "float32")
    right = scoring.score(model, requests, dtype, ALONE, "", None)
    journal.add(
        scoring.key_of("x", requests), {number: right[number : number + 1] - 1 for number in range(9)}
    )
    script = tmp_path / "resume.py"
    script.write_text(RESUME.format(root=str(ROOT), checkpoint=trained.out_dir, journal=str(journal.path)))
    out = [tmp_path / f"resumed_{rank}" for rank in range(2)]
    commands = Command.fork_together([[str(script)]] * 2, out, out)
    assert [command.status() for command in commands] == [0, 0]
    for path in out:
        found = np.array(json.loads(path.read_text().splitlines()[-1]))
        assert found[:9] == pytest.approx(right[:9, 0] - 1, abs=1e-5)
        assert found[9:] == pytest.approx(right[9:, 0], abs=1e-5)

    status, _, errors = in_two_processes(tmp_path, checkpoint=trained.out_dir, tasks="nowhere", device="cpu")
    assert status == [2, 2]
    assert errors[0].startswith(
        f"error: rank 0 of 2 on {socket.gethostname()}: no task nowhere: use a JSONL file"
    )
    assert errors[1].endswith(": cannot start: see the error line of rank 0\n")


RESUME = """
import json, sys
from pathlib import Path
import numpy as np, torch
sys.path.insert(0, {root!r})
from checkpointing import pretrained
from evaluation import scoring
from evaluation.journal import Journal
from evaluation.likelihood import Request
from system.world import start_world
world = start_world("cpu", timeout_minutes=0.5)
model, _, dtype = pretrained.load({checkpoint!r}, "cpu", "float32")
requests = [Request(np.arange(5 + number % 7), (2,)) for number in range(20)]
journal = Journal(Path({journal!r})) if world.is_main else None
print(json.dumps(scoring.score(model, requests, dtype, world, "", journal, "x")[:, 0].tolist()))
world.stop()
"""


def rounded(values: dict[str, Any]) -> Any:
    """Return the values with five digits behind the point."""
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 5))


def in_two_processes(folder: Path, **settings: Any) -> tuple[list[int], list[str], list[str]]:
    """Return the exit status, the output and the errors of each of two processes."""
    argv = [
        str(ROOT / "tools/evaluate/__main__.py"),
        *(f"--{key}={value}" for key, value in settings.items()),
    ]
    out, errors = ([folder / f"{rank}.{name}" for rank in range(2)] for name in ("out", "err"))
    commands = Command.fork_together([argv, argv], out, errors)
    status = [command.status() for command in commands]
    return status, [path.read_text() for path in out], [path.read_text() for path in errors]


def test_pairs_are_scored_from_their_completion_on(
    trained: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": f"{n} " * 3, "completion": "a" * (1 + n % 5)} for n in range(40)]
    rows += [{"prompt": f"{n}" + "x" * 30, "completion": "b"} for n in range(10)]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    prepare(tmp_path / "pairs", f"pairs:{tmp_path}/pairs.jsonl", tokenizer="bytes", validation_fraction=0.5)
    data = TokenDataset(tmp_path / "pairs", "val")
    model, tokenizer, dtype = pretrained.load(trained.out_dir, "cpu", "float32")
    requests = []
    for first, last in zip(data.pair_starts.tolist(), data.pair_ends.tolist(), strict=True):
        text = tokenizer.decode([token % 2**15 for token in data.read(first, last - 1 - first).tolist()])
        n_scored = len(text) - text.rindex(" ") if "x" not in text else 0
        if n_scored:
            requests.append(Request(np.array([*tokenizer.encode(text), tokenizer.end_of_text]), (n_scored,)))
    nats = -np.concatenate(score(model, requests, dtype))[:, 0].sum()
    n_tokens = sum(request.n_scored for request in requests)
    settings = {"checkpoint": trained.out_dir, "data_dir": str(tmp_path / "pairs")}
    _, line = evaluated(capsys, **settings)
    n_long = len(data.pair_ends) - len(requests)
    assert n_long > 0
    assert f"{nats / n_tokens:.4f} nats per token" in line
    assert f"over {len(requests)} documents, {n_tokens} tokens, " in line
    assert line.endswith(f", pairs cut at block_size: {n_long} ({n_long} before the completion)")
    # Of a model that has to cut some pairs, only the others are compared.
    other = elsewhere(trained, "other", model=replace(trained.model, block_size=8))
    train(other)
    short = pretrained.load(other.out_dir, "cpu", "float32")[0]
    cut = [
        Request(request.tokens[:9], (max(0, request.n_scored - max(0, len(request.tokens) - 9)),))
        for request in requests
    ]
    same = [number for number, one in enumerate(cut) if one.n_scored == requests[number].n_scored]
    assert 0 < len(same) < len(requests)
    sums = [
        -np.concatenate(score(network, [requests[number] for number in same], dtype))[:, 0].sum()
        for network in (model, short)
    ]
    n_bytes = sum(requests[number].n_scored - 1 for number in same)  # but end-of-text
    lines = evaluated(capsys, **settings | {"checkpoint": f"{trained.out_dir},{other.out_dir}"})
    assert f", {(sums[1] - sums[0]) / math.log(2) / n_bytes:+.4f} bits per byte" in lines[3]
    assert ", pairs cut at block_size: " in lines[3]
    for key, value in {"stride": 3, "eval_windows": 5, "windows": "document"}.items():
        with pytest.raises(
            UserError, match=rf"{key}={value}: .*pairs has pairs, each of which is scored by it"
        ):
            evaluated(capsys, **settings, **{key: value})


def test_what_does_not_fit_the_models(
    trained: TrainConfig, questions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = elsewhere(trained, "other", model=replace(trained.model, block_size=16))
    train(other)
    both = f"{trained.out_dir},{other.out_dir}"
    with pytest.raises(UserError, match=r"stride=20: .*other has block_size=16: use at most that"):
        evaluated(capsys, checkpoint=both, stride=20)
    with pytest.raises(
        UserError, match="eval_windows=5: the models differ in block_size or tokenizer, so that"
    ):
        evaluated(capsys, checkpoint=both, eval_windows=5)
    with pytest.raises(ValueError, match="n_shots=2: is about tasks, and tasks is empty"):
        EvaluateConfig(n_shots=2)
    with pytest.raises(ValueError, match="kernel=fbgemm: is of 8-bit weights: add --quantize=int8"):
        EvaluateConfig(kernel="fbgemm")
    with pytest.raises(ValueError, match="checkpoint=a, a: must name each model once"):
        EvaluateConfig(checkpoint="a, a")
    with pytest.raises(ValueError, match="checkpoint=a,,b: must be a name, or several with commas between"):
        EvaluateConfig(checkpoint="a,,b")
    with pytest.raises(
        ValueError, match="kernel=auto: is chosen by timing, and an evaluation must be repeatable"
    ):
        EvaluateConfig(kernel="auto")
    with pytest.raises(UserError, match="kernel=transposed: not with quantize=int8: use one of fbgemm, "):
        evaluated(capsys, checkpoint=trained.out_dir, quantize="int8", kernel="transposed")
    long = tmp_path / "long.jsonl"
    write_jsonl(long, [{"prompt": "x", "completion": "y" * 20}])
    with pytest.raises(UserError, match=r"long, item 1: 'y+' has 20 tokens, the model's block_size is 16"):
        evaluated(capsys, checkpoint=both, tasks=str(long))
    with pytest.raises(UserError, match="no folder nowhere"):
        evaluated(capsys, checkpoint=f"{trained.out_dir},nowhere", tasks=questions)
    assert not capsys.readouterr().out  # found before anything is measured

    shutil.copytree(trained.data_dir, tmp_path / "moved")
    gone = elsewhere(trained, "gone", data_dir=str(tmp_path / "moved"))
    train(gone)
    shutil.rmtree(tmp_path / "moved")
    lines = evaluated(capsys, checkpoint=gone.out_dir + "/", tasks=questions)
    assert lines[0].startswith(
        f"note: no loss is measured, as {tmp_path}/moved, which {gone.out_dir} was trained"
    )
    assert len(lines) == 3


def test_where_results_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a checkpoint, in a local folder, and never into the hub's cache."""
    monkeypatch.chdir(tmp_path)
    Path("local").mkdir()

    def found(name: str, folder: str, is_ours: bool) -> str:
        return str(path_of(pretrained.Pretrained(name, Path(folder), None, is_ours)))  # type: ignore[arg-type]

    Path("out/a/step_00000010").mkdir(parents=True)
    for name in ("out/a", "out/a/step_00000010"):
        assert found(name, "out/a/step_00000010", True) == f"{tmp_path}/out/a/evaluation/step_00000010.json"
    assert found("local", "local", False) == f"{tmp_path}/local/evaluation.json"
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert found("local", "local", False) == "out/evaluation/local.json"
    monkeypatch.chdir("out/a/step_00000010")
    assert found(".", ".", True) == f"{tmp_path}/out/a/evaluation/step_00000010.json"
    assert found("owner/name", "cache/snapshots/1", False) == "out/evaluation/owner--name.json"
