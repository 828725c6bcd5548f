"""sample.py: a checkpoint continues prompts, the same seed gives the same text, and errors are one line."""

import io
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import run_here
from conftest import ROOT, WORDS, Terminal, command_environment, one_line_error

import sample
from checkpointing import pretrained
from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from sampling import prompts
from sampling.config import SampleConfig, Sampling
from sampling.prompts import read_prompts
from sampling.sampler import Sampler
from system.command_line import parse_config
from system.errors import UserError
from system.files import LFS_POINTER
from train import train
from training.config import TrainConfig

FLOAT32 = ("--device=cpu", "--precision=float32")


@pytest.fixture(scope="module")
def checkpoint_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned words, whose data folder is gone: sampling needs the checkpoint only."""
    folder = tmp_path_factory.mktemp("sample")
    copy = folder / "data"
    shutil.copytree(data_dir, copy)
    config = TrainConfig(
        data_dir=str(copy),
        out_dir=str(folder / "run"),
        model=replace(TrainConfig(batch_size=1).model, block_size=32, n_layer=2, n_head=2, n_embd=64),
        optimizer=replace(TrainConfig(batch_size=1).optimizer, learning_rate=1e-2, warmup_steps=10),
        **{
            "max_steps": 150,
            "batch_size": 8,
            "device": "cpu",
            "precision": "float32",
            "compile": False,
            "eval_windows": 20,
        },
    )
    train(config)
    torch.use_deterministic_algorithms(False)
    shutil.rmtree(copy)
    return folder / "run"


def continuations_of(checkpoint_dir: Path, prompt: str = "the river ", **settings: object) -> list[str]:
    sampler = Sampler.load(checkpoint_dir, "cpu", "float32")
    return sampler.continuations(prompt, Sampling(**{"max_new_tokens": 40, **settings}))


def printed(*argv: object) -> str:
    """Return what the command prints, run in this process."""
    done = run_here("sample.py", *map(str, argv), *FLOAT32)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_command_continues_the_prompt(checkpoint_dir: Path, run) -> None:
    settings = {"max_new_tokens": 60, "temperature": 0.5, "seed": 4}
    argv = [f"--{key}={value}" for key, value in settings.items()]
    done = run("sample.py", f"--checkpoint={checkpoint_dir}", "--prompt=the river ", *argv, *FLOAT32)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    [text] = continuations_of(checkpoint_dir, **settings)
    assert done.stdout == f"the river {text}\n", "the same seed, the same text, in any process"
    learned = [word for word in text.split()[1:-1] if word in WORDS]
    assert len(learned) >= 4, f"not the words it was trained on: {text!r}"


def test_several_samples_of_several_prompts_have_headers(checkpoint_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("the\n\ncafé 数字\n", encoding="utf-8")
    prompt_file = f"--prompt_file={tmp_path / 'prompts.txt'}"
    found = printed(f"--checkpoint={checkpoint_dir}", prompt_file, "--n_samples=2", "--max_new_tokens=0")
    expected = [
        f"--- prompt {p} of 2, sample {s} of 2\n{prompt}\n"
        for p, prompt in enumerate(("the", "café 数字"), start=1)
        for s in (1, 2)
    ]
    assert found == "".join(expected[:2]) + "\n" + "".join(expected[2:])
    found = printed(f"--checkpoint={checkpoint_dir}", "--prompt=the", "--n_samples=2", "--max_new_tokens=0")
    assert found == "--- sample 1 of 2\nthe\n--- sample 2 of 2\nthe\n", "one prompt needs no number"


def test_settings_and_prompts_reach_the_engine(checkpoint_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("the\nriver runs\n", encoding="utf-8")
    settings = {"n_samples": 2, "max_new_tokens": 30, "temperature": 1.1, "top_k": 9, "top_p": 0.9, "seed": 5}
    settings |= {"min_p": 0.01, "repetition_penalty": 1.1}
    argv = [f"--{key}={value}" for key, value in settings.items()]
    found = printed(
        f"--checkpoint={checkpoint_dir}", f"--prompt_file={tmp_path / 'prompts.txt'}", "--stop=r", *argv
    )
    sampler = Sampler.load(checkpoint_dir, "cpu", "float32")
    blocks = []
    for p, prompt in enumerate(("the", "river runs"), start=1):
        written = sampler.continuations(prompt, Sampling(**settings), stop=["r"])
        blocks += [
            f"--- prompt {p} of 2, sample {s} of 2\n{prompt}{text}\n" for s, text in enumerate(written, 1)
        ]
    assert found == "".join(blocks[:2]) + "\n" + "".join(blocks[2:])
    free = sampler.continuations("the", Sampling(**settings))
    assert any("r" in text for text in free), "a stop string that never comes proves nothing"


def test_the_model_sees_no_more_than_the_context(checkpoint_dir: Path) -> None:
    where = (f"--checkpoint={checkpoint_dir}", "--prompt=the river runs north", "--temperature=0")
    done = run_here("sample.py", *where, "--context=2", *FLOAT32)
    assert done.stderr == "note: a prompt has 20 tokens: the model sees the last 2\n"
    assert done.stdout != printed(*where)
    for context, message in (
        (33, "the model has 32 positions: use no more"),
        (-1, "must be at least 0 (0: the model's block_size)"),
    ):
        done = run_here("sample.py", *where, f"--context={context}", *FLOAT32)
        assert one_line_error(done) == f"context={context}: {message}"


def test_more_context_than_in_training_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    model = GPT(GPTConfig(vocab_size=9, block_size=8, n_layer=1, n_head=2, n_embd=8, position="rotary"))
    for context, note in (
        (0, ""),
        (8, ""),
        (9, "note: context=9 is more than the 8 tokens the model was trained with\n"),
    ):
        Sampler(model.eval(), open_tokenizer("bytes")).check_context(context)
        assert capsys.readouterr().err == note


def test_at_a_terminal_prompts_are_typed_and_ctrl_c_ends_a_text(checkpoint_dir: Path) -> None:
    ours, theirs = os.openpty()
    words = [f"--checkpoint={checkpoint_dir}", "--temperature=0", "--max_new_tokens=20", *FLOAT32]
    process = subprocess.Popen(
        [sys.executable, "sample.py", *words],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where tests run in the background
        env=command_environment(),  # with one thread, as in this process: other sums may choose other tokens
    )
    os.close(theirs)
    seen = b""

    def read_until(expected: str) -> None:
        """Read on until the text comes, and forget what came up to its end."""
        nonlocal seen
        deadline = time.monotonic() + 60
        while expected.encode() not in seen:
            assert select.select([ours], [], [], deadline - time.monotonic())[0], seen.decode()
            seen += os.read(ours, 4096)
        seen = seen.partition(expected.encode())[2]

    try:
        read_until("> ")
        os.write(ours, "the café\n".encode())
        [text] = continuations_of(checkpoint_dir, "the café", temperature=0, max_new_tokens=20)
        read_until(f"the café{text}\r\n> ")
        os.write(ours, b"/max_new_tokens 100000\n")
        read_until("> ")
        os.write(ours, b"a\n")
        read_until("a" + continuations_of(checkpoint_dir, "a", temperature=0, max_new_tokens=50)[0])
        process.send_signal(signal.SIGINT)
        read_until("> ")
        os.write(ours, b"\x04")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_lines_for_python_run(
    checkpoint_dir: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = [line.strip() for line in (sample.__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(lines) == 4
    exec("\n".join(lines).replace("out/demo", str(checkpoint_dir)), {})
    expected = Sampler.load(checkpoint_dir).continuations("The history of", Sampling(n_samples=3))
    assert capsys.readouterr().out == f"{expected}\n"


def test_the_seed_decides(checkpoint_dir: Path) -> None:
    first = continuations_of(checkpoint_dir, n_samples=3, seed=7)
    assert first == continuations_of(checkpoint_dir, n_samples=3, seed=7)
    assert first != continuations_of(checkpoint_dir, n_samples=3, seed=8)
    assert len(set(first)) == 3
    assert continuations_of(checkpoint_dir, n_samples=1, seed=7) == first[:1]


def test_temperature_zero_is_greedy(checkpoint_dir: Path) -> None:
    greedy = continuations_of(checkpoint_dir, temperature=0.0, n_samples=2, seed=1)
    assert greedy[0] == greedy[1]
    assert continuations_of(checkpoint_dir, temperature=0.0, seed=2) == greedy[:1]
    assert continuations_of(checkpoint_dir, top_k=1, seed=3) == greedy[:1]
    assert continuations_of(checkpoint_dir, top_p=1e-9, seed=3) == greedy[:1]


def test_sampling_does_not_read_the_optimizer(checkpoint_dir: Path, tmp_path: Path) -> None:
    """Its state is two thirds of a checkpoint."""
    folder = shutil.copytree(checkpoint_dir / "step_00000150", tmp_path / "step_00000150")
    (folder / "optimizer.safetensors").unlink()
    assert continuations_of(folder) == continuations_of(checkpoint_dir)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer.json is corrupt"):
        continuations_of(folder)


def test_any_prompt_and_any_step_can_be_continued(checkpoint_dir: Path) -> None:
    assert continuations_of(checkpoint_dir / "step_00000150") == continuations_of(checkpoint_dir)
    assert continuations_of(checkpoint_dir, prompt="")[0], "an empty prompt starts an article"
    assert continuations_of(checkpoint_dir, prompt="the river runs " * 10)[0], "longer than block_size"


def test_a_missing_checkpoint_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    message = one_line_error(run_here("sample.py", "--checkpoint=out/nothing"))
    assert "no checkpoint folder out/nothing: run `python train.py --out_dir=out/nothing` first" in message
    message = one_line_error(run_here("sample.py", "--checkpoint=out/demo/step_00000800"))
    assert message == "no checkpoint folder out/demo/step_00000800: run `make demo` first"
    assert "no folder nobody/nothing" in one_line_error(run_here("sample.py", "--checkpoint=nobody/nothing"))


def test_a_prompt_file_is_read_once() -> None:
    """As that of a shell's `<(...)` can only be."""
    reader, writer = os.pipe()
    os.write(writer, b"hello\n")
    os.close(writer)
    assert read_prompts(SampleConfig(prompt_file=f"/dev/fd/{reader}")) == ["hello"]
    os.close(reader)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            None,
            r"prompt_file=.*prompts.txt: No such file or directory: must be a file with one prompt per line",
        ),
        (b"\n \n", "prompt_file=.*prompts.txt: no prompts in it: write one per line"),
        (
            LFS_POINTER + b"v1\n",
            "prompts.txt is a Git LFS pointer, not the file itself: run `git lfs pull` in",
        ),
        (b"the \xff", "prompt_file=.*prompts.txt: not UTF-8 at position 4: write it in UTF-8"),
    ],
)
def test_bad_prompt_files_are_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words) as error:
        read_prompts(SampleConfig(prompt_file=str(path)))
    assert "\n" not in str(error.value)


