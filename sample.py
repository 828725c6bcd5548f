"""Continue prompts with a trained checkpoint: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Needs the checkpoint alone: it carries its tokenizer. Owns prompts in and text out; decoding is `generate.py`'s.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import checkpoint
import hardware
from command_line import parse_config
from config import SampleConfig
from errors import UserError, run_command
from generate import generate
from model import GPT
from tokenizer import Tokenizer


def samples(config: SampleConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield each prompt with its `n_samples` continuations.

    Raises UserError for a missing or damaged checkpoint, no prompt, or a setting out of range.
    """
    folder = checkpoint.find(config.checkpoint)
    device = hardware.choose_device(config.device)
    dtype, _ = hardware.choose_precision(config.precision, device)
    prompts = read_prompts(config)
    model, tokenizer = checkpoint.load_model(folder, device, dtype), checkpoint.load_tokenizer(folder)
    for prompt in prompts:
        with hardware.autocast(device, dtype):
            texts = continuations(model, tokenizer, prompt, config)
        yield prompt, texts


def continuations(model: GPT, tokenizer: Tokenizer, prompt: str, config: SampleConfig) -> list[str]:
    """Return the texts that the model puts after `prompt`; an empty prompt begins a new article."""
    try:
        tokens = tokenizer.encode(prompt) or [tokenizer.end_of_text]
    except UnicodeEncodeError as error:
        raise UserError(f"prompt: cannot be encoded ({error.reason}): give valid Unicode text") from None
    new_tokens = generate(
        model,
        [tokens],
        n_samples=config.n_samples,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=config.seed,
        end_of_text=tokenizer.end_of_text,
    )[0]
    return [tokenizer.decode(sample) for sample in new_tokens]


def read_prompts(config: SampleConfig) -> list[str]:
    """Return the prompt, or those of the prompt file, a line each."""
    if not config.prompt_file:
        return [config.prompt]
    try:
        lines = Path(config.prompt_file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read prompt_file={config.prompt_file}: {error}") from None
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"prompt_file={config.prompt_file} has no line with text")
    return prompts


def main() -> None:
    config = parse_config(SampleConfig(), sys.argv[1:], __doc__ or "")
    for index, (prompt, texts) in enumerate(samples(config)):
        if index:
            print()
        for number, text in enumerate(texts, start=1):
            if config.n_samples > 1:
                print(f"--- sample {number} of {config.n_samples}")
            print(prompt + text, flush=True)


if __name__ == "__main__":
    run_command(main)
