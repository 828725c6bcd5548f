"""Config files and what makes a run: every file parses, what is wrong in one is named, batches divide or are refused."""

import dataclasses
from pathlib import Path

import pytest
from conftest import ROOT, arguments

from model import GPTConfig
from sample import SampleConfig
from system.command_line import flat_fields
from system.errors import UserError
from training.config import (
    OPERATIONAL,
    TrainConfig,
    identity,
    load_config_file,
    parse_train_config,
)
from training.micro_batch import divisors, share_batch
from training.optim import OptimizerConfig
from training.run import with_vocabulary

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
HEADER = """from training.config import TrainConfig
from model import GPTConfig
from training.optim import OptimizerConfig
"""


def config_file(folder: Path, content: str) -> str:
    path = folder / "mine.py"
    path.write_text(HEADER + content + "\n")
    return str(path)


def refusal(argv: list[str]) -> str:
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
    assert path.read_text().startswith('"""'), (
        "a config says what it is, how to run it and what it should reach"
    )


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
    ("content", "parts"),
    [
        ("config = TrainConfig(batch_size=4, max_step=5)", ["TrainConfig has no field max_step, did you mean TrainConfig(max_steps=...)?"]),
        ("config = TrainConfig(batch_size=4, model=GPTConfig(n_layers=2))", ["GPTConfig has no field n_layers, did you mean model=GPTConfig(n_layer=...)?"]),
        ("config = TrainConfig(batch_size=4, optimizer=OptimizerConfig(lr=1, warm_up_steps=2))", ["OptimizerConfig has no field lr, did you mean optimizer=OptimizerConfig(learning_rate=...)?"]),
        ("config = TrainConfig(n_layer=4)", ["TrainConfig has no field n_layer, did you mean model=GPTConfig(n_layer=...)?"]),
        ("config = TrainConfig(betas=(0.9, 0.95))", ["did you mean optimizer=OptimizerConfig(betas=...)?"]),
        ("config = TrainConfig(model=GPTConfig(max_steps=5))", ["GPTConfig has no field max_steps, did you mean TrainConfig("]),
        ("config = TrainConfig(zzzz=4)", ["TrainConfig has no field zzzz"]),
        ("config = TrainConfig(batch_size=4, optimizer=OptimizerConfig(warm_up_steps=2))", ["warm_up_steps, did you mean optimizer=OptimizerConfig(warmup_steps=...)?"]),
        ("config = TrainConfig(batch_size='4')", ["batch_size='4': must be a whole number"]),
        ("config = TrainConfig(batch_size=4.5)", ["batch_size=4.5: must be a whole number"]),
        ("config = TrainConfig(batch_size=4, seed=True)", ["seed=True: must be a whole number"]),
        ("config = TrainConfig(batch_size=4, extend='no')", ["extend='no': must be True or False"]),
        ("config = TrainConfig(batch_size=4, data_dir=5)", ["data_dir=5: must be text"]),
        ("config = TrainConfig(batch_size=4, precision='fp8')", ["precision='fp8': must be auto, float32 or bfloat16"]),
        ("config = TrainConfig(batch_size=4, compile='yes')", ["compile='yes': must be True, False or auto"]),
        ("config = TrainConfig(batch_size=4, model=5)", ["model=5: must be GPTConfig(...)"]),
        ("config = TrainConfig(model=OptimizerConfig())", ["model=OptimizerConfig(", "must be GPTConfig(...)"]),
        ("config = TrainConfig(optimizer=GPTConfig())", ["optimizer=GPTConfig(", "must be OptimizerConfig(...)"]),
        ("config = TrainConfig(batch_size=4, model=GPTConfig(dropout='0.1'))", ["dropout='0.1': must be a finite number"]),
        ("config = TrainConfig(batch_size=4, model=GPTConfig(bias=0))", ["bias=0: must be True or False"]),
        ("config = TrainConfig(batch_size=4, optimizer=OptimizerConfig(betas=[0.9, 0.95]))", ["betas=[0.9, 0.95]: must be 2 values, comma-separated"]),
        ("config = TrainConfig(batch_size=4, optimizer=OptimizerConfig(learning_rate='fast'))", ["learning_rate='fast': must be a finite number"]),
        ("config = TrainConfig(optimizer=OptimizerConfig(weight_decay=float('nan')))", ["weight_decay=nan: must be a finite number"]),
        ("config = TrainConfig(batch_size=4, max_steps=0)", ["max_steps=0: must be at least 1"]),
        ("config = TrainConfig(batch_size=1, batch_tokens=1024)", ["batch_size=1, batch_tokens=1024", "give one"]),
        ("config = TrainConfig(batch_size=(4", ["mine.py:", "'(' was never closed"]),
        ("from training.config import TrainConf", ["mine.py: cannot import name 'TrainConf'"]),
        ("settings = TrainConfig(batch_size=4)", ["must define `config = TrainConfig(...)`", "found no `config`"]),
        ("config = dict(batch_size=4)", ["must define `config = TrainConfig(...)`", "dict"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(content: str, parts: list[str], tmp_path: Path) -> None:
    path = config_file(tmp_path, content)
    message = refusal([path])
    for part in [path, *parts]:
        assert part in message


def test_other_mistakes_of_a_file_keep_their_traceback(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        load_config_file(config_file(tmp_path, "config = TrainConfig(batch_size=None + 1)"))
    own_class = "import dataclasses\n@dataclasses.dataclass\nclass Mine:\n    size: int = 1\n"
    with pytest.raises(TypeError, match="NoneType"):
        load_config_file(config_file(tmp_path, f"{own_class}    def __post_init__(self): None + 1\nMine()"))
    with pytest.raises(ValueError, match="four"):
        load_config_file(config_file(tmp_path, "config = TrainConfig(batch_size=int('four'))"))


def test_missing_file_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "debug.py").write_text(HEADER + "config = TrainConfig(batch_size=4)")
    monkeypatch.chdir(tmp_path)
    assert refusal(["configs/debag.py"]) == "no config file configs/debag.py, did you mean configs/debug.py?"
    assert refusal(["configs/debug"]) == "no config file configs/debug, did you mean configs/debug.py?"
    assert refusal(["configs/debug.py", "more.py"]) == "configs/debug.py and more.py: give one config file"


def test_the_config_file_may_stand_anywhere(tmp_path: Path) -> None:
    path = config_file(tmp_path, "config = TrainConfig(batch_size=4)")
    expected = TrainConfig(batch_size=4, seed=3, extend=True)
    for argv in (
        [path, "--seed=3", "--extend"],
        ["--seed=3", path, "--extend"],
        ["--seed=3", "--extend", path],
    ):
        assert parse_train_config(argv, "") == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_steps", 0),
        ("eval_interval", 0),
        ("checkpoint_interval", -1),
        ("log_interval", 0),
        ("micro_batch_size", -1),
        ("eval_windows", -1),
        ("keep_checkpoints", -1),
        ("seed", -1),
        ("batch_tokens", 32),
        ("batch_size", -8),
    ],
)
def test_values_out_of_range_are_named(config: TrainConfig, field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field}={value}\\b"):
        dataclasses.replace(config, **{field: value})


def test_optimizer_values_out_of_range_are_named() -> None:
    bad = {
        "learning_rate": 0.0,
        "final_fraction": 1.5,
        "cooldown_fraction": -0.1,
        "warmup_steps": -1,
        "weight_decay": -1.0,
    }
    bad |= {"grad_clip": -1.0, "epsilon": 0.0, "betas": (0.9, 1.0)}  # fmt: skip
    for name, value in bad.items():
        with pytest.raises(ValueError, match=f"{name}="):
            OptimizerConfig(**{name: value})


def test_sample_values_out_of_range_are_named() -> None:
    for name, value in {"temperature": -1.0, "top_k": -1, "top_p": 0.0, "n_samples": 0, "max_new_tokens": -1}.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"{name}="):
            SampleConfig(**{name: value})
    with pytest.raises(ValueError, match=r"prompt='Once', prompt_file=x.txt: give one of the two"):
        SampleConfig(prompt="Once", prompt_file="x.txt")


