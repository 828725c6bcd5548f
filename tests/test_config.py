"""Config files, their errors, the settings that define a run, and how a batch is divided."""

import dataclasses
import re
from pathlib import Path

import pytest
from conftest import ROOT, arguments

from apps.explain.config import ExplainConfig
from apps.explain.config import ServeConfig as ServeExplainConfig
from apps.explain.evaluate import EvaluateConfig
from book.check import CheckConfig
from book.measure.config import MeasureConfig
from prepare_data import PrepareConfig
from sampling.config import SampleConfig
from system.command_line import parse_config
from system.errors import UserError
from system.settings import SettingError, did_you_mean, flat_fields
from tools.bench.config import BenchConfig
from tools.compare.config import CompareConfig
from tools.evaluate.config import EvaluateConfig as EvaluateModelConfig
from tools.exact_match import MatchConfig
from tools.export_hf import ExportConfig
from tools.faults.__main__ import FaultsConfig
from tools.invented_pairs import PairsConfig
from tools.plot import PlotConfig
from tools.serve.config import ServeConfig
from tools.stated_facts import StatedFactsConfig
from training.config import (
    OPERATIONAL,
    GPTConfig,
    OptimizerConfig,
    TrainConfig,
    identity,
    load_config_file,
    parse_train_config,
)
from training.micro_batch import divisors, share_batch
from training.run import with_vocabulary

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
HEADER = "from training.config import GPTConfig, OptimizerConfig, TrainConfig\n"


def config_file(folder: Path, content: str) -> str:
    path = folder / "mine.py"
    path.write_text(HEADER + content + "\n")
    return str(path)


def error_of(argv: list[str]) -> str:
    with pytest.raises(UserError) as error:
        parse_train_config(argv, "")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_there_are_configs() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"debug", "demo", "wikipedia_cpu", "gpt2_124m", "modern_124m"} <= names


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_parses(path: Path) -> None:
    config = parse_train_config([str(path)], "")
    assert config == load_config_file(path)
    assert parse_train_config([str(path), "--max_steps=7"], "").max_steps == 7
    assert share_batch(config, 1)[0] == config.sequences_per_step
    text = path.read_text()
    assert text.startswith('"""'), "a config says what it is, how to run it and what it reaches"
    assert "\nCommand   " in text
    assert re.findall("^(?:from|import) .*", text, re.MULTILINE)[0].startswith("from training.config import ")


def test_command_line_changes_what_the_file_says(tmp_path: Path) -> None:
    path = config_file(tmp_path, "config = TrainConfig(batch_size=4, model=GPTConfig(n_layer=3), seed=5)")
    config = parse_train_config([path, "--n_layer=2", "--learning_rate=1", "--betas=0.8,0.9"], "")
    expected = TrainConfig(
        batch_size=4,
        model=GPTConfig(n_layer=2),
        optimizer=OptimizerConfig(learning_rate=1.0, betas=(0.8, 0.9)),
        seed=5,
    )
    assert config == expected
    assert parse_train_config(arguments(expected), "") == expected


def test_a_file_may_compute_and_take_whole_numbers_for_fractions(tmp_path: Path) -> None:
    path = config_file(tmp_path, "optimizer = OptimizerConfig(grad_clip=1, warmup_steps=2 * 3)\n"
                       "config = TrainConfig(batch_size=4, optimizer=optimizer, compile=False)")  # fmt: skip
    config = parse_train_config([path], "")
    assert (config.optimizer.grad_clip, config.optimizer.warmup_steps, config.compile) == (1.0, 6, False)


