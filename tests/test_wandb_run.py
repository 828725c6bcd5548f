"""Weights & Biases gets a run's figures; if it fails, hangs or is missing, the run is undisturbed."""

import http.server
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import arguments, completed

from checkpointing.checkpoint import Progress
from system.errors import UserError
from tools.faults.commands import Command
from training import tracker, wandb_run
from training.config import TrainConfig
from training.guard import Verdict
from training.log import RunLog, read_metrics
from training.wandb_run import start_wandb

ABOUT = {"run_id": "abcd1234", "config": {"seed": 1}}


def verdict(step: int) -> Verdict:
    return Verdict(step, 0, step - 1, 0.0, False, False, 2.0, 2.0, 0.5, 2.0, 0.1)


class UsageError(Exception):
    """Stands for wandb's error about a mistake of the user's, such as a missing login."""


class Wandb:
    """Stands for the package: notes all calls, and does what a test puts `instead` of one."""

    def __init__(self) -> None:
        self.errors = SimpleNamespace(UsageError=UsageError)
        self.calls: list[Any] = []
        self.instead: dict[str, Callable[[], None]] = {}

    def noted(self, name: str, value: Any) -> None:
        self.calls.append((name, value))
        self.instead.get(name, lambda: None)()

    def init(self, **options: Any) -> "Wandb":
        self.noted(f"init {options['mode']}", options)
        return self

    def log(self, values: dict[str, float]) -> None:
        self.noted("log", values)

    def finish(self, exit_code: int) -> None:
        self.noted("finish", exit_code)

    def teardown(self) -> None:
        self.noted("teardown", None)

    def define_metric(self, *_names: str, **_axis: str) -> None:
        pass

    @property
    def Settings(self) -> Callable[..., dict[str, float]]:
        return dict

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    stub = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    monkeypatch.setattr(wandb_run, "reachable", lambda url: True)
    return stub


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def log_steps(config: TrainConfig, mode: str, n_steps: int = 3) -> None:
    """Log a run of a few steps to its end."""
    Path(config.out_dir).mkdir(parents=True, exist_ok=True)
    log = RunLog(replace(config, wandb=mode), 100, None, tokens_per_step=128, compiles=False, active=True)  # type: ignore[arg-type]
    log.open(Progress(), False, ABOUT)
    with log:
        for step in range(1, n_steps + 1):
            log.trained(verdict(step))


def has_all_records(config: TrainConfig) -> bool:
    return [record["step"] for record in read_metrics(Path(config.out_dir) / "metrics.jsonl")] == [1, 2, 3]


def test_wandb_gets_the_runs_id_and_figures(config: TrainConfig, wandb: Wandb) -> None:
    config = replace(config, wandb_project="mine")
    log_steps(config, "online")
    assert wandb.names == ["init online", "log", "log", "log", "finish"]
    options = wandb.calls[0][1]
    assert (options["id"], options["project"], options["resume"]) == ("abcd1234", "mine", "allow")
    assert (options["dir"], options["config"]) == (config.out_dir, {"seed": 1})
    assert [(values["step"], values["loss"]) for name, values in wandb.calls if name == "log"] == [
        *((1, 2.0), (2, 2.0), (3, 2.0))
    ]
    assert wandb.calls[-1] == ("finish", 0)


def test_run_that_fails_is_marked_as_failed(config: TrainConfig, wandb: Wandb) -> None:
    Path(config.out_dir).mkdir(parents=True)
    log = RunLog(
        replace(config, wandb="offline"), 100, None, tokens_per_step=128, compiles=False, active=True
    )
    log.open(Progress(), False, ABOUT)
    with pytest.raises(KeyboardInterrupt), log:
        raise KeyboardInterrupt
    assert wandb.calls[-1] == ("finish", 1)


@pytest.mark.parametrize("name", ["log", "finish"])
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), SystemExit("[Errno 32] Broken pipe")])
def test_failure_is_reported_once(
    config: TrainConfig, wandb: Wandb, name: str, error: BaseException, capsys
) -> None:
    wandb.instead[name] = failing(error)
    log_steps(config, "online")
    assert (
        capsys.readouterr().out.count("WANDB failed ([Errno 32] Broken pipe), training continues without it")
        == 1
    )
    assert wandb.names.count(name) == 1
    assert has_all_records(config)