def test_command_line_replaces_the_files_way_of_giving_the_batch(tmp_path: Path) -> None:
    content = "from training.config import TrainConfig\nconfig = TrainConfig(batch_tokens=4096)\n"
    path = config_file(tmp_path, content)
    assert parse_train_config([path, "--batch_size=3"], "").sequences_per_step == 3
    assert parse_train_config(["--batch_tokens=4096"], "").sequences_per_step == 4
    assert parse_train_config([], "").sequences_per_step == 32
    with pytest.raises(UserError, match="give one of the two"):
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
def test_what_does_not_divide_is_refused_with_the_nearest(
    batch_size: int, micro_batch_size: int, n_processes: int, parts: list[str]
) -> None:
    config = TrainConfig(batch_size=batch_size, micro_batch_size=micro_batch_size)
    with pytest.raises(UserError) as refused:
        share_batch(config, n_processes)
    for part in parts:
        assert part in str(refused.value)
    assert str(refused.value).endswith(parts[-1])


def test_a_batch_given_in_tokens_is_refused_in_tokens() -> None:
    config = TrainConfig(batch_tokens=640, model=GPTConfig(block_size=64))
    with pytest.raises(
        UserError, match=r"^batch_tokens=640: .* by 4 processes: use 512 or 768, or 2 or 5 processes$"
    ):
        share_batch(config, 4)


def test_vocabulary_is_the_datas(config: TrainConfig) -> None:
    assert with_vocabulary(config, 257).model.vocab_size == 257
    assert with_vocabulary(with_vocabulary(config, 257), 257).model.vocab_size == 257
    with pytest.raises(UserError, match=r"vocab_size=257.*300 tokens"):
        with_vocabulary(with_vocabulary(config, 257), 300)


def test_each_field_is_identity_or_operational(config: TrainConfig) -> None:
    names = {key for key, _, _ in flat_fields(config)}
    assert names >= OPERATIONAL
    begun_elsewhere = dataclasses.replace(config, init_from="out/demo")
    assert set(identity(begun_elsewhere)) == names - OPERATIONAL - {"batch_tokens"}
    assert set(identity(config)) == names - OPERATIONAL - {"batch_tokens", "init_from"}
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