@pytest.mark.parametrize(
    ("content", "message", "end"),
    [
        ("config = TrainConfig(max_step=5)", ":2: TrainConfig has no field max_step: did you mean TrainConfig(max_steps=...)?", ""),
        ("config = TrainConfig(model=GPTConfig(n_layers=2))", ":2: GPTConfig has no field n_layers: did you mean model=GPTConfig(n_layer=...)?", ""),
        ("config = TrainConfig(optimizer=OptimizerConfig(lr=1, warm_up_steps=2))", ":2: OptimizerConfig has no field lr: did you mean optimizer=OptimizerConfig(learning_rate=...)?", ""),
        ("config = TrainConfig(\n  seed=3,\n  optimizer=OptimizerConfig(warm_up_steps=2)\n)", ":4: OptimizerConfig has no field warm_up_steps: did you mean optimizer=OptimizerConfig(warmup_steps=...)?", ""),
        ("def shape():\n    return GPTConfig(n_layers=2)\nconfig = TrainConfig(model=shape())", ":3: GPTConfig has no field n_layers: did you mean model=GPTConfig(n_layer=...)?", ""),
        ("config = TrainConfig(n_layer=4)", ":2: TrainConfig has no field n_layer: did you mean model=GPTConfig(n_layer=...)?", ""),
        ("config = TrainConfig(betas=(0.9, 0.95))", ":2: TrainConfig has no field betas: did you mean optimizer=OptimizerConfig(betas=...)?", ""),
        ("config = TrainConfig(model=GPTConfig(max_steps=5))", ":2: GPTConfig has no field max_steps: did you mean TrainConfig(max_steps=...)?", ""),
        ("import dataclasses\nconfig = dataclasses.replace(TrainConfig(), max_step=5)", ":3: TrainConfig has no field max_step: did you mean TrainConfig(max_steps=...)?", ""),
        ("config = TrainConfig(zzzz=4)", ":2: TrainConfig has no field zzzz", ""),
        ("config = TrainConfig(batch_size='4')", ":2: batch_size='4': must be a whole number", ""),
        ("config = TrainConfig(batch_size=4.5)", ":2: batch_size=4.5: must be a whole number", ""),
        ("config = TrainConfig(seed=True)", ":2: seed=True: must be a whole number", ""),
        ("config = TrainConfig(extend='no')", ":2: extend='no': must be True or False", ""),
        ("config = TrainConfig(data_dir=5)", ":2: data_dir=5: must be text", ""),
        ("config = TrainConfig(precision='fp8')", ":2: precision='fp8': must be auto, float32, tf32 or bfloat16", ""),
        ("config = TrainConfig(compile='yes')", ":2: compile='yes': must be True, False or auto", ""),
        ("config = TrainConfig(model=5)", ":2: model=5: must be GPTConfig(...)", ""),
        ("config = TrainConfig(model=OptimizerConfig())", ":2: model=OptimizerConfig(", ": must be GPTConfig(...)"),
        ("config = TrainConfig(optimizer=GPTConfig())", ":2: optimizer=GPTConfig(", ": must be OptimizerConfig(...)"),
        ("config = TrainConfig(model=GPTConfig(dropout='0.1'))", ":2: dropout='0.1': must be a finite number", ""),
        ("config = TrainConfig(model=GPTConfig(bias=0))", ":2: bias=0: must be True or False", ""),
        ("config = TrainConfig(model=GPTConfig(norm='batchnorm'))", ":2: norm='batchnorm': must be layernorm or rmsnorm", ""),
        ("config = TrainConfig(model=GPTConfig(n_layer=0))", ":2: n_layer=0", " at least 1"),
        ("config = TrainConfig(optimizer=OptimizerConfig(betas=[0.9, 0.95]))", ":2: betas=[0.9, 0.95]: must be a tuple of 2 values, comma-separated, each a finite number", ""),
        ("config = TrainConfig(optimizer=OptimizerConfig(learning_rate='fast'))", ":2: learning_rate='fast': must be a finite number", ""),
        ("config = TrainConfig(optimizer=OptimizerConfig(weight_decay=float('nan')))", ":2: weight_decay=nan: must be a finite number", ""),
        ("config = TrainConfig(max_steps=0)", ":2: max_steps=0: must be at least 1", ""),
        ("config = TrainConfig(init_from='scratch')", ":2: init_from=scratch: leave it out to start from random weights", ""),
        ("config = TrainConfig(init_from='resume')", ":2: init_from=resume: leave it out to start from the run's last checkpoint, if it has one", ""),
        ("config = TrainConfig(batch_size=1, batch_tokens=1024)", ":2: batch_size=1, batch_tokens=1024: set one of the two and leave the other at 0", ""),
        ("config = TrainConfig(batch_size=(4", ":2: '(' was never closed", ""),
        ("from training.config import TrainConf", ":2: cannot import name 'TrainConf'", ")"),
        ("import nowhere", ":2: No module named 'nowhere'", ""),
        ("from config import TrainConfig", f":2: the import is now `{HEADER.strip()}`", ""),
        ("from optim import OptimizerConfig", f":2: the import is now `{HEADER.strip()}`", ""),
        ("config = TrainConfig(batch_size=None + 1)", ":2: TypeError: unsupported operand type(s) for +", "'NoneType' and 'int'"),
        ("def size():\n    return n_sequences\nconfig = TrainConfig(batch_size=size())", ":3: NameError: name 'n_sequences' is not defined", ""),
        ("config = TrainConfig(batch_size=int('four'))", ":2: ValueError: invalid literal for int() with base 10: 'four'", ""),
        ("import json\njson.loads('{')", ":3: JSONDecodeError: ", ""),
        ("assert TrainConfig().seed == 5, 'not five'", ":2: AssertionError: not five", ""),
        ("raise SystemExit(3)", ":2: SystemExit: 3", ""),
        ("import sys\nopen('/nowhere')", ":3: FileNotFoundError: ", "'/nowhere'"),
        ("\0", ":1: source code string cannot contain null bytes", ""),
        ("config = TrainConfig(max_iters=5)", ":2: TrainConfig has no field max_iters: here it is TrainConfig(max_steps=...)", ""),
        ("config = TrainConfig(model=GPTConfig(num_layers=5))", ":2: GPTConfig has no field num_layers: here it is model=GPTConfig(n_layer=...)", ""),
        ("config = TrainConfig(backend='nccl')", ":2: TrainConfig has no field backend: not needed: it is nccl on CUDA, else gloo", ""),
        ("config = TrainConfig(out_dir='')", ":2: out_dir='': must not be empty", "not set?"),
        ("settings = TrainConfig()", ": must define `config = TrainConfig(...)`, found no `config`", ""),
        ("config = dict(batch_size=4)", ": must define `config = TrainConfig(...)`, found dict", ""),
    ],
)  # fmt: skip
def test_a_wrong_config_file_is_one_line(content: str, message: str, end: str, tmp_path: Path) -> None:
    path = config_file(tmp_path, content)
    found = error_of([path])
    assert found.startswith(path + message)
    assert found.endswith(end) if end or message.endswith(": ") else found == path + message


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("batch_size", -1, "must not be below 0"),
        ("batch_tokens", -1024, "must not be below 0"),
        ("seed", 2**64, f"must be at most {2**64 - 1}"),
        ("timeout_minutes", 1e13, "must be at most 1000000"),
        ("max_steps", 10**400, "must be at most 1000000000000"),
        ("warmup_steps", 10**400, "must be at most 1000000000000"),
        ("n_embd", 12 * 10**400, "must be at most 1000000000000"),
        ("batch_size", 10**12, "must be at most 10000000 sequences"),
    ],
)
def test_numbers_out_of_range_are_one_line(key: str, value: float, rule: str) -> None:
    found = error_of([f"--{key}={value}"])
    assert found.startswith(f"{key}={value}")
    assert found.endswith(f": {rule}")


