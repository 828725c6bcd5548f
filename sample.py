"""Continue prompts with a trained model: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Only the checkpoint is needed: it holds its tokenizer. The same from Python:

    from sampling.config import Sampling
    from sampling.sampler import Sampler
    sampler = Sampler.load("out/demo")
    print(sampler.continuations("The history of", Sampling(n_samples=3)))
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from sampling.config import SampleConfig
from sampling.interactive import Interactive
from sampling.prompts import read_prompts, warn
from system.command_line import let_threads_wait_longer, parse_config
from system.errors import INTERRUPTED_STATUS, run_command, say
from system.progress import announced_on_stderr

if TYPE_CHECKING:
    from sampling.chat import Message
    from sampling.sampler import Sampler
    from sampling.text import Continuation


def is_chat(sampler: "Sampler", config: SampleConfig) -> bool:
    """Return whether a prompt is a message, which the model answers."""
    return sampler.template is not None and not config.raw


def write(
    sampler: "Sampler", config: SampleConfig, rows: "Sequence[tuple[str | Sequence[Message], int]]"
) -> "Iterator[tuple[Continuation, str]]":
    """Yield the samples of prompts, each several times with its new pieces, while they are written together."""
    stop = [config.stop.replace("\\n", "\n")] if config.stop else []
    samples = []
    for prompt, number in rows:
        if isinstance(prompt, str) and is_chat(sampler, config):
            prompt = [{"role": "user", "content": prompt}]
        samples.append(sampler.begin(prompt, config.sampling, number, stop, thinking=config.thinking))
    seen = config.context or sampler.model.config.block_size
    longest = max(len(sample.text.prompt) for sample in samples)
    if longest > seen:
        say(f"note: a prompt has {longest:,} tokens: the model sees the last {seen:,}", sys.stderr)
    return sampler.in_order(samples, config.context)


def heading(index: int, n_prompts: int, n_samples: int) -> str:
    """Return what stands before a sample's prompt: the end of the sample before, and which this is of several."""
    prompt, number = divmod(index, n_samples)
    gap = "" if not index else "\n" if number else "\n\n"
    if n_samples == 1:
        return gap
    which = f"prompt {prompt + 1} of {n_prompts}, " if n_prompts > 1 else ""
    return f"{gap}--- {which}sample {number + 1} of {n_samples}\n"


def show(stream: "Iterator[tuple[Continuation, str]]", n_prompts: int, n_samples: int, gap: str = "") -> None:
    """Print samples while they are written, each after its prompt and a gap."""
    try:
        for index, (sample, pieces) in enumerate(itertools.groupby(stream, key=itemgetter(0))):
            print(heading(index, n_prompts, n_samples) + sample.prompt + gap, end="")
            for _, piece in pieces:
                print(piece, end="", flush=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    finally:
        print()


def is_interactive(words: Sequence[str]) -> bool:
    """Return whether to ask for prompts: the command names none, and it reads from and prints on a terminal."""
    names = {word.partition("=")[0].replace("_", "-") for word in words}
    at_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))
    return at_terminal and names.isdisjoint({"--prompt", "--prompt-file", "--out"})


def main() -> None:
    config = parse_config(SampleConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    interactive = is_interactive(sys.argv[1:])
    prompts = [] if interactive else read_prompts(config)
    n_samples = config.sampling.n_samples
    rows = [(prompt, number) for prompt in prompts for number in range(n_samples)]
    let_threads_wait_longer()
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from sampling.bulk import write_rows
        from sampling.sampler import Sampler

        sampler = Sampler.load(
            config.checkpoint,
            config.device,
            config.precision,
            config.quantize,
            config.kernel,
            max(1, len(rows)),
            config.compile,
        )
    sampler.check_context(config.context)
    if interactive:
        say(f"{config.checkpoint}: {sampler.about}")
        if n_samples > 1:
            say(f"note: n_samples={n_samples}: a session writes one at a time, /again the next")
        pieces = lambda config, *row: (piece for _, piece in write(sampler, config, [row]))  # noqa: E731
        Interactive(config, pieces, is_chat=is_chat(sampler, config)).run()
        return
    warn(config, prompts, sampler.tokenizer.special_tokens)
    if config.out:
        say(write_rows(config, rows, partial(write, sampler)))
    else:
        show(write(sampler, config, rows), len(prompts), n_samples, "\n" if is_chat(sampler, config) else "")


if __name__ == "__main__":
    run_command(main, resumes=False)
