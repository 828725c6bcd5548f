"""Signals: the first one is kept until someone looks, a second Ctrl-C ends the process at once, whatever it does."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, command_environment, send, wait_for

from system.signals import Signals

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("signals_of_choice")]


@pytest.mark.parametrize(
    ("first", "second", "at_once"),
    [
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGINT, signal.SIGTERM, True),
        (signal.SIGTERM, signal.SIGINT, True),
        (signal.SIGTERM, signal.SIGTERM, False),
        (signal.SIGUSR1, signal.SIGTERM, False),
        (signal.SIGUSR1, signal.SIGUSR1, False),
        (signal.SIGHUP, signal.SIGTERM, False),
    ],
)
def test_second_interrupt_stops_at_once(
    first: signal.Signals, second: signal.Signals, at_once: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def is_said() -> bool:
        said.append(capfd.readouterr().err)
        return "stopping" in "".join(said)

    with Signals() as signals:
        send(first)
        send(second)  # so soon, it is the same one that came two ways
        assert signals.name == first.name
        wait_for(is_said)  # by the thread that listens
        time.sleep(0.1)  # as fast as one can press a key twice
        if at_once:
            with pytest.raises(KeyboardInterrupt):
                send(second)
        else:
            send(second)
            assert signals.name == first.name
    said.append(capfd.readouterr().err)
    assert "".join(said).count("stopping") == 1


DEAF = """
import hashlib, signal
from system.signals import Signals
with Signals() as signals:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)  # the main thread hears of no signal meanwhile
"""


def test_second_interrupt_ends_a_process_that_is_deaf() -> None:
    words = [sys.executable, "-c", DEAF]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=ROOT, env=command_environment(), **pipes) as process:
        try:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stderr.readline() == "SIGINT: stopping after this step\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            assert process.stderr.read().startswith("interrupted: ")
        finally:
            process.kill()


def test_interrupts_do_not_wait_for_whoever_reads_of_them() -> None:
    """A paused reader whose pipe is full."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 65536):
            pass
    os.set_blocking(writing, True)
    words = [sys.executable, "-c", DEAF]
    with subprocess.Popen(
        words, cwd=ROOT, env=command_environment(), stdout=subprocess.PIPE, stderr=writing
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            time.sleep(1.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
            os.close(reading)
            os.close(writing)


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            send(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert not signals.name
    finally:
        signal.signal(signal.SIGHUP, before)


def test_late_signals_do_not_matter() -> None:
    code = "import os, signal; from system import signals; signals.ignore_signals(); [os.kill(os.getpid(), s) for s in signals.SIGNALS]"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=command_environment())
    assert done.returncode == 0
