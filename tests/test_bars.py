"""Bars stand below what is printed, leave no trace, and never get into a file."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Terminal

from system import progress
from system.errors import say
from system.progress import Bar, announced, tracked
from train import train
from training.config import TrainConfig

CODE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|[^\x1b]")


class Screen:
    """A pseudo-terminal, and the lines that its user sees."""

    def __init__(self, width: int) -> None:
        self.ours, self.theirs = pty.openpty()
        os.set_blocking(self.ours, False)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.width, self.raw, self.decode = width, "", codecs.getincrementaldecoder("utf-8")().decode
        self.rows, self.row, self.column, self.has_cursor = [""], 0, 0, True
        self.streams = [open(os.dup(self.theirs), "w", buffering=1, encoding="utf-8") for _ in range(2)]  # noqa: SIM115

    def close(self) -> None:
        """Close both ends."""
        os.close(self.ours)
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.close()
        os.close(self.theirs)

    def text(self) -> str:
        """Return what it shows after all that was written so far, without the spaces at the ends of lines."""
        while True:
            try:
                new = self.decode(os.read(self.ours, 65536))
            except OSError:  # no more now, or for ever
                break
            self.feed(new)
        while len(self.rows) > self.row + 1 and not self.rows[-1]:
            self.rows.pop()  # below the cursor
        return "\n".join(row.rstrip() for row in self.rows)

    def feed(self, text: str) -> None:
        """Show what was written by other ways."""
        self.raw += text
        for found in CODE.finditer(text):
            self.take(found[0], found[1], found[2])

    def take(self, text: str, argument: str, letter: str | None) -> None:
        """Take a character, or a code."""
        row = self.rows[self.row]
        if text == "\r":
            self.column = 0
        elif text == "\n":
            self.down()
        elif letter == "A":
            self.row -= int(argument or 1)
        elif letter == "K" and argument == "2":
            self.rows[self.row] = ""
        elif letter is None:
            if self.column == self.width:
                self.down()
                self.column, row = 0, self.rows[self.row]
            self.rows[self.row] = row[: self.column].ljust(self.column) + text + row[self.column + 1 :]
            self.column += 1
        elif argument == "?25":
            self.has_cursor = letter == "h"
        else:
            assert letter == "m", f"a code that the test does not know: {text!r}"

    def down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Screen]]:
    """A function that makes stdout and stderr a terminal of some width, on which each update is drawn."""
    screens = []

    def open_screen(width: int = 80) -> Screen:
        screens.append(Screen(width))
        monkeypatch.setattr(sys, "stdout", screens[-1].streams[0])
        monkeypatch.setattr(sys, "stderr", screens[-1].streams[1])
        return screens[-1]

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "DRAW_INTERVAL", 0.0)
    yield open_screen
    assert not progress._bars
    for screen in screens:
        screen.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)


LONG = "[red]1[/red] :smile: 'x' 2.5 " + "long " * 30 + "."


def test_printed_lines_stand_above_a_bar_as_they_are(opened: Callable[[], Screen]) -> None:
    """From any thread, on either stream."""
    screen = opened()
    with Bar("counting", 1000).show() as steps:
        steps.update(500)
        assert re.fullmatch("counting ━+╺━+  50% eta -:--:-- 500/1,000", screen.text())
        say(LONG)
        writer = threading.Thread(target=say, args=("from a thread", sys.stderr))
        writer.start()
        writer.join()
        steps.update(600)
        assert screen.text().splitlines()[-1].startswith("counting ━"), "the bar is below"
        say("a line")
    print("after")
    assert LONG + "\r\n" in screen.raw, "its line is broken or styled"
    shown = screen.text().splitlines()
    assert shown[-3:] == ["from a thread", "a line", "after"]
    assert not any("counting" in line for line in shown), "the bar left a trace"


def test_a_bar_in_a_bar(opened: Callable[[], Screen]) -> None:
    screen = opened()
    with Bar("training", 10).show() as outer:
        outer.update(1, "loss 3.2500")
        with Bar("evaluating", 1).show() as inner:
            inner.update(0.25)
            say("a line")
            line, first, second = screen.text().splitlines()
            assert line == "a line"
            assert re.fullmatch("training   [━╸]+  10% eta -:--:-- 1/10 [|] loss 3.2500", first)
            assert re.fullmatch("evaluating ━+╺━+  25% eta -:--:--", second)
        assert re.fullmatch("a line\ntraining [━╸]+  10% eta .*\n?", screen.text())
    assert screen.text() == "a line\n"


def test_a_terminal_that_is_gone_ends_nothing(opened: Callable[[], Screen]) -> None:
    """As after SIGHUP, which nohup ignores."""
    screen = opened()
    with Bar("counting", 10).show() as steps:
        os.close(screen.ours)
        steps.update(1)
        assert not steps.is_shown, "what it draws would pile up in memory"
        say("a line")
        steps.update(2)
    screen.ours = os.open(os.devnull, os.O_RDONLY)


def test_updates_draw_a_few_times_a_second(
    opened: Callable[[], Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "DRAW_INTERVAL", 0.2)
    screen = opened()
    with Bar("counting", 5000).show() as steps:
        screen.text()
        before = screen.raw.count("counting")
        for step in range(5000):
            clock[0] += 0.001
            steps.update(step)
        screen.text()
        assert 24 <= screen.raw.count("counting") - before <= 26


def test_a_slow_start_is_shown_too(opened: Callable[[], Screen], impatient: None) -> None:
    """The first micro-batch of an evaluation may take a minute, in which code is compiled."""
    screen, seen = opened(), []
    for _ in tracked(range(2), "counting"):
        time.sleep(0.5)
        seen.append(screen.text())
    assert ["  0% " in seen[0], " 50% " in seen[1]] == [True, True]
    assert "counting ..." not in screen.raw, "the bar says so already"
    assert screen.text() == ""


def test_files_and_dumb_terminals_get_lines_only(
    impatient: None,
    opened: Callable[[], Screen],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever the environment asks for."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")

    def work() -> None:
        with Bar("training", 3).show() as steps:
            for number in tracked(range(3), "counting"):
                time.sleep(0.05)
                steps.update(number)

    work()
    assert capsys.readouterr() == ("counting ...\n", "")
    screen = opened()
    monkeypatch.setenv("TERM", "dumb")
    work()
    assert (screen.text(), screen.raw) == ("counting ...\n", "counting ...\r\n")


def test_a_bar_on_stderr_while_stdout_is_a_file(
    opened: Callable[[], Screen], impatient: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = opened()
    with (tmp_path / "out").open("w+") as file:
        monkeypatch.setattr(sys, "stdout", file)
        for number in tracked(range(2), "counting", file=sys.stderr):
            time.sleep(0.5)
            say(f"{number}")
            with announced("thinking", file=sys.stderr):
                time.sleep(0.1)
        file.seek(0)
        assert file.read() == "0\n1\n"
    assert screen.text() == "thinking ...\nthinking ...\n"
    assert " 50% " in screen.raw


def test_a_forked_process_does_not_wait_for_its_parents_bars(opened: Callable[[], Screen]) -> None:
    """A thread of the parent may be drawing at the moment of the fork; the child has no such thread."""
    opened()
    with Bar("counting", 2).show() as steps:
        held, done = threading.Event(), threading.Event()

        def draw() -> None:
            with progress._drawing():
                held.set()
                done.wait(20)

        drawing = threading.Thread(target=draw)
        drawing.start()
        held.wait(10)
        child = os.fork()
        if not child:
            signal.alarm(5)  # kills it, if it waits
            say("from the child")
            steps.update(1)
            with Bar("its own", 2).show() as own:
                own.update(1)
            os._exit(0 if not steps.is_shown else 1)
        status = os.waitpid(child, 0)[1]
        done.set()
        drawing.join()
    assert status == 0


NOTE = "loss 1.7842 | 12,345 tokens/s"
FITTING = {
    30: "traini   5% eta -:--:-- 5,000/",
    40: "training   5% eta -:--:-- 5,000/100,000",
    80: f"training ━{{8}}   5% eta -:--:-- 5,000/100,000 | {NOTE}",
    200: f"training ━[╸╺]━{{18}}   5% eta -:--:-- 5,000/100,000 | {NOTE}",
}


@pytest.mark.parametrize("width", FITTING)
def test_a_bar_fits_into_the_terminal(
    opened: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))  # rich asks the terminal of this process otherwise
    screen = opened(width)
    with Bar("training", 100_000).show() as steps:
        steps.update(5_000, NOTE)
        assert re.fullmatch(FITTING[width].replace("|", "[|]"), screen.text())
    assert screen.text() == ""


INTERRUPTED = """
import time
from system.errors import run_command
from system.progress import Bar, tracked

