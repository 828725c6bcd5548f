"""The one way this project tells a user what went wrong: a line that names it and the way on.

Owns the exception for mistakes a user can mend and how a command prints it. Our own invariants stay `assert`.
"""

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake the user can mend; its message is one line: what was found, where, and the remedy."""


def print_error(message: object) -> None:
    """Print what went wrong, as one line on stderr."""
    print(f"error: {' '.join(str(message).splitlines())}", file=sys.stderr, flush=True)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; print a `UserError` as one line on stderr and exit with status 2.

    Ends without a word where nobody reads the output any more: `| head -1` has what it wants.
    """
    try:
        try:
            main()
        finally:
            sys.stdout.flush()  # at the exit it would be too late to be quiet
    except UserError as error:
        print_error(error)
        sys.exit(2)
    except BrokenPipeError:
        if stdout_is_read():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which takes what is left
        sys.exit(141)  # as a command that SIGPIPE ends
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from what is saved", file=sys.stderr)
        sys.exit(130)


def stdout_is_read() -> bool:
    """Say whether somebody still reads our output: other pipes, as those to worker processes, break too."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return False
    return True
