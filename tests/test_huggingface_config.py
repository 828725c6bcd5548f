"""config.json of transformers' models as our GPTConfig: the same network, or an error that names the setting."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from references import config_json
from transformers import AutoConfig

from checkpointing.huggingface_config import family, read_config, to_huggingface
from model import GPTConfig
from system.errors import UserError

QWEN3 = {"position": "rotary", "norm": "rmsnorm", "mlp": "swiglu", "qk_norm": True, "bias": False}
LLAMA = QWEN3 | {"qk_norm": False}
GPT = GPTConfig(vocab_size=300, block_size=32, n_layer=2, n_head=4, n_embd=48)


def write(folder: Path, content: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(content))


def test_configs_of_transformers_4_and_5_mean_the_same(tmp_path: Path) -> None:
    for kind in ("gpt2", "llama", "qwen3"):
        changes = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}} if kind != "gpt2" else {}
        found = []
        for version in (4, 5):
            write(tmp_path, config_json(kind, version, **changes))
            found.append(read_config(tmp_path))
        assert found[0] == found[1]
        assert family(found[0]) == kind
    assert found[0].rope_theta == 1e6


@pytest.mark.parametrize(
    "config",
    [
        GPT,
        replace(GPT, n_inner=100, norm_eps=1e-3, tie_embeddings=False),
        replace(GPT, **LLAMA, n_kv_head=2, rope_theta=5e5),
        replace(GPT, **QWEN3, n_kv_head=2, head_dim=16, rope_theta=5e5, tie_embeddings=False),
    ],
    ids=["gpt2", "gpt2 untied", "llama", "qwen3"],
)
def test_a_written_config_is_read_as_the_same_network(config: GPTConfig, tmp_path: Path) -> None:
    write(tmp_path, to_huggingface(config, end_of_text=299))
    found = read_config(tmp_path)
    derived = {"n_kv_head": config.kv_heads, "head_dim": config.head_size} if config.mlp == "swiglu" else {}
    assert found == replace(config, n_inner=config.inner_size, norm_eps=config.eps, **derived)
    assert AutoConfig.from_pretrained(tmp_path).eos_token_id == 299


@pytest.mark.parametrize(
    ("kind", "key", "value", "words"),
    [
        ("gpt2", "model_type", "opt", ["model_type='opt'", "gpt2, llama or qwen3"]),
        ("gpt2", "model_type", None, ["model_type=None", "gpt2, llama or qwen3"]),
        ("gpt2", "activation_function", "relu", ["activation_function='relu'", "gelu_new"]),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, ["scale_attn_by_inverse_layer_idx=True"]),
        ("gpt2", "n_embd", 50, ["n_embd=50", "divisible"]),
        ("llama", "mlp_bias", True, ["mlp_bias=True"]),
        ("llama", "rope_parameters", {"rope_type": "llama3", "rope_theta": 5e5}, ["rope_type='llama3'"]),
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
def test_unsupported_values_are_named(
    kind: str, key: str, value: object, words: list[str], tmp_path: Path
) -> None:
    content = {**config_json(kind), key: value}
    if key == "rope_scaling":
        content.pop("rope_parameters", None)
    write(tmp_path, content)
    with pytest.raises(UserError) as error:
        read_config(tmp_path)
    assert all(word in str(error.value) for word in [*words, "config.json"])


def test_an_old_llama_has_as_many_key_heads_as_queries(tmp_path: Path) -> None:
    content = config_json("llama", version=4)
    for key in ("num_key_value_heads", "head_dim", "rope_theta", "rope_scaling"):
        del content[key]
    write(tmp_path, content)
    found = read_config(tmp_path)
    assert (found.kv_heads, found.head_size, found.rope_theta) == (4, 12, 10000.0)


def test_incomplete_configs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config.json in .*: weights need"):
        read_config(tmp_path)
    content = config_json("qwen3")
    del content["hidden_size"]
    write(tmp_path, content)
    with pytest.raises(UserError, match=r"config.json has no key 'hidden_size': a qwen3 model needs it"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_ty')
    with pytest.raises(
        UserError, match=r"cannot read .*config.json .*: it may be truncated, download it again"
    ):
        read_config(tmp_path)
    write(tmp_path, {**config_json("gpt2"), "n_layer": "two"})
    with pytest.raises(UserError, match=r"config.json does not describe a model .* came with it"):
        read_config(tmp_path)


def test_other_networks_belong_to_no_family() -> None:
    with pytest.raises(UserError, match=r"must be GPT-2, Llama or Qwen3.*position=rotary, norm=layernorm"):
        family(replace(GPT, position="rotary"))
    with pytest.raises(UserError, match="head_dim=20"):
        family(replace(GPT, head_dim=20))
