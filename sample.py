"""Continue prompts with a trained model: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Only the checkpoint is needed: it holds its tokenizer. The same from Python:

    from checkpointing import pretrained
    from sampling.config import Sampling
    from sampling.text import continuations
    model, tokenizer, dtype = pretrained.load("out/demo")
    print(continuations(model, tokenizer, "The history of", Sampling(n_samples=3), dtype))
"""

import contextlib
import fcntl
import os
import shlex
import stat
import sys
import termios
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.encodings import marked_encoding
from sampling.config import SampleConfig
from sampling.interactive import Interactive
from system.command_line import parse_config
from system.errors import INTERRUPTED_STATUS, UserError, run_command, say
from system.files import LFS_POINTER, reject_lfs_pointer
from system.progress import announced_on_stderr

if TYPE_CHECKING:
    from model import GPT

NANOGPT_FILE = "FILE:"  # before the name of a file, in nanoGPT's --start


def read_prompts(config: SampleConfig) -> list[str]:
    """Return the prompt, or the lines of the prompt file, `-` for standard input; raise UserError if they are not text."""
    named = os.path.expanduser(config.prompt.removeprefix(NANOGPT_FILE))
    if config.prompt.startswith(NANOGPT_FILE) and os.path.isfile(named):
        raise UserError(
            f"prompt={config.prompt!r}: set --prompt_file={shlex.quote(named)} to read prompts from a file, one per line"
        )
    setting = f"prompt_file={config.prompt_file}" if config.prompt_file else f"prompt={config.prompt!r}"
    try:
        if not config.prompt_file:
            config.prompt.encode()  # Python turns invalid bytes of the command line into lone surrogates
            return [config.prompt]
        piped = config.prompt_file == "-"
        if piped and not sys.stdin:
            raise UserError(f"{setting}: standard input is closed: pipe prompts into it")
        content = sys.stdin.buffer.read() if piped else Path(config.prompt_file).read_bytes()
        if content.startswith(LFS_POINTER):
            reject_lfs_pointer(Path(config.prompt_file))
        lines = content.decode(marked_encoding(content)).replace("\r\n", "\n").split("\n")
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise UserError(f"{setting}: not UTF-8 at position {error.start}: write it in UTF-8") from None
    except OSError as error:
        raise UserError(f"{setting}: {error.strerror}: must be a file with one prompt per line") from None
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{setting}: no prompts in it: write one per line")
    return prompts


def warn(config: SampleConfig, prompts: list[str], special_tokens: Iterable[str]) -> None:
    """Print on stderr what a user may not expect: `FILE:` and special tokens' names are text, piped text is not read."""
    if config.prompt.startswith(NANOGPT_FILE):
        say(f"note: {config.prompt!r} is continued as text, as there is no such file", sys.stderr)
    for name in special_tokens:
        if any(name in prompt for prompt in prompts):
            say(
                f"note: {name} in a prompt is read as text; an empty prompt, --prompt=, begins an article",
                sys.stderr,
            )
    if not config.prompt_file and is_piped():
        say("note: the piped text is not read: add --prompt_file=-, with one prompt per line", sys.stderr)


def is_piped() -> bool:
    """Return whether text waits on standard input, in a pipe or a file.

    Reads none of it: in `while read line; do python sample.py ...; done < lines.txt` the rest is for the loop.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be no standard input
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return os.lseek(descriptor, 0, os.SEEK_CUR) < status.st_size
        if stat.S_ISFIFO(status.st_mode):
            return any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    return False


def check_context(config: SampleConfig, model: "GPT") -> None:
    """Raise UserError for more context than the model has positions; say so if it has more than it was trained with."""
    shape = model.config
    if config.context > shape.block_size:
        if shape.position == "learned":
            raise UserError(
                f"context={config.context}: the model has {shape.block_size} positions: use no more"
            )
        say(
            f"note: context={config.context} is more than the {shape.block_size} tokens the model was trained with",
            sys.stderr,
        )


def heading(index: int, n_prompts: int, n_samples: int) -> str:
    """Return what stands before a sample's prompt: the end of the sample before, and which this is of several."""
    prompt, number = divmod(index, n_samples)
    gap = "" if not index else "\n" if number else "\n\n"
    if n_samples == 1:
        return gap
    which = f"prompt {prompt + 1} of {n_prompts}, " if n_prompts > 1 else ""
    return f"{gap}--- {which}sample {number + 1} of {n_samples}\n"


def is_interactive(words: Sequence[str]) -> bool:
    """Return whether to ask for prompts: the command names none, and both ends are a terminal."""
    names = {word.partition("=")[0] for word in words}
    at_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))
    return at_terminal and names.isdisjoint({"--prompt", "--prompt_file"})


def main() -> None:
    config = parse_config(SampleConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    interactive = is_interactive(sys.argv[1:])
    prompts = [] if interactive else read_prompts(config)
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from checkpointing import pretrained
        from sampling.text import Continuation, in_order

        model, tokenizer, dtype = pretrained.load(config.checkpoint, config.device, config.precision)
    check_context(config, model)

    def write(
        config: SampleConfig, prompts: Sequence[str], numbers: Iterable[int]
    ) -> Iterator[tuple[int, str]]:
        stop = [config.stop.replace("\\n", "\n")] if config.stop else []
        samples = [
            Continuation(tokenizer, prompt, config.sampling, n, stop) for prompt in prompts for n in numbers
        ]
        return in_order(model, tokenizer, samples, config.context, dtype)

    if interactive:
        Interactive(config, write).run()
        return
    warn(config, prompts, tokenizer.special_tokens)
    n_samples = config.sampling.n_samples
    n_shown = 0
    try:
        for index, piece in write(config, prompts, range(n_samples)):
            if index == n_shown:
                n_shown += 1
                print(heading(index, len(prompts), n_samples) + prompts[index // n_samples], end="")
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    finally:
        print()


if __name__ == "__main__":
    run_command(main)
