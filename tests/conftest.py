"""What tests share: a tiny data folder, a tiny config on it, the commands as processes, the files of a run."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import hypothesis
import pytest
import torch
from preparing import InProcess

import prepare_data
from model import GPTConfig
from system.settings import flat_fields
from system.signals import SIGNALS
from system.world import World
from tools.faults.commands import Command
from training.config import TrainConfig
from training.optim import OptimizerConfig
from training.plot import read_metrics

ROOT = Path(__file__).parent.parent
WORDS = "the river runs north past old stone walls where café owners learn 数字 and sing".split()
CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)


hypothesis.settings.register_profile("few", max_examples=100, derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("many", max_examples=100_000, deadline=None, database=None)
hypothesis.settings.load_profile("few")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start long tests first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute with one thread, as the processes that `run` starts do: tiny models are fastest so."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def algorithms_of_choice():
    """Undo what a training in this process sets for the whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    if (
        torch.are_deterministic_algorithms_enabled() != before
    ):  # setting it imports the compiler, asking does not
        torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of about 40,000 byte tokens: words at random, so that there is something to learn."""
    folder = tmp_path_factory.mktemp("data")
    chooser = random.Random(0)
    texts = [" ".join(chooser.choices(WORDS, k=60)) for _ in range(120)]
    articles = [{"id": str(i), "title": f"Article {i}", "text": text} for i, text in enumerate(texts)]
    source = folder / "articles.jsonl"
    source.write_text("".join(json.dumps(article) + "\n" for article in articles))
    out_dir = folder / "prepared"
    settings = {"validation_fraction": 0.1, "shard_tokens": 10_000, "workers": 1}
    options = prepare_data.PrepareConfig(
        source=str(source), out_dir=str(out_dir), tokenizer="bytes", **settings
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_data, "WorkerPool", InProcess)  # a process of its own takes seconds to start
        prepare_data.prepare(options)
    return out_dir


@pytest.fixture
def config(data_dir: Path, tmp_path: Path) -> TrainConfig:
    """A run of seconds: a tiny GPT on the tiny data, in float32, eager, on the CPU."""
    return TrainConfig(
        data_dir=str(data_dir),
        out_dir=str(tmp_path / "run"),
        model=GPTConfig(block_size=16, n_layer=2, n_head=2, n_embd=32),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=5),
        max_steps=10,
        batch_size=8,
        eval_interval=5,
        eval_windows=11,
        checkpoint_interval=5,
        log_interval=1,
        device="cpu",
        precision="float32",
        attention="sdpa",  # not timed: all runs must compute alike
        compile=False,
    )


def records(config: TrainConfig) -> list[dict]:
    """Return a run's records without what the clock says."""
    found, times = read_metrics(Path(config.out_dir) / "metrics.jsonl"), {"tokens_per_second", "mfu"}
    return [{key: value for key, value in record.items() if key not in times} for record in found]


def losses(config: TrainConfig) -> list[float]:
    return [record["loss"] for record in records(config) if "loss" in record]


def final_files(config: TrainConfig) -> dict[str, bytes]:
    folder = Path(config.out_dir) / (Path(config.out_dir) / "last").read_text().strip()
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")}


def elsewhere(config: TrainConfig, name: str, **changes: object) -> TrainConfig:
    return replace(config, out_dir=str(Path(config.out_dir).parent / name), **changes)


def with_dropout(config: TrainConfig) -> TrainConfig:
    return replace(config, model=replace(config.model, dropout=0.2))


def arguments(config: TrainConfig) -> list[str]:
    """Return the command line that gives `config`."""
    words = {
        key: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for key, value, _ in flat_fields(config)
    }
    return [f"--{key}={word}" for key, word in words.items() if word]


def command_environment() -> dict[str, str]:
    """Return the environment of a command that a test starts."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTHONPATH": ""}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs one of the project's commands in a process of its own, in an empty folder."""

    def run_in_process(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
        is_tool = script.startswith("tools.")  # which runs as a module, from the project's folder
        words = [sys.executable, *(("-m", script) if is_tool else (str(ROOT / script),)), *argv]
        environment = command_environment() | ({"PYTHONPATH": str(ROOT)} if is_tool else {})
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    return run_in_process


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return a command's error, after checking its form: status 2 and a single line, without a traceback."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").strip()


class Start(Protocol):
    def __call__(self, config: TrainConfig, script: Path = ..., **environment: str) -> Command: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that trains a config in a process of its own, forked from this one, which has torch loaded already.

    It runs train.py, or another script that takes the same words.
    """
    started: list[Command] = []

    def start_command(config: TrainConfig, script: Path = ROOT / "train.py", **environment: str) -> Command:
        log, errors = (tmp_path / f"{len(started)}.{name}" for name in ("out", "err"))
        started.append(Command.fork([str(script), *arguments(config)], log, errors, **environment))
        return started[-1]

    yield start_command
    for command in started:
        command.kill()
        command.status()


Ranks = Callable[..., list[Command]]


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    """A function that trains each config in a process of its own, all together, without an agent that ends them."""
    started: list[Command] = []

    def start_together(*configs: TrainConfig, script: Path = ROOT / "train.py") -> list[Command]:
        outputs = [
            [tmp_path / f"rank_{len(started) + rank}.{name}" for rank in range(len(configs))]
            for name in ("out", "err")
        ]
        argvs = [[str(script), *arguments(config)] for config in configs]
        commands = Command.fork_together(argvs, *outputs)
        started.extend(commands)
        return commands

    yield start_together
    for command in started:
        command.kill()
        command.status()


class Terminal(io.StringIO):
    """A terminal where someone types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """A function that types these lines at a terminal, and returns what the terminal shows."""

    def type_lines(lines: str) -> Terminal:
        monkeypatch.setattr(sys, "stdin", Terminal(lines))
        monkeypatch.setattr(sys, "stderr", Terminal())
        return cast(Terminal, sys.stderr)

    return type_lines


def wait_for_step(command: Command, step: int) -> None:
    """Wait until the command has said that `step` is done."""
    assert command.wait_for(rf"\nstep +{step}/\d+ [|] loss"), f"it ended before that: {command.output()}"


def completed(command: Command) -> str:
    """Return what a command prints that ends well."""
    status, errors = outcome(command)
    assert status == 0, command.output() + errors
    return command.output()


def outcome(command: Command) -> tuple[int, str]:
    """Return status and standard error of a process that ends soon."""
    return command.status(), command.errors()


@pytest.fixture
def signals_of_choice() -> Iterator[None]:
    """See that every test leaves the handlers as they were; begin with none that nohup set."""
    outside = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    signal.signal(signal.SIGHUP, outside)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def flip_a_bit(file: Path) -> None:
    """Damage a file as a disk might, in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.fixture
def browser() -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium here: apt install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for setting in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "no-first-run",
        "disable-background-networking",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{setting}")
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield running
    running.quit()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an app from this process, and yield its address."""
    import uvicorn

    from system.http import Gate

    server = uvicorn.Server(uvicorn.Config(Gate(app, ""), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)


@pytest.fixture
def doubles() -> object:
    """Compare in float64, where nothing but a mistake makes a difference."""
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
