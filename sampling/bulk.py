"""`sample.py --out=x.jsonl`: a line for each sample, in a file that is continued where it stopped."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.config import SampleConfig
from system.errors import UserError
from system.progress import Bar

if TYPE_CHECKING:
    from sampling.text import Continuation

AT_ONCE = 256  # samples that are begun together; the next ones begin when all have ended

Row = tuple[str, int]  # a prompt and the number of its sample
Write = Callable[[SampleConfig, Sequence[Row]], "Iterator[tuple[Continuation, str]]"]


def write_rows(config: SampleConfig, rows: Sequence[Row], write: Write) -> str:
    """Write the samples to `config.out`, those that it lacks, and return a line about it.

    A line holds prompt, sample, text, finish_reason ("stop" or "length"), n_tokens and the settings. Raises UserError if
    the file has samples of other prompts or settings.
    """
    settings = settings_of(config)
    n_done = n_written(config.out, rows, settings)
    try:
        with (
            open(config.out, "a", encoding="utf-8") as file,
            Bar("sampling", len(rows), n_done).show() as progress,
        ):
            for start in range(n_done, len(rows), AT_ONCE):
                stream = write(config, rows[start : start + AT_ONCE])
                for sample, pieces in groupby(stream, key=itemgetter(0)):
                    text = "".join(piece for _, piece in pieces)
                    file.write(json.dumps(row_of(sample, text) | settings, ensure_ascii=False) + "\n")
                    file.flush()
                    progress.update(progress.done + 1)
    except OSError as error:
        raise UserError(f"out={config.out}: {error.strerror}: choose another file") from None
    before = f", {n_done:,} of them before" if n_done else ""
    return f"{config.out} has {len(rows):,} samples{before}"


def row_of(sample: "Continuation", text: str) -> dict[str, Any]:
    """Return what a line says about its sample."""
    return {
        "prompt": sample.prompt,
        "sample": sample.number,
        "text": text,
        "finish_reason": sample.text.finish_reason,
        "n_tokens": len(sample.text.tokens),
    }


def settings_of(config: SampleConfig) -> dict[str, Any]:
    """Return the settings that decide a sample's text, but for its prompt and number."""
    sampling = asdict(config.sampling)
    del sampling["n_samples"]
    names = ("stop", "raw", "thinking", "context", "device", "precision", "quantize", "kernel")
    return {"checkpoint": config.checkpoint, **sampling} | {name: getattr(config, name) for name in names}


def n_written(path: str, rows: Sequence[Row], settings: dict[str, Any]) -> int:
    """Return how many samples the file has, after cutting off a last line that was not written to its end.

    Raises UserError if they are not the first ones of `rows` with these settings.
    """
    fix = "choose another --out"
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise UserError(f"out={path}: {error.strerror}: {fix}") from None
    whole, _, rest = content.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    for number, line in enumerate(lines):
        place = f"{path}:{number + 1}"
        try:
            row = dict(json.loads(line))
        except (ValueError, TypeError):
            raise UserError(f"{place} is not a sample: {fix}") from None
        if number >= len(rows) or (row.get("prompt"), row.get("sample")) != rows[number]:
            raise UserError(f"{place} is a sample of other prompts or another --n_samples: {fix}")
        for name, value in settings.items():
            if row.get(name) != value:
                raise UserError(f"{place} has {name}={row.get(name)!r}, not {value!r}: {fix}")
    if rest:
        if len(lines) == len(rows) or not may_begin(rest, *rows[len(lines)]):
            raise UserError(f"{path}:{len(lines) + 1} is not a sample: {fix}")
        with open(path, "r+b") as file:
            file.truncate(len(content) - len(rest))
    return len(lines)


def may_begin(line: bytes, prompt: str, number: int) -> bool:
    """Return whether a line that was cut off can be the sample's: it agrees with it as far as it goes."""
    row = json.dumps({"prompt": prompt, "sample": number}, ensure_ascii=False)
    start = row.removesuffix("}").encode()
    return line.startswith(start) or start.startswith(line)
