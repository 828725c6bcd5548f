"""lm-evaluation-harness agrees: on 500 items in HellaSwag's fields and on whole texts, with our adapter and with its own.

Needs the package lm_eval, which `make test-long` installs.
"""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import WORDS, elsewhere
from safetensors.torch import load_file, save_file

from checkpointing import pretrained
from evaluation import windows
from evaluation.likelihood import score
from evaluation.task_sources import read_task
from evaluation.tasks import outcome, requests_of
from model import GPTConfig
from system.errors import UserError
from tools import lm_eval
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


@pytest.fixture(autouse=True)
def harness_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="pip install -r requirements-lm-eval.txt")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


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
def test_lm_eval_finds_the_same(trained: TrainConfig, tmp_path: Path) -> None:
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


WRITTEN = """
task: written
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {path}}}}}
output_type: generate_until
validation_split: validation
doc_to_text: "{{{{text}}}}"
doc_to_target: ""
generation_kwargs: {{until: ["f", "#"], max_gen_toks: 20, do_sample: false}}
metric_list: [{{metric: bypass}}]
"""


@pytest.mark.filterwarnings("ignore")  # of lm_eval and what it imports
def test_lm_eval_writes_the_same(trained: TrainConfig, tmp_path: Path) -> None:
    """Greedy texts up to a stop string, after prompts that fit and prompts that are cut."""
    from lm_eval.models.huggingface import HFLM

    from evaluation.harness import WikiGPT

    exported = tmp_path / "exported"
    export(ExportConfig(trained.out_dir, str(exported)))
    weights = load_file(exported / "model.safetensors")
    generator = torch.Generator().manual_seed(1)
    for weight in weights.values():  # so little trained, it would write the same letter again and again
        weight += 0.3 * torch.randn(weight.shape, generator=generator)
    save_file(weights, exported / "model.safetensors", {"format": "pt"})
    theirs = HFLM(str(exported), device="cpu", dtype="float32", batch_size=1)
    texts = [" ".join(WORDS[n : n + 3 + 3 * n]) for n in range(8)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "written.yaml").write_text(WRITTEN.format(path=tmp_path / "texts.jsonl"))
    found = []
    for model in (WikiGPT(str(exported), "float32", "cpu"), theirs):
        samples = sorted(
            harness(model, tmp_path, "written")["samples"]["written"], key=lambda sample: sample["doc_id"]
        )
        found.append([sample["resps"][0][0] for sample in samples])
    assert found[0] == found[1]
    assert len(set(found[0])) > 2
    assert not any("f" in text or "#" in text for text in found[0])
    assert len(set(map(len, found[0]))) > 1  # some end at the stop string


def test_the_model_says_what_is_wrong(trained: TrainConfig) -> None:
    from evaluation.harness import WikiGPT, sampling_of

    with pytest.raises(
        UserError, match=r"model_args: dtype is unknown: it may have checkpoint=... and precision="
    ):
        WikiGPT(trained.out_dir, dtype="float32")
    with pytest.raises(UserError, match="model_args: no checkpoint: set --model_args=checkpoint=out/demo"):
        WikiGPT()
    with pytest.raises(UserError, match="model_args: precision=half: it must be one of auto, "):
        WikiGPT(trained.out_dir, "half")  # type: ignore[arg-type]
    model = WikiGPT(trained.out_dir, "float32", "cpu", batch_size=1)
    with pytest.raises(
        UserError, match="max_gen_toks=96: leaves no place for a prompt in block_size=96: set it"
    ):
        model._written("x", {"max_gen_toks": 96})
    with pytest.raises(
        UserError, match="'y' has 97 tokens, the model's block_size is 96: shorten or delete it"
    ):
        model._loglikelihood_tokens([(("x", "y"), [1], [2] * 97)])
    with pytest.raises(UserError, match="'' has no token of its own after its context: change or delete it"):
        model._loglikelihood_tokens([(("x", ""), [1], [])])
    assert (
        sampling_of({}, 5).temperature
        == sampling_of({"do_sample": False, "temperature": 2}, 5).temperature
        == 0
    )
    settings = sampling_of({"do_sample": True, "top_p": 0.5, "top_k": 3}, 5)
    assert (settings.temperature, settings.top_p, settings.top_k, settings.max_new_tokens) == (1.0, 0.5, 3, 5)
    with pytest.raises(UserError, match=r"generation settings: top_p=2.0: must be in"):
        sampling_of({"temperature": 1.0, "top_p": 2.0}, 5)


def test_the_command(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config)
    (tmp_path / "texts.jsonl").write_text('{"text": "the river"}\n')
    (tmp_path / "texts.yaml").write_text(ROLLING.format(path=tmp_path / "texts.jsonl"))
    words = ["run", "--model=wikigpt", "--device=cpu", "--tasks=texts", f"--include_path={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["lm_eval", *words, f"--model_args=checkpoint={config.out_dir}"])
    lm_eval.main()
    assert "bits_per_byte" in capsys.readouterr().out
