"""The one way this project tells a user what went wrong: a line that names it and the way on.

Owns the exception for mistakes a user can mend and how a command prints it. Our own invariants stay `assert`.
"""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake the user can mend; its message is one line: what was found, where, and the remedy."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; print a `UserError` as one line on stderr and exit with status 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from what is saved", file=sys.stderr)
        sys.exit(130)
