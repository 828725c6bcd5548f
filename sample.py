"""Continue prompts with a trained checkpoint: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Needs the checkpoint alone: it carries its tokenizer. Owns prompts in and text out; decoding is `generate.py`'s.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import hardware
import pretrained
from command_line import parse_config
from config import SampleConfig
from errors import UserError, run_command
from generate import generate
from model import GPT
from tokenizer import Tokenizer


def samples(config: SampleConfig, prompts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the `n_samples` continuations of each prompt; raise UserError for a missing or damaged checkpoint."""
    found = pretrained.find(config.checkpoint)
    device = hardware.choose_device(config.device)
    dtype, _ = hardware.choose_precision(config.precision, device)
    tokenizer, model = found.tokenizer(), pretrained.load_model(found, device, dtype)
    for prompt in prompts:
        with hardware.autocast(device, dtype):
            texts = continuations(model, tokenizer, prompt, config)
        yield texts


def continuations(model: GPT, tokenizer: Tokenizer, prompt: str, config: SampleConfig) -> list[str]:
    """Return the texts that the model puts after `prompt`; an empty prompt begins a new article."""
    tokens = tokenizer.encode(prompt) or [tokenizer.end_of_text]
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
    """Return the prompt, or those of the prompt file, a line each; raise UserError for what is no text."""
    found = f"prompt_file={config.prompt_file}" if config.prompt_file else f"prompt={config.prompt!r}"
    try:
        if not config.prompt_file:
            config.prompt.encode()  # bytes of the command line that are no text come as lone surrogates
            return [config.prompt]
        lines = Path(config.prompt_file).read_text(encoding="utf-8-sig").split("\n")
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise UserError(f"{found}: not UTF-8 at position {error.start}: write it in UTF-8") from None
    except OSError as error:
        raise UserError(
            f"{found}: cannot be read ({error.strerror}): give a file with a prompt per line"
        ) from None
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{found}: has no line with text: give a prompt per line")
    return prompts


def main() -> None:
    config = parse_config(SampleConfig(), sys.argv[1:], __doc__ or "")
    prompts = read_prompts(config)
    for index, (prompt, texts) in enumerate(zip(prompts, samples(config, prompts), strict=True), start=1):
        if index > 1:
            print()
        which = f"prompt {index} of {len(prompts)}, " if len(prompts) > 1 else ""
        for number, text in enumerate(texts, start=1):
            if config.n_samples > 1:
                print(f"--- {which}sample {number} of {config.n_samples}")
            print(prompt + text, flush=True)


if __name__ == "__main__":
    run_command(main)
