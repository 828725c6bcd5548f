"""How commands end: a user's error is one line, other errors keep their traceback, a closed output is no error."""

import contextlib
import errno
import io
import os
import socket
import subprocess
import sys

import pytest
from conftest import ROOT

from system.errors import UserError, run_command, say


def test_user_error_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("size=4\n5: must be a whole number")

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: size=4 5: must be a whole number\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "body",
    ["print('word', flush=True)", "print('word' * 100_000)", "print('word')", "print('word'); sys.exit()"],
)
def test_a_closed_output_ends_a_command_silently(body: str, unbuffered: str) -> None:
    code = f"import sys\nfrom system.errors import run_command\ndef main():\n sys.stdin.read(); {body}\nrun_command(main)"
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("error", [BrokenPipeError("a worker has gone"), RuntimeError("a device has failed")])
def test_other_errors_keep_their_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert printed.endswith(f"{type(error).__name__}: {error}\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
def test_a_path_that_may_not_be_looked_up_is_one_line(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise OSError(number, os.strerror(number), "out/demo")

    statuses: list[int] = []
    run_command(main, statuses.append)
    assert statuses == [2]
    assert capsys.readouterr().err == (
        f"error: cannot access out/demo ({os.strerror(number)}): use another path, or change its permissions\n"
    )


def test_an_interrupt_says_how_to_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    statuses: list[int] = []
    run_command(main, statuses.append)
    assert statuses == [130]
    assert capsys.readouterr().err == "interrupted: rerun the same command to resume\n"
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--overwrite"]
    )  # the same command would ask to delete the run
    run_command(main, statuses.append)
    assert capsys.readouterr().err == "interrupted: rerun the command without --overwrite to resume\n"


@pytest.mark.parametrize("body", ["print('word')", "raise UserError('no')"])
def test_a_full_disk_under_the_output_is_one_line(body: str) -> None:
    code = f"from system.errors import run_command, UserError\ndef main():\n print('x')\n {body}\nrun_command(main)"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
        with contextlib.suppress(OSError):
            full.close()
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


class Writes(io.RawIOBase):
    """A file that keeps what each write brings."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also unbuffered (python -u), as torchrun starts its processes, where print makes two of it."""

    def main() -> None:
        say("a line")
        raise UserError("a mistake")

    for streams in ({"write_through": True}, {"line_buffering": True}, {}):
        raw = Writes()
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, "utf-8", **streams))
        run_command(main, lambda status: None)
        say("a traceback\nof two lines", sys.stderr)
        assert raw.parts == [b"a line\n", b"error: a mistake\n", b"a traceback\nof two lines\n"]


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("ascii", b"caf\\xe9 \\u6570 \\udce9\n"), ("latin-1", b"caf\xe9 \\u6570 \\udce9\n"), ("utf-8", "café 数 \\udce9\n".encode())],
)  # fmt: skip
def test_a_character_that_the_output_does_not_have_is_printed_as_its_number(
    encoding: str, printed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHONIOENCODING=ascii, a locale that is not UTF-8, or a file name that is not: \\udce9 is the byte e9 of one."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
    statuses: list[int] = []
    say("café 数 \udce9")  # as from a script that calls train()
    run_command(lambda: print("café 数 \udce9"), statuses.append)
    assert (out.getvalue(), statuses) == (2 * printed, [0])


def test_lines_name_their_process_where_a_launcher_started_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors, tracebacks and interrupts, also before there is a World; a process alone has no name."""

    def fail(error: BaseException) -> str:
        def main() -> None:
            raise error

        run_command(main, leave=lambda _status: None)
        return capsys.readouterr().err

    for key, value in {"RANK": "3", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(key, value)
    name = f"rank 3 of 8 on {socket.gethostname()}: "
    assert fail(UserError("no data")) == f"error: {name}no data\n"
    assert fail(ValueError("bug")).startswith(f"{name}Traceback")
    assert fail(KeyboardInterrupt()).startswith(f"{name}interrupted: ")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert fail(UserError("no data")) == "error: no data\n"
