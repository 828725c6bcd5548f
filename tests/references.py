"""Reference models of transformers, with weights at which every part of a network shows in the logits."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from corpus.bpe import SPLIT_PATTERN
from corpus.tokenizer import END_OF_TEXT

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


@torch.no_grad()
def enlarge(model: torch.nn.Module) -> None:
    """Draw large weights, biases and norms included."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn_like(parameter))
        else:
            parameter.normal_(std=1.2 / math.sqrt(min(parameter.shape)))


KINDS = {
    "gpt2": (GPT2Config, GPT2LMHeadModel, GPT2),
    "llama": (LlamaConfig, LlamaForCausalLM, QWEN3),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, QWEN3),
}


def reference_config(kind: str, **changes: Any) -> GPT2Config | LlamaConfig | Qwen3Config:
    make, _, shape = KINDS[kind]
    return make(**{**shape, "bos_token_id": None, "eos_token_id": None, **changes})


def reference_model(kind: str, **changes: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    model = KINDS[kind][1](reference_config(kind, **changes))
    enlarge(model)
    return model.eval()


def config_json(kind: str, version: int = 5, **changes: Any) -> dict[str, Any]:
    """Return config.json as transformers 4 or 5 writes it."""
    content = json.loads(reference_config(kind, **changes).to_json_string())
    if version == 4 and kind != "gpt2":
        rope = content.pop("rope_parameters")
        content |= {"rope_theta": rope["rope_theta"], "rope_scaling": None, "torch_dtype": "float32"}
    return content


@torch.no_grad()
def largest_difference(ours: torch.nn.Module, theirs: torch.nn.Module, vocab_size: int, T: int) -> float:
    """Return the largest difference of the logits, relative to their spread."""
    tokens = torch.randint(0, vocab_size, (3, T))
    expected, logits = theirs(tokens).logits, ours(tokens)
    assert logits.shape == expected.shape
    assert expected.std() > 0.5, "logits that hardly differ would prove nothing"
    return ((logits - expected).abs().max() / expected.std()).item()


def qwen_tokenizer(folder: Path, texts: Sequence[str]) -> Tokenizer:
    """Write a tokenizer.json as Qwen's: text in Unicode's form C, control tokens, another split."""
    library = Tokenizer(models.BPE())
    library.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    library.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(texts, trainer)
    library.add_special_tokens(
        [AddedToken(name, special=True) for name in (END_OF_TEXT, "<|im_start|>", "<|im_end|>")]
    )
    library.add_tokens(["<think>"])
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    return library


# As Qwen3's, but short: a system message, turns, an answer that begins with an empty thought if thinking is off.
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- raise_exception('no tools here') }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content.split('</think>')[-1] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""


def chat_model(folder: Path, **settings: Any) -> Path:
    """Write an untrained chat model as Qwen3's into a folder, and return it; `settings` change its tokenizer_config.json."""
    folder.mkdir(exist_ok=True)
    library = qwen_tokenizer(folder, ["the river runs to the sea and the sun is high above it"] * 50)
    ends = [library.token_to_id("<|im_end|>"), library.token_to_id(END_OF_TEXT)]
    model = reference_model("qwen3", vocab_size=library.get_vocab_size(), max_position_embeddings=256)
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    settings = {"eos_token": "<|im_end|>", "chat_template": CHAT_TEMPLATE} | settings
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
