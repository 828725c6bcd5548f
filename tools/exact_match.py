"""Count the prompts that a model completes exactly: `python -m tools.exact_match --checkpoint=out/x --pairs=x.jsonl`.

Decoding is greedy and stops at the end of the text. With `--prefix`, a text that goes on after the completion counts
too, as " Paris." does for " Paris".
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus.articles import Pair, read_pairs
from sampling.config import Sampling
from system.command_line import let_threads_wait_longer, parse_config
from system.errors import run_command
from system.progress import announced_on_stderr, tracked
from system.settings import PathText, checked

if TYPE_CHECKING:
    from sampling.sampler import Sampler

AT_ONCE = 64  # prompts between two steps of the progress bar
LOOK_AHEAD = 3  # characters after a completion: two to judge by, and one that may be cut in half


@checked
@dataclass(frozen=True)
class MatchConfig:
    """The settings of `tools.exact_match`."""

    checkpoint: PathText = "out/finetune_pairs"  # run, step_... or Hugging Face folder, or a hub name
    pairs: PathText = "data/invented/held_out.jsonl"  # JSON lines with a prompt and a completion
    prefix: bool = False  # also count a text that goes on after the completion's last word or number
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    show: int = 3  # wrong completions to print


def begins_with(text: str, completion: str) -> bool:
    """Return whether a text is a completion, or goes on after it with no letter or digit, at once or behind one mark.

    " Paris." and " Paris is" begin with " Paris"; " Parisian" does not, nor " 8.5" with " 8", nor " Guinea-Bissau" with
    " Guinea".
    """
    return text.startswith(completion) and not re.match(r"\S?[^\W_]", text[len(completion) :])


def completions(sampler: "Sampler", pairs: Sequence[Pair], prefix: bool) -> list[str]:
    """Return what a model writes after each prompt, as far as it takes to judge it."""
    from sampling.engine import generate

    tokenizer = sampler.tokenizer
    expected = [tokenizer.encode(pair.completion) for pair in pairs]
    lengths = [len(pair.completion) for pair in pairs]

    def is_long_enough(number: int, tokens: list[int]) -> bool:
        if prefix:
            return len(tokenizer.decode(tokens)) >= lengths[number] + LOOK_AHEAD
        return len(tokens) > len(expected[number])

    longest = max(len(pair.completion.encode()) for pair in pairs)
    samples = generate(
        sampler.model,
        [tokenizer.encode(pair.prompt) or [tokenizer.end_of_text] for pair in pairs],
        Sampling(max_new_tokens=longest + 4 * LOOK_AHEAD, temperature=0),  # a token has a byte or more
        end_tokens=[tokenizer.end_of_text, *sampler.end_tokens],
        allowed=tokenizer.ids,
        is_done=is_long_enough,
    )
    return [tokenizer.decode(tokens) for [tokens] in samples]


def report(config: MatchConfig, pairs: Sequence[Pair], texts: Sequence[str]) -> None:
    """Print wrong completions, how many are right of each kind if the pairs have kinds, and how many of all."""
    is_right = begins_with if config.prefix else str.__eq__
    right = [is_right(text, pair.completion) for pair, text in zip(pairs, texts, strict=True)]
    wrong = [(pair, text) for pair, text, counts in zip(pairs, texts, right, strict=True) if not counts]
    for pair, text in wrong[: config.show]:
        print(f"wrong: {pair.prompt!r} -> {text!r}, not {pair.completion!r}")
    n_right = Counter(pair.kind for pair, counts in zip(pairs, right, strict=True) if counts)
    for kind, n_pairs in Counter(pair.kind for pair in pairs).items():
        if kind:
            print(f"{kind}: {n_right[kind]} of {n_pairs}")
    what = f"{config.checkpoint} completes {sum(right)} of {len(pairs)} prompts of {config.pairs}"
    print(f"{what}{'' if config.prefix else ' exactly'} ({sum(right) / len(pairs):.1%})")


def main() -> None:
    config = parse_config(MatchConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    pairs = read_pairs(config.pairs)
    let_threads_wait_longer()
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from sampling.sampler import Sampler

        sampler = Sampler.load(config.checkpoint, config.device)
    tokenizer = sampler.tokenizer
    # Some tokenizers normalize text.
    pairs = [pair._replace(completion=tokenizer.decode(tokenizer.encode(pair.completion))) for pair in pairs]
    parts = [pairs[start : start + AT_ONCE] for start in range(0, len(pairs), AT_ONCE)]
    texts: list[str] = []
    for part in tracked(parts, f"completing {len(pairs)} prompts", file=sys.stderr):
        texts += completions(sampler, part, config.prefix)
    report(config, pairs, texts)


if __name__ == "__main__":
    run_command(main, resumes=False)
