"""Continue prompts with a trained model: `python sample.py --checkpoint=out/demo --prompt="The history of"`.

Only the checkpoint is needed: it holds its tokenizer. The same from Python:

    from checkpointing import pretrained
    from sampling.engine import Sampling, continuations
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
from collections.abc import Iterable
from pathlib import Path

from corpus.encodings import marked_encoding
from sampling.config import SampleConfig
from system.command_line import parse_config
from system.errors import UserError, run_command, say
from system.files import LFS_POINTER, reject_lfs_pointer
from system.progress import announced_on_stderr

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


def main() -> None:
    config = parse_config(SampleConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    prompts, n_samples = read_prompts(config), config.sampling.n_samples
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from checkpointing import pretrained
        from sampling.engine import continuations

        model, tokenizer, dtype = pretrained.load(config.checkpoint, config.device, config.precision)
    warn(config, prompts, tokenizer.special_tokens)
    for index, prompt in enumerate(prompts, start=1):
        if index > 1:
            print()
        which = f"prompt {index} of {len(prompts)}, " if len(prompts) > 1 else ""
        with announced_on_stderr(f"writing up to {config.sampling.max_new_tokens} tokens"):
            texts = continuations(model, tokenizer, prompt, config.sampling, dtype)
        for number, text in enumerate(texts, start=1):
            if n_samples > 1:
                print(f"--- {which}sample {number} of {n_samples}")
            print(prompt + text, flush=True)


if __name__ == "__main__":
    run_command(main)
