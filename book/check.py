"""Check your solutions of the book's exercises: `python -m book.check 6` for chapter 6, `python -m book.check` for all.

Write the functions in book/exercises/chapter_06.py and run the command again until all pass. If you are stuck, look at
tests/book_solutions.py.
"""

import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from system.command_line import parse_config
from system.errors import UserError, run_command, say
from system.settings import checked

if TYPE_CHECKING:
    from book.checks.exercise import Exercise

EXERCISES = Path(__file__).parent / "exercises"
N_CHAPTERS = 12
PASSED, UNWRITTEN, WRONG, BROKEN = "passed", "not written yet", "not right", "the file does not run"


@checked
@dataclass(frozen=True)
class CheckConfig:
    """What to check."""

    chapter: int = 0  # the chapter, 1 to 12; may also be given without --chapter=; 0: all

    def __post_init__(self) -> None:
        if not 0 <= self.chapter <= N_CHAPTERS:
            raise ValueError(f"chapter={self.chapter}: must be 1 to {N_CHAPTERS}, or 0 for all")


class Outcome(NamedTuple):
    """What the check of an exercise found."""

    name: str
    status: str  # PASSED, UNWRITTEN, WRONG, or BROKEN for all of a file
    reason: str = ""  # what is wrong


def parse(argv: Sequence[str], description: str) -> CheckConfig:
    """Return the settings of a command line, on which the chapter may stand alone."""
    if argv and not argv[0].startswith("-"):
        argv = [f"--chapter={argv[0]}", *argv[1:]]
    return parse_config(CheckConfig(), argv, description, usage="[chapter]", main_setting="chapter")


def path_of(chapter: int) -> Path:
    """Return the file that a chapter's exercises are written in."""
    return EXERCISES / f"chapter_{chapter:02}.py"


def exercises_of(chapter: int) -> "dict[str, Exercise]":
    """Return a chapter's exercises by the names of their functions."""
    return import_module(f"book.checks.chapter_{chapter:02}").EXERCISES


def outcomes(chapter: int) -> list[Outcome]:
    """Check all exercises of a chapter. Raises UserError if its file is missing."""
    from book.checks.exercise import TooSlow, failure, time_limit

    path, exercises = path_of(chapter), exercises_of(chapter)
    if not path.is_file():
        raise UserError(f"no {shown(path)}", f"restore it with `git checkout {shown(path)}`")
    try:
        with time_limit():
            written = runpy.run_path(str(path))
    except (Exception, SystemExit, TooSlow) as error:
        return [Outcome(name, BROKEN, failure(error, str(path))) for name in exercises]
    return [outcome(name, exercise, written.get(name), str(path)) for name, exercise in exercises.items()]


def outcome(name: str, exercise: "Exercise", function: object, path: str) -> Outcome:
    """Check one exercise."""
    from book.checks.exercise import Unwritten, Wrong, check

    if not callable(function):
        return Outcome(name, WRONG, f"there is no function `{name}` in the file: name it so")
    try:
        check(exercise, function, path)
    except Unwritten:
        return Outcome(name, UNWRITTEN)
    except Wrong as error:
        return Outcome(name, WRONG, str(error))
    return Outcome(name, PASSED)


def shown(path: Path) -> str:
    """Return a path as the reader would type it in the repository's root."""
    return str(path.relative_to(EXERCISES.parent.parent))


def report(chapter: int, found: list[Outcome]) -> None:
    """Print what the check of a chapter found, a line for each exercise."""
    say(f"chapter {chapter}, {shown(path_of(chapter))}")
    if found[0].status == BROKEN:
        say(f"  {BROKEN}: {found[0].reason}")
    width = max(len(one.name) for one in found)
    for one in found:
        if one.status != BROKEN:
            say(f"  {one.name:{width}}  {one.status}{': ' * bool(one.reason)}{one.reason}")
    say(f"{n_passed(found)} of {len(found)} passed")


def summary(chapter: int, found: list[Outcome]) -> str:
    """Return what the check of a chapter found as a row of the table of all chapters."""
    rest = [f"{one.name} {WRONG}" for one in found if one.status == WRONG]
    n_unwritten = sum(one.status == UNWRITTEN for one in found)
    rest += [f"{n_unwritten} {UNWRITTEN}"] * bool(n_unwritten) + [BROKEN] * (found[0].status == BROKEN)
    return f"chapter {chapter:2}  {n_passed(found)} of {len(found)} passed  {', '.join(rest)}".rstrip()


def n_passed(found: list[Outcome]) -> int:
    return sum(one.status == PASSED for one in found)


def check_all() -> list[Outcome]:
    """Check all chapters and print a table."""
    everything: list[Outcome] = []
    to_fix = []
    for chapter in range(1, N_CHAPTERS + 1):
        found = outcomes(chapter)
        say(summary(chapter, found))
        to_fix += [chapter] * any(one.reason for one in found)
        everything += found
    say(f"{n_passed(everything)} of {len(everything)} passed")
    if to_fix:
        say(f"`python -m book.check {to_fix[0]}` says what is not right in chapter {to_fix[0]}")
    return everything


def main() -> None:
    config = parse(sys.argv[1:], __doc__ or "")
    if config.chapter:
        found = outcomes(config.chapter)
        report(config.chapter, found)
    else:
        found = check_all()
    if n_passed(found) < len(found):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main, resumes=False)