@pytest.mark.parametrize("key", ["init_from", "branch_from"])
def test_an_empty_origin_only_leaves_out_that_of_the_file(key: str, tmp_path: Path) -> None:
    """Else a variable that is not set would start a run from random weights."""
    path = config_file(tmp_path, f"config = TrainConfig({key}='out/demo')")
    assert getattr(parse_train_config([path, f"--{key}="], ""), key) == ""
    assert (
        error_of([f"--{key}="]) == f"{key}='': must not be empty: is it set from a variable that is not set?"
    )


def test_missing_file_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "debug.py").write_text(HEADER + "config = TrainConfig(batch_size=4)")
    monkeypatch.chdir(tmp_path)
    assert error_of(["configs/debag.py"]) == "no config file configs/debag.py: did you mean configs/debug.py?"
    assert error_of(["configs/debug"]) == "no config file configs/debug: did you mean configs/debug.py?"
    assert error_of(["9" * 300]).startswith("no config file 999")
    assert error_of(["debug"]) == "no config file debug: did you mean configs/debug.py?"
    assert error_of(["nowhere.py"]) == "no config file nowhere.py"
    assert error_of(["configs/debug.py", "more.py"]) == "configs/debug.py and more.py: use one config file"


COMMANDS = [
    TrainConfig,
    SampleConfig,
    PrepareConfig,
    ExportConfig,
    MatchConfig,
    MeasureConfig,
    PairsConfig,
    PlotConfig,
    BenchConfig,
    FaultsConfig,
    ServeConfig,
    CheckConfig,
    ExplainConfig,
    ServeExplainConfig,
    EvaluateConfig,
    EvaluateModelConfig,
    StatedFactsConfig,
    CompareConfig,
]
PATHS = "config data_dir out_dir init_from branch_from checkpoint prompt_file text_file source merge tokenizer pairs run out model tasks eval_tasks reference".split()
# What else is text and says so: names on a hub or a server, a device, a prompt.
NO_PATHS = "device host wandb_project prompt text stop dataset subset part only parts versus sampling".split()


