"""The command line's form: what is read, what is refused and by which words."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from system.command_line import flat_fields, parse_config
from system.errors import UserError


@dataclass(frozen=True)
class Inner:
    depth: int = 2  # how deep it is
    betas: tuple[float, float] = (0.9, 0.95)  # two numbers

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth={self.depth}: must be at least 1")


@dataclass(frozen=True)
class Example:
    name: str = "plain"  # what it is called
    out_dir: str = ""  # where it goes
    rate: float = 0.5  # how fast it is
    size: int = 3  # how big it is
    quick: bool = False  # whether to hurry
    compile: bool | Literal["auto"] = "auto"  # whether to compile
    part: int | Literal["auto"] = 0  # how much at a time
    shape: Literal["round", "square"] = "round"  # which shape it has
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(
                f"size={self.size}: must not be below 0, use 0 or a number so long that it fills a line"
            )


def parse(*argv: str, default: Example | None = None) -> Example:
    return parse_config(default or Example(), argv, "An example.")


def test_no_arguments_give_the_defaults() -> None:
    assert parse() == Example()
    changed = Example(name="a b", rate=0.25, quick=True, compile=False, inner=Inner(7, (0.5, 0.25)))
    assert parse(default=changed) == changed


@pytest.mark.parametrize(
    ("argv", "key", "value"),
    [
        (["--size=4"], "size", 4),
        (["--size", "4"], "size", 4),
        (["--size", "4", "--size=5"], "size", 5),
        (["--rate=1"], "rate", 1.0),
        (["--rate=1e-3"], "rate", 0.001),
        (["--rate", "-2.5"], "rate", -2.5),
        (["--quick"], "quick", True),
        (["--quick", "--size=3"], "quick", True),
        (["--quick=True"], "quick", True),
        (["--quick=False"], "quick", False),
        (["--quick", "False"], "quick", False),
        (["--compile=False"], "compile", False),
        (["--compile=True"], "compile", True),
        (["--compile=auto"], "compile", "auto"),
        (["--part=8"], "part", 8),
        (["--part", "auto"], "part", "auto"),
        (["--shape=square"], "shape", "square"),
        (["--out-dir=x"], "out_dir", "x"),
        (["--depth=5"], "depth", 5),
        (["--betas=0.8,0.99"], "betas", (0.8, 0.99)),
        (["--betas", "0.8,1"], "betas", (0.8, 1.0)),
        (["--name=with spaces, commas and = signs"], "name", "with spaces, commas and = signs"),
        (["--name=--leading dashes"], "name", "--leading dashes"),
        (["--name", "-x"], "name", "-x"),
        (["--name="], "name", ""),
        (["--name=two\nlines"], "name", "two\nlines"),
        (["--name=None"], "name", "None"),
        (["--name=*.parquet é数"], "name", "*.parquet é数"),
    ],
)
def test_forms(argv: list[str], key: str, value: object) -> None:
    found = {name: (item, type(item)) for name, item, _ in flat_fields(parse(*argv))}
    assert found[key] == (value, type(value))
    others = {name: item for name, item, _ in flat_fields(Example()) if name != key}
    assert {name: item for name, (item, _) in found.items() if name != key} == others


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--sise=4"], ["--sise", "did you mean size?"]),
        (["--inner.depth=4"], ["--inner.depth", "depth"]),
        (["--zzzz=4"], ["--zzzz", "--help"]),
        (["size=4"], ["'size=4'", "--key=value"]),
        (["-s", "4"], ["'-s'", "--key=value"]),
        (["--size"], ["--size", "needs a value"]),
        (["--size", "--quick"], ["--size", "needs a value"]),
        (["--size=four"], ["size=four: must be a whole number"]),
        (["--size=4.5"], ["size=4.5: must be a whole number"]),
        (["--size=1e3"], ["size=1e3: must be a whole number"]),
        (["--size=True"], ["size=True: must be a whole number"]),
        (["--size="], ["size=: must be a whole number"]),
        (["--rate=fast"], ["rate=fast: must be a finite number"]),
        (["--rate=nan"], ["rate=nan: must be a finite number"]),
        (["--rate=1e999"], ["rate=1e999: must be a finite number"]),
        (["--quick=perhaps"], ["quick=perhaps: must be True or False"]),
        (["--quick=1"], ["quick=1: must be True or False"]),
        (["--compile=no"], ["compile=no: must be True, False or auto"]),
        (["--part=most"], ["part=most: must be a whole number or auto"]),
        (["--part=4.5"], ["part=4.5: must be a whole number or auto"]),
        (["--part=True"], ["part=True: must be a whole number or auto"]),
        (["--shape=oval"], ["shape=oval: must be round or square"]),
        (["--betas=0.9"], ["betas=0.9: must be 2 values, comma-separated, each a finite number"]),
        (["--betas=0.9,0.8,0.7"], ["betas=0.9,0.8,0.7: must be 2 values"]),
        (["--betas=0.9,much"], ["betas=0.9,much: must be 2 values"]),
        (["--od=x"], ["unknown setting --od, did you mean out_dir?"]),
        (["--s=4"], ["did you mean size or shape?"]),
        (["--size=-1"], ["size=-1: must not be below 0, use 0 or a number so long that it fills a line"]),
        (["--depth=0"], ["depth=0: must be at least 1"]),
        (["--size=" + "9x " * 60], ["size=" + "9x " * 60 + ": must be a whole number"]),
    ],
)
def test_refusals_name_key_and_value_in_one_line(argv: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as refusal:
        parse(*argv)
    message = str(refusal.value)
    assert "\n" not in message
    assert not set("╭│╰") & set(message)
    for part in parts:
        assert part in message


def test_settings_without_a_file_say_nothing_of_one() -> None:
    with pytest.raises(UserError) as refusal:
        parse("size.py")
    assert str(refusal.value) == "cannot read 'size.py': settings are written --key=value"


def test_help_lists_every_field_with_its_comment(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse("--size=4", "--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "An example." in text
    comments = ["what it is called", "where it goes", "how fast it is", "how big it is", "whether to hurry"]
    comments += [
        "whether to compile",
        "which shape it has",
        "how deep it is",
        "two numbers",
        "how much at a time",
    ]
    for key, _, _ in flat_fields(Example()):
        assert f"--{key}" in text
    assert "--betas FLOAT,FLOAT" in text
    assert "0.9,0.95" in text
    for comment in comments:
        assert comment in text
