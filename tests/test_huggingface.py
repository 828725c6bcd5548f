"""Models of transformers here, and ours there: the same logits, the same greedy text, and clear refusals."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CPU, one_line_error
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from checkpointing import huggingface, pretrained
from corpus.tokenizer_json import open_tokenizer, write_tokenizer
from model import GPT, GPTConfig
from sampling.engine import generate
from system.errors import UserError

GPT2 = {"n_positions": 96, "n_embd": 48, "n_layer": 2, "n_head": 4, "vocab_size": 65}
QWEN3 = {
    "max_position_embeddings": 96,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 80,
    "vocab_size": 65,
}
MODELS = [
    ("gpt2", {}),
    ("gpt2", {"vocab_size": 257, "n_head": 8, "n_embd": 64, "n_inner": 100}),
    ("gpt2", {"vocab_size": 2, "n_layer": 1, "n_head": 1, "n_embd": 16, "n_positions": 9}),
    ("gpt2", {"tie_word_embeddings": False, "vocab_size": 130, "n_layer": 3}),
    ("gpt2", {"layer_norm_epsilon": 1e-3, "activation_function": "gelu_pytorch_tanh"}),
    ("qwen3", {"tie_word_embeddings": True}),
    ("qwen3", {"tie_word_embeddings": False, "vocab_size": 193}),
    ("qwen3", {"num_key_value_heads": 1, "head_dim": 34, "rms_norm_eps": 1e-5}),
    (
        "qwen3",
        {
            "num_key_value_heads": 4,
            "rope_theta": 1e6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
    ),
    ("qwen3", {"num_attention_heads": 6, "num_key_value_heads": 3, "hidden_size": 40, "head_dim": 10}),
]


def enlarge(model: torch.nn.Module) -> None:
    """Draw weights at which every part of the network shows in the logits."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.normal_(std=1.2 / math.sqrt(min(parameter.shape)))


def model_there(kind: str, **changes: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    nothing = {"bos_token_id": None, "eos_token_id": None}
    if kind == "gpt2":
        model: torch.nn.Module = GPT2LMHeadModel(GPT2Config(**{**GPT2, **nothing, **changes}))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**{**QWEN3, **nothing, **changes}))
    enlarge(model)
    return model.eval()


def largest_difference(ours: torch.nn.Module, theirs: torch.nn.Module, vocab_size: int, T: int) -> float:
    """Return the largest difference of the logits over their spread."""
    tokens = torch.randint(0, vocab_size, (3, T))
    with torch.no_grad():
        expected, logits = theirs(tokens).logits, ours(tokens)
    assert logits.shape == expected.shape
    assert expected.std() > 0.5, "logits that hardly differ would prove nothing"
    return ((logits - expected).abs().max() / expected.std()).item()


def opened(folder: Path) -> GPT:
    return pretrained.load_model(pretrained.find(str(folder)), CPU, torch.float32).eval()


@pytest.mark.parametrize("max_shard_size", ["5GB", "20KB"])
@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_models_of_transformers_have_their_logits_here(kind, changes, max_shard_size, tmp_path):
    theirs = model_there(kind, **changes)
    theirs.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (tmp_path / huggingface.INDEX).exists() == (max_shard_size == "20KB") or changes.get(
        "vocab_size"
    ) == 2
    ours = opened(tmp_path)
    assert largest_difference(ours, theirs, ours.config.vocab_size, ours.config.block_size) < 1e-5


@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_greedy_text_is_the_same_in_float64(kind, changes, tmp_path):
    theirs = model_there(kind, **changes).double()
    theirs.save_pretrained(tmp_path)
    ours = opened(tmp_path).double()
    prompt = [1, 0, 1]
    n_tokens = min(64, ours.config.block_size - len(prompt))
    [[found]] = generate(ours, [prompt], max_new_tokens=n_tokens, temperature=0)
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": n_tokens}
    expected = theirs.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, 3), **options)
    assert found == expected[0, 3:].tolist()


@pytest.mark.parametrize("body_alone", [False, True])
def test_old_files_of_gpt2_are_read(body_alone, tmp_path):
    """The hub's GPT-2 holds the body without its prefix, and constants of the attention; others the tied matrix twice."""
    theirs = model_there("gpt2")
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / huggingface.WEIGHTS)
    if body_alone:
        weights = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
        weights["h.0.attn.bias"] = torch.ones(1, 1, 96, 96).tril()
    else:
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    save_file(weights, tmp_path / huggingface.WEIGHTS)
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


