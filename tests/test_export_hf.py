"""Exported models: transformers computes the same logits, losses and text without our code, and so does CTranslate2."""

import json
import math
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
from commands import run_here
from conftest import ALONE, CPU, elsewhere, one_line_error
from references import enlarge, largest_difference
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from checkpointing import checkpoint, pretrained
from checkpointing.checkpoint import Progress
from corpus.bpe import train_bpe
from corpus.dataset import TokenDataset
from corpus.tokenizer import Tokenizer
from evaluation.losses import evaluate
from model import GPT, GPTConfig
from sampling.engine import Sampling, generate
from system.errors import UserError
from tools.export_hf import ExportConfig, export
from tools.sampling_speed import LIBRARIES
from tools.sampling_speed import main as sampling_speed
from tools.sampling_speed_config import SamplingSpeedConfig
from train import train
from training.config import TrainConfig
from training.optim import make_optimizer
from training.run import open_data, open_run, with_vocabulary, write_config

TEXT = (
    "the river runs north past old stone walls where café owners learn 数字 and sing 12345 times, isn't it? "
)
QWEN3 = {"position": "rotary", "norm": "rmsnorm", "mlp": "swiglu", "qk_norm": True, "bias": False}
SHAPES: list[dict[str, Any]] = [
    {},
    {"n_layer": 3, "n_head": 8, "n_embd": 64, "n_inner": 100},
    {"tie_embeddings": False, "norm_eps": 1e-3},
    {"dropout": 0.1, "n_layer": 1, "n_head": 1, "n_embd": 24},
    {**QWEN3},
    {**QWEN3, "qk_norm": False, "n_kv_head": 2},  # Llama
    {**QWEN3, "tie_embeddings": False, "n_kv_head": 2},
    {**QWEN3, "n_kv_head": 1, "head_dim": 34, "rope_theta": 1e6},
    {**QWEN3, "n_head": 6, "n_kv_head": 3, "n_embd": 40, "head_dim": 10, "norm_eps": 1e-5},
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe([TEXT * 50], 301)


MEASURED = Progress(7, 56, 3.25, 3.25, 1.5)


def checkpointed(
    config: TrainConfig, tokenizer: Tokenizer, progress: Progress = MEASURED, **shape: Any
) -> GPT:
    """Write a checkpoint of a model of `shape` with large weights; return the model."""
    sizes = {"block_size": 96, "n_layer": 2, "n_head": 4, "n_embd": 48, **shape}
    config = with_vocabulary(replace(config, model=GPTConfig(**sizes)), tokenizer.vocab_size)
    torch.manual_seed(2)
    model = GPT(config.model)
    enlarge(model)
    run = open_run(config, open_data(config.data_dir)._replace(tokenizer=tokenizer))
    run.about["data"] = {"source": "invented articles", "train_tokens": 12345}
    write_config(run)
    optimizer = make_optimizer(model, config.optimizer)
    checkpoint.save(Path(config.out_dir), model, optimizer, tokenizer, progress, run.about, 2)
    return model.eval()


def exported_folder(config: TrainConfig) -> Path:
    return Path(config.out_dir).parent / "hf"


def exported(config: TrainConfig) -> Path:
    export(ExportConfig(config.out_dir, str(exported_folder(config))))
    return exported_folder(config)


@pytest.mark.parametrize("shape", SHAPES)
def test_transformers_computes_our_logits_and_greedy_text(shape, config, tokenizer):
    ours = checkpointed(config, tokenizer, **shape)
    folder = exported(config)
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert sum(p.numel() for p in theirs.parameters()) == ours.n_params()
    assert largest_difference(ours, theirs, tokenizer.vocab_size, 96) < 1e-5
    prompt = tokenizer.encode("the river runs")
    greedy = Sampling(max_new_tokens=64, temperature=0)
    [[expected]] = generate(ours.double(), [prompt], greedy, end_tokens=[tokenizer.end_of_text])
    inputs = torch.tensor([prompt])
    options = {"do_sample": False, "max_new_tokens": 64, "attention_mask": torch.ones_like(inputs)}
    found = theirs.double().generate(inputs, **options)[0, len(prompt) :].tolist()
    assert found[: len(expected)] == expected
    assert len(expected) == 64 or found[len(expected)] == tokenizer.end_of_text
    again = pretrained.find(str(folder))
    assert not again.is_ours
    assert again.tokenizer().hash == tokenizer.hash
    reloaded = pretrained.load_model(again, CPU, torch.float32).eval()
    assert largest_difference(reloaded, theirs.float(), 301, 96) < 1e-5


def test_transformers_never_draws_rows_without_a_token(config, tokenizer, tmp_path):
    """As in GPT-2 padded to 50,304."""
    checkpointed(config, tokenizer, tie_embeddings=False)
    folder = exported(config)
    content, weights = (
        json.loads((folder / "config.json").read_text()),
        load_file(folder / "model.safetensors"),
    )
    for name in ("transformer.wte.weight", "lm_head.weight"):
        weights[name] = torch.nn.functional.pad(weights[name], (0, 0, 0, 9), value=1.0)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**content, "vocab_size": 310}))
    export(ExportConfig(str(folder), str(tmp_path / "again")))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "again").eval()
    theirs.transformer.ln_f.bias.data += 100  # the padding rows win
    assert theirs(torch.tensor([[5]])).logits[0, -1].argmax() >= 301
    assert theirs.generate(torch.tensor([[5]]), do_sample=False, max_new_tokens=9).max() < 301


