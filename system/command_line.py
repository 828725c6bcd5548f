"""Settings: `--key=value` arguments to a typed, frozen config dataclass, `--help` from the comments on its fields."""

import contextlib
import inspect
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin

from system.errors import UserError, run_command, say
from system.settings import (
    Config,
    advice,
    choices_of,
    expectation,
    fits,
    flat_fields,
    kinds_of,
    nested_classes,
)

if not find_spec("torch"):  # before a library that it came with is imported in vain
    say(
        "error: torch is not installed for this Python: run `make setup`, then `source .venv/bin/activate`",
        sys.stderr,
    )
    sys.exit(2)
# Every command imports this module before torch loads OpenMP: threads that wait then soon leave their cores to other
# programs, beside which a command would otherwise stall.
_SPINCOUNT, _LONGER_SPINCOUNT = "1000", "10000"
os.environ.setdefault("GOMP_SPINCOUNT", _SPINCOUNT)
# The comment at the end of a field's line, or of the next one where ruff has wrapped a long field in parentheses.
FIELD_COMMENT = re.compile(r"^ +(\w+): (?:.*\(\n)?.*  # (.*)$", re.MULTILINE)


def let_threads_wait_longer() -> None:
    """For sampling, whose parallel parts are short, let OpenMP's threads wait ten times as long. Call it before torch loads."""
    if os.environ["GOMP_SPINCOUNT"] == _SPINCOUNT:
        os.environ["GOMP_SPINCOUNT"] = _LONGER_SPINCOUNT


def parse_config(
    default: Config,
    argv: Sequence[str],
    description: str,
    usage: str = "[--key=value ...]",
    main_setting: str = "",
) -> Config:
    """Return `default` with the `--key=value` settings of `argv`, each checked against its field's type.

    Fields of nested dataclasses are set by their own name, without a prefix. `--key value` works too, and a bare
    `--key` for booleans; tuples are comma-separated. Prints the help and exits for `--help`. Raises UserError for an
    unknown key or an invalid value, with `main_setting` as the one that a value without a key may be meant for.
    """
    if "--help" in argv or "-h" in argv:
        print(_help(default, description, usage))
        sys.exit(0)
    other_names = getattr(type(default), "other_names", {})
    settings = _settings(
        argv, {key: hint for key, _, hint in flat_fields(default)}, other_names, main_setting
    )
    for key, value, _ in flat_fields(default):
        if value == "" == settings.get(key):  # allowed only where it undoes what a config file sets
            raise UserError(f"{key}='': must not be empty: is it set from a variable that is not set?")
    try:
        return _replaced(default, settings)
    except ValueError as error:
        raise UserError(str(error)) from None


def read_command(parse: Callable[[Sequence[str], str], Config], description: str) -> Config:
    """Return what `parse` makes of the command line; print a mistake in it as one line and exit with status 2.

    Ctrl-C then ends the process without a traceback while its libraries load, until `run_command`.
    """
    configs: list[Config] = []
    run_command(
        lambda: configs.append(parse(sys.argv[1:], description)),
        leave=lambda status: status and sys.exit(status),
    )
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return configs[0]


def can_ask() -> bool:
    """Return whether someone at a terminal can see a question on stderr and answer it."""
    return all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))


def agrees_twice(question: str) -> bool:
    """Return whether the user answers yes to a question, and again to whether that is sure."""
    for words in (question, "are you sure?"):
        print(f"{words} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return False
    return True


def _settings(
    argv: Sequence[str], hints: dict[str, Any], other_names: Mapping[str, str], main_setting: str
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise UserError(f"cannot read {argument!r}: {_as_setting(argument, hints, main_setting)}")
        key, equals, text = argument[2:].partition("=")
        key = key.replace("-", "_")
        if key not in hints:
            found = advice(key, {known: known for known in hints}, other_names)
            raise UserError(f"unknown setting --{key}{found or ': --help lists all settings'}")
        if not equals:
            is_last = not rest or rest[0].startswith("--")
            if is_last and hints[key] is not bool:
                raise UserError(f"--{key} needs a value: --{key}=...")
            text = "True" if is_last else rest.pop(0)
        settings[key] = _convert(text, hints[key])
        if not fits(settings[key], hints[key]):
            raise UserError(f"{key}={text}: must be {expectation(hints[key])}")
    return settings


def _as_setting(argument: str, hints: dict[str, Any], main_setting: str) -> str:
    """Return how to write an argument that does not begin with `--`."""
    setting = argument if argument.partition("=")[0] in hints else f"{main_setting}={argument}"
    if argument[0:1] in ("\N{EN DASH}", "\N{EM DASH}"):
        return "it begins with a dash that is not two hyphens: write settings as --key=value"
    if argument.startswith("-") or setting.startswith("="):
        return "write settings as --key=value"
    return f"did you mean --{setting.partition('=')[0]}={shlex.quote(setting.partition('=')[2])}?"


def _replaced(config: Any, settings: dict[str, Any]) -> Any:
    changes = {}
    for field in fields(config):
        value = getattr(config, field.name)
        nested = is_dataclass(value)
        changes[field.name] = _replaced(value, settings) if nested else settings.get(field.name, value)
    return replace(config, **changes)


def _convert(text: str, hint: Any) -> Any:
    """Return the value of type `hint` that `text` spells, or `text` itself if it spells none."""
    if get_origin(hint) is tuple:
        return tuple(_convert(word, get_args(hint)[0]) for word in text.strip("()").split(","))
    for kind in kinds_of(hint):
        if kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(text)
        for choice in choices_of(kind):
            if str(choice) == text:
                return choice
    return text


def _help(default: Any, description: str, usage: str) -> str:
    width = shutil.get_terminal_size().columns
    paragraphs = [f"usage: {_command()} {usage}", *inspect.cleandoc(description).split("\n\n")]
    paragraphs.append("Each setting is shown with its default, its type and its meaning.")
    # An indented paragraph is code and keeps its lines.
    blocks = [text if text.startswith(" ") else textwrap.fill(text, width) for text in paragraphs]
    settings = {
        key: (f"--{key}={shlex.quote(_spelled(value))}", _type_name(hint))
        for key, value, hint in flat_fields(default)
    }
    column = min(width // 2, max(len(setting) for setting, _ in settings.values()))
    for _, cls in nested_classes(type(default)):
        comments = dict(FIELD_COMMENT.findall(inspect.getsource(cls)))
        heading = re.split(r"\.\s", f"{inspect.getdoc(cls)}\n")[0]
        lines = [textwrap.fill(heading, width)]
        for key in (field.name for field in fields(cls) if field.name in settings):
            lines.append(_help_row(*settings[key], comments.get(key, ""), column, width))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _help_row(setting: str, type_name: str, comment: str, column: int, width: int) -> str:
    return textwrap.fill(
        f"{type_name:5}  {comment}",
        width,
        initial_indent=f"  {setting:{column}}  ",
        subsequent_indent=" " * (column + 11),
        break_long_words=False,
    )


def _command() -> str:
    spec = sys.modules["__main__"].__spec__  # set where Python was started with -m
    return f"python -m {spec.name.removesuffix('.__main__')}" if spec else f"python {Path(sys.argv[0]).name}"


def _spelled(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _type_name(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return ",".join(map(_type_name, get_args(hint)))
    return "|".join(str(name) for kind in kinds_of(hint) for name in get_args(kind) or [kind.__name__])
