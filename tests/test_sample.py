"""Sampling by the real command: from a checkpoint alone, the same text for the same seed, refusals in one line."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import WORDS, one_line_error

import sample
from sample import SampleConfig, read_prompts, samples
from system.command_line import parse_config
from system.errors import UserError
from train import train
from training.config import TrainConfig


@pytest.fixture(scope="module")
def checkpoint_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained for a moment, whose data folder has been away since."""
    folder = tmp_path_factory.mktemp("sample")
    copy = folder / "data"
    shutil.copytree(data_dir, copy)
    config = TrainConfig(
        data_dir=str(copy),
        out_dir=str(folder / "run"),
        model=replace(TrainConfig(batch_size=1).model, block_size=32, n_layer=2, n_head=2, n_embd=64),
        optimizer=replace(TrainConfig(batch_size=1).optimizer, learning_rate=1e-2, warmup_steps=10),
        **{"max_steps": 150, "batch_size": 8, "device": "cpu", "precision": "float32", "compile": False},
    )
    train(config)
    torch.use_deterministic_algorithms(False)
    shutil.rmtree(copy)
    return folder / "run"


def texts(checkpoint_dir: Path, **settings: object) -> list[tuple[str, list[str]]]:
    config = SampleConfig(checkpoint=str(checkpoint_dir), max_new_tokens=40, device="cpu", **settings)
    prompts = read_prompts(config)
    return list(zip(prompts, samples(config, prompts), strict=True))


def test_command_continues_the_prompt(checkpoint_dir: Path, run) -> None:
    argv = [
        f"--checkpoint={checkpoint_dir}",
        "--prompt=the river ",
        "--max_new_tokens=60",
        "--temperature=0.5",
        "--seed=4",
    ]
    done = run("sample.py", *argv, "--device=cpu", "--precision=float32")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("the river ")
    assert len(done.stdout) > len("the river ") + 20
    learned = [word for word in done.stdout.split()[2:-1] if word in WORDS]
    assert len(learned) >= 4, f"not one of the words it was trained on: {done.stdout!r}"
    ((_, [text]),) = texts(checkpoint_dir, prompt="the river ", temperature=0.5, seed=4)
    assert done.stdout.startswith("the river " + text), "the same seed, the same text, in any process"


