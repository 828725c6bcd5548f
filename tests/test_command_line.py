"""Settings: which forms the command line reads, what `checked` rejects and how, and what --help shows."""

import copy
import pickle
import signal
import sys
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from typing import Literal

import pytest

from system.command_line import parse_config, read_command
from system.errors import UserError, run_command
from system.settings import PathText, SettingError, checked, flat_fields

OTHER_NAMES = {"fast": "rate, in some unit", "slow": "not available"}


@dataclass(frozen=True)
class Inner:
    """The inner settings. More about them."""

    depth: int = 2  # how deep it is
    betas: tuple[float, float] = (0.9, 0.95)  # two numbers

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth={self.depth}: must be at least 1")


@checked
@dataclass(frozen=True)
class Example:
    """The outer settings."""

    other_names = OTHER_NAMES

    name: str = "two words"  # what it is called
    out_dir: PathText = ""  # where it goes
    rate: float = 0.5  # how fast it is
    size: int = 3  # how big it is
    quick: bool = False  # whether to hurry
    compile: bool | Literal["auto"] = (
        "auto"  # whether to compile it, and an explanation wrapped at the end of a line
    )
    part: int | Literal["auto"] = 0  # how much at a time
    shape: Literal["round", "square"] = "round"  # which shape it has
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(
                f"size={self.size}: must not be below 0, use 0 or a number so long that it fills a line"
            )
        if self.name == "clash":
            raise KeyError(self.name)


HELP = """\
usage: python train.py [--key=value ...]

A first paragraph that is wrapped at the width of the
terminal.

A second paragraph.

Each setting is shown with its default, its type and its
meaning.

The outer settings
  --name='two words'  str    what it is called
  --out_dir=''        str    where it goes
  --rate=0.25         float  how fast it is
  --size=3            int    how big it is
  --quick=False       bool   whether to hurry
  --compile=auto      bool|auto  whether to compile it, and
                             an explanation wrapped at the
                             end of a line
  --part=0            int|auto  how much at a time
  --shape=round       round|square  which shape it has

The inner settings
  --depth=7           int    how deep it is
  --betas=0.9,0.95    float,float  two numbers
"""


def parse(*argv: str, default: Example | None = None) -> Example:
    return parse_config(default or Example(), argv, "An example.", main_setting="out_dir")


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
        (["--betas=(0.8, 0.99)"], "betas", (0.8, 0.99)),
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


