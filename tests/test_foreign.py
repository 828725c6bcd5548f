"""Other projects' folders: the error says what is there, and its command turns it into a model that computes the same."""

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import CPU
from references import enlarge, reference_model

from checkpointing import pretrained
from model import GPT, GPTConfig
from system.errors import UserError


def rejection(path: Path) -> str:
    with pytest.raises(UserError) as error:
        pretrained.load_model(pretrained.find(str(path)), CPU, torch.float32)
    assert "\n" not in str(error.value)
    assert "--init_from" not in str(error.value), "sample.py has no such setting"
    return str(error.value)


def follow(message: str, monkeypatch: pytest.MonkeyPatch, *expected: str) -> None:
    """Run the Python of the command in a message, up to `&&`, as a shell would."""
    [command] = re.findall("`(python .*)`", message)
    python, option, code, *argv = shlex.split(command.partition(" && ")[0])
    assert (python, option) == ("python", "-c")
    assert not expected or argv == list(expected)
    monkeypatch.setattr(sys, "argv", ["-c", *argv])
    exec(code, {})


@pytest.mark.parametrize("bias", [False, True])
def test_a_checkpoint_of_nanogpt_says_how_to_convert_it(
    bias: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parameters have our names and shapes."""
    folder = tmp_path / "my run"
    folder.mkdir()
    sizes = {"block_size": 16, "vocab_size": 70, "n_layer": 2, "n_head": 2, "n_embd": 32, "bias": bias}
    torch.manual_seed(0)
    ours = GPT(GPTConfig(**sizes)).eval()
    enlarge(ours)
    weights = {f"_orig_mod.{name}": weight for name, weight in ours.weights().items()}
    weights["_orig_mod.lm_head.weight"] = weights["_orig_mod.transformer.wte.weight"]
    weights["_orig_mod.transformer.h.0.attn.bias"] = torch.ones(1, 1, 16, 16).tril()
    torch.save({"model": weights, "model_args": {**sizes, "dropout": 0.0}, "iter_num": 7}, folder / "ckpt.pt")
    for path in (folder, folder / "ckpt.pt"):
        message = rejection(path)
        assert "never opened here: if it is nanoGPT's" in message
    follow(message, monkeypatch)
    theirs = pretrained.load_model(pretrained.find(str(folder)), CPU, torch.float32).eval()
    tokens = torch.arange(16)[None]
    torch.testing.assert_close(theirs(tokens), ours(tokens))


def test_weights_that_transformers_pickled_say_how_to_convert_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = reference_model("gpt2")
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    follow(rejection(tmp_path), monkeypatch)
    ours = pretrained.load_model(pretrained.find(str(tmp_path)), CPU, torch.float32).eval()
    tokens = torch.arange(16)[None]
    torch.testing.assert_close(ours(tokens), theirs(tokens).logits)


def test_a_folder_of_models_names_them(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "config.json").write_text('{"model_type": "gpt2"}')
    places = ", ".join(str(tmp_path / f"checkpoint-{step}") for step in (5, 10, 100))
    message = rejection(tmp_path)
    assert message == f"{tmp_path} holds the checkpoints of transformers' Trainer: use one of {places}"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "last").write_text("step_00000005\n")
    assert f"{tmp_path} holds several models: use one of {tmp_path / 'demo'}, " in rejection(tmp_path)


def test_a_hub_model_without_safetensors_says_how_to_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pickles are not downloaded."""
    reference_model("gpt2").config.save_pretrained(tmp_path / "snapshot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("system.hub.find_folder", lambda spec: tmp_path / "snapshot")
    message = rejection(Path("some/gpt2"))
    assert message.startswith(f"{tmp_path}/snapshot has no safetensors: while online, write them with `")
    assert message.endswith("`, then use hf/gpt2")
    called: list[str] = []
    found = SimpleNamespace(save_pretrained=called.append)
    loader = SimpleNamespace(from_pretrained=lambda spec: called.append(spec) or found)
    library = SimpleNamespace(AutoModelForCausalLM=loader, AutoTokenizer=loader)
    monkeypatch.setitem(sys.modules, "transformers", library)
    follow(message, monkeypatch, "some/gpt2", "hf/gpt2")
    assert called == ["some/gpt2", "hf/gpt2"] * 2


def test_the_pickles_that_trainers_save_beside_a_model_are_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_0.pth"):
        torch.save({}, tmp_path / name)
    (tmp_path / "gpt2_124M.bin").write_bytes(b"\xd6\xa5\x34\x01llm.c's own format")
    assert "no finished checkpoint in" in rejection(tmp_path)
    assert "is a pickle" not in rejection(tmp_path / "gpt2_124M.bin")
    for name in ("checkpoint-5", "checkpoint-10"):
        reference_model("gpt2").config.save_pretrained(tmp_path / name)
    assert rejection(tmp_path).endswith(f"use one of {tmp_path}/checkpoint-5, {tmp_path}/checkpoint-10")
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert "pytorch_model.bin is a pickle" in rejection(tmp_path)


def test_a_run_of_ours_gets_its_own_error(tmp_path: Path) -> None:
    """Not the advice to use a checkpoint that was set aside, or that a kill left half-written."""
    for name in ("step_00000001.suspect", "step_00000002.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint.json").write_text("{}")
    assert "no finished checkpoint in" in rejection(tmp_path)
    (tmp_path / "best").write_text("step_00000003\n")
    assert "best names 'step_00000003', which does not exist" in rejection(tmp_path)


def test_other_folders_and_pickles_are_named(tmp_path: Path) -> None:
    assert "no finished checkpoint in" in rejection(tmp_path)
    (tmp_path / "model.pth").write_bytes(b"\x80\x04cos\nsystem\n")
    assert "model.pth is a pickle" in rejection(tmp_path)
    assert "model.pth is a pickle" in rejection(tmp_path / "model.pth")
    (tmp_path / "notes.txt").touch()
    assert "notes.txt is a file: pass the folder it is in" in rejection(tmp_path / "notes.txt")