def test_a_tilde_is_the_home_folder_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for cls in COMMANDS:
        for key, _, kind in flat_fields(cls()):
            if kind is not str or key in NO_PATHS:
                continue
            assert key in PATHS, f"{key}: a path, or not?"
            for setting in ([f"--{key}=~/x/y"], [f"--{key}", "~/x/y"]):
                assert getattr(parse_config(cls(), setting, ""), key) == "/home/me/x/y"
            assert getattr(parse_config(cls(), [f"--{key}=a~/~b"], ""), key) == "a~/~b"
            with pytest.raises(UserError, match=f"^{key}=~nobody-here/x: no such user"):
                parse_config(cls(), [f"--{key}=~nobody-here/x"], "")
            with pytest.raises(UserError, match=f"^{key}=.*: must have names of at most 255 bytes"):
                parse_config(cls(), [f"--{key}=x/{'9' * 256}/x"], "")
            with pytest.raises(UserError, match=f"^{key}='': must not be empty"):
                parse_config(cls(), [f"--{key}="], "")
            for written in ("$HOME/x", "${HOME}", "$HOME"):
                with pytest.raises(
                    UserError, match=re.escape(f"{key}={written}: the shell has not expanded $")
                ):
                    parse_config(cls(), [f"--{key}={written}"], "")
            assert getattr(parse_config(cls(), [f"--{key}=a$HOME$b"], ""), key) == "a$HOME$b"
    path = config_file(tmp_path, "config = TrainConfig(out_dir='~/out', init_from='~')")
    config = parse_train_config([path], "")
    assert (config.out_dir, config.init_from) == ("/home/me/out", "/home/me")
    for source, found in (("~/a/*.txt,~/b.txt", "/home/me/a/*.txt,/home/me/b.txt"), ("pairs:~/x.jsonl", "pairs:/home/me/x.jsonl"), ("x.txt," * 60, "x.txt," * 60)):  # fmt: skip
        assert PrepareConfig(source=source).source == found


# Names of other projects that once got the hint after the arrow: n_layer for min_lr, prompt_file for compile.
@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (TrainConfig, "eval_iters num_epochs backend min_lr no_compile gradient_accumulation_steps dataset start num_samples dtype"),
        (SampleConfig, "start num_samples num_return_sequences max_length dtype out_dir init_from device_map"),
        (PrepareConfig, "num_proc num_workers dataset_name split vocab_size test_size val_fraction heads n_heads seed"),
    ],
)  # fmt: skip
def test_no_name_of_another_project_gets_a_wrong_hint(cls: type, names: str) -> None:
    known = {key for key, _, _ in flat_fields(cls())}
    for name in [*names.split(), *cls.other_names]:
        with pytest.raises(UserError) as error:
            parse_config(cls(), [f"--{name}=1"], "")
        assert "did you mean" not in str(error.value)
        if (said := cls.other_names.get(name)) and said.partition(",")[0] in known:
            assert str(error.value) == f"unknown setting --{name}: here it is {said}"
        elif said:
            assert str(error.value) == f"unknown setting --{name}: {said}"
        assert name not in known, f"{name} is a setting now: take it out of other_names"


