"""How commands report errors: one line, what is wrong and how to fix it, and exit status 2.

Our own invariants are `assert`s.
"""

import contextlib
import errno
import io
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

INTERRUPTED_STATUS = 130
INACCESSIBLE = (errno.EACCES, errno.ENAMETOOLONG)  # Path.exists raises both

# Set by system.progress: prints a line above the bars, if there are any, and returns whether it did.
say_above_bars: Callable[[str, TextIO | None], bool] | None = None


class UserError(Exception):
    """An error the user can fix; its message is one line: what is wrong (`problem`) and how to fix it."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem}: {fix}" if fix else problem)
        self.problem = problem


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, for a line about it in the log."""
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def how_to_resume() -> str:
    """Return how to resume the run that this command trains: with --overwrite it would ask to delete it."""
    overwrites = not {"--overwrite", "--overwrite=True"}.isdisjoint(sys.argv)
    return f"rerun the {'command without --overwrite' if overwrites else 'same command'} to resume"


def interrupted() -> str:
    """Return the line with which Ctrl-C ends a command."""
    return f"interrupted: {how_to_resume()}"


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line in one write, so that lines of several processes do not mix, and flush.

    Ignores a closed output, so that the work continues without a reader. Prints `\\xe9` for a character that the output's
    encoding does not have.
    """
    stream = file or sys.stdout
    if say_above_bars and say_above_bars(line, stream):
        return
    with contextlib.suppress(OSError):
        if stream:  # Python has none in a process without a terminal
            try:
                stream.write(f"{line}\n")
            except UnicodeEncodeError as error:
                stream.write(f"{line}\n".encode(error.encoding, "backslashreplace").decode(error.encoding))
            stream.flush()


def print_any_text() -> None:
    """Let stdout print `\\xe9` for a character that its encoding does not have, as stderr does, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def process_name(rank: object, size: object) -> str:
    """Return what messages call one process of several: its rank and host."""
    return f"rank {rank} of {size} on {socket.gethostname()}"


def signed(line: str, name: str = "") -> str:
    """Return a line that begins with the name of its process, if a launcher has started several.

    `name` is this process's if it is known; else it comes from the launcher's environment variables.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if not name and size != "1":
        name = process_name(os.environ.get("RANK", "0"), size)
    return f"{name}: {line}" if name else line


def print_error(message: object, name: str = "") -> None:
    """Print an error as one line on stderr, with the name of its process if there are several."""
    say(f"error: {signed(' '.join(str(message).splitlines()), name)}", sys.stderr)


def run_command(
    main: Callable[[], None], leave: Callable[[int], object] = sys.exit, resumes: bool = True
) -> None:
    """Run a command's `main`, then call `leave` with its exit status: 2 after a `UserError`, printed as one line.

    Exits silently when the output's reader is gone, as in `| head -1`. `resumes` tells whether the same command goes on
    where Ctrl-C ended it.
    """
    status = 0
    print_any_text()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see read_command
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
        say(signed(interrupted() if resumes else "interrupted"), sys.stderr)
        status = INTERRUPTED_STATUS
    except Exception as error:  # any kind: `leave` must run
        status = _report(error)
    leave(status)


def _report(error: Exception) -> int:
    """Print an error that is not a `UserError`, with its traceback unless its cause is the system; return the exit status."""
    if isinstance(error, OSError) and error.filename and error.errno in INACCESSIBLE:
        fix = "use another path, or change its permissions"
        print_error(f"cannot access {error.filename} ({error.strerror}): {fix}")
        return 2
    if not isinstance(error, OSError) or output_is_writable():
        say(signed("".join(traceback.format_exception(error)).rstrip()), sys.stderr)
        return 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # drops the buffered rest
    if isinstance(error, BrokenPipeError):
        return 141  # as if ended by SIGPIPE
    print_error(error.__context__ or f"cannot write the output ({error})")
    return 2


def output_is_writable() -> bool:
    """Return whether stdout still works: an OSError may also come from a worker's pipe or a disk."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True