def test_command_prints_several_samples_of_several_prompts(checkpoint_dir: Path, run, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("the\n\ncafé 数字\n", encoding="utf-8")
    argv = [
        f"--checkpoint={checkpoint_dir}",
        "--prompt_file=prompts.txt",
        "--n_samples=2",
        "--max_new_tokens=5",
    ]
    done = run("sample.py", *argv, "--device=cpu")
    assert done.returncode == 0, done.stderr
    headers = [line for line in done.stdout.splitlines() if line.startswith("---")]
    assert headers == [f"--- prompt {p} of 2, sample {s} of 2" for p in (1, 2) for s in (1, 2)]
    assert done.stdout.count("\nthe") >= 2
    assert done.stdout.count("\ncafé 数字") == 2


def test_one_prompt_is_printed_without_its_number(
    checkpoint_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--checkpoint={checkpoint_dir}", "--prompt=the", "--n_samples=2", "--max_new_tokens=0"]
    monkeypatch.setattr(sys, "argv", ["sample.py", *argv, "--device=cpu"])
    sample.main()
    assert capsys.readouterr().out == "--- sample 1 of 2\nthe\n--- sample 2 of 2\nthe\n"


def test_seed_decides(checkpoint_dir: Path) -> None:
    first = texts(checkpoint_dir, n_samples=3, seed=7)
    assert first == texts(checkpoint_dir, n_samples=3, seed=7)
    assert first != texts(checkpoint_dir, n_samples=3, seed=8)
    ((_, several),) = first
    assert len(set(several)) == 3
    ((_, one),) = texts(checkpoint_dir, n_samples=1, seed=7)
    assert one == several[:1]


def test_temperature_zero_is_greedy(checkpoint_dir: Path) -> None:
    ((_, greedy),) = texts(checkpoint_dir, temperature=0.0, n_samples=2, seed=1)
    assert greedy[0] == greedy[1]
    assert texts(checkpoint_dir, temperature=0.0, seed=2)[0][1] == greedy[:1]
    assert texts(checkpoint_dir, top_k=1, seed=3)[0][1] == greedy[:1]
    assert texts(checkpoint_dir, top_p=1e-9, seed=3)[0][1] == greedy[:1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the decoding loop is asked for."""
    found: dict = {}
    real = sample.generate

    def noting(model: torch.nn.Module, prompts: list, **options: object) -> list:
        found.update(options, prompts=prompts)
        return real(model, prompts, **options)

    monkeypatch.setattr(sample, "generate", noting)
    return found


def test_empty_prompt_begins_an_article(checkpoint_dir: Path, asked: dict) -> None:
    ((prompt, [text]),) = texts(checkpoint_dir, prompt="")
    assert (prompt, asked["prompts"]) == ("", [[256]])
    assert text


def test_settings_reach_the_decoding(checkpoint_dir: Path, asked: dict) -> None:
    texts(checkpoint_dir, prompt="a", top_p=0.5, top_k=3, seed=5, temperature=0.7, n_samples=2)
    assert asked == {
        **{"prompts": [[97]], "end_of_text": 256, "max_new_tokens": 40, "n_samples": 2},
        **{"temperature": 0.7, "top_k": 3, "top_p": 0.5, "seed": 5},
    }


def test_a_step_can_be_chosen(checkpoint_dir: Path) -> None:
    assert texts(checkpoint_dir / "step_00000150") == texts(checkpoint_dir)


def test_prompt_longer_than_the_block_is_continued(checkpoint_dir: Path) -> None:
    ((prompt, [text]),) = texts(checkpoint_dir, prompt="the river runs " * 10)
    assert prompt == "the river runs " * 10
    assert text


def test_missing_checkpoint_is_one_line(run) -> None:
    message = one_line_error(run("sample.py", "--checkpoint=out/nothing"))
    for words in (
        "no folder out/nothing here",
        "`python train.py --out_dir=out/nothing`",
        "hf download out/nothing",
    ):
        assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"prompt_file=.*prompts.txt: cannot be read \(No such file or directory\): give a file"),
        (b"\n \n", "prompt_file=.*prompts.txt: has no line with text: give"),
        (b"the \xff", "prompt_file=.*prompts.txt: not UTF-8 at position 4: write it in UTF-8"),
    ],
)
def test_prompt_files_that_give_no_prompt_are_refused(
    checkpoint_dir: Path, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words) as refusal:
        texts(checkpoint_dir, prompt_file=str(path))
    assert "\n" not in str(refusal.value)


def test_prompts_are_lines_and_nothing_less(tmp_path: Path) -> None:
    """Characters at which Python would also split, and blanks at the ends, belong to the prompt; a byte-order mark does not."""
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffone\u2028still one \r\n\n \n two\x0c".encode())
    assert read_prompts(SampleConfig(prompt_file=str(path))) == ["one\u2028still one ", " two\x0c"]


def test_prompt_that_is_no_text_is_refused(checkpoint_dir: Path) -> None:
    with pytest.raises(UserError, match=r"prompt='a\\udc80b': not UTF-8 at position 1: write it in UTF-8"):
        texts(checkpoint_dir, prompt="a\udc80b")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("--temperature=-1", "temperature=-1.0"),
        ("--top_p=0", "top_p=0.0"),
        ("--top_k=-1", "top_k=-1"),
        ("--n_samples=0", "n_samples=0"),
        ("--promt=x", "did you mean prompt?"),
        ("--seed=x", "seed=x: must be a whole number"),
        ("--temperature=inf", "temperature=inf"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, words: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_config(SampleConfig(), [setting], "")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