@pytest.mark.parametrize("name", ["log", "finish"])
def test_hanging_costs_limited_time(
    config: TrainConfig, wandb: Wandb, name: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    released = threading.Event()
    wandb.instead[name] = lambda: released.wait(60) and None
    monkeypatch.setattr(tracker, "FINISH_SECONDS", -4.5)
    began = time.monotonic()
    log_steps(config, "online")
    assert time.monotonic() - began < 20
    assert "WANDB does not finish, not waiting for it any longer" in capsys.readouterr().out
    assert has_all_records(config)
    released.set()


def test_without_a_server_the_run_is_kept_offline(
    config: TrainConfig, wandb: Wandb, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(wandb_run, "reachable", lambda url: False)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example")
    log_steps(config, "online")
    assert wandb.names[:2] == ["teardown", "init offline"]
    line = f"WANDB is offline (https://wandb.example does not answer): `wandb sync {config.out_dir}/wandb/offline-run-*`"
    assert line in capsys.readouterr().out


def test_server_that_fails_at_the_start_leaves_the_run_offline(
    config: TrainConfig, wandb: Wandb, capsys
) -> None:
    wandb.instead["init online"] = failing(TimeoutError("timed out after 30 s\nlong story"))
    log_steps(config, "online")
    assert wandb.names[:4] == ["init online", "teardown", "init offline", "log"]
    assert "WANDB is offline (timed out after 30 s long story): `wandb sync" in capsys.readouterr().out


def test_even_offline_may_fail(config: TrainConfig, wandb: Wandb, capsys) -> None:
    wandb.instead["init offline"] = failing(RuntimeError())
    log_steps(config, "offline")
    assert wandb.names == ["init offline"]
    assert "WANDB failed (RuntimeError), training continues without it" in capsys.readouterr().out
    assert has_all_records(config)


def test_missing_login_is_an_error_at_the_start(config: TrainConfig, wandb: Wandb) -> None:
    wandb.instead["init online"] = failing(UsageError("No API key configured. Use `wandb login` to log in."))
    with pytest.raises(UserError) as found:
        start_wandb(replace(config, wandb="online"), ABOUT, print)
    message = "No API key configured. Use `wandb login` to log in; --wandb=offline needs no connection"
    assert str(found.value) == f"wandb=online: {message}"


def test_missing_login_does_not_stop_a_run_that_resumes(config: TrainConfig, wandb: Wandb, capsys) -> None:
    """It may resume by itself, on another machine."""
    wandb.instead["init online"] = failing(UsageError("No API key configured."))
    log = RunLog(replace(config, wandb="online"), 100, None, tokens_per_step=128, compiles=False, active=True)
    Path(config.out_dir).mkdir(parents=True)
    log.open(Progress(), True, ABOUT)
    with log:
        log.trained(verdict(1))
    assert "WANDB failed (wandb=online: No API key configured; " in capsys.readouterr().out


def test_missing_package_is_named(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="wandb=offline: the package is missing: `pip install wandb`"):
        start_wandb(replace(config, wandb="offline"), ABOUT, print)


@pytest.mark.parametrize("error", [TypeError("Descriptors cannot be created"), SystemExit()])
def test_package_that_does_not_import_is_reported(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, error: BaseException, capsys
) -> None:
    class Broken:
        def find_spec(self, name: str, *_place: object) -> None:
            if name == "wandb":
                raise error

    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    log_steps(config, "online")
    said = capsys.readouterr()
    assert said.out.count("WANDB failed (") == 1
    assert not said.err
    assert has_all_records(config)


TRAIN = """
import json, os, sys, time, train
from system.errors import run_command
from training import tracker, wandb_run
tracker.START_SECONDS = 3.0
def train_all():
    for words in json.loads(sys.argv[1]):
        time.sleep(1)  # wandb names its folders by the second
        sys.argv[1:] = words
        train.main()
run_command(train_all, os._exit)
"""


Complete = Callable[..., str]


@pytest.fixture
def complete(tmp_path: Path) -> Iterator[Complete]:
    """A function that trains configs in one forked process, with the real package and little patience; returns the output."""
    pytest.importorskip("wandb")
    script, log = tmp_path / "train_all.py", tmp_path / "output"
    script.write_text(TRAIN)
    started: list[Command] = []

    def train_all(*configs: TrainConfig, **environment: str) -> str:
        words = json.dumps([arguments(config) for config in configs])
        started.append(Command.fork([str(script), words], log, WANDB_SILENT="true", **environment))
        output = completed(started[0])
        assert output.count(" is finished: step ") == len(configs)
        return output

    yield train_all
    for command in started:
        command.kill()


def offline_runs(folder: str | Path) -> list[str]:
    return [path.name for path in Path(folder).rglob("offline-run-*") if path.is_dir()]


@pytest.mark.long
def test_real_package_keeps_the_runs_id_offline(
    config: TrainConfig, complete: Complete, tmp_path: Path
) -> None:
    config = replace(config, wandb="offline", max_steps=5)
    longer = replace(config, max_steps=6, extend=True)
    complete(config, longer, WANDB_DIR=str(tmp_path))
    run_id = json.loads((Path(config.out_dir) / "config.json").read_text())["run_id"]
    assert len(offline_runs(tmp_path)) == 2
    assert all(name.endswith(f"-{run_id}") for name in offline_runs(tmp_path))


@pytest.fixture
def stuck_server() -> Iterator[str]:
    """A server that says that it is there, and then answers nothing."""
    over = threading.Event()

    class Stuck(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            over.wait()

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stuck)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    over.set()
    server.shutdown()
    server.server_close()


@pytest.mark.long
def test_real_package_without_a_network_stays_offline(config: TrainConfig, complete: Complete) -> None:
    key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    output = complete(replace(config, wandb="online", max_steps=5), **key)
    assert "WANDB is offline (http://127.0.0.1:9 does not answer): `wandb sync" in output
    assert len(offline_runs(config.out_dir)) == 1


@pytest.mark.long
def test_real_package_with_a_stuck_server_stays_offline(
    config: TrainConfig, complete: Complete, stuck_server: str
) -> None:
    key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": stuck_server}
    output = complete(replace(config, wandb="online", max_steps=5), **key)
    assert re.search(r"WANDB is offline \((?!http).*\): `wandb sync", output)
    assert len(offline_runs(config.out_dir)) == 1