def main():
    print("ready", flush=True)
    with Bar("training", 2).show() as steps:
        steps.update(1)
        for _ in tracked(range(9), "counting"):
            time.sleep(20)

run_command(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_the_terminal_usable(
    opened: Callable[[], Screen], number: int
) -> None:
    screen = opened()
    words = [sys.executable, "-c", INTERRUPTED]
    stream = screen.theirs
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stdin=stream,
        stdout=stream,
        stderr=stream,
        # A shell ignores Ctrl-C in what it runs in the background, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    give_up = time.monotonic() + 60
    while " 50% " not in screen.text() and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(number)
    try:
        assert process.wait(10) == (130 if number == signal.SIGINT else -number)
    finally:
        process.kill()
        process.wait()
    assert "ready\n" in screen.text()
    assert screen.has_cursor
    if number == signal.SIGINT:
        assert re.fullmatch("ready\ninterrupted: .*\n", screen.text()), "the bar left a trace"


def test_rich_is_loaded_with_the_first_bar() -> None:
    """It takes as long to import as all else that a short command needs."""
    code = (
        "import sys, system.progress; print(*system.progress.tracked([1], 'counting'), 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "1 False\n", done.stderr


def test_training_shows_its_loss(
    opened: Callable[[int], Screen], config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, terminal = opened(200), Terminal()  # which holds more than a pseudo-terminal that nobody reads
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    train(config)
    screen.feed(terminal.getvalue().replace("\n", "\r\n"))
    assert re.search(r"training .* 9/10 [|] loss \d[.]\d{4} [|] [\d,]+ tokens/s", screen.raw)
    assert "\nstep 10/10 | loss" in screen.text()
    assert "training ━" not in screen.text(), "the bar left a trace"
