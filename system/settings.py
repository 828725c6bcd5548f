"""Config dataclasses: which values a field takes, what a wrong one is told, and which fields hold paths."""

import difflib
import functools
import inspect
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")
# The types of fields that hold a path, or a text with paths after its commas and colons. `~` is expanded in both, and
# only a field whose default is "" may be empty.
PathText = Annotated[str, "path"]
PathsText = Annotated[str, "paths"]
PATH_STARTS: dict[Any, str] = {
    PathText: "^",
    PathsText: "^|[,:]",
}  # regular expressions for where a path begins
MAX_NAME_BYTES = 255  # of one file or folder, in all usual file systems


class SettingError(ValueError):
    """A config dataclass was called with an unknown field, a value of the wrong type or an invalid value."""


def checked(config_class: type[Config]) -> type[Config]:
    """Make a config dataclass, and the dataclasses nested in it, raise SettingError for every wrong argument.

    Changes the classes in place, so that a nested one need not import this module. Names, types and paths are checked
    before `__post_init__` runs, and its ValueErrors become SettingErrors. A class may have `other_names` (not a field):
    what other projects call its settings, as `advice` reads it.
    """
    classes = dict(nested_classes(config_class))
    known = {
        field.name: f"{place}({field.name}=...)" for place, cls in classes.items() for field in fields(cls)
    }
    for cls in classes.values():
        cls.__init__ = _checked_init(cls, known, getattr(config_class, "other_names", {}))
    return config_class


def _checked_init(cls: Any, known: Mapping[str, str], other_names: Mapping[str, str]) -> Any:
    unchecked_init, hints = inspect.unwrap(cls.__init__), get_type_hints(cls, include_extras=True)
    may_be_empty = {field.name for field in fields(cls) if field.default == ""}

    @functools.wraps(unchecked_init)
    def init(self: Any, *values: Any, **settings: Any) -> None:
        settings.update(zip(hints, values, strict=False))
        for key, value in settings.items():
            if key not in hints:
                raise SettingError(f"{cls.__name__} has no field {key}{advice(key, known, other_names)}")
            if not fits(value, _bare(hints[key])):
                raise SettingError(f"{key}={value!r}: must be {expectation(_bare(hints[key]))}")
            if hints[key] in PATH_STARTS and (value or key not in may_be_empty):
                settings[key] = _expanded(key, value, PATH_STARTS[hints[key]])
        try:
            unchecked_init(self, **settings)
        except ValueError as error:
            raise SettingError(str(error)) from None

    return init


def _expanded(key: str, text: str, starts: str) -> str:
    """Return the text with `~` replaced by the home folder wherever a path starts."""
    if not text.strip():
        raise SettingError(f"{key}={text!r}: must not be empty: is it set from a variable that is not set?")
    if "\0" in text or max(len(os.fsencode(name)) for name in re.split(f"/|{starts}", text)) > MAX_NAME_BYTES:
        raise SettingError(
            f"{key}={text!r}: must have names of at most {MAX_NAME_BYTES} bytes, without a null character"
        )
    text = re.sub(f"({starts})(~[^/,:]*)(?=/|$)", lambda found: found[1] + os.path.expanduser(found[2]), text)
    if text.startswith("~"):
        raise SettingError(f"{key}={text}: no such user; for a name that begins with ~, write ./{text}")
    variable = re.match(r"\$(\w+|\{\w+\})(/|$)", text)
    if variable and variable[1].strip("{}") in os.environ:
        raise SettingError(
            f"{key}={text}: the shell has not expanded ${variable[1]}: leave out single quotes; for a folder of that name,"
            f" write ./{text}"
        )
    return text


def listed(text: str) -> list[str]:
    """Return the words of a setting that has several, with commas between them."""
    return [word.strip() for word in text.split(",") if word.strip()]


def flat_fields(config: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value, type) of each field, those of nested dataclasses under their own names."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from flat_fields(value)
        else:
            yield field.name, value, hints[field.name]


def advice(name: str, known: Mapping[str, str], other_names: Mapping[str, str]) -> str:
    """Return what to use instead of a setting that does not exist, after a colon; "" if nothing comes near.

    `known` maps each setting to what to print for it. `other_names` maps a name that another project uses to our
    setting, with what differs after a comma, or to a whole hint where we have no such setting.
    """
    if name not in other_names:
        return did_you_mean(name, known)
    ours, comma, difference = other_names[name].partition(",")
    return f": here it is {known[ours]}{comma}{difference}" if ours in known else f": {other_names[name]}"


def did_you_mean(name: str, known: Mapping[str, str]) -> str:
    """Return ": did you mean X?" for the known names that `name` abbreviates or resembles, "" if there are none.

    An abbreviation is made of initials: lr for learning_rate. `known` maps each name to what to print for it.
    """
    name = name.rpartition(".")[2]  # model.n_layer
    abbreviated = [full for full in known if "".join(word[:1] for word in full.split("_")) == name]
    nearest = max(known, key=lambda full: _likeness(name, full), default="")
    close = abbreviated or ([nearest] if _resembles(name, nearest) else [])
    return f": did you mean {' or '.join(known[full] for full in close)}?" if close else ""


def _resembles(name: str, other: str) -> bool:
    """Return whether the names are nearly the same, as a whole or word by word: a wrong hint is worse than none.

    A word more makes another setting: min_learning_rate is not learning_rate, val_batch_size not batch_size.
    """
    words, others = name.split("_"), other.split("_")
    if set(words) > set(others):
        return False
    same_words = len(words) == len(others) and min(map(_likeness, words, others)) >= 0.75
    return same_words or _likeness("".join(words), "".join(others)) >= 0.85


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, name, other).ratio()


def _bare(hint: Any) -> Any:
    """Return the type without what `Annotated` adds to it."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def nested_classes(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a dataclass and those nested in it, each with how it is written there: `model=GPTConfig`."""
    yield prefix + cls.__name__, cls
    for key, hint in get_type_hints(cls).items():
        if is_dataclass(hint):
            yield from nested_classes(hint, f"{key}=")


def fits(value: Any, hint: Any) -> bool:
    """Return whether a field of type `hint` takes the value."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(fits, value, kinds))
    return any(_fits_kind(value, kind) for kind in kinds_of(hint))


def _fits_kind(value: Any, kind: Any) -> bool:
    if choices := choices_of(kind):
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Return the types in a union, or any other type alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def choices_of(kind: Any) -> tuple[Any, ...]:
    """Return the values that a bool or a Literal allows, nothing for other types."""
    if kind is bool:
        return True, False
    return get_args(kind) if get_origin(kind) is Literal else ()


def expectation(hint: Any) -> str:
    """Return what a field of type `hint` must be."""
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        return f"a tuple of {1 + len(others)} values, comma-separated, each {expectation(first)}"
    names = {int: "a whole number", float: "a finite number", str: "text"}
    expected: list[str] = []
    for kind in kinds_of(hint):
        choices = [str(choice) for choice in choices_of(kind)]
        expected += choices or [names.get(kind) or f"{kind.__name__}(...)"]
    *most, last = expected
    return f"{', '.join(most)} or {last}" if most else last
