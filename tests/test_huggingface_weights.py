"""Weights of transformers' models in our network: the same logits, the same greedy text, and clear errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CPU
from references import largest_difference, reference_model
from safetensors.torch import load_file, save_file

from checkpointing import pretrained
from checkpointing.huggingface_weights import INDEX, WEIGHTS
from model import GPT
from sampling.engine import Sampling, generate
from system.errors import UserError

MODELS: list[tuple[str, dict[str, Any]]] = [
    ("gpt2", {}),
    ("gpt2", {"vocab_size": 257, "n_head": 8, "n_embd": 64, "n_inner": 100}),
    ("gpt2", {"vocab_size": 2, "n_layer": 1, "n_head": 1, "n_embd": 16, "n_positions": 9}),
    ("gpt2", {"tie_word_embeddings": False, "vocab_size": 130, "n_layer": 3}),
    ("gpt2", {"layer_norm_epsilon": 1e-3, "activation_function": "gelu_pytorch_tanh"}),
    ("llama", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    ("llama", {"num_key_value_heads": 1, "head_dim": 34, "rms_norm_eps": 1e-5}),
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


def opened(folder: Path) -> GPT:
    return pretrained.load_model(pretrained.find(str(folder)), CPU, torch.float32).eval()


@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_logits_and_greedy_text_equal_transformers(
    kind: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """The logits in float32, from one file and from several; the text in float64, where rounding changes no token."""
    theirs = reference_model(kind, **changes)
    for max_shard_size in ("5GB", "20KB"):
        folder = tmp_path / max_shard_size
        theirs.save_pretrained(folder, max_shard_size=max_shard_size)
        is_tiny = changes.get("vocab_size") == 2
        assert (folder / INDEX).exists() == (max_shard_size == "20KB" and not is_tiny)
        ours = opened(folder)
        assert largest_difference(ours, theirs, ours.config.vocab_size, ours.config.block_size) < 1e-5
    prompt = [1, 0, 1]
    n_tokens = min(64, ours.config.block_size - len(prompt))
    [[found]] = generate(ours.double(), [prompt], Sampling(max_new_tokens=n_tokens, temperature=0))
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": n_tokens}
    expected = theirs.double().generate(torch.tensor([prompt]), attention_mask=torch.ones(1, 3), **options)
    assert found == expected[0, 3:].tolist()


@pytest.mark.parametrize("without_prefix", [False, True])
def test_old_files_of_gpt2_are_read(without_prefix: bool, tmp_path: Path) -> None:
    """The hub's GPT-2 has names without prefix and constants of the attention; others have the tied matrix twice."""
    theirs = reference_model("gpt2")
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    if without_prefix:
        weights = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
        weights["h.0.attn.bias"] = torch.ones(1, 1, 96, 96).tril()
    else:
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    save_file(weights, tmp_path / WEIGHTS)
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_forward_module."])
def test_prefixes_of_wrappers_are_dropped(prefix: str, tmp_path: Path) -> None:
    theirs = reference_model("qwen3", tie_word_embeddings=True)
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    wrapped = {prefix + name.replace("layers.1.", "layers.1._orig_mod."): weights[name] for name in weights}
    save_file(wrapped, tmp_path / WEIGHTS)
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5
    name = "model.norm.weight"
    save_file(wrapped | {name: weights[name].clone()}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="some weights are there twice"):
        opened(tmp_path)


def test_shards_are_read_without_their_index(tmp_path: Path) -> None:
    theirs = reference_model("gpt2")
    for size in ("5GB", "20KB"):
        folder = tmp_path / size
        theirs.save_pretrained(folder, max_shard_size=size)
        if (folder / WEIGHTS).exists():
            (folder / WEIGHTS).rename(folder / "model-00001-of-00001.safetensors")
        (folder / INDEX).unlink(missing_ok=True)
        assert largest_difference(opened(folder), theirs, 65, 96) < 1e-5
    second = sorted(folder.glob("model-00002*"))[0]
    second.rename(folder / "elsewhere")
    with pytest.raises(UserError, match=f"{second} is missing: download it again"):
        opened(folder)
    (folder / "model-00001-of-00009.safetensors").touch()
    with pytest.raises(UserError, match=r"has weights of 00009 and of .* files: leave those of one model"):
        opened(folder)


@pytest.mark.parametrize("prefix", ["model.", "model._orig_mod.", "net.model."])
def test_a_prefix_of_all_names_is_dropped(prefix: str, tmp_path: Path) -> None:
    theirs = reference_model("qwen3", tie_word_embeddings=True)
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file({prefix + name: weight for name, weight in weights.items()}, tmp_path / WEIGHTS)
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


