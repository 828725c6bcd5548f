"""Texts that state facts and ask for them, and the evaluation that looks for what an answer was copied from."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_here
from conftest import one_line_error

from apps.explain.config import LEAVE_ONE_OUT
from apps.explain.evaluate import EvaluateConfig, evaluated, report, top
from apps.explain.explainer import Explainer
from corpus.articles import Pair, read_pairs
from corpus.tokenizer import byte_tokenizer
from model import GPT, GPTConfig
from system.errors import UserError


def test_an_answer_is_stated_once_and_the_files_never_change(tmp_path: Path) -> None:
    words = [f"--out_dir={tmp_path}", "--n_train=50", "--n_held_out=20"]
    assert run_here("tools/stated_facts.py", *words).returncode == 0
    digests = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in tmp_path.iterdir()}
    assert digests == {"train": "a87488c5f5030cee", "held_out": "3b90d8149b59a551"}
    held_out = read_pairs(str(tmp_path / "held_out.jsonl"))
    assert len(held_out) == 20
    for pair in held_out:
        stated = dict(re.findall(r"Give (\w+) (\w+)\.", pair.prompt))
        assert 2 <= len(stated) == len(set(stated.values())) <= 4
        assert pair.completion == f" {stated[pair.prompt.split()[-1]]}."
    for pair in read_pairs(str(tmp_path / "train.jsonl")):
        stated = dict(re.findall(r"Give (\w+) (\w+)\.", pair.prompt))
        asked = re.findall(r"Give (\w+) (\w+)\.", pair.prompt.rpartition(". ")[2] + pair.completion)
        assert len(asked) == 8
        assert all(stated[name] == word for name, word in asked)
    (tmp_path / "file").touch()
    message = one_line_error(run_here("tools/stated_facts.py", f"--out_dir={tmp_path / 'file'}"))
    assert message.endswith("choose another --out_dir")


def test_the_evaluation_looks_for_the_stated_word(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    model = GPT(GPTConfig(vocab_size=257, block_size=48, n_layer=1, n_head=2, n_embd=32)).eval()
    explainer = Explainer("tiny", model, byte_tokenizer())
    case = evaluated(explainer, Pair("abcZdefg", "Z."))
    influences = explainer.explain("abcZdefgZ").influences
    assert case.found == {
        name: 3 in np.argsort(-np.abs(rows[8, :8]))[:3] for name, rows in influences.items()
    }
    assert list(case.found) == ["attention", "rollout", "gradient x input", LEAVE_ONE_OUT]
    report(EvaluateConfig(), [replace(case, is_right=False), replace(case, is_right=True)])
    printed = capsys.readouterr().out
    assert "answers 1 of 2 questions" in printed
    with pytest.raises(UserError, match="has the answer's first token 2 times: use pairs of"):
        evaluated(explainer, Pair("ZaZ", "Z."))


def test_the_top_is_by_size() -> None:
    assert top(np.array([0.0, -5.0, 1.0, 2.0, 0.5])) == [1, 3, 2]
