"""Count how many prompts a model completes exactly: `python -m tools.exact_match --checkpoint=out/x --pairs=pairs.jsonl`.

Decoding is greedy and ends with the text. Owns the comparison; the pairs' form is articles.py's.
"""

import sys
from dataclasses import dataclass

from checkpointing import pretrained
from corpus.articles import read_pairs
from sampling.engine import generate
from system import hardware
from system.command_line import parse_config
from system.errors import run_command


@dataclass(frozen=True)
class MatchConfig:
    """Which model is asked, and what."""

    checkpoint: str = "out/finetune_pairs"  # a run's folder, a step_..., Hugging Face folder or hub name
    pairs: str = "data/invented/held_out.jsonl"  # lines with a prompt and a completion
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    show: int = 3  # how many wrong completions are printed


def main() -> None:
    config = parse_config(MatchConfig(), sys.argv[1:], __doc__ or "")
    pairs = read_pairs(config.pairs)
    found, device = pretrained.find(config.checkpoint), hardware.choose_device(config.device)
    dtype, _ = hardware.choose_precision("auto", device)
    tokenizer, model = found.tokenizer(), pretrained.load_model(found, device, dtype)
    right = wrong = 0
    for prompt, completion in pairs:
        completion = tokenizer.decode(
            tokenizer.encode(completion)
        )  # a foreign tokenizer may spell it otherwise
        longest = len(tokenizer.encode(completion)) + 1
        options = {"max_new_tokens": longest, "temperature": 0, "end_of_text": tokenizer.end_of_text}
        with hardware.autocast(device, dtype):
            [[tokens]] = generate(model, [tokenizer.encode(prompt) or [tokenizer.end_of_text]], **options)
        text = tokenizer.decode(tokens)
        right += text == completion
        wrong += text != completion
        if text != completion and wrong <= config.show:
            print(f"wrong: {prompt!r} -> {text!r}, not {completion!r}")
    print(
        f"{config.checkpoint} completes {right} of {len(pairs)} prompts of {config.pairs} exactly ({right / len(pairs):.1%})"
    )


if __name__ == "__main__":
    run_command(main)
