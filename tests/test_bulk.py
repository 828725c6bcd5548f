"""sample.py --out: a row for each sample, the same after any interruption, and never mixed with others."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from references import enlarge

from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from sampling import bulk
from sampling.bulk import Row, write_rows
from sampling.config import SampleConfig, Sampling
from sampling.prompts import read_prompts
from sampling.sampler import Sampler
from sampling.text import Continuation
from system.errors import UserError

BYTES = open_tokenizer("bytes")
ROWS = [(prompt, number) for prompt in ("the", "", "two\nlines", "é") for number in range(2)]


@pytest.fixture(scope="module")
def model() -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=257, block_size=16, n_layer=1, n_head=2, n_embd=32)).eval()
    enlarge(model)
    return model


@pytest.fixture
def config(tmp_path: Path) -> SampleConfig:
    return SampleConfig(out=str(tmp_path / "x.jsonl"), sampling=Sampling(n_samples=2, max_new_tokens=12))


def written(model: GPT, config: SampleConfig, rows: Sequence[Row] = ROWS, stop_after: int = 99) -> str:
    """Write samples; die after `stop_after` pieces. Return the file."""

    def write(config: SampleConfig, rows: Sequence[Row]) -> Iterator[tuple[Continuation, str]]:
        samples = [Continuation(BYTES, prompt, config.sampling, number) for prompt, number in rows]
        for n_pieces, piece in enumerate(Sampler(model, BYTES).in_order(samples)):
            if n_pieces == stop_after:
                raise KeyboardInterrupt
            yield piece

    write_rows(config, rows, write)
    return Path(config.out).read_text(encoding="utf-8")


def test_a_row_holds_a_sample_and_how_it_was_made(model: GPT, config: SampleConfig) -> None:
    rows = [json.loads(line) for line in written(model, config).splitlines()]
    assert [(row["prompt"], row["sample"]) for row in rows] == ROWS
    for prompt in ("the", "two\nlines"):
        expected = Sampler(model, BYTES).continuations(prompt, config.sampling)
        assert [row["text"] for row in rows if row["prompt"] == prompt] == expected
    assert {row["finish_reason"] for row in rows} <= {"length", "stop"}
    assert rows[0]["n_tokens"] == 12
    assert (rows[0]["temperature"], rows[0]["checkpoint"]) == (0.8, "out/demo")
    assert "n_samples" not in rows[0], "more samples continue the file"


@pytest.mark.parametrize("at_once", [3, 256])
def test_an_interrupted_file_is_continued(
    model: GPT, config: SampleConfig, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", at_once)
    whole = written(model, config)
    for stop_after in (0, 5, 14, 16):
        Path(config.out).unlink()
        with pytest.raises(KeyboardInterrupt):
            written(model, config, stop_after=stop_after)
        before = Path(config.out).read_text()
        assert whole.startswith(before)
        line = whole[len(before) :].splitlines()[0]
        for cut in (1, 14, len(line) - 1):
            Path(config.out).write_text(before + line[:cut])
            assert written(model, config) == whole
    assert written(model, config) == whole, "a finished one stays as it is"


def test_a_file_of_other_samples_is_left_alone(model: GPT, config: SampleConfig) -> None:
    before = written(model, config)
    other = replace(config, sampling=replace(config.sampling, temperature=0.5))
    cases = [
        (other, ROWS, "x.jsonl:1 has temperature=0.8, not 0.5"),
        (replace(config, stop="x"), ROWS, "x.jsonl:1 has stop='', not 'x'"),
        (config, ROWS[1:], "x.jsonl:1 is a sample of other prompts or another --n_samples"),
        (config, ROWS[:3], "x.jsonl:4 is a sample of other prompts or another --n_samples"),
    ]
    for changed, rows, message in cases:
        with pytest.raises(UserError, match=f"{message}: choose another --out"):
            written(model, changed, rows)
        assert Path(config.out).read_text() == before
    for content in ("5\n", "[1]\n", "text\n", "text", '{"prompt": "mine"}', '{"a": 1}'):
        Path(config.out).write_text(content)
        with pytest.raises(UserError, match=r"x.jsonl:1 is not a sample: choose another --out"):
            written(model, config)
        assert Path(config.out).read_text() == content
    Path(config.out).write_text(before + "mine")
    with pytest.raises(UserError, match=r"x.jsonl:9 is not a sample"):
        written(model, config)
    with pytest.raises(UserError, match="No such file or directory: choose another file"):
        written(model, replace(config, out=config.out.replace("x.jsonl", "nothing/x.jsonl")))


def test_prompts_may_be_in_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    config = SampleConfig(prompt_file=str(path))
    path.write_text('{"prompt": "two\\nlines", "id": 3}\n\n{"prompt": ""}\n')
    assert read_prompts(config) == ["two\nlines", ""]
    for content, message in (
        (
            '{"text": "a"}',
            "prompts.jsonl:1 has no key 'prompt', only text: each line must be an object that has it",
        ),
        ('{"prompt": 5}', "prompts.jsonl:1: its prompt is a int: must be text"),
        ("\n", "prompts.jsonl: no prompts in it: write an object with a prompt on each line"),
        ("the river", "prompts.jsonl:1 is not valid JSON"),
        ('{"prompt": "a \\ud800"}', "prompts.jsonl:1 has a lone surrogate"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            read_prompts(config)
    packed = tmp_path / "prompts.jsonl.gz"
    for content in (b"plain text", gzip.compress(b'{"prompt": "a"}' * 99)[:-9]):
        packed.write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read .*prompts.jsonl.gz"):
            read_prompts(SampleConfig(prompt_file=str(packed)))
    path.unlink()
    with pytest.raises(UserError, match=r"prompts.jsonl: No such file or directory: must be a file with one"):
        read_prompts(config)
