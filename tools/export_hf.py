"""Write a trained model in Hugging Face's layout: `python -m tools.export_hf --checkpoint=out/demo --out_dir=hf/demo`.

transformers then opens the folder with AutoModelForCausalLM and AutoTokenizer, without code of ours, and computes the
same logits from the same tokens. Owns the folder and its model card; names and shapes are huggingface.py's, the
tokenizer's files tokenizer_json.py's.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from checkpointing import checkpoint, huggingface, pretrained
from corpus import tokenizer_json
from corpus.tokenizer import ForeignTokenizer, Tokenizer
from model import GPT
from system import hub
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.files import open_to_readers

CARD = "README.md"


@dataclass(frozen=True)
class ExportConfig:
    """What is exported, and where to."""

    checkpoint: str = "out/demo"  # a run (its best checkpoint), a step_... or Hugging Face folder, a hub name
    out_dir: str = "hf/demo"  # the folder to make


def export(config: ExportConfig) -> None:
    """Make the folder, whole or not at all.

    Raises UserError for a network that is neither GPT-2 nor Qwen3, a folder that is there already, a full disk.
    """
    out_dir = Path(config.out_dir)
    found = pretrained.find(config.checkpoint)
    family = huggingface.family(found.config)
    if out_dir.exists():
        raise UserError(f"out_dir={out_dir} exists: delete it, or choose another --out_dir")
    tokenizer, model = found.tokenizer(), GPT(found.config)
    found.load_weights(model)
    partial = out_dir.with_name(out_dir.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        weights = huggingface.hf_weights(found.config, model.weights())
        save_file(weights, partial / huggingface.WEIGHTS, metadata={"format": "pt"})
        end = tokenizer.end_of_text
        _write_json(partial / hub.CONFIG, huggingface.hf_config(found.config, end))
        _write_json(
            partial / tokenizer_json.GENERATION_CONFIG,
            dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end),
        )
        tokenizer_json.write_tokenizer(tokenizer, partial)
        (partial / CARD).write_text(card(found, model, tokenizer, out_dir), encoding="utf-8")
        open_to_readers(partial)
        partial.rename(out_dir)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(f"cannot write {out_dir} ({error}): make room, or choose another --out_dir") from None
    print(
        f"{out_dir} holds {found.folder} as a {family} model of {model.n_params():,} parameters for transformers"
    )
    print(gguf_note(tokenizer))


def gguf_note(tokenizer: Tokenizer) -> str:
    """Say whether llama.cpp's converter will know the tokenizer: it recognises vocabularies one by one."""
    if isinstance(tokenizer, ForeignTokenizer) or tokenizer.pattern == tokenizer_json.GPT2_PATTERN:
        return "llama.cpp's convert_hf_to_gguf.py can read it if it knows the vocabulary, as it does GPT-2's and Qwen's"
    return f"llama.cpp's convert_hf_to_gguf.py does not know the tokenizer {tokenizer.name}, and refuses it"


def card(found: pretrained.Pretrained, model: GPT, tokenizer: Tokenizer, out_dir: Path) -> str:
    """Return the model card: what the model is, what it learned from, how well it does, how to use it."""
    info = checkpoint.read_info(found.folder) if found.is_ours else {}
    end = tokenizer.decode([tokenizer.end_of_text])
    network = "\n".join(f"| {key} | {value} |" for key, value in vars(found.config).items())
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---

# {out_dir.name}

A {huggingface.family(found.config)} language model of {model.n_params():,} parameters{", trained with wikigpt" if info else ""}.
{_training(info)}
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{out_dir}")
model = AutoModelForCausalLM.from_pretrained("{out_dir}")
inputs = tokenizer("The history of", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=50, do_sample=True, top_k=200)[0]))
```

The tokenizer is {tokenizer.name}, of {tokenizer.vocab_size:,} tokens. Where the model was trained, a `{end}` inside a text is
text like any other; transformers makes the control token of it, unless it is called with `split_special_tokens=True`.
{gguf_note(tokenizer)}.

## Network

| | |
|---|---|
{network}
"""


def _training(info: dict[str, Any]) -> str:
    if not info:
        return ""
    data = info.get("data", {})
    source = ", ".join(f"{key} {value}" for key, value in data.items())
    optimizer = ", ".join(f"{key} {value}" for key, value in info["config"]["optimizer"].items())
    bits = info.get("val_bits_per_byte")
    measured = f"{info['val_loss']:.4f} nats per token" + (f", {bits:.4f} bits per byte" if bits else "")
    return f"""
## Training

- Data: {source or "not on record"} (manifest sha256 {info["identity"]["data"]})
- {info["step"]:,} steps, {info["sequences"]:,} sequences of {info["model"]["block_size"]:,} tokens, seed {info["config"]["seed"]}
- Begun with {info["config"].get("init_from") or "random weights"}; optimizer: {optimizer}
- Loss on the validation articles: {measured}
"""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    export(parse_config(ExportConfig(), sys.argv[1:], __doc__ or ""))


if __name__ == "__main__":
    run_command(main)
