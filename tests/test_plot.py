"""The picture of a run's losses: whatever the environment, at a run's end, by tools.plot, and never a reason to fail."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from conftest import ROOT
from matplotlib.backends.backend_agg import FigureCanvasAgg

import train as train_module
from system.errors import run_command
from tools import plot
from train import train
from training import log
from training.config import TrainConfig
from training.plot import plot_losses

PNG = b"\x89PNG\r\n\x1a\n"


def write_steps(folder: Path, *steps: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in steps)
    )


@pytest.mark.parametrize("steps", [(), (0,), (0, 2, 4)])
def test_picture_is_a_png(tmp_path: Path, steps: tuple[int, ...]) -> None:
    write_steps(tmp_path, *steps)
    plot_losses(tmp_path, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)
    assert not list(tmp_path.glob("*.tmp"))


DRAW = "import sys; from pathlib import Path; from training.plot import plot_losses; plot_losses(*map(Path, sys.argv[1:]))"


def test_environment_and_settings_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook's shell, whose backend is not installed here; matplotlib looks at it when it is imported."""
    folder = tmp_path / "a $name$ of $mathtext$ _{ \udcff 数字"
    write_steps(folder, 0, 2, 4)
    plot_losses(folder, tmp_path / "plain.png")
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    plot_losses(folder, tmp_path / "red.png")
    (tmp_path / "matplotlibrc").write_text("backend: nonsense\nno.such.key: 1\naxes.facecolor: red\n")
    settings = {"MPLBACKEND": "no_such_backend", "MATPLOTLIBRC": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", DRAW, folder, tmp_path / "other.png"],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for other in ("red.png", "other.png"):
        assert (tmp_path / other).read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_disk_that_is_full_keeps_the_picture_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_canvas: FigureCanvasAgg, path: Path, **_options: object) -> None:
        path.write_bytes(PNG)
        raise OSError(28, "No space left on device")

    write_steps(tmp_path, 0, 2)
    plot_losses(tmp_path, tmp_path / "loss.png")
    before = (tmp_path / "loss.png").read_bytes()
    monkeypatch.setattr(FigureCanvasAgg, "print_png", full)
    with pytest.raises(OSError, match="No space left"):
        plot_losses(tmp_path, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_run_that_cannot_be_drawn_still_finishes(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("no fonts\nat all")

    monkeypatch.setattr(log, "plot_losses", fail)
    assert train(replace(config, max_steps=1)).step == 1
    said = capsys.readouterr().out
    assert "loss.png (RuntimeError: no fonts)\n" in said
    assert "is finished" in said


def draw(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["plot.py", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        run_command(plot.main)
    return int(stop.value.code or 0)


def test_tool_draws_a_run_in_the_middle(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert not (Path(config.out_dir) / "loss.png").exists()
    assert draw(monkeypatch, config.out_dir) == 0
    assert draw(monkeypatch, f"--run={config.out_dir}", f"--out={tmp_path}/elsewhere.png") == 0
    assert (Path(config.out_dir) / "loss.png").read_bytes() == (tmp_path / "elsewhere.png").read_bytes()
    assert draw(monkeypatch, tmp_path / "nowhere") == 2
    assert draw(monkeypatch, config.out_dir, "--out=/no/such/folder.png") == 2
    assert draw(monkeypatch, config.out_dir, "--out=.") == 2
    errors = capsys.readouterr().err.splitlines()
    assert "no metrics.jsonl in" in errors[0]
    assert "choose another --out" in errors[1]
    assert errors[2:] == ["error: out=. is a folder: set a file in it, such as --out=loss.png"]
