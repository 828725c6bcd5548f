"""tools.evaluate: bits per byte as training has them, and what int8 costs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import records

from checkpointing import pretrained
from corpus.tokenizer_json import open_tokenizer
from system.errors import UserError
from tools.evaluate import EvaluateConfig, score
from train import train
from training.config import TrainConfig


def test_the_bits_per_byte_are_those_of_training(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, max_steps=4, eval_interval=4, eval_windows=7)
    train(config)
    trained = records(config)[-1]["val_bits_per_byte"]
    capsys.readouterr()
    settings = EvaluateConfig(
        f"{config.out_dir}", config.data_dir, eval_windows=7, quantize="int8", kernel="torch", device="cpu", precision="float32"
    )  # fmt: skip
    score(settings)
    whole, small, over = capsys.readouterr().out.splitlines()
    assert float(re.fullmatch(r"float32: ([\d.]+) bits per byte", whole)[1]) == pytest.approx(
        trained, abs=1e-4
    )  # type: ignore[index]
    found = re.fullmatch(r"int8, kernel torch: ([\d.]+) bits per byte, ([+-][\d.]+)%", small)
    assert found
    assert float(found[1]) == pytest.approx(trained, rel=0.005)
    assert float(found[2]) == pytest.approx(100 * (float(found[1]) / trained - 1), abs=0.02)
    n_tokens = 7 * config.model.block_size
    assert re.fullmatch(rf"over {n_tokens:,} tokens, [\d,]+ bytes, of the validation split of .*", over)
    with pytest.raises(ValueError, match="eval_windows=-1: must be at least 0"):
        EvaluateConfig(eval_windows=-1)


def test_another_tokenizer_is_named(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(replace(config, max_steps=1))
    other = open_tokenizer("bytes")
    model, _, dtype = pretrained.load(config.out_dir, "cpu", "float32")
    other.special_tokens["<|more|>"] = 5
    monkeypatch.setattr(pretrained, "load", lambda *_: (model, other, dtype))
    with pytest.raises(
        UserError, match="prepared with another tokenizer than the model's: prepare it with --tokenizer="
    ):
        score(EvaluateConfig(config.out_dir, config.data_dir))
