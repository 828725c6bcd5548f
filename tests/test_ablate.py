"""Ablations: how choices are read, which runs they need, what the table says of them. No figure of a run is checked."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import train
from corpus.dataset import TokenDataset
from system.errors import UserError
from tools.ablate import __main__ as ablate
from tools.ablate import runs
from tools.ablate.config import parse_ablate_command
from tools.ablate.runs import Failed, read
from tools.ablate.table import Outcome, Reading, columns, rows, verdict
from training.config import TrainConfig, identity, parse_train_config

CONFIG = """
from training.config import GPTConfig, OptimizerConfig, TrainConfig
config = TrainConfig(
    data_dir={data_dir!r},
    model=GPTConfig(block_size=16, n_layer=1, n_head=2, n_embd=16),
    optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=5),
    batch_size=4, eval_windows=3, device="cpu", precision="float32", attention="math", compile=False
)
"""
Ablate = Callable[..., list[TrainConfig]]


@pytest.fixture
def tiny(data_dir: Path, tmp_path: Path) -> str:
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG.format(data_dir=str(data_dir)))
    return str(path)


@pytest.fixture
def argv(tiny: str, tmp_path: Path) -> list[str]:
    return [tiny, f"--out_dir={tmp_path / 'out'}", f"--out={tmp_path / 'experiments.md'}", "--seeds=2"]


def finish(config: TrainConfig, steps: int) -> None:
    """Leave what train.py leaves of a run that has ended."""
    folder = Path(config.out_dir)
    folder.mkdir()
    about = {"config": {"data_dir": config.data_dir}, "identity": {**identity(config), "max_steps": steps}}
    (folder / "config.json").write_text(json.dumps(about))
    records = [{"step": step, "loss": 1.0, "tokens_per_second": 100.0} for step in (steps // 2, steps)]
    records[-1]["val_bits_per_byte"] = 2.0 + config.seed - config.optimizer.learning_rate
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def made_up(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> Ablate:
    """A function that compares choices, and returns the runs that would have been trained for it.

    In their time the config's run makes 200 steps, one of 2 layers 100 and one of a batch of 8 199.
    """

    def ablate_choices(choices: str, stop_before: int = 99, *others: str) -> list[TrainConfig]:
        trained: list[TrainConfig] = []

        def train_made_up(words: Sequence[str], _log: Path) -> None:
            config = parse_train_config(words, "")
            if len(trained) == stop_before:
                raise KeyboardInterrupt
            trained.append(config)
            if config.optimizer.learning_rate > 1:
                raise Failed("the loss of step 7 is nan")
            steps = {(1, 4): 200, (2, 4): 100, (1, 8): 199}[config.model.n_layer, config.batch_size]
            finish(config, steps if config.max_minutes else config.max_steps)

        monkeypatch.setattr(runs, "train", train_made_up)
        try:
            ablate.main(parse_ablate_command([*argv, *others, f"--choices={choices}"], ""))
        except KeyboardInterrupt:
            trained.append(TrainConfig())
        return trained

    return ablate_choices


def brief(trained: list[TrainConfig]) -> list[tuple[int, float, int, int, float]]:
    """Return seed, learning rate, layers, steps (0: by time) and minutes of each run."""
    return [
        (
            c.seed,
            c.optimizer.learning_rate,
            c.model.n_layer,
            0 if c.max_minutes else c.max_steps,
            c.max_minutes,
        )
        for c in trained
    ]


def test_choices_take_turns_and_the_table_compares_them(made_up: Ablate, tmp_path: Path) -> None:
    """Learning rates need one run of the config's steps, another network one of the time and one of its tokens."""
    (tmp_path / "experiments.md").write_text("# Experiments\n\nHow to read them.\n")
    one_seed = [(3e-3, 1, 0, 2.0), (1.0, 1, 200, 0.0), (3e-3, 2, 0, 2.0), (3e-3, 2, 200, 0.0)]
    assert brief(made_up("learning_rate=1; n_layer=2")) == [
        (seed, *run) for seed in (1, 2) for run in one_seed
    ]
    written = (tmp_path / "experiments.md").read_text()
    assert written.startswith("# Experiments\n\nHow to read them.\n\n## tiny, 2 min on ")
    assert written.count("## ") == 1
    assert ": learning_rate=1; n_layer=2\n" in written
    table = [line.strip("| ").split(" | ") for line in written.splitlines() if line.startswith("| ")]
    assert [cells[0] for cells in table] == ["choice", "the config", "learning_rate=1", "n_layer=2"]
    assert table[1][1:4] == ["3.4970 (2.9970 to 3.9970)", "", "12,800, 128 s of steps"]
    assert table[2][1:3] == ["2.5000 (2.0000 to 3.0000)", "-0.9970 (-0.9970 to -0.9970): fewer than 3 seeds"]
    assert table[3][3:5] == ["6,400, 64 s of steps", "100 (100 to 100)"]