def test_the_code_of_the_card_runs(config, tokenizer, capsys):
    checkpointed(config, tokenizer)
    program = (exported(config) / "README.md").read_text().split("```python\n")[1].split("```")[0]
    path = exported_folder(config).parent / "program.py"
    path.write_text(program)
    capsys.readouterr()
    runpy.run_path(str(path))
    assert capsys.readouterr().out.startswith("The history of")


@pytest.mark.parametrize("shape", [{}, QWEN3], ids=["gpt2", "qwen3"])
def test_transformers_computes_the_perplexity_of_a_trained_model(shape, config):
    config = replace(config, max_steps=40, eval_interval=40, checkpoint_interval=40, eval_windows=0)
    train(replace(config, model=replace(config.model, block_size=32, **shape)))
    validation = TokenDataset(config.data_dir, "val")
    tokenizer = validation.tokenizer()
    found = pretrained.find(config.out_dir)
    starts = validation.validation_starts(32, None)
    ours = pretrained.load_model(found, CPU, torch.float32)
    losses = evaluate(ours, validation, starts, 8, tokenizer.token_byte_lengths(), ALONE, torch.float32)
    folder = exported(config)
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    nats = []
    with torch.no_grad():
        for start in starts.tolist():
            tokens = torch.from_numpy(validation.read(start, 33).astype(np.int64))[None]
            logits = theirs(tokens[:, :-1]).logits
            nats.append(torch.nn.functional.cross_entropy(logits[0], tokens[0, 1:], reduction="sum").item())
    perplexity = math.exp(sum(nats) / losses.n_tokens)
    assert perplexity == pytest.approx(math.exp(losses.nats_per_token), rel=1e-4)
    assert perplexity < 200, "it has learned something"
    assert f"{losses.bits_per_byte:.4f} bits per byte" in (folder / "README.md").read_text()


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[2], SHAPES[6]], ids=["gpt2", "gpt2 untied", "qwen3"])
def test_ctranslate2_continues_alike(shape, config, tokenizer, tmp_path):
    """Token by token: where the two largest logits are not within rounding, the next token is the same."""
    ours = checkpointed(config, tokenizer, **shape)
    converter = ctranslate2.converters.TransformersConverter(str(exported(config)))
    converter.convert(str(tmp_path / "ct2"))
    theirs = ctranslate2.Generator(str(tmp_path / "ct2"), compute_type="float32", intra_threads=1)
    names = AutoTokenizer.from_pretrained(exported_folder(config)).convert_ids_to_tokens(
        range(tokenizer.vocab_size)
    )
    tokens, compared = tokenizer.encode("the river runs"), 0
    for _ in range(40):
        with torch.no_grad():
            logits = ours(torch.tensor([tokens]), last_only=True)[0, -1]
        first, second = logits.topk(2).values.tolist()
        prompt = [[names[token] for token in tokens]]
        options = {"max_length": 1, "sampling_topk": 1, "include_prompt_in_result": False, "end_token": []}
        [[found]] = theirs.generate_batch(prompt, **options)[0].sequences_ids
        if first - second > 1e-3:
            assert found == int(logits.argmax())
            compared += 1
        tokens.append(int(logits.argmax()))
    assert compared > 30
    assert len(set(tokens[3:])) > 5, "a text that repeats one token would prove little"