def test_names_that_are_nearly_right_get_a_hint_and_others_none() -> None:
    known = {key: key for key, _, _ in flat_fields(TrainConfig())}
    near = "max_step:max_steps n_layers:n_layer batchsize:batch_size warm_up_steps:warmup_steps learning_rte:learning_rate"
    for name, meant in (pair.split(":") for pair in f"{near} lr:learning_rate model.n_layer:n_layer".split()):
        assert did_you_mean(name, known) == f": did you mean {meant}?"
    for name in (
        "min_lr backend num_epochs eval_iters n_shards val_fraction amp batch stop log_level verbose"
        " min_learning_rate learning_rate_min val_batch_size no_compile no_overwrite".split()
    ):
        assert did_you_mean(name, known) == ""


@pytest.mark.parametrize("cls", COMMANDS)
def test_help_explains_every_setting(
    cls: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {}
    for width in ("80", "300"):
        monkeypatch.setenv("COLUMNS", width)
        with pytest.raises(SystemExit):
            parse_config(cls(), ["--help"], "")
        texts[width] = capsys.readouterr().out
    assert max(map(len, texts["80"].splitlines())) <= 80
    rows = re.findall(r"^  --(\w+)=.*  \S+  +\S.*$", texts["300"], re.MULTILINE)
    assert sorted(rows) == sorted(key for key, _, _ in flat_fields(cls())), "each has a comment"


def test_help_shows_the_config_files_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config_file(tmp_path, "config = TrainConfig(seed=17, model=GPTConfig(n_layer=23))")
    with pytest.raises(SystemExit):
        parse_train_config([path, "--help"], "Train.")
    text = capsys.readouterr().out
    assert text.startswith("usage: ")
    assert " [configs/x.py] [--key=value ...]\n\nTrain.\n" in text
    assert {"--seed=17", "--n_layer=23", "--max_steps=10000"} <= set(text.split())


def test_the_config_file_may_stand_anywhere(tmp_path: Path) -> None:
    path = config_file(tmp_path, "config = TrainConfig(batch_size=4)")
    expected = TrainConfig(batch_size=4, seed=3, extend=True)
    for argv in (
        [path, "--seed=3", "--extend"],
        ["--seed=3", path, "--extend"],
        ["--seed=3", "--extend", path],
    ):
        assert parse_train_config(argv, "") == expected


def test_values_out_of_range_are_named(config: TrainConfig) -> None:
    bad = {
        "max_steps": 0,
        "eval_interval": 0,
        "checkpoint_interval": -1,
        "log_interval": 0,
        "timeout_minutes": 0.0,
    }
    bad |= {
        "micro_batch_size": -1,
        "eval_windows": -1,
        "checkpoint_minutes": -1.0,
        "keep_checkpoints": -1,
        "max_minutes": -1.0,
    }
    bad |= {"seed": -1, "batch_tokens": 32, "batch_size": -8}
    for name, value in bad.items():
        with pytest.raises(SettingError, match=f"{name}={value}\\b"):
            dataclasses.replace(config, **{name: value})


def test_optimizer_values_out_of_range_are_named() -> None:
    bad = {
        "learning_rate": 0.0,
        "final_fraction": 1.5,
        "cooldown_fraction": -0.1,
        "warmup_steps": -1,
        "weight_decay": -1.0,
    }
    bad |= {"grad_clip": -1.0, "epsilon": 0.0, "betas": (0.9, 1.0)}  # fmt: skip
    bad["matrix_learning_rate"] = 0.01  # without Muon
    for name, value in bad.items():
        with pytest.raises(SettingError, match=f"{name}="):
            OptimizerConfig(**{name: value})


def test_batch_size_and_batch_tokens_replace_each_other(tmp_path: Path) -> None:
    path = config_file(tmp_path, "config = TrainConfig(batch_tokens=4096)")
    assert parse_train_config([path, "--batch_size=3"], "").sequences_per_step == 3
    assert parse_train_config([path, "--batch-size", "3"], "").sequences_per_step == 3
    assert parse_train_config([path, "--seed=3"], "").sequences_per_step == 4
    path = config_file(tmp_path, "config = TrainConfig(batch_size=3)")
    assert parse_train_config([path, "--batch_tokens=4096"], "").sequences_per_step == 4
    assert parse_train_config(["--batch_tokens=4096"], "").sequences_per_step == 4
    assert parse_train_config([], "").sequences_per_step == 32
    with pytest.raises(UserError, match="set one of the two"):
        parse_train_config([path, "--batch_size=3", "--batch_tokens=1024"], "")


def test_batch_in_tokens_is_the_same_batch() -> None:
    in_tokens = TrainConfig(batch_tokens=512, model=GPTConfig(block_size=64))
    in_sequences = TrainConfig(batch_size=8, model=GPTConfig(block_size=64))
    assert in_tokens.sequences_per_step == in_sequences.sequences_per_step == 8
    assert identity(in_tokens) == identity(in_sequences)
    with pytest.raises(ValueError, match=r"batch_tokens=100: .* block_size=64: use 64 or 128"):
        TrainConfig(batch_tokens=100, model=GPTConfig(block_size=64))
    with pytest.raises(ValueError, match=r"batch_tokens=10: .* use 64$"):
        TrainConfig(batch_tokens=10, model=GPTConfig(block_size=64))


def test_divisors() -> None:
    assert [divisors(n) for n in (1, 7, 12)] == [[1], [1, 7], [1, 2, 3, 4, 6, 12]]


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "n_processes", "shares"),
    [(12, 0, 1, (12, 12)), (12, 4, 1, (12, 4)), (12, 0, 3, (4, 4)), (12, 2, 3, (4, 2)), (12, 1, 12, (1, 1))],
)
def test_batches_are_shared(
    batch_size: int, micro_batch_size: int, n_processes: int, shares: tuple[int, int]
) -> None:
    config = TrainConfig(batch_size=batch_size, micro_batch_size=micro_batch_size)
    assert share_batch(config, n_processes) == shares


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "n_processes", "parts"),
    [
        (10, 0, 4, ["batch_size=10", "4 processes", "use 8 or 12, or 2 or 5 processes"]),
        (2, 0, 4, ["batch_size=2", "use 4, or 2 processes"]),
        (12, 5, 1, ["micro_batch_size=5", "12 sequences", "use 4 or 6"]),
        (12, 5, 3, ["micro_batch_size=5", "4 sequences", "use 4"]),
        (7, 3, 1, ["micro_batch_size=3", "use 1 or 7"]),
    ],
)
def test_batch_that_does_not_divide_names_the_nearest(
    batch_size: int, micro_batch_size: int, n_processes: int, parts: list[str]
) -> None:
    config = TrainConfig(batch_size=batch_size, micro_batch_size=micro_batch_size)
    with pytest.raises(UserError) as error:
        share_batch(config, n_processes)
    for part in parts:
        assert part in str(error.value)
    assert str(error.value).endswith(parts[-1])


