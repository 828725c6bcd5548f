"""The prompts of sample.py: from the command line, standard input or a file, and what to say about them."""

import contextlib
import fcntl
import os
import shlex
import stat
import sys
import termios
from collections.abc import Iterable
from pathlib import Path

from corpus.articles import jsonl_objects
from corpus.encodings import marked_encoding
from corpus.input_files import file_ending, reading
from sampling.config import SampleConfig
from system.errors import UserError, say
from system.files import LFS_POINTER, reject_lfs_pointer

NANOGPT_FILE = "FILE:"  # before the name of a file, in nanoGPT's --start
STANDARD_INPUT = "-"


def read_prompts(config: SampleConfig) -> list[str]:
    """Return the prompts that the settings name; raise UserError if they are not text.

    `-` is standard input: as a whole for `prompt`, its lines for `prompt_file`.
    """
    named = os.path.expanduser(config.prompt.removeprefix(NANOGPT_FILE))
    if config.prompt.startswith(NANOGPT_FILE) and os.path.isfile(named):
        raise UserError(
            f"prompt={config.prompt!r}: set --prompt_file={shlex.quote(named)} to read prompts from a file, one per line"
        )
    setting = f"prompt_file={config.prompt_file}" if config.prompt_file else f"prompt={config.prompt!r}"
    try:
        if file_ending(config.prompt_file) == ".jsonl":
            with (
                reading(config.prompt_file)
                if os.path.exists(config.prompt_file)
                else contextlib.nullcontext()
            ):
                return jsonl_prompts(config.prompt_file)
        if not config.prompt_file and config.prompt != STANDARD_INPUT:
            config.prompt.encode()  # Python turns invalid bytes of the command line into lone surrogates
            return [config.prompt]
        piped = STANDARD_INPUT in (config.prompt, config.prompt_file)
        if piped and not sys.stdin:
            raise UserError(f"{setting}: standard input is closed: pipe prompts into it")
        content = sys.stdin.buffer.read() if piped else Path(config.prompt_file).read_bytes()
        if content.startswith(LFS_POINTER):
            reject_lfs_pointer(Path(config.prompt_file))
        text = content.decode(marked_encoding(content)).replace("\r\n", "\n")
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise UserError(f"{setting}: not UTF-8 at position {error.start}: write it in UTF-8") from None
    except OSError as error:
        raise UserError(f"{setting}: {error.strerror}: must be a file with one prompt per line") from None
    if not config.prompt_file:
        return [text.removesuffix("\n")]
    prompts = [line for line in text.split("\n") if line.strip()]
    if not prompts:
        raise UserError(f"{setting}: no prompts in it: write one per line")
    return prompts


def jsonl_prompts(path: str) -> list[str]:
    """Return the value of `prompt` in each line of a JSONL file; raise UserError if there is none, or one is not text."""
    prompts = []
    for row, place, _ in jsonl_objects(path, ("prompt",)):
        if not isinstance(row["prompt"], str):
            raise UserError(f"{place}: its prompt is a {type(row['prompt']).__name__}: must be text")
        try:
            row["prompt"].encode()
        except UnicodeEncodeError as error:
            surrogate = ascii(error.object[error.start])
            raise UserError(
                f"{place} has a lone surrogate {surrogate}, which is not valid text: fix it"
            ) from None
        prompts.append(row["prompt"])
    if not prompts:
        raise UserError(f"prompt_file={path}: no prompts in it: write an object with a prompt on each line")
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
    if STANDARD_INPUT not in (config.prompt, config.prompt_file) and not config.prompt_file and is_piped():
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
