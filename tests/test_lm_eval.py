"""lm-evaluation-harness agrees: on 500 items in HellaSwag's fields and on whole texts, with our adapter and with its own.

Needs the package lm_eval, which `make test-long` installs.
"""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS, elsewhere

from checkpointing import pretrained
from evaluation import windows
from evaluation.likelihood import score
from evaluation.task_sources import read_task
from evaluation.tasks import outcome, requests_of
from model import GPTConfig
from tools.export_hf import ExportConfig, export
from train import train
from training.config import TrainConfig

pytestmark = pytest.mark.thorough
QWEN3 = {
    "position": "rotary",
    "norm": "rmsnorm",
    "mlp": "swiglu",
    "qk_norm": True,
    "bias": False,
    "n_kv_head": 2,
}
N_ITEMS = 500
HELLASWAG = """
task: swag
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {path}}}}}
output_type: multiple_choice
validation_split: validation
process_docs: !function functions.process_docs
doc_to_text: "{{{{query}}}}"
doc_to_target: "{{{{label}}}}"
doc_to_choice: "choices"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROLLING = """
task: texts
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {path}}}}}
output_type: loglikelihood_rolling
validation_split: validation
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""


def sentence(chooser: random.Random) -> str:
    return " ".join(chooser.choices([*WORDS, "[sub]", "caf\u00e9", "don't"], k=chooser.randint(2, 12)))


def items() -> list[dict[str, Any]]:
    """Return items with all that HellaSwag's have: marks of WikiHow, spaces at the ends, endings of very different lengths."""
    chooser = random.Random(5)
    return [
        {
            "ind": number,
            "activity_label": chooser.choice(["Removing ice", "River walk"]),
            "ctx_a": sentence(chooser) + chooser.choice([".", " [title] How ", "  "]),
            "ctx_b": chooser.choice(["", sentence(chooser) + " "]),
            "endings": [
                sentence(chooser) + chooser.choice([".", "", " [title] x [step] y"]) for _ in range(4)
            ],
            "label": str(chooser.randrange(4)),
        }
        for number in range(N_ITEMS)
    ]


@pytest.fixture(params=[{}, QWEN3], ids=["gpt2", "qwen3"])
def trained(request: pytest.FixtureRequest, config: TrainConfig) -> TrainConfig:
    shape = GPTConfig(block_size=96, n_layer=2, n_head=4, n_embd=32, **request.param)
    config = elsewhere(config, "model", model=shape, max_steps=30)
    train(replace(config, optimizer=replace(config.optimizer, learning_rate=1e-2)))
    return config


def harness(model: Any, folder: Path, task: str) -> dict[str, Any]:
    """Return what lm_eval finds for a task in a folder."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return simple_evaluate(model, tasks=[task], task_manager=manager, bootstrap_iters=0, log_samples=True)


@pytest.mark.filterwarnings("ignore")  # of lm_eval and what it imports
def test_lm_eval_finds_the_same(
    trained: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="pip install -r requirements-lm-eval.txt")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    from lm_eval.models.huggingface import HFLM

    from evaluation.harness import WikiGPT

    export(ExportConfig(trained.out_dir, str(tmp_path / "exported")))
    theirs = HFLM(str(tmp_path / "exported"), device="cpu", dtype="float32", batch_size=8)
    adapter = WikiGPT(trained.out_dir, "float32", "cpu")
    model, tokenizer, dtype = pretrained.load(trained.out_dir, "cpu", "float32")

    path = tmp_path / "swag.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items()))
    (tmp_path / "functions.py").write_text("from lm_eval.tasks.hellaswag.utils import process_docs\n")
    (tmp_path / "swag.yaml").write_text(HELLASWAG.format(path=path))
    task = read_task(str(path))
    own = np.concatenate(score(model, requests_of(task, tokenizer, 96)[0], dtype))
    found = outcome(task, own)
    for other in (adapter, theirs):
        result = harness(other, tmp_path, "swag")
        samples = sorted(result["samples"]["swag"], key=lambda sample: sample["doc_id"])
        likelihoods = np.array([[reply[0] for [reply] in sample["resps"]] for sample in samples])
        assert np.abs(likelihoods - own[:, 0].reshape(-1, 4)).max() < 1e-4
        assert [sample["acc"] for sample in samples] == found.right.tolist()
        assert [sample["acc_norm"] for sample in samples] == found.right_normalised.tolist()  # type: ignore[union-attr]
        assert result["results"]["swag"]["acc,none"] == pytest.approx(found.accuracy)
    assert 0.1 < found.accuracy < 0.6
    assert (found.right != found.right_normalised).any()

    data = windows.TokenDataset(trained.data_dir, "val")
    split = windows.read_split(data, tokenizer)
    each = windows.windows(split, 96, "document", 96, tokenizer.token_byte_lengths())
    requests, parts = [request for request, _ in each], [part for _, own_parts in each for part in own_parts]
    loss = windows.by_document(parts, np.concatenate(score(model, requests, dtype))[:, 0], len(split.ends))
    lines = [json.dumps({"text": text}) + "\n" for text in data.texts()]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    (tmp_path / "texts.yaml").write_text(ROLLING.format(path=tmp_path / "texts.jsonl"))
    for other in (adapter, theirs):
        result = harness(other, tmp_path, "texts")["results"]["texts"]
        assert result["bits_per_byte,none"] == pytest.approx(loss.bits_per_byte, abs=1e-5)