NANOGPT = """
import torch

class GPTConfig:
    def __init__(self, **settings):
        self.__dict__ |= settings

class GPT(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        assert (config.n_layer, config.n_head, config.n_embd) == (2, 4, 48)

    def generate(self, tokens, n_tokens, temperature, top_k):
        return torch.cat([tokens, tokens.new_zeros(len(tokens), n_tokens)], dim=1)
"""


def test_every_librarys_sampling_is_timed(config, tokenizer, tmp_path, capsys):
    checkpointed(config, tokenizer)
    folder = exported(config)
    (tmp_path / "model.py").write_text(NANOGPT)
    sizes = {"n_samples": 2, "prompt_tokens": 3, "new_tokens": 20, "repeats": 2}
    capsys.readouterr()
    for library in LIBRARIES:
        sampling_speed(SamplingSpeedConfig(library, str(folder), str(tmp_path), **sizes))
        assert re.fullmatch(r"[\d.]+ tokens/s\n", capsys.readouterr().out), library
    with pytest.raises(ValueError, match="precision=int8: transformers has none here"):
        SamplingSpeedConfig("transformers", precision="int8")
    sampling_speed(SamplingSpeedConfig("ours", str(folder), precision="int8", kernel="torch", **sizes))
    assert re.match(
        r"int8, kernel torch\nweights of .* MB, read at .* GB/s; summing ", capsys.readouterr().err
    )


def test_the_card_has_size_data_loss_and_usage(config, tokenizer):
    checkpointed(config, tokenizer)
    folder = exported(config)
    card = (folder / "README.md").read_text()
    for words in (
        "invented articles",
        "3.2500 nats per token, 1.5000 bits per byte",
        "split_special_tokens=True",
        "<|endoftext|>",
        "learning_rate 0.003",
        "| n_embd | 48 |",
        "llama.cpp's",
    ):
        assert words in card
    generation = GenerationConfig.from_pretrained(folder)
    assert generation.eos_token_id == tokenizer.end_of_text
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    }
    assert "Initial weights: random" in card
    shutil.rmtree(folder)
    checkpointed(elsewhere(config, "unmeasured"), tokenizer, Progress(7, 56))
    assert "Validation loss: unknown" in (exported(elsewhere(config, "unmeasured")) / "README.md").read_text()
    assert json.loads((folder / "config.json").read_text())["n_ctx"] == 96


def test_the_command_exports_or_says_why_not(config, tokenizer):
    arguments = [f"--checkpoint={config.out_dir}", f"--out_dir={exported_folder(config)}"]
    checkpointed(config, tokenizer, position="rotary")
    message = one_line_error(run_here("tools/export_hf.py", *arguments))
    assert "must be GPT-2, Llama or Qwen3" in message
    assert not exported_folder(config).exists()
    shutil.rmtree(config.out_dir)
    checkpointed(config, tokenizer)
    done = run_here("tools/export_hf.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"exported {config.out_dir}/step_00000007 to {exported_folder(config)}: gpt2,"
    )


def test_an_existing_folder_is_not_overwritten(config, tokenizer):
    checkpointed(config, tokenizer)
    folder = exported(config)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="exists: delete it"):
        exported(config)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(28, "No space left on device"), UserError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_or_an_interrupt_leaves_nothing_behind(error, raised, monkeypatch, config, tokenizer):
    checkpointed(config, tokenizer)

    def ended(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("tools.export_hf.tokenizer_json.write_tokenizer", ended)
    with pytest.raises(raised, match="No space left" if raised is UserError else None):
        exported(config)
    assert not list(Path(config.out_dir).parent.glob("hf*"))


def test_a_tokenizer_with_more_tokens_than_the_model_is_an_error(config, tokenizer):
    checkpointed(config, tokenizer)
    path = exported(config) / "config.json"
    content = json.loads(path.read_text())
    assert content["vocab_size"] == 301
    path.write_text(json.dumps({**content, "vocab_size": 200}))
    with pytest.raises(UserError, match="the tokenizer has 301 tokens, the model only 200"):
        pretrained.find(str(path.parent)).tokenizer()
