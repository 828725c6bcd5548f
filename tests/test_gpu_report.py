"""The report about a GPU, whose parts run on a tiny network on the CPU."""

import json
import time
from pathlib import Path
from statistics import harmonic_mean

import pytest

from tools import gpu_report
from tools.faults.commands import Command
from tools.gpu_report import Failed, Report
from tools.gpu_report_config import ReportConfig

CONFIG = """
from training.config import GPTConfig, TrainConfig
config = TrainConfig(
    model=GPTConfig(block_size=16, n_layer=1, n_head=2, n_embd=16), device="cpu", precision="float32", compile=False
)
"""


@pytest.fixture
def report(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A report on a tiny run, whose commands are forked from this process."""

    def fork(report: Report, name: str, words: list[str], folder: Path | None = None) -> Command:
        log = report.out_dir / f"{name}.log"
        if words[: len(gpu_report.TORCHRUN)] == gpu_report.TORCHRUN:
            return Command.fork_together([words[len(gpu_report.TORCHRUN) :]], [log], [log])[0]
        return Command.fork([str(folder / words[0]) if folder else words[0], *words[1:]], log)

    monkeypatch.setattr(Report, "start", fork)
    monkeypatch.setattr(gpu_report, "STEPS", 70)
    monkeypatch.setattr(gpu_report, "machine", lambda: "a machine")
    (tmp_path / "tiny.py").write_text(CONFIG)
    (tmp_path / "out").mkdir()
    paths = {"config": tmp_path / "tiny.py", "data_dir": data_dir, "out_dir": tmp_path / "out"}
    paths |= {"out": tmp_path / "gpu.md", "nanogpt": tmp_path}
    return Report(ReportConfig(batch_tokens=512, **{key: str(path) for key, path in paths.items()}))


@pytest.mark.serial
def test_a_run_is_measured_sampled_killed_and_resumed(report: Report, tmp_path: Path) -> None:
    bench = 'print("time per iteration: 90.0ms, MFU: 9.00%\\ntime per iteration: 64.0ms, MFU: 12.50%")'
    (tmp_path / "bench.py").write_text(bench)
    parts = {"data": report.data, "training": report.training, "samples": report.sampling}
    parts |= {"fsdp": lambda: report.launched("fsdp")}
    parts |= {"resuming": report.resuming, "nanoGPT": report.nanogpt}
    worked = [report.measure(name, part) for name, part in parts.items()]
    assert all(worked), report.rows
    found = {name: text for name, text, _seconds in report.rows}
    assert found["training"].endswith(" tokens/s, MFU unknown, unknown of GPU memory, micro-batch 32")
    assert "The history of" in found["samples"]
    assert found["fsdp"].endswith("micro-batch 32, losses differ by at most 0.0000 nats")
    assert found["resuming"] == "killed and resumed at step 40: losses differ by at most 0.0000 nats"
    assert found["nanoGPT"] == "512,000 tokens/s, MFU 12.5% of an A100, micro-batch 32"
    written = (tmp_path / "gpu.md").read_text()
    assert "on a machine." in written
    assert all(f"| {name} | {text} | " in written for name, text in found.items())


def test_speed_is_that_after_the_warm_up(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps over time: two thirds of the time for the slower half."""
    speeds = {5: 1.0, 10: 1.0, 20: 300.0, 30: 600.0}
    records = [{"step": n, "loss": 3.0, "tokens_per_second": v, "mfu": v / 1000} for n, v in speeds.items()]
    run = report.out_dir / "undisturbed"
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    said = "batch 8 x micro-batch 4 (auto)\ntensors took at most 12.3 GiB of GPU memory\n"
    monkeypatch.setattr(Report, "run", lambda *_arguments: said)
    assert report.training() == "400 tokens/s, MFU 45.0%, 12.3 GiB of GPU memory, micro-batch 4"


@pytest.mark.serial
def test_part_that_fails_or_takes_too_long_is_in_the_report(report: Report, tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text("print('no CUDA | here'); raise SystemExit(3)")
    assert not report.measure("nanoGPT", report.nanogpt)
    assert "| nanoGPT | FAILED: no CUDA / here | " in (tmp_path / "gpu.md").read_text()
    assert not report.measure("speed", lambda: str(harmonic_mean([])))
    assert "| speed | FAILED: StatisticsError: " in (tmp_path / "gpu.md").read_text()
    (tmp_path / "bench.py").write_text("import time; time.sleep(60)")
    report.give_up = time.monotonic() + 0.2
    with pytest.raises(Failed, match="not done after 9 minutes"):
        report.nanogpt()
