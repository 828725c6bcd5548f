"""From `--key=value` arguments to a typed, frozen config dataclass.

Owns the command line's form: flat names for nested configs, nearest-name hints, one-line refusals. tyro converts
and checks the values and writes `--help` from the field comments. What the fields mean is left to the dataclasses.
"""

import contextlib
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from errors import UserError

Config = TypeVar("Config")


def parse_config(default: Config, argv: Sequence[str], description: str) -> Config:
    """Return `default` with the `--key=value` settings of `argv` applied, every value checked against its type.

    `default` is a dataclass instance, perhaps with dataclass fields, whose keys are written without a prefix.
    `--key value` and, for booleans, a bare `--key` are accepted; tuples are comma-separated. Prints the help and
    exits for `--help`. Raises UserError for an unknown key, a value of the wrong type, or a refused combination.
    """
    if "--help" in argv or "-h" in argv:
        return _tyro(default, ["--help"], description)
    settings = {key: _words(value) for key, value, _ in flat_fields(default)}
    settings |= _settings(argv, {key: hint for key, _, hint in flat_fields(default)})
    return _tyro(
        default, [word for key, words in settings.items() for word in _arguments(key, words)], description
    )


def flat_fields(config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value, type) of each field, those of nested dataclasses under their own names."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from flat_fields(value)
        else:
            yield field.name, value, hints[field.name]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return `, did you mean ...?` for the closest of the known names, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else ""


def _words(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, tuple) else [str(value)]


def _arguments(key: str, words: list[str]) -> list[str]:
    return [f"--{key}={words[0]}"] if len(words) == 1 else [f"--{key}", *words]


def _settings(argv: Sequence[str], hints: dict[str, Any]) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise UserError(
                f"cannot read {argument!r}: settings are written --key=value, a config file comes first"
            )
        key, equals, value = argument[2:].partition("=")
        key = key.replace("-", "_")
        if key not in hints:
            hint = nearest(key, list(hints))
            raise UserError(f"unknown setting --{key}{hint or '; --help lists all of them'}")
        if not equals:
            is_last = not rest or rest[0].startswith("--")
            if is_last and hints[key] is not bool:
                raise UserError(f"--{key} needs a value: --{key}=...")
            value = "True" if is_last else rest.pop(0)
        settings[key] = [value]
        if get_origin(hints[key]) is tuple:
            settings[key] = value.split(",")
            if len(settings[key]) != len(get_args(hints[key])):
                raise UserError(f"--{key}={value}: give {len(get_args(hints[key]))} values, comma-separated")
    return settings


def _tyro(default: Config, argv: list[str], description: str) -> Config:
    import tyro

    style = (tyro.conf.FlagConversionOff, tyro.conf.OmitArgPrefixes)
    refusal = io.StringIO()
    try:
        with contextlib.redirect_stderr(refusal):
            return tyro.cli(
                type(default),
                args=argv,
                default=default,
                description=description,
                config=style,
                use_underscores=True,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(_one_line(refusal.getvalue())) from None


def _one_line(box: str) -> str:
    """Return the message of one of tyro's framed error boxes as a single line, without the usage hints below it."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    message = lines[: next((i for i, line in enumerate(lines) if line.startswith("───")), len(lines))]
    text = " ".join(line for line in message if line)
    return re.sub(
        r"^Error parsing (\w+: (?=\w+=))?", "", text
    )  # a dataclass's own refusal names the field itself
