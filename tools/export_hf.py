"""Export a model in Hugging Face's layout: `python -m tools.export_hf --checkpoint=out/demo --out_dir=hf/demo`.

transformers loads the folder with AutoModelForCausalLM and AutoTokenizer, without our code, and computes the same
logits.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from checkpointing import huggingface_config
from corpus import tokenizer_json
from corpus.tokenizer import ForeignTokenizer, Tokenizer
from system import hub
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.files import open_to_readers
from system.progress import announced_on_stderr
from system.settings import PathText, checked

if TYPE_CHECKING:
    from checkpointing.pretrained import Pretrained
    from model import GPT

CARD = "README.md"


@checked
@dataclass(frozen=True)
class ExportConfig:
    """The settings of `tools.export_hf`."""

    checkpoint: PathText = (
        "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name
    )
    out_dir: PathText = "hf/demo"  # folder to create


def export(config: ExportConfig) -> None:
    """Write the folder, all of it or nothing.

    Raises UserError if the network is none of GPT-2, Llama and Qwen3, the folder exists, or the disk is full.
    """
    # Once the command line is read, so that a mistake in it does not wait for torch.
    from safetensors.torch import save_file

    from checkpointing import huggingface_weights, pretrained
    from model import GPT

    out_dir = Path(config.out_dir)
    found = pretrained.find(config.checkpoint)
    family = huggingface_config.family(found.config)
    if os.path.exists(out_dir):  # unlike Path.exists, also for a path that may not be looked up
        raise UserError(f"out_dir={out_dir} exists: delete it, or choose another --out_dir")
    tokenizer, model = found.tokenizer(), GPT(found.config)
    found.load_weights(model)
    partial = out_dir.with_name(out_dir.name + ".tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file(
            huggingface_weights.to_huggingface(found.config, model.weights()),
            partial / huggingface_weights.WEIGHTS,
            metadata={"format": "pt"},
        )
        end = tokenizer.end_of_text
        _write_json(partial / hub.CONFIG, huggingface_config.to_huggingface(found.config, end))
        generation: dict[str, Any] = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end)
        rows_without_token = sorted(set(range(found.config.vocab_size)) - set(tokenizer.ids.tolist()))
        if rows_without_token:
            generation["suppress_tokens"] = rows_without_token
        _write_json(partial / tokenizer_json.GENERATION_CONFIG, generation)
        tokenizer_json.write_tokenizer(tokenizer, partial)
        text = card(
            found, model, tokenizer, out_dir
        )  # where a path that is not UTF-8 has \udce9, as in Python
        (partial / CARD).write_bytes(text.encode(errors="backslashreplace"))
        open_to_readers(partial)
        partial.rename(out_dir)
    except (OSError, SafetensorError) as error:
        fix = "free disk space, or choose another --out_dir"
        raise UserError(f"cannot write {out_dir} ({error}): {fix}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"exported {found.folder} to {out_dir}: {family}, {model.n_params():,} parameters")
    print(gguf_note(tokenizer))


def gguf_note(tokenizer: Tokenizer) -> str:
    """Return whether llama.cpp can convert the model, as a sentence: its converter has a list of known tokenizers."""
    if isinstance(tokenizer, ForeignTokenizer) or tokenizer.pattern == tokenizer_json.GPT2_PATTERN:
        return "llama.cpp's convert_hf_to_gguf.py can convert it if it knows the tokenizer, as it does GPT-2's and Qwen's"
    return f"llama.cpp's convert_hf_to_gguf.py cannot convert it: it does not know the tokenizer {tokenizer.name}"


def card(found: "Pretrained", model: "GPT", tokenizer: Tokenizer, out_dir: Path) -> str:
    """Return the model card: size, training data, validation loss, usage."""
    from checkpointing import checkpoint

    info = checkpoint.read_info(found.folder) if found.is_ours else {}
    end = tokenizer.decode([tokenizer.end_of_text])
    network = "\n".join(f"| {key} | {value} |" for key, value in vars(found.config).items())
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---

# {out_dir.name}

A {huggingface_config.family(found.config)} language model with {model.n_params():,} parameters{", trained with wikigpt" if info else ""}.
{_training(info)}
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{out_dir}")
model = AutoModelForCausalLM.from_pretrained("{out_dir}")
inputs = tokenizer("The history of", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=50, do_sample=True, top_k=200)[0]))
```

The tokenizer is {tokenizer.name}, with {tokenizer.vocab_size:,} tokens. In training, `{end}` inside a text was ordinary text;
transformers encodes it as the end-of-text token, unless called with `split_special_tokens=True`.
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
    loss, bits = info.get("val_loss"), info.get("val_bits_per_byte")
    measured = "unknown" if loss is None else f"{loss:.4f} nats per token"
    measured += f", {bits:.4f} bits per byte" if bits else ""
    return f"""
## Training

- Data: {source or "unknown"} (manifest sha256 {info["identity"]["data"]})
- {info["step"]:,} steps, {info["sequences"]:,} sequences of {info["model"]["block_size"]:,} tokens, seed {info["config"]["seed"]}
- Initial weights: {info["config"].get("init_from") or "random"}; optimizer: {optimizer}
- Validation loss: {measured}
"""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    config = parse_config(ExportConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    with announced_on_stderr(f"exporting {config.checkpoint}"):
        export(config)


if __name__ == "__main__":
    run_command(main, resumes=False)