def test_what_is_not_set_keeps_its_default() -> None:
    assert parse() == Example()
    changed = Example(name="a b", rate=0.25, quick=True, compile=False, inner=Inner(7, (0.5, 0.25)))
    assert parse(default=changed) == changed
    assert parse("--size=4", default=changed) == replace(changed, size=4)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sise=4"], "unknown setting --sise: did you mean size?"),
        (["--od=x"], "unknown setting --od: did you mean out_dir?"),
        (["--s=4"], "unknown setting --s: did you mean size or shape?"),
        (["--inner.depth=4"], "unknown setting --inner.depth: did you mean depth?"),
        (["--zzzz=4"], "unknown setting --zzzz: --help lists all settings"),
        (["size=4"], "cannot read 'size=4': did you mean --size=4?"),
        (["size.py"], "cannot read 'size.py': did you mean --out_dir=size.py?"),
        (["my x=y"], "cannot read 'my x=y': did you mean --out_dir='my x=y'?"),
        (["--fast=5"], "unknown setting --fast: here it is rate, in some unit"),
        (["--slow=5"], "unknown setting --slow: not available"),
        (["-s", "4"], "cannot read '-s': write settings as --key=value"),
        (
            ["\N{EM DASH}size=4"],
            "cannot read '\N{EM DASH}size=4': it begins with a dash that is not two hyphens: write settings as --key=value",
        ),
        (["--size"], "--size needs a value: --size=..."),
        (["--size", "--quick"], "--size needs a value: --size=..."),
        (["--size=four"], "size=four: must be a whole number"),
        (["--size=4.5"], "size=4.5: must be a whole number"),
        (["--size=1e3"], "size=1e3: must be a whole number"),
        (["--size=True"], "size=True: must be a whole number"),
        (["--size="], "size=: must be a whole number"),
        (["--size=" + "9x " * 60], "size=" + "9x " * 60 + ": must be a whole number"),
        (["--rate=fast"], "rate=fast: must be a finite number"),
        (["--rate=nan"], "rate=nan: must be a finite number"),
        (["--rate=1e999"], "rate=1e999: must be a finite number"),
        (["--quick=perhaps"], "quick=perhaps: must be True or False"),
        (["--quick=1"], "quick=1: must be True or False"),
        (["--compile=no"], "compile=no: must be True, False or auto"),
        (["--part=most"], "part=most: must be a whole number or auto"),
        (["--part=4.5"], "part=4.5: must be a whole number or auto"),
        (["--part=True"], "part=True: must be a whole number or auto"),
        (["--shape=oval"], "shape=oval: must be round or square"),
        (["--betas=0.9"], "betas=0.9: must be a tuple of 2 values, comma-separated, each a finite number"),
        (
            ["--betas=1,2,3"],
            "betas=1,2,3: must be a tuple of 2 values, comma-separated, each a finite number",
        ),
        (
            ["--betas=0.9,x"],
            "betas=0.9,x: must be a tuple of 2 values, comma-separated, each a finite number",
        ),
        (["--size=-1"], "size=-1: must not be below 0, use 0 or a number so long that it fills a line"),
        (["--depth=0"], "depth=0: must be at least 1"),
    ],
)
def test_wrong_settings_are_one_line(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(*argv)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (Example, {"sise": 4}, "Example has no field sise: did you mean Example(size=...)?"),
        (Example, {"dept": 4}, "Example has no field dept: did you mean inner=Inner(depth=...)?"),
        (Inner, {"out_dirs": "x"}, "Inner has no field out_dirs: did you mean Example(out_dir=...)?"),
        (Inner, {"zzzz": 4}, "Inner has no field zzzz"),
        (Inner, {"fast": 4}, "Inner has no field fast: here it is Example(rate=...), in some unit"),
        (Example, {"size": "3"}, "size='3': must be a whole number"),
        (Example, {"size": None}, "size=None: must be a whole number"),
        (Example, {"rate": float("inf")}, "rate=inf: must be a finite number"),
        (Example, {"compile": 1}, "compile=1: must be True, False or auto"),
        (Example, {"inner": 5}, "inner=5: must be Inner(...)"),
        (Inner, {"depth": "2"}, "depth='2': must be a whole number"),
        (Inner, {"betas": [0.9, 0.95]}, "betas=[0.9, 0.95]: must be a tuple of 2 values, comma-separated, each a finite number"),
        (Inner, {"depth": 0}, "depth=0: must be at least 1"),
    ],
)  # fmt: skip
def test_checked_classes_reject_wrong_arguments(cls: type, settings: dict[str, object], message: str) -> None:
    for construct in (cls, lambda **settings: replace(cls(), **settings)):
        with pytest.raises(SettingError) as error:
            construct(**settings)
        assert str(error.value) == message


def test_checked_classes_stay_dataclasses() -> None:
    example = Example("x", rate=1, inner=Inner(5))
    assert replace(example, size=4) == Example(name="x", rate=1, size=4, inner=Inner(depth=5))
    assert copy.deepcopy(example) == pickle.loads(pickle.dumps(example)) == example
    with pytest.raises(SettingError, match="name=5: must be text"):
        Example(5)
    with pytest.raises(KeyError, match="clash"):
        Example(name="clash")


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "argv", ["/home/me/train.py"])
    description = "A first paragraph that is wrapped\nat the width of the terminal.\n\nA second paragraph.\n"
    for main, command in (
        (None, "python train.py"),
        ("tools.export", "python -m tools.export"),
        ("tools.faults.__main__", "python -m tools.faults"),
    ):
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", main and ModuleSpec(main, None))
        with pytest.raises(SystemExit) as stop:
            parse_config(Example(rate=0.25, inner=Inner(7)), ["--size=4", "--help"], description)
        assert stop.value.code == 0
        assert capsys.readouterr().out == HELP.replace("python train.py", command)


def test_help_with_a_long_default_stays_readable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        parse("--help", default=Example(out_dir="x" * 70))
    lines = capsys.readouterr().out.splitlines()
    row = lines.index(f"  --out_dir={'x' * 70}  str")
    assert lines[row + 1] == " " * 41 + "where it goes"
    assert lines[row + 2] == f"  {'--rate=0.5':30}  float  how fast it is"


def test_ctrl_c_ends_a_command_at_once_while_its_libraries_load() -> None:
    outside = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # as in the background it may be ignored
    try:
        read_command(lambda *_arguments: Example(), "")
        loading, running = signal.getsignal(signal.SIGINT), []
        run_command(lambda: running.append(signal.getsignal(signal.SIGINT)), leave=lambda _status: None)
        assert (loading, running) == (signal.SIG_DFL, [signal.default_int_handler])
    finally:
        signal.signal(signal.SIGINT, outside)