def test_a_padded_row_never_changes_a_probability(tmp_path):
    """Pretrained GPT-2's logits are far below zero, where a row of zeros would take all probability."""
    theirs = model_there("gpt2")
    with torch.no_grad():
        theirs.transformer.ln_f.bias.fill_(30.0)
        theirs.transformer.wte.weight.sub_(1.0)
    theirs.save_pretrained(tmp_path)
    ours = opened(tmp_path)
    tokens = torch.randint(0, 65, (2, 20))
    with torch.no_grad():
        expected = theirs(tokens, labels=tokens)
        logits = ours(tokens)
        loss = ours(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()) / tokens[:, 1:].numel()
    assert expected.logits.max() < -100, "the test needs logits that a zero beats"
    assert logits.shape == (2, 20, 65)
    assert loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    with torch.no_grad():
        ours.transformer.wte.weight[65:] = 7.0  # whatever is in the padding
        assert torch.equal(ours(tokens), logits)


def spelled(kind: str, spelling: str, **changes: Any) -> dict[str, Any]:
    """Return config.json as transformers 4 or 5 writes it."""
    content = json.loads(model_there(kind, **changes).config.to_json_string())
    if spelling == "4":
        rope = content.pop("rope_parameters")
        content |= {
            "rope_theta": rope["rope_theta"],
            "rope_scaling": None,
            "torch_dtype": "float32",
        }
    return content


def test_both_spellings_of_a_config_mean_the_same(tmp_path):
    found = []
    for spelling in "45":
        rope = {"rope_type": "default", "rope_theta": 1e6}
        (tmp_path / "config.json").write_text(json.dumps(spelled("qwen3", spelling, rope_parameters=rope)))
        found.append(huggingface.read_config(tmp_path))
    assert found[0] == found[1]
    assert found[0].rope_theta == 1e6


@pytest.mark.parametrize(
    ("kind", "key", "value", "words"),
    [
        ("gpt2", "model_type", "llama", ["'llama'", "gpt2 and qwen3"]),
        ("gpt2", "model_type", None, ["None", "gpt2 and qwen3"]),
        ("gpt2", "activation_function", "relu", ["activation_function='relu'", "gelu_new"]),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, ["scale_attn_by_inverse_layer_idx=True"]),
        ("gpt2", "n_embd", 50, ["n_embd=50", "divisible"]),
        ("qwen3", "attention_bias", True, ["attention_bias=True"]),
        (
            "qwen3",
            "quantization_config",
            {"quant_method": "fp8"},
            ["quantization_config={'quant_method': 'fp8'}"],
        ),
        ("qwen3", "hidden_act", "gelu", ["hidden_act='gelu'", "silu"]),
        ("qwen3", "use_sliding_window", True, ["use_sliding_window=True"]),
        ("qwen3", "layer_types", ["sliding_attention", "full_attention"], ["sliding_attention"]),
        ("qwen3", "rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}, ["rope_type='yarn'"]),
        ("qwen3", "rope_scaling", {"type": "linear", "factor": 2.0}, ["rope_type='linear'"]),
    ],
)
def test_another_arithmetic_is_refused_by_name_and_value(kind, key, value, words, tmp_path):
    content = {**spelled(kind, "5"), key: value}
    if key == "rope_scaling":
        content.pop("rope_parameters", None)
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        huggingface.read_config(tmp_path)
    assert all(word in str(error.value) for word in [*words, "config.json"])


def test_a_config_without_a_size_is_refused(tmp_path):
    content = spelled("qwen3", "5")
    del content["hidden_size"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="no key 'hidden_size'"):
        huggingface.read_config(tmp_path)


