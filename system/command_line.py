"""Settings: `--key=value` arguments to a typed, frozen config dataclass, `--help` from the comments on its fields."""

import contextlib
import difflib
import functools
import inspect
import math
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from system.errors import UserError

Config = TypeVar("Config")
# The comment at the end of a field's line, or of the next one where ruff has wrapped a long field in parentheses.
FIELD_COMMENT = re.compile(r"^ +(\w+): (?:.*\(\n)?.*  # (.*)$", re.MULTILINE)


class SettingError(ValueError):
    """A config dataclass was called with an unknown field, a value of the wrong type or an invalid value."""


def parse_config(
    default: Config, argv: Sequence[str], description: str, usage: str = "[--key=value ...]"
) -> Config:
    """Return `default` with the `--key=value` settings of `argv`, each checked against its field's type.

    Fields of nested dataclasses are set by their own name, without a prefix. `--key value` works too, and a bare
    `--key` for booleans; tuples are comma-separated. Prints the help and exits for `--help`. Raises UserError for an
    unknown key or an invalid value.
    """
    if "--help" in argv or "-h" in argv:
        print(_help(default, description, usage))
        sys.exit(0)
    settings = _settings(argv, {key: hint for key, _, hint in flat_fields(default)})
    try:
        return _replaced(default, settings)
    except ValueError as error:
        raise UserError(str(error)) from None


def checked(config_class: type[Config]) -> type[Config]:
    """Make a config dataclass, and the dataclasses nested in it, raise SettingError for every wrong argument.

    Changes the classes in place, so that a nested one need not import this module. Names and types are checked before
    `__post_init__` runs, and its ValueErrors become SettingErrors.
    """
    classes = dict(_nested_classes(config_class))
    known = {
        field.name: f"{place}({field.name}=...)" for place, cls in classes.items() for field in fields(cls)
    }
    for cls in classes.values():
        cls.__init__ = _checked_init(cls, known)
    return config_class


def _checked_init(cls: Any, known: Mapping[str, str]) -> Any:
    unchecked_init, hints = cls.__init__, get_type_hints(cls)

    @functools.wraps(unchecked_init)
    def init(self: Any, *values: Any, **settings: Any) -> None:
        for key, value in [*zip(hints, values, strict=False), *settings.items()]:
            if key not in hints:
                raise SettingError(f"{cls.__name__} has no field {key}{did_you_mean(key, known)}")
            if not _fits(value, hints[key]):
                raise SettingError(f"{key}={value!r}: must be {_expected(hints[key])}")
        try:
            unchecked_init(self, *values, **settings)
        except ValueError as error:
            raise SettingError(str(error)) from None

    return init


def flat_fields(config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value, type) of each field, those of nested dataclasses under their own names."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from flat_fields(value)
        else:
            yield field.name, value, hints[field.name]


def did_you_mean(name: str, known: Mapping[str, str]) -> str:
    """Return ": did you mean X?" for the known names that `name` abbreviates or resembles, "" if there are none.

    An abbreviation is made of initials: lr for learning_rate. `known` maps each name to what to print for it.
    """
    abbreviated = [full for full in known if "".join(word[:1] for word in full.split("_")) == name]
    close = abbreviated or difflib.get_close_matches(name, known, n=1)
    return f": did you mean {' or '.join(known[full] for full in close)}?" if close else ""


def _nested_classes(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a dataclass and those nested in it, each with how it is written there: `model=GPTConfig`."""
    yield prefix + cls.__name__, cls
    for key, hint in get_type_hints(cls).items():
        if is_dataclass(hint):
            yield from _nested_classes(hint, f"{key}=")


def _settings(argv: Sequence[str], hints: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise UserError(f"cannot read {argument!r}: write settings as --key=value")
        key, equals, text = argument[2:].partition("=")
        key = key.replace("-", "_")
        if key not in hints:
            hint = did_you_mean(key, {known: known for known in hints}) or ": --help lists all settings"
            raise UserError(f"unknown setting --{key}{hint}")
        if not equals:
            is_last = not rest or rest[0].startswith("--")
            if is_last and hints[key] is not bool:
                raise UserError(f"--{key} needs a value: --{key}=...")
            text = "True" if is_last else rest.pop(0)
        settings[key] = _convert(text, hints[key])
        if not _fits(settings[key], hints[key]):
            raise UserError(f"{key}={text}: must be {_expected(hints[key])}")
    return settings


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
    """Return the types in a union, or any other type alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values that a bool or a Literal allows, nothing for other types."""
    if kind is bool:
        return True, False
    return get_args(kind) if get_origin(kind) is Literal else ()


def _expected(hint: Any) -> str:
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        return f"a tuple of {1 + len(others)} values, comma-separated, each {_expected(first)}"
    names = {int: "a whole number", float: "a finite number", str: "text"}
    expected: list[str] = []
    for kind in _kinds(hint):
        choices = [str(choice) for choice in _choices(kind)]
        expected += choices or [names.get(kind) or f"{kind.__name__}(...)"]
    *most, last = expected
    return f"{', '.join(most)} or {last}" if most else last


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
    for _, cls in _nested_classes(type(default)):
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
    return "|".join(str(name) for kind in _kinds(hint) for name in get_args(kind) or [kind.__name__])
