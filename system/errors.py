"""The one way this project tells a user what went wrong: a line that names it and the way on.

Owns the exception for mistakes a user can mend and how a command prints it. Our own invariants stay `assert`.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

INTERRUPTED, INTERRUPTED_STATUS = "interrupted: the same command goes on from what is saved", 130


class UserError(Exception):
    """A mistake the user can mend; its message is one line: what was found, where, and the remedy."""


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line at once; where it cannot be written nobody is there to be told, and the work goes on."""
    with contextlib.suppress(OSError):
        print(line, file=file, flush=True)


def print_error(message: object) -> None:
    """Print what went wrong, as one line on stderr."""
    say(f"error: {' '.join(str(message).splitlines())}", sys.stderr)


def run_command(main: Callable[[], None], leave: Callable[[int], object] = sys.exit) -> None:
    """Run a command's `main` and `leave` with its exit status: 2 after a `UserError`, which is printed as one line.

    Ends without a word where nobody reads the output any more: `| head -1` has what it wants.
    """
    status = 0
    try:
        try:
            main()
        finally:
            if sys.stdout:
                sys.stdout.flush()  # at the exit it would be too late to be quiet
    except UserError as error:
        print_error(error)
        status = 2
    except KeyboardInterrupt:
        say(INTERRUPTED, sys.stderr)
        status = INTERRUPTED_STATUS
    except Exception as error:  # of any kind: how the process ends is for `leave` to say
        if not isinstance(error, OSError) or output_is_taken():
            traceback.print_exc()
            status = 1
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which takes what is left
            status = 141 if isinstance(error, BrokenPipeError) else 2  # as a command that SIGPIPE ends
        if status == 2:
            print_error(error.__context__ or f"cannot write the output ({error})")
    leave(status)


def output_is_taken() -> bool:
    """Say whether our output goes somewhere: other pipes, as those to worker processes, and other disks fail too."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True
