"""The interactive mode of sample.py: lines are continued, commands change settings, mistakes are one line."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sample
from sampling.config import SampleConfig
from sampling.interactive import SETTINGS, Interactive


def session(*lines: str | type[BaseException]) -> Interactive:
    """Run a session in which these lines are typed, then Ctrl-D; a text is its prompt's letters and its number."""
    waiting = iter([*lines, EOFError])

    def read_line(_prompt: str) -> str:
        line = next(waiting)
        if isinstance(line, str):
            return line
        raise line

    def write(config: SampleConfig, prompt: str, number: int) -> Iterator[str]:
        prompt.encode()  # as the tokenizer does
        yield " and"
        if "stop" in prompt:
            raise KeyboardInterrupt
        yield f" {number} at {config.sampling.temperature}"

    session = Interactive(SampleConfig(), write, read_line)
    session.run()
    return session


def test_lines_are_continued(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    session(
        "one",
        "/again",
        "/again",
        "",
        "  ",
        " /two ",
        f"/save {tmp_path / 'x.txt'}",
        "/again",
        "stop",
        "/quit",
        "never",
    )
    _, *found = capsys.readouterr().out.splitlines()
    assert found == [
        "one and 0 at 0.8",
        "one and 1 at 0.8",
        "one and 2 at 0.8",
        " /two  and 0 at 0.8",
        f"added to {tmp_path / 'x.txt'}",
        " /two  and 1 at 0.8",
        "stop and",
    ]
    assert (tmp_path / "x.txt").read_text() == " /two  and 0 at 0.8\n"


def test_commands_change_settings(capsys: pytest.CaptureFixture[str]) -> None:
    changed = session(
        "/temperature 0.5", "/top_k 3", "/stop . ", "one", "/settings", KeyboardInterrupt, "/help"
    ).config
    assert (changed.sampling.temperature, changed.sampling.top_k, changed.stop) == (0.5, 3, ".")
    found = capsys.readouterr().out
    assert (
        "temperature=0.5\ntop_k=3\nstop='.'\none and 0 at 0.5\nmax_new_tokens=100  temperature=0.5" in found
    )
    _, settings, help_page = found.partition("max_new_tokens=100")
    named = re.findall(r"/(\w+)", help_page.partition("/temperature")[2].partition("(/stop")[0])
    shown = re.findall(r"(\w+)=", settings + help_page.partition("/again")[0])
    assert sorted(["temperature", *named]) == sorted(SETTINGS) == sorted(shown)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/again", "/again: there is no text yet: type one first"),
        ("/new", "/new: this is no chat: each line is a text of its own"),
        ("/save x.txt", "/save: there is no text yet: type one first"),
        (
            "/temperature -1",
            "temperature=-1.0: must be 0 (always the most probable token) or in [1e-5, 1e5]",
        ),
        ("/temperature", "/temperature: name a value, as in /temperature 0.8"),
        (
            "/temp 1",
            "unknown command /temp: /help lists them; to continue a text that begins with /, type a space before it",
        ),
        ("/device cuda", "/device is fixed for the session: end it, and start another with --device=..."),
        ("a \udcc3 b", "the line is not UTF-8: type it again"),
    ],
)
def test_mistakes_are_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    session(line)
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_the_stop_text_can_be_taken_back() -> None:
    assert session("/stop .").config.stop == "."
    assert session("/stop .", "/stop").config.stop == ""


def test_a_line_that_cannot_be_read_and_a_file_of_nobody_are_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    session("one", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "/save ~nobody_at_all/x.txt")  # type: ignore[arg-type]
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: the line is not UTF-8: type it again"
    assert second.startswith("error: /save ~nobody_at_all/x.txt: ")
    assert second.endswith(": name another file")


def test_a_text_is_saved_in_a_file_that_can_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    session("one", "/save", f"/save {tmp_path}")
    assert capsys.readouterr().err == (
        f"error: /save: name a file, as in /save story.txt\nerror: /save {tmp_path}: Is a directory: name another file\n"
    )


def test_prompts_are_asked_for_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not sample.is_interactive([])
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert sample.is_interactive(["--checkpoint=x", "--seed", "2"])
    for given in ("--prompt=", "--prompt", "--prompt_file=x", "--prompt-file=x", "--out=x"):
        assert not sample.is_interactive([given, "a"])


def test_a_chat_knows_what_was_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    waiting = iter(["one", "two", "/again", "three", "/new", "/again", "four", f"/save {tmp_path / 'x'}"])
    asked: list[tuple[list[tuple[str, str]], int]] = []

    def read_line(_prompt: str) -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    def write(config: SampleConfig, prompt: Any, number: int) -> Iterator[str]:
        asked.append(([(message["role"], message["content"]) for message in prompt], number))
        yield f"answer {len(asked)}"

    Interactive(SampleConfig(), write, read_line, is_chat=True).run()
    first = [("user", "one"), ("assistant", "answer 1"), ("user", "two")]
    assert asked == [
        (first[:1], 0),
        (first, 0),
        (first, 1),
        ([*first, ("assistant", "answer 3"), ("user", "three")], 0),
        ([("user", "four")], 0),
    ]
    out = capsys.readouterr()
    assert out.out.splitlines()[1:-2] == [f"answer {number}" for number in range(1, 6)]
    assert "/again: there is no text yet" in out.err
    assert (tmp_path / "x").read_text() == "answer 5\n"
