"""Continue prompts with a trained checkpoint: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Needs the checkpoint alone: it carries its tokenizer. Owns prompts in and text out; decoding is `generate.py`'s.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpointing import pretrained
from corpus.tokenizer import Tokenizer
from model import GPT
from sampling.engine import generate
from sampling.probabilities import check_sampling
from system import hardware
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.hardware import Precision


@dataclass(frozen=True)
class SampleConfig:
    """What is sampled, from where and how: the settings of `sample.py`. Raises ValueError for what makes no sense."""

    checkpoint: str = "out/demo"  # a run (its best checkpoint), a step_... or Hugging Face folder, a hub name
    prompt: str = "The history of"  # text to continue
    prompt_file: str = ""  # file with a prompt per line, instead of prompt
    n_samples: int = 1  # continuations of each prompt
    max_new_tokens: int = 100  # tokens per continuation, fewer where the text ends
    temperature: float = 0.8  # 0: always the most probable token
    top_k: int = 200  # sample among the k most probable tokens, 0: all
    top_p: float = 1.0  # sample among the most probable tokens that reach this probability together
    seed: int = 1  # same seed, same text
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of the matrix products

    def __post_init__(self) -> None:
        check_sampling(self.temperature, self.top_k, self.top_p, self.n_samples, self.max_new_tokens)
        if self.prompt_file and self.prompt != SampleConfig.prompt:
            found = f"prompt={self.prompt!r}, prompt_file={self.prompt_file}"
            raise ValueError(f"{found}: give one of the two")


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