def test_batch_in_tokens_is_rejected_in_tokens() -> None:
    config = TrainConfig(batch_tokens=640, model=GPTConfig(block_size=64))
    with pytest.raises(
        UserError,
        match=r"^batch_tokens=640: must be divisible among 4 processes: use 512 or 768, or 2 or 5 processes$",
    ):
        share_batch(config, 4)


def test_vocabulary_is_the_datas(config: TrainConfig) -> None:
    assert with_vocabulary(config, 257).model.vocab_size == 257
    assert with_vocabulary(with_vocabulary(config, 257), 257).model.vocab_size == 257
    with pytest.raises(UserError, match=r"vocab_size=257: must be 0 .* or 300, the vocabulary"):
        with_vocabulary(with_vocabulary(config, 257), 300)


def test_each_field_is_identity_or_operational(config: TrainConfig) -> None:
    names = {key for key, _, _ in flat_fields(config)}
    assert names >= OPERATIONAL
    assert set(identity(config)) == names - OPERATIONAL - {"batch_tokens"}
    how = {
        "device",
        "micro_batch_size",
        "eval_interval",
        "checkpoint_interval",
        "log_interval",
        "compile",
        "wandb",
    }
    assert how <= OPERATIONAL
    # What an identity must hold: anything that changes what is computed from the data.
    essential = {
        "seed",
        "max_steps",
        "batch_size",
        "n_layer",
        "dropout",
        "learning_rate",
        "betas",
        "schedule",
    }
    assert essential <= set(identity(config))