def broken(folder: Path, how: str) -> str:
    """Break a folder of several weight files; return words that the refusal must have."""
    first = sorted(folder.glob("model-*.safetensors"))[0]
    index = json.loads((folder / huggingface.INDEX).read_text())
    if how == "truncated":
        first.write_bytes(first.read_bytes()[:-100])
        return first.name
    if how == "missing file":
        first.unlink()
        return f"{first.name} is missing"
    if how == "pickle":
        for file in folder.glob("model*"):
            file.unlink()
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
        return "a pickle can run any program"
    if how == "missing weight":
        weights = load_file(first)
        gone = sorted(weights)[0]
        del weights[gone]
        save_file(weights, first)
        return f"lacks {gone}"
    if how == "odd index":
        (folder / huggingface.INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": None}}))
        return f"cannot read {folder / huggingface.INDEX}"
    if how == "cut config":
        (folder / "config.json").write_text('{"model_ty')
        return "config.json: its model cannot be built"
    if how == "left over":
        weights = load_file(first)
        save_file({**weights, "model.extra.weight": torch.ones(2)}, first)
        return "left over model.extra.weight"
    if how == "other shape":
        weights = load_file(first)
        name = sorted(weights)[0]
        save_file({**weights, name: weights[name][:-1].contiguous()}, first)
        return f"{name} has shape"
    index["weight_map"]["model.norm.weight"] = "../elsewhere.safetensors"
    (folder / huggingface.INDEX).write_text(json.dumps(index))
    return "../elsewhere.safetensors"


BREAKS = [
    "truncated",
    "missing file",
    "pickle",
    "missing weight",
    "left over",
    "other shape",
    "path",
    "odd index",
    "cut config",
]


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_folder_is_refused_with_the_file(how, tmp_path):
    model_there("qwen3").save_pretrained(tmp_path, max_shard_size="20KB")
    words = broken(tmp_path, how)
    with pytest.raises(UserError) as error:
        opened(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_single_file_goes_before_an_index(tmp_path):
    """As in transformers: an index left from another saving must not bring other weights."""
    theirs = model_there("qwen3")
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    for file in tmp_path.glob("model-*"):
        file.unlink()
    save_file(dict(theirs.state_dict()), tmp_path / huggingface.WEIGHTS)
    assert (tmp_path / huggingface.INDEX).exists()
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


def test_weights_of_another_model_are_named_by_a_few(tmp_path):
    model_there("qwen3").save_pretrained(tmp_path)
    weights = load_file(tmp_path / huggingface.WEIGHTS)
    save_file({f"other.{name}": weight for name, weight in weights.items()}, tmp_path / huggingface.WEIGHTS)
    with pytest.raises(UserError, match=r"missing .* \.\.\. \(\d+\), left over .* \.\.\. \(\d+\)") as error:
        opened(tmp_path)
    assert len(str(error.value)) < 600


def test_queries_and_keys_of_exchanged_sizes_are_refused(tmp_path):
    """Joined they would fit."""
    model_there("qwen3").save_pretrained(tmp_path)
    weights = load_file(tmp_path / huggingface.WEIGHTS)
    queries, keys = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qk")
    weights[queries], weights[keys] = weights[keys], weights[queries]
    save_file(weights, tmp_path / huggingface.WEIGHTS)
    with pytest.raises(UserError, match=r"_proj.weight has shape"):
        opened(tmp_path)


def test_a_hub_name_without_a_network_is_refused_in_seconds(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    began = time.monotonic()
    with pytest.raises(
        UserError, match=r"no folder openai-community/gpt2 here.*does not answer.*hf download"
    ):
        pretrained.find("openai-community/gpt2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        pretrained.find("openai-community/gpt2")
    assert time.monotonic() - began < 10


def test_a_hub_name_in_the_cache_is_opened_offline(monkeypatch, tmp_path):
    theirs = model_there("gpt2")
    snapshot = tmp_path / "models--some--gpt2" / "snapshots" / "0123abcd"
    theirs.save_pretrained(snapshot)
    (tmp_path / "models--some--gpt2" / "refs").mkdir()
    (tmp_path / "models--some--gpt2" / "refs" / "main").write_text("0123abcd")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = pretrained.find("some/gpt2")
    assert found.folder == snapshot
    assert not found.is_ours
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="no checkpoint folder out/demo: train one"):
        pretrained.find("out/demo")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "it may be cut off"),
        ("missing file", "is missing"),
        ("pickle", "a pickle can run any program"),
        ("another architecture", "model_type 'llama'"),
        ("hub name", "no folder nobody/nothing here"),
        ("tokenizer", "do not belong together"),
    ],
)
def test_a_command_says_what_is_wrong_in_one_line(how, words, run, tmp_path):
    folder = tmp_path / "hf"
    model_there("qwen3").save_pretrained(folder, max_shard_size="20KB")
    write_tokenizer(open_tokenizer("bytes"), folder)  # of 257 tokens, where the model knows 65
    if how != "tokenizer":
        config = json.loads((folder / "config.json").read_text())
        kind = "llama" if how == "another architecture" else "qwen3"
        (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 257, "model_type": kind}))
    if how in BREAKS:
        broken(folder, how)
    began = time.monotonic()
    message = one_line_error(
        run("sample.py", f"--checkpoint={'nobody/nothing' if how == 'hub name' else folder}")
    )
    assert words in message
    assert time.monotonic() - began < 10 or how != "hub name"


def test_what_neither_architecture_is_cannot_be_written():
    config = replace(GPTConfig(vocab_size=10), position="rotary")
    with pytest.raises(UserError, match=r"neither GPT-2 nor Qwen3.*position=rotary, norm=layernorm"):
        huggingface.family(config)
