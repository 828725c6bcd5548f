"""How a reader's function is checked: on random inputs, against the right one and against the typical mistakes."""

import contextlib
import inspect
import itertools
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from system.errors import first_line

MOST_SECONDS = 20.0  # of a call: the right functions take less than one
# Differences that count as rounding, also for a reader who computes in float32.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


class Wrong(Exception):
    """The function is not right; the message says why, in one sentence."""


class Unwritten(Exception):
    """The function still raises NotImplementedError."""


class TooSlow(BaseException):
    """The function runs too long. No Exception, which a reader's own `except Exception` would catch."""


@dataclass(frozen=True)
class Exercise:
    """A function that a reader writes, as its check knows it."""

    inputs: Callable[[], Iterable[tuple[Any, ...]]]  # arguments for several calls
    right: Callable[..., Any]
    mistakes: Sequence[tuple[Callable[..., Any], str]]  # functions with a mistake; what to tell who made it
    results: tuple[str, ...] = ("the result",)  # a name for each value that is returned
    advice: Callable[[Any], str] = lambda result: ""  # what a wrong result itself tells
    observed: Callable[[Any, Any], Any] = lambda result, arguments: result  # what is compared


def random(*shape: int) -> Tensor:
    """Return random numbers in float64, where a difference is a mistake and not rounding."""
    return torch.randn(shape, dtype=torch.float64)


