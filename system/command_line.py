"""From `--key=value` arguments to a typed, frozen config dataclass.

Owns the command line's form: flat names for nested configs, what value fits which type, nearest-name hints, refusals
in one line by name and value. tyro writes `--help` from the field comments. What the fields mean is the dataclasses'.
"""

import contextlib
import difflib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from system.errors import UserError

Config = TypeVar("Config")


def parse_config(default: Config, argv: Sequence[str], description: str) -> Config:
    """Return `default` with the `--key=value` settings of `argv` applied, every value checked against its type.

    `default` is a dataclass instance, perhaps with dataclass fields, whose keys are written without a prefix.
    `--key value` and, for booleans, a bare `--key` are accepted; tuples are comma-separated. Prints the help and
    exits for `--help`. Raises UserError for an unknown key, a value of the wrong type, or a refused combination.
    """
    if "--help" in argv or "-h" in argv:
        return _print_help(default, description)
    settings = _settings(argv, {key: hint for key, _, hint in flat_fields(default)})
    try:
        return _applied(default, settings)
    except ValueError as error:
        raise UserError(str(error)) from None


def flat_fields(config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value, type) of each field, those of nested dataclasses under their own names."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from flat_fields(value)
        else:
            yield field.name, value, hints[field.name]


def mistyped(config: Any) -> str | None:
    """Return the refusal of the first field whose value is not of its type: Python takes any value for any field."""
    for key, hint in get_type_hints(type(config)).items():
        value = getattr(config, key)
        if not _fits(value, hint):
            return _refusal(key, repr(value), hint)
        if is_dataclass(value) and (refusal := mistyped(value)):
            return refusal
    return None


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return the known names that `name` gives the initials of, else the one it resembles, if there is one."""
    abbreviated = [full for full in known if "".join(word[:1] for word in full.split("_")) == name]
    return abbreviated or difflib.get_close_matches(name, known, n=1)


def _settings(argv: Sequence[str], hints: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise UserError(f"cannot read {argument!r}: settings are written --key=value")
        key, equals, text = argument[2:].partition("=")
        key = key.replace("-", "_")
        if key not in hints:
            close = " or ".join(nearest(key, list(hints)))
            hint = f", did you mean {close}?" if close else "; --help lists all of them"
            raise UserError(f"unknown setting --{key}{hint}")
        if not equals:
            is_last = not rest or rest[0].startswith("--")
            if is_last and hints[key] is not bool:
                raise UserError(f"--{key} needs a value: --{key}=...")
            text = "True" if is_last else rest.pop(0)
        settings[key] = _convert(text, hints[key])
        if not _fits(settings[key], hints[key]):
            raise UserError(_refusal(key, text, hints[key]))
    return settings


def _applied(config: Any, settings: dict[str, Any]) -> Any:
    changes = {}
    for field in fields(config):
        value = getattr(config, field.name)
        nested = is_dataclass(value)
        changes[field.name] = _applied(value, settings) if nested else settings.get(field.name, value)
    return replace(config, **changes)


def _convert(text: str, hint: Any) -> Any:
    """Return the value of type `hint` that `text` spells, the text itself where it spells none."""
    if get_origin(hint) is tuple:
        return tuple(_convert(word, get_args(hint)[0]) for word in text.split(","))
    for kind in _kinds(hint):
        if kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(text)
        for choice in _choices(kind):
            if str(choice) == text:
                return choice
    return text


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    return any(_fits_kind(value, kind) for kind in _kinds(hint))


def _fits_kind(value: Any, kind: Any) -> bool:
    if choices := _choices(kind):
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the types that a union allows, any other type alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values that a bool or a Literal allows; none for other types."""
    if kind is bool:
        return True, False
    return get_args(kind) if get_origin(kind) is Literal else ()


def _refusal(key: str, found: str, hint: Any) -> str:
    return f"{key}={found}: must be {_wanted(hint)}"


def _wanted(hint: Any) -> str:
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        return f"{1 + len(others)} values, comma-separated, each {_wanted(first)}"
    names = {int: "a whole number", float: "a finite number", str: "text"}
    wanted: list[str] = []
    for kind in _kinds(hint):
        choices = [str(choice) for choice in _choices(kind)]
        wanted += choices or [names.get(kind) or f"{kind.__name__}(...)"]
    *most, last = wanted
    return f"{', '.join(most)} or {last}" if most else last


def _print_help(default: Config, description: str) -> Config:
    """Let tyro print the help and exit."""
    import tyro

    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def tuple_with_commas(info: tyro.constructors.PrimitiveTypeInfo) -> Any:
        if get_origin(info.type) is not tuple:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar=",".join(kind.__name__.upper() for kind in get_args(info.type)),
            instance_from_str=lambda words: _convert(words[0], info.type),
            is_instance=lambda value: _fits(value, info.type),
            str_from_instance=lambda value: [",".join(map(str, value))],
        )

    command = Path(sys.argv[0])
    return tyro.cli(
        type(default),
        prog=f"python -m tools.{command.stem}"
        if command.parent.name == "tools"
        else f"python {command.name}",
        args=["--help"],
        default=default,
        description=description,
        config=(tyro.conf.FlagConversionOff, tyro.conf.OmitArgPrefixes),
        use_underscores=True,
        registry=registry,
    )