def test_prompts_are_read_from_a_pipe(
    checkpoint_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.write(writer, "one\ncafé\n".encode())
    os.close(writer)
    with open(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        words = [f"--checkpoint={checkpoint_dir}", "--max_new_tokens=0", *FLOAT32]
        done = run_here("sample.py", *words, "--prompt=the")
        assert "piped text is not read: add --prompt_file=-" in done.stderr
        assert prompts.is_piped(), "what is not read stays there for others"
        done = run_here("sample.py", *words, "--prompt_file=-")
        assert (done.stdout, done.stderr) == ("one\n\ncafé\n", "")
        done = run_here("sample.py", *words, "--prompt=the")
        assert done.stderr == "", "nothing is left in the pipe"
    (tmp_path / "prompts.txt").write_text("one\ntwo\n")
    with open(tmp_path / "prompts.txt") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert prompts.is_piped()
        assert stdin.read() == "one\ntwo\n"
        assert not prompts.is_piped()
    monkeypatch.setattr(sys, "stdin", None)
    assert not prompts.is_piped()
    with pytest.raises(UserError, match="prompt_file=-: standard input is closed: pipe prompts into it"):
        read_prompts(SampleConfig(prompt_file="-"))


def test_names_of_special_tokens_in_a_prompt_are_named(checkpoint_dir: Path) -> None:
    prompt = "--prompt=<|endoftext|>"
    done = run_here("sample.py", f"--checkpoint={checkpoint_dir}", prompt, "--max_new_tokens=0", *FLOAT32)
    assert done.stdout == "<|endoftext|>\n"
    assert done.stderr == (
        "note: <|endoftext|> in a prompt is read as text; an empty prompt, --prompt=, begins an article\n"
    )


def test_a_file_in_the_form_of_nanogpt_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a b.txt").write_text("the\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (f"{tmp_path}/a b.txt", "~/a b.txt"):
        with pytest.raises(
            UserError, match=f"set --prompt_file='{tmp_path}/a b.txt' to read prompts from a file"
        ):
            read_prompts(SampleConfig(prompt=f"FILE:{name}"))
    for prompt in ("FILE:promtps.txt", "FILE: a story", "FILE:" + 300 * "x"):
        config = SampleConfig(prompt=prompt)
        assert read_prompts(config) == [prompt]
        prompts.warn(config, [prompt], [])
        assert capsys.readouterr().err == f"note: {prompt!r} is continued as text, as there is no such file\n"


def test_what_takes_long_is_said_on_a_terminal_and_not_in_the_text(
    checkpoint_dir: Path, monkeypatch: pytest.MonkeyPatch, types: Callable[[str], Terminal]
) -> None:
    monkeypatch.setattr("system.progress.PATIENCE_SECONDS", 0.0)
    slow = pretrained.load
    monkeypatch.setattr(pretrained, "load", lambda *rest: time.sleep(0.1) or slow(*rest))
    words = ["sample.py", f"--checkpoint={checkpoint_dir}", "--prompt=the", "--max_new_tokens=0", *FLOAT32]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    terminal = types("")
    sample.main()
    assert terminal.getvalue() == f"loading {checkpoint_dir} ...\n"
    assert sys.stdout.getvalue() == "the\n"


def test_prompts_are_whole_lines(tmp_path: Path) -> None:
    """Other characters at which Python would split, and blanks, belong to the prompt; a byte-order mark does not."""
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffone\u2028still one \r\n\n \n two\x0c".encode())
    assert read_prompts(SampleConfig(prompt_file=str(path))) == ["one\u2028still one ", " two\x0c"]
    path.write_bytes("one\r\ncafé\r\n".encode("utf-16"))  # as PowerShell's > writes it
    assert read_prompts(SampleConfig(prompt_file=str(path))) == ["one", "café"]


def test_a_prompt_that_is_not_text_is_an_error() -> None:
    with pytest.raises(UserError, match=r"prompt='a\\udc80b': not UTF-8 at position 1: write it in UTF-8"):
        read_prompts(SampleConfig(prompt="a\udc80b"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--temperature=-1"], "temperature=-1.0: must be "),
        (["--temperature=inf"], "temperature=inf: must be "),
        (["--top_p=0"], "top_p=0.0: must be "),
        (["--top_k=-1"], "top_k=-1: must be "),
        (["--n_samples=0"], "n_samples=0: must be "),
        (["--promt=x"], "did you mean prompt?"),
        (["--seed=x"], "seed=x: must be a whole number"),
        (
            ["--prompt=Once", "--prompt_file=x.txt"],
            "prompt='Once', prompt_file=x.txt: set only one of the two",
        ),
    ],
)
def test_bad_settings_are_one_line(argv: list[str], words: str) -> None:
    with pytest.raises(UserError) as error:
        parse_config(SampleConfig(), argv, "")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
