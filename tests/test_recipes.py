"""What to run for a folder that is missing: the commands of the config that uses it, quoted for the shell."""

import shlex
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from checkpointing import pretrained
from corpus.manifest import Manifest
from corpus.tokenizer_json import open_tokenizer
from prepare_data import PrepareConfig
from system import recipes
from system.command_line import parse_config
from system.errors import UserError
from system.recipes import commands, preparation, training
from training.config import load_config_file

DEMO = "python prepare_data.py --source=builtin --tokenizer=bpe:8192 --validation_fraction=0.05 --out_dir=data/demo"
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_config_says_what_makes_its_data_and_its_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", f"configs/{path.name}"])
    monkeypatch.chdir(ROOT)
    config = load_config_file(path)
    last = preparation(config.data_dir).split("`")[-2]
    assert last in [*commands(path), DEMO]
    python, script, *argv = shlex.split(last)
    assert (python, script) == ("python", "prepare_data.py")
    assert parse_config(PrepareConfig(), argv, "").out_dir == config.data_dir
    trains = training(config.out_dir).strip("`")
    assert trains in commands(path)
    assert trains == "make demo" or f" configs/{path.name}" in trains


def test_the_first_mistake_gets_the_right_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fresh clone: no data, no run."""
    monkeypatch.chdir(tmp_path)
    wikipedia = "python prepare_data.py --out_dir=data/wikipedia"
    for argv, data_dir, fix in (
        (["configs/debug.py"], "data/demo", f"`{DEMO}`"),
        (["configs/demo.py"], "data/demo", f"`{DEMO}`"),
        (["--data_dir=data/demo"], "data/demo/", f"`{DEMO}`"),
        ([], str(tmp_path / "data/demo"), f"`{DEMO}`"),
        ([], "data/wikipedia", f"`{wikipedia}`"),
        (
            ["configs/gpt2_124m.py"],
            "data/wikipedia",
            "`python prepare_data.py --n_shards=0 --out_dir=data/wikipedia`",
        ),
        (["configs/gpt2_124m.py"], "data/other", "`python prepare_data.py --out_dir=data/other`"),
        (["configs/none.py"], "my data", "`python prepare_data.py --out_dir='my data'`"),
    ):
        monkeypatch.setattr(
            sys, "argv", ["train.py", *(str(ROOT / word) if word.endswith(".py") else word for word in argv)]
        )
        with pytest.raises(UserError) as error:
            Manifest.read(data_dir)
        assert str(error.value) == f"no manifest.json in {Path(data_dir)}: run {fix} first"
    invented = preparation("data/finetune_pairs")
    assert invented.startswith(
        "`python -m tools.invented_pairs --out_dir=data/invented` and `python prepare_data.py --source=pairs:"
    )
    for spec, fix in (
        ("out/demo", "make demo"),
        ("out/demo/step_00000800", "make demo"),
        (str(tmp_path / "out/demo"), "make demo"),
        ("out/debug", "python train.py configs/debug.py"),
        ("my out/x", "python train.py --out_dir='my out/x'"),
    ):
        for find in (pretrained.find, open_tokenizer):
            with pytest.raises(UserError, match=f"run `{fix}` first"):
                find(spec)


def test_a_config_of_ones_own_need_not_have_commands_or_be_utf8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "CONFIGS", tmp_path)
    (tmp_path / "mine.py").write_bytes(b'config = TrainConfig(\n    out_dir="out/mine",\n)  # caf\xe9')
    assert training("out/mine") == "`python train.py --out_dir=out/mine`"
    assert preparation("data/mine") == "`python prepare_data.py --out_dir=data/mine`"


def test_a_config_without_commands_has_none(tmp_path: Path) -> None:
    for name, text in (
        ("a", ""),
        ("b", '"""Mine.\n\nReaches   much\n"""'),
        ("c", "("),
        ("d", '"""Command   write it\n"""'),
    ):
        (tmp_path / name).write_text(text)
        assert commands(tmp_path / name) == []
    assert commands(tmp_path / "none") == []
    (tmp_path / "e").write_text(
        '"""Mine.\n\nCommand   python a.py --b\n              --c  # a remark\n          make d\nReaches   much\n"""'
    )
    assert commands(tmp_path / "e") == ["python a.py --b --c", "make d"]
