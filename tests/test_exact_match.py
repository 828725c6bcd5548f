"""Exact matches and prefixes: completions that a model has learned count, others are shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import run_here
from conftest import one_line_error

from corpus.articles import Pair, read_pairs
from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from prepare_data import PrepareConfig, prepare
from sampling.sampler import Sampler
from tools.exact_match import MatchConfig, begins_with, completions, report
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
    shorter = [row.replace('!"}', '"}') for row in rows]  # " a", where the model has learned " a!"
    (tmp_path / "r.jsonl").write_text("\n".join([*shorter, '{"prompt": "aa is", "completion": " b"}']))
    shorter_words = [*words, f"--pairs={tmp_path / 'r.jsonl'}", "--show=0"]
    exact, prefix = (
        run_here("tools/exact_match.py", *shorter_words, *more).stdout for more in ([], ["--prefix"])
    )
    assert " completes 0 of 9 prompts " in exact
    assert counted <= int(prefix.split(" completes ")[1].split(" of 9 ")[0]) <= 8
    message = one_line_error(run_here("tools/exact_match.py", *words, "--pairs=nothing.jsonl"))
    assert "no file nothing.jsonl" in message


@pytest.mark.parametrize(
    ("text", "completion", "begins"),
    [
        (" Paris", " Paris", True),
        (" Paris. The", " Paris", True),
        (" Paris (", " Paris", True),
        (' Paris."', " Paris", True),
        (" Paris\nThe", " Paris", True),
        (" Washington, D.C. is", " Washington, D.C.", True),
        (" Parisian", " Paris", False),
        (" Paris2", " Paris", False),
        (" Parisé", " Paris", False),
        (" Pari", " Paris", False),
        ("Paris", " Paris", False),
        (" the Paris", " Paris", False),
        (" 8. The", " 8", True),
        (" 83", " 8", False),
        (" 8.5", " 8", False),
        (" 1,430", " 1", False),
        (" Guinea-Bissau", " Guinea", False),
    ],
)
def test_a_text_that_goes_on_within_a_word_or_number_does_not_count(
    text: str, completion: str, begins: bool
) -> None:
    assert begins_with(text, completion) == begins


def test_enough_is_written_to_judge_a_prefix_and_no_more() -> None:
    """Also where characters are cut in two: each token is a byte."""
    tokenizer = open_tokenizer("bytes")
    pairs = [Pair("a", " é"), Pair("ab", " Yaoundé"), Pair("", " 8")]
    model = GPT(
        GPTConfig(vocab_size=tokenizer.vocab_size, block_size=32, n_layer=1, n_head=1, n_embd=8)
    ).eval()
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[ord("x")].fill_(1.0)
    assert completions(Sampler(model, tokenizer), pairs, True) == ["x" * 5, "x" * 11, "x" * 5]
    assert completions(Sampler(model, tokenizer), pairs, False) == ["x" * 4, "x" * 10, "x" * 3]


def test_what_is_right_is_counted_by_kind_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("capital", " Paris"), ("number", " 8"), ("capital", " Rome"), ("number", " 9"), (None, " x")]
    lines = [json.dumps({"prompt": f"{kind} is", "completion": text, "kind": kind}) for kind, text in rows]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    pairs = read_pairs(str(tmp_path / "p.jsonl"))
    texts = [" Paris.", " 83", " Rome", " 8.", " x."]
    report(MatchConfig("out/a", "p.jsonl", prefix=True, show=1), pairs, texts)
    assert capsys.readouterr().out.splitlines() == [
        "wrong: 'number is' -> ' 83', not ' 8'",
        "capital: 2 of 2",
        "number: 0 of 2",
        "out/a completes 3 of 5 prompts of p.jsonl (60.0%)",
    ]
    report(MatchConfig("out/a", "p.jsonl", show=0), pairs, texts)
    assert capsys.readouterr().out.splitlines() == [
        "capital: 1 of 2",
        "number: 0 of 2",
        "out/a completes 1 of 5 prompts of p.jsonl exactly (20.0%)",
    ]
