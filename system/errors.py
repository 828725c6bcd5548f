"""How commands report errors: one line, what is wrong and how to fix it, and exit status 2.

Our own invariants are `assert`s.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

INTERRUPTED, INTERRUPTED_STATUS = "interrupted: rerun the same command to resume", 130


class UserError(Exception):
    """An error the user can fix; its message is one line: what is wrong (`problem`) and how to fix it."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem}: {fix}" if fix else problem)
        self.problem = problem


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line in one write, so that lines of several processes do not mix, and flush.

    Ignores a closed output, so that the work continues without a reader.
    """
    stream = file or sys.stdout
    with contextlib.suppress(OSError):
        if stream:  # Python has none in a process without a terminal
            stream.write(f"{line}\n")
            stream.flush()


def print_any_text() -> None:
    """Let stdout print `\\xe9` for a character that its encoding does not have, as stderr does, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_error(message: object) -> None:
    """Print an error as one line on stderr."""
    say(f"error: {' '.join(str(message).splitlines())}", sys.stderr)


def run_command(main: Callable[[], None], leave: Callable[[int], object] = sys.exit) -> None:
    """Run a command's `main`, then call `leave` with its exit status: 2 after a `UserError`, printed as one line.

    Exits silently when the output's reader is gone, as in `| head -1`.
    """
    status = 0
    print_any_text()
    try:
        try:
            main()
        finally:
            if sys.stdout:
                sys.stdout.flush()  # while its errors can still be caught
    except UserError as error:
        print_error(error)
        status = 2
    except KeyboardInterrupt:
        say(INTERRUPTED, sys.stderr)
        status = INTERRUPTED_STATUS
    except Exception as error:  # any kind: `leave` must run
        if not isinstance(error, OSError) or output_is_writable():
            say(traceback.format_exc().rstrip(), sys.stderr)
            status = 1
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # drops the buffered rest
            status = 141 if isinstance(error, BrokenPipeError) else 2  # 141: as if ended by SIGPIPE
        if status == 2:
            print_error(error.__context__ or f"cannot write the output ({error})")
    leave(status)


def output_is_writable() -> bool:
    """Return whether stdout still works: an OSError may also come from a worker's pipe or a disk."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True