@pytest.mark.parametrize("bare", ["transformer.", ""])
def test_a_tied_matrix_may_have_either_name(bare: str, tmp_path: Path) -> None:
    """As safetensors' save_model leaves one; Lightning puts `model.` before all names."""
    theirs = reference_model("gpt2")
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    weights["lm_head.weight"] = weights.pop("transformer.wte.weight")
    renamed = {f"model.{name.replace('transformer.', bare)}": weight for name, weight in weights.items()}
    save_file(renamed, tmp_path / WEIGHTS)
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    theirs = reference_model("gpt2")
    theirs.save_pretrained(tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "pytorch_model-00001-of-00001.safetensors")
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5
    (tmp_path / "second.safetensors").touch()
    with pytest.raises(UserError, match=f"{tmp_path / WEIGHTS} is missing: download it again"):
        opened(tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS, INDEX, "config.json"])
def test_git_lfs_pointers_are_named(name: str, tmp_path: Path) -> None:
    reference_model("gpt2").save_pretrained(tmp_path, max_shard_size="20KB" if name == INDEX else "5GB")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 345\n")
    with pytest.raises(UserError, match=f"{name} is a Git LFS pointer, .*: run `git lfs pull` in {tmp_path}"):
        opened(tmp_path)


def test_a_padded_row_never_changes_a_probability(tmp_path: Path) -> None:
    """Pretrained GPT-2's logits are far below zero, where a row of zeros would take all probability."""
    theirs = reference_model("gpt2")
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
    assert expected.logits.max() < -100, "the test needs logits far below zero"
    assert logits.shape == (2, 20, 65)
    assert loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    with torch.no_grad():
        ours.transformer.wte.weight[65:] = 7.0  # whatever is in the padding
        assert torch.equal(ours(tokens), logits)


def broken(folder: Path, how: str) -> str:
    """Break a folder of several weight files; return words of the expected error."""
    first = sorted(folder.glob("model-*.safetensors"))[0]
    index = json.loads((folder / INDEX).read_text())
    if how == "truncated":
        first.write_bytes(first.read_bytes()[:-100])
        return f"cannot read {first}"
    if how == "missing file":
        first.unlink()
        return f"{first} is missing"
    if how == "pickle":
        for file in folder.glob("model*"):
            file.unlink()
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
        return "pytorch_model.bin is a pickle, and loading a pickle can run any code"
    if how == "missing weight":
        weights = load_file(first)
        gone = sorted(weights)[0]
        del weights[gone]
        save_file(weights, first)
        return f"{first} lacks {gone}"
    if how == "odd index":
        (folder / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": None}}))
        return f"cannot read {folder / INDEX}"
    if how == "unexpected weight":
        weights = load_file(first)
        save_file({**weights, "model.extra.weight": torch.ones(2)}, first)
        return "unexpected model.extra.weight"
    if how == "wrong shape":
        weights = load_file(first)
        name = sorted(weights)[0]
        save_file({**weights, name: weights[name][:-1].contiguous()}, first)
        return f"{name} has shape"
    index["weight_map"]["model.norm.weight"] = "../elsewhere.safetensors"
    (folder / INDEX).write_text(json.dumps(index))
    return "lists '../elsewhere.safetensors'"


BREAKS = [
    *("truncated", "missing file", "pickle", "missing weight", "unexpected weight", "wrong shape"),
    *("path", "odd index"),
]


@pytest.mark.parametrize("how", BREAKS)
def test_errors_name_the_broken_file(how: str, tmp_path: Path) -> None:
    reference_model("qwen3").save_pretrained(tmp_path, max_shard_size="20KB")
    words = broken(tmp_path, how)
    with pytest.raises(UserError) as error:
        opened(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_single_file_goes_before_an_index(tmp_path: Path) -> None:
    """As in transformers: an index left over from another save must not load other weights."""
    theirs = reference_model("qwen3")
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    for file in tmp_path.glob("model-*"):
        file.unlink()
    save_file(dict(theirs.state_dict()), tmp_path / WEIGHTS)
    assert (tmp_path / INDEX).exists()
    assert largest_difference(opened(tmp_path), theirs, 65, 96) < 1e-5


def test_weights_of_another_model_are_named_by_a_few(tmp_path: Path) -> None:
    reference_model("qwen3").save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file({f"{name}.other": weight for name, weight in weights.items()}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=r"missing .* \.\.\. \(\d+\), unexpected .* \.\.\. \(\d+\)") as error:
        opened(tmp_path)
    assert len(str(error.value)) < 600


def test_swapped_queries_and_keys_are_an_error(tmp_path: Path) -> None:
    """Joined they would have the right shape."""
    reference_model("qwen3").save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    queries, keys = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qk")
    weights[queries], weights[keys] = weights[keys], weights[queries]
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=r"_proj.weight has shape"):
        opened(tmp_path)
