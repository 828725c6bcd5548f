"""Count the prompts that a model completes exactly: `python -m tools.exact_match --checkpoint=out/x --pairs=x.jsonl`.

Decoding is greedy and stops at the end of the text.
"""

import sys
from dataclasses import dataclass

from corpus.articles import read_pairs
from sampling.config import Sampling
from system.command_line import parse_config
from system.errors import run_command
from system.progress import announced_on_stderr, say_above_bars, tracked
from system.settings import PathText, checked


@checked
@dataclass(frozen=True)
class MatchConfig:
    """The settings of `tools.exact_match`."""

    checkpoint: PathText = "out/finetune_pairs"  # run, step_... or Hugging Face folder, or a hub name
    pairs: PathText = "data/invented/held_out.jsonl"  # JSON lines with a prompt and a completion
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    show: int = 3  # wrong completions to print


def main() -> None:
    config = parse_config(MatchConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    pairs = read_pairs(config.pairs)
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from checkpointing import pretrained
        from sampling.engine import continuations

        model, tokenizer, dtype = pretrained.load(config.checkpoint, config.device)
    n_right = n_wrong = 0
    for prompt, completion in tracked(pairs, f"completing {len(pairs)} prompts", file=sys.stderr):
        expected = tokenizer.decode(tokenizer.encode(completion))  # some tokenizers normalize text
        greedy = Sampling(max_new_tokens=len(tokenizer.encode(expected)) + 1, temperature=0)
        [text] = continuations(model, tokenizer, prompt, greedy, dtype)
        n_right += text == expected
        n_wrong += text != expected
        if text != expected and n_wrong <= config.show:
            say_above_bars(f"wrong: {prompt!r} -> {text!r}, not {expected!r}")
    share = n_right / len(pairs)
    print(
        f"{config.checkpoint} completes {n_right} of {len(pairs)} prompts of {config.pairs} exactly ({share:.1%})"
    )


if __name__ == "__main__":
    run_command(main)
