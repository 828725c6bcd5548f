"""Exact matches: completions that a model has learned count, others are shown."""

import json
from dataclasses import replace
from pathlib import Path

from commands import run_here
from conftest import one_line_error

from prepare_data import PrepareConfig, prepare
from train import train
from training.config import TrainConfig
from training.optim import OptimizerConfig


def test_exact_matches_are_counted(config: TrainConfig, tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": f"{c}{c} is", "completion": f" {c}!"}) for c in "abcdefgh"]
    (tmp_path / "p.jsonl").write_text("\n".join(rows))
    settings = {"source": f"pairs:{tmp_path / 'p.jsonl'}", "tokenizer": "bytes", "workers": 1}
    prepare(PrepareConfig(out_dir=str(tmp_path / "data"), validation_fraction=0.3, **settings))
    optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=5)
    intervals = {"max_steps": 150, "eval_interval": 150, "checkpoint_interval": 150, "eval_windows": 0}
    config = replace(config, data_dir=str(tmp_path / "data"), optimizer=optimizer, **intervals)
    train(config)
    (tmp_path / "q.jsonl").write_text("\n".join([*rows, '{"prompt": "aa is", "completion": " b!"}']))
    words = [f"--checkpoint={config.out_dir}", "--device=cpu"]
    done = run_here("tools/exact_match.py", *words, f"--pairs={tmp_path / 'q.jsonl'}", "--show=9")
    assert done.returncode == 0, done.stderr
    *wrong, summary = done.stdout.splitlines()
    assert wrong[-1].startswith("wrong: 'aa is' -> ")
    assert wrong[-1].endswith(", not ' b!'")
    counted = int(summary.split(" completes ")[1].split(" of 9 ")[0])
    assert 4 <= counted <= 8
    assert len(wrong) == 9 - counted
    done = run_here("tools/exact_match.py", *words, f"--pairs={tmp_path / 'q.jsonl'}", "--show=0")
    assert done.stdout == summary + "\n"
    message = one_line_error(run_here("tools/exact_match.py", *words, "--pairs=nothing.jsonl"))
    assert "no file nothing.jsonl" in message