def check(exercise: Exercise, function: Callable[..., Any], path: str) -> None:
    """Call a reader's function, which is defined in the file `path`.

    Raises Wrong if it fails or returns anything but what is right, and Unwritten if it was not written.
    """
    torch.manual_seed(1)
    reader = guarded(function, path)
    for arguments in exercise.inputs():
        expected = observed(exercise, exercise.right, arguments)
        result = observed(exercise, reader, arguments)
        if not agree(result, expected):
            raise Wrong(explanation(exercise, arguments, result, expected))
        for found, wanted in zip(parts(result), parts(expected), strict=True):
            if type(wanted) is int and torch.as_tensor(found).is_floating_point():
                raise Wrong(f"{found} is a float: return an int (`//` divides without a remainder)")


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise TooSlow in a reader's code that runs for more than MOST_SECONDS."""

    def stop(*_: object) -> None:
        raise TooSlow(f"not finished after {MOST_SECONDS:g} seconds: does a loop never end?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def observed(exercise: Exercise, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function with copies of the arguments, and return what is compared."""
    own = copied(arguments)
    return exercise.observed(function(*own), own)


def guarded(function: Callable[..., Any], path: str) -> Callable[..., Any]:
    """Return a reader's function that raises Wrong or Unwritten where it fails, returns None or changes its inputs."""
    name = getattr(function, "__name__", "")

    def call(*arguments: Any) -> Any:
        before = copied(arguments)
        try:
            with time_limit():
                result = function(*arguments)
        except Wrong:
            raise
        except (Exception, SystemExit, TooSlow) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            if isinstance(error, NotImplementedError) and (frame.filename, frame.name) == (path, name):
                raise Unwritten from None
            raise Wrong(failure(error, path)) from None
        for argument, old, new in zip(names_of(function), before, arguments, strict=False):
            if not agree(new, old):
                fix = "compute new tensors instead, without `+=`, `x[...] =` or functions that end in `_`"
                raise Wrong(f"it changes `{argument}`, which the caller may still need: {fix}")
        if result is None:
            raise Wrong("it returns nothing: end it with `return`")
        return result

    return call


def names_of(function: Callable[..., Any]) -> Iterable[str]:
    """Return the names of a function's arguments, or numbers where it has none, as some of torch's."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return (f"argument {number}" for number in itertools.count(1))


def failure(error: BaseException, path: str) -> str:
    """Return an error in one line, with the last line of the reader's file that led to it."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"line {error.lineno}, `{(error.text or '').strip()}`: {type(error).__name__}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if not frames:
        return first_line(error)
    return f"line {frames[-1].lineno}, `{frames[-1].line}`: {first_line(error)}"


def explanation(exercise: Exercise, arguments: tuple[Any, ...], result: Any, expected: Any) -> str:
    """Return what is wrong with a result: a known mistake if there is one with this result, else how it differs."""
    for mistaken, hint in exercise.mistakes:
        if agree(result, observed(exercise, mistaken, arguments)):
            return hint
    found, wanted = parts(result), parts(expected)
    if len(found) != len(wanted):
        return f"it returns {len(found)} value{'s' * (len(found) != 1)} instead of {len(wanted)}"
    names = (
        exercise.results
        if len(exercise.results) == len(wanted)
        else [f"part {i}" for i in range(len(wanted))]
    )
    kinds = [kind_difference(*pair) for pair in zip(names, found, wanted, strict=True)]
    values = (value_difference(*pair) for pair in zip(names, found, wanted, strict=True))
    return next(filter(None, kinds), "") or exercise.advice(result) or next(filter(None, values))


def kind_difference(name: str, found: Any, wanted: Any) -> str:
    """Return how two values differ in kind or shape, or nothing."""
    if not isinstance(found, Tensor | bool | int | float):
        needed = "tensor" if isinstance(wanted, Tensor) else "number"
        return f"{name} is of the type {type(found).__name__}: return a {needed}"
    if not isinstance(wanted, Tensor):
        return f"{name} has the shape {shape(found)}: return a single number" if shape(found) else ""
    if not isinstance(found, Tensor):
        return f"{name} is a single number: return a tensor of the shape {shape(wanted)}"
    if shape(found) != shape(wanted):
        return f"{name} has the shape {shape(found)}: here it must be {shape(wanted)}"
    if numbers(found) != numbers(wanted):
        return f"{name} holds {numbers(found)}: return {numbers(wanted)}"
    return ""


def value_difference(name: str, found: Any, wanted: Any) -> str:
    """Return where two values of the same shape differ most, or nothing."""
    found, wanted = as_doubles(found), as_doubles(wanted)
    if close(found, wanted):
        return ""
    if found.isnan().any() and not wanted.isnan().any():
        return f"{name} has nan in it: look for a division by zero, or for infinite numbers"
    differences = (found - wanted).abs()
    place = (differences == differences.max()).nonzero()[0].tolist()
    at = f"{name}{place}" if place else name
    return f"{at} is {found[tuple(place)]:.4g}: it must be {wanted[tuple(place)]:.4g}"


def agree(a: Any, b: Any) -> bool:
    """Return whether two results are the same, apart from rounding."""
    pairs = parts(a), parts(b)
    if len(pairs[0]) != len(pairs[1]):
        return False
    return all(
        x is y if callable(y) else not kind_difference("", x, y) and close(as_doubles(x), as_doubles(y))
        for x, y in zip(*pairs, strict=True)
    )


def close(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors of the same shape differ by no more than rounding."""
    return torch.allclose(a, b, RELATIVE, ABSOLUTE, equal_nan=True)


def parts(value: Any) -> list[Any]:
    """Return the values in a value: those of a list or a tuple, else itself."""
    return [part for inner in value for part in parts(inner)] if isinstance(value, list | tuple) else [value]


def copied(value: Any) -> Any:
    """Return a copy of a tensor, also of those in a list or a tuple; anything else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return value


def as_doubles(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().double()


def shape(value: Any) -> tuple[int, ...]:
    return tuple(torch.as_tensor(value).shape)


def numbers(tensor: Tensor) -> str:
    """Return in words which kind of numbers a tensor holds."""
    if tensor.dtype == torch.bool:
        return "booleans"
    return "floating-point numbers" if tensor.is_floating_point() else "integers"


def rows_add_up(result: Any) -> str:
    """Return which row of the weights, the last value of a result, does not add up to one; nothing if all do."""
    sums = as_doubles(parts(result)[-1]).sum(-1).flatten()
    wrong = ((sums - 1).abs() > ABSOLUTE).nonzero().flatten().tolist()
    return (
        f"the weights of row {wrong[0]} add up to {sums[wrong[0]]:.2f}: each row must add up to 1"
        if wrong
        else ""
    )