def test_tokens_are_equal_not_steps(made_up: Ablate) -> None:
    """Twice the batch needs half the steps."""
    trained = made_up("batch_size=8", 99, "--seeds=1")
    assert [(run.batch_size, bool(run.max_minutes)) for run in trained] == [(4, True), (8, True), (8, False)]
    assert trained[-1].max_steps == 100


def test_one_run_serves_both_if_its_tokens_are_nearly_equal(
    made_up: Ablate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is the one run of 100 steps of 2 layers, against 200, if that counts as near."""
    monkeypatch.setattr(runs, "TOLERANCE", 0.5)
    assert [run[3] for run in brief(made_up("n_layer=2", 99, "--seeds=1"))] == [0, 0]


def test_finished_runs_are_not_run_again(made_up: Ablate, tmp_path: Path) -> None:
    choices = "learning_rate=1; n_layer=2"
    stopped = brief(made_up(choices, 5))[:5]
    rest = brief(made_up(choices))
    assert (len(stopped), len(rest)) == (5, 3)
    assert len({*stopped, *rest}) == 8
    assert made_up(choices) == []
    assert len(made_up(choices, 99, "--weight_decay=0")) == 8  # another config: none of these runs


def test_a_failing_choice_is_a_row(made_up: Ablate, tmp_path: Path) -> None:
    assert len(made_up("learning_rate=2; learning_rate=1")) == 6
    written = (tmp_path / "experiments.md").read_text()
    assert "\n| learning_rate=2 | failed with 2 of 2 seeds: the loss of step 7 is nan |" in written
    assert "\n| learning_rate=1 | 2.5" in written


def test_nothing_can_be_compared_with_a_config_that_fails(made_up: Ablate) -> None:
    message = "^the config without choices failed with seed 1: the loss of step 7 is nan$"
    with pytest.raises(UserError, match=message):
        made_up("weight_decay=0", 99, "--learning_rate=2")


def test_a_warm_up_cut_to_the_configs_is_no_result(made_up: Ablate, tmp_path: Path) -> None:
    """In a run limited to a time it takes a tenth of the steps at most: of 200, 20."""
    trained = made_up("warmup_steps=10; warmup_steps=25; warmup_steps=50", 99, "--warmup_steps=30")
    assert [run.optimizer.warmup_steps for run in trained] == [30, 10] * 2
    written = (tmp_path / "experiments.md").read_text()
    assert written.count("the same as the config: warm-up takes at most a tenth of the 200 steps") == 2


def test_small_runs_from_start_to_end(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With train.py itself, in this process."""

    def train_here(words: Sequence[str], _log: Path) -> None:
        train.train(parse_train_config(words, ""))

    monkeypatch.setattr(runs, "train", train_here)
    monkeypatch.setattr("training.log.say_plot", lambda _: None)
    ablate.main(parse_ablate_command([*argv, "--minutes=0.001", "--choices=learning_rate=1e-2"], ""))
    found = [read(folder) for folder in (tmp_path / "out").iterdir()]
    assert [reading and reading.tokens for reading in found] == [
        10 * 4 * 16
    ] * 4  # the fewest steps that a run has
    assert all(0 < reading.seconds < 60 for reading in found if reading)
    assert len({reading.bits_per_byte for reading in found if reading}) == 4
    written = (tmp_path / "experiments.md").read_text()
    assert written.count("fewer than 3 seeds") == 2
    assert "**2 of 2 seeds**" in written


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('x'); raise SystemExit('error: no such network; try another')", "^no such network$"),
        ("import os; os.kill(os.getpid(), 9)", "^it was ended by SIGKILL$"),
    ],
)
def test_a_run_that_fails_says_why(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text(script)
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    with pytest.raises(Failed, match=reason):
        runs.train([], tmp_path / "run.log")


@pytest.mark.serial
def test_an_interrupted_run_may_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text(
        "import time\ntry:\n  print('ready', flush=True)\n  time.sleep(60)\nexcept KeyboardInterrupt:\n"
        "  print(time.monotonic())\n  time.sleep(0.5)\n  print('saved')"
    )
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    log = tmp_path / "run.log"
    sent: list[float] = []

    def interrupt() -> None:
        while not log.exists() or "ready" not in log.read_text():
            time.sleep(0.01)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            runs.train([], log)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    ready, received, saved = log.read_text().split()
    assert (ready, saved) == ("ready", "saved")
    assert float(received) - sent[0] < 0.2, "later, it would be a second Ctrl-C after the terminal's own"


def test_tokens_are_those_that_sequences_have(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are shorter than block_size."""
    finish(config, 4)
    monkeypatch.setattr(TokenDataset, "tokens_per_sequence", lambda _self, _block_size: 2.5)
    reading = read(Path(config.out_dir))
    assert reading
    assert reading.tokens == 4 * 8 * 2.5


def test_an_unfinished_run_is_not_read(config: TrainConfig) -> None:
    assert read(Path(config.out_dir)) is None
    finish(config, 4)
    path = Path(config.out_dir) / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    reading = read(path.parent)
    assert reading
    assert (reading.steps, reading.tokens, reading.tokens_per_second) == (4, 4 * 8 * 16, 100)
    for text in (
        lines[0],
        '{"step": 0, "val_bits_per_byte": 3.0}\n',
    ):  # as of a run that starts from trained weights
        path.write_text(text)
        assert read(path.parent) is None
    path.write_text(lines[0] + '{"step": 4, "val_bits_per_byte": null}\n')
    assert read(path.parent) is None


def readings(*values: float) -> list[Outcome | str]:
    return [Outcome(Reading(value, 10, 1000, 4.0), Reading(value - 1, 20, 2000, 8.0)) for value in values]


def test_differences_are_those_of_pairs() -> None:
    """All of `b` is better than the config with the same seed, though not than with any."""
    base, ahead, mixed, failed = rows(
        {
            "x": readings(3, 4, 5),
            "b": readings(2.5, 3.9, 4.8),
            "c": readings(2, 5, 4),
            "d": ["out of memory", "y"],
        }
    )
    assert base == ["x", "4.0000 (3.0000 to 5.0000)", "", "1,000, 4 s of steps", "250 (250 to 250)", "3.0000 (2.0000 to 4.0000)", ""]  # fmt: skip
    assert ahead[1:3] == ["3.7333 (2.5000 to 4.8000)", "-0.2667 (-0.5000 to -0.1000): better"]
    assert ahead[5:] == ["2.7333 (1.5000 to 3.8000)", "-0.2667 (-0.5000 to -0.1000): better"]
    assert mixed[2] == "-0.3333 (-1.0000 to +1.0000): no clear difference"
    assert failed == ["d", "failed with 2 of 2 seeds: out of memory", *[""] * 5]
    assert len({len(row) for row in (base, ahead, mixed, failed, columns(2))}) == 1


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([0.1, 0.2, 0.3], "worse"),
        ([-0.1, -0.2, -0.3], "better"),
        ([-0.1, -0.2, 0.0], "no clear difference"),
        ([-0.1, -0.2], "fewer than 3 seeds"),
    ],
)
def test_a_verdict_needs_all_seeds(differences: list[float], words: str) -> None:
    assert verdict(differences) == words


def test_choices_are_read(argv: list[str]) -> None:
    text = "--choices= betas=0.8,0.99, n_layer=2 ;--optimizer=muon; learning-rate=1e-2;"
    command = parse_ablate_command([*argv, "--minutes", "1", "--dropout=0.1", text], "")
    assert (command.ablate.minutes, command.base.config.model.dropout) == (1.0, 0.1)
    first, second, third = command.choices
    assert (first.config.optimizer.betas, first.config.model.n_layer) == ((0.8, 0.99), 2)
    assert (second.config.optimizer.optimizer, second.config.optimizer.betas) == ("muon", (0.9, 0.95))
    assert [choice.config.model.dropout for choice in command.choices] == [0.1] * 3
    assert [choice.has_same_work for choice in command.choices] == [False, False, True]
    assert third.name == "learning-rate=1e-2"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("learning_rat=1", "unknown setting --learning_rat: did you mean learning_rate?"),
        ("n_layer", "choices: cannot read 'n_layer': write key=value, with a semicolon between choices"),
        ("n_layer=0", "n_layer=0: must be at least 1"),
        ("n_layer=2;n_embd=33", "n_embd=33: must be divisible by n_head=2, or head_dim set"),
        ("seed=3", "choices: seed must be the same in all runs: leave it out of 'seed=3'"),
        ("n_layer=1", "choices: n_layer=1 is the same as the config: leave it out"),
        ("n_layer=2; n_layer=02", "choices: n_layer=02 is the same as n_layer=2: leave it out"),
        (" ;", "no choices: set some, for example --choices='learning_rate=1e-3; n_layer=6,n_embd=160'"),
        (
            "block_size=8",
            "choices: block_size=8 changes the validation windows: add --eval_windows=0, so that every run is validated on"
            " all of the text",
        ),
    ],
)
def test_mistakes_are_named(choices: str, message: str, argv: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parse_ablate_command([*argv, f"--choices={choices}"], "")
    assert str(error.value) == message


def test_other_data_must_be_validated_on_the_same_text(
    argv: list[str], data_dir: Path, tmp_path: Path
) -> None:
    content = json.loads((data_dir / "manifest.json").read_text())
    for folder, change in (("same", 0), ("other", 1)):
        content["splits"]["val"]["text_bytes"] += change
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.json").write_text(json.dumps(content))
    words = [*argv, "--eval_windows=0"]
    assert parse_ablate_command([*words, f"--choices=data_dir={tmp_path / 'same'}; block_size=8"], "").choices
    with pytest.raises(UserError, match=r"other has [\d,]+ bytes of validation text, .*: prepare both from"):
        parse_ablate_command([*words, f"--choices=data_dir={tmp_path / 'other'}"], "")
    with pytest.raises(UserError, match=r"no manifest\.json in .*none: run `"):
        parse_ablate_command([*words, f"--data_dir={tmp_path / 'none'}", "--choices=n_layer=2"], "")
