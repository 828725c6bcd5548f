"""Checkpoints: everything comes back bit for bit, only whole ones are seen, and nothing in them is ever executed."""

import errno
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from conftest import CPU, flip_a_bit
from safetensors import SafetensorError
from safetensors.torch import load_file

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from checkpointing.pretrained import find, load_model
from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from system.errors import UserError
from system.files import file_hash
from training.optim import OptimizerConfig, make_optimizer

TINY = GPTConfig(vocab_size=257, block_size=8, n_layer=1, n_head=2, n_embd=16)


@lru_cache
def trained(config: GPTConfig = TINY, seed: int = 0) -> tuple[GPT, torch.optim.AdamW]:
    """Return a model and its optimizer after a few steps, so that there is state worth saving."""
    torch.manual_seed(seed)
    model = GPT(config)
    optimizer = make_optimizer(model, OptimizerConfig())
    for _ in range(3):
        tokens = torch.randint(config.vocab_size, (2, 9))
        model(tokens[:, :-1], tokens[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model, optimizer


def save(
    out_dir: Path,
    step: int = 1,
    loss: float | None = None,
    best: float | None = None,
    keep: int = 2,
    **options,
):
    model, optimizer = trained(**options)
    progress = Progress(step, 8 * step, loss, best)
    folder = checkpoint.save(out_dir, model, optimizer, open_tokenizer("bytes"), progress, {"note": "x"}, keep)  # fmt: skip
    return folder, model, optimizer


def steps(out_dir: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step_")) for path in out_dir.glob("step_*"))


@pytest.mark.parametrize(
    "changes", [{}, {"tie_embeddings": False}, {"norm": "rmsnorm", "mlp": "swiglu", "bias": False}]
)
def test_everything_comes_back_bit_for_bit(tmp_path: Path, changes: dict) -> None:
    folder, model, optimizer = save(tmp_path, 7, 2.5, 2.25, config=replace(TINY, **changes))
    info = checkpoint.read_info(folder)
    assert checkpoint.progress_of(info) == Progress(7, 56, 2.5, 2.25)
    assert info["note"] == "x"
    assert (
        Tokenizer.load(folder / checkpoint.TOKENIZER).hash
        == open_tokenizer("bytes").hash
        == info["tokenizer_hash"]
    )
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {folder.stat().st_mode & 0o666}
    again = load_model(find(str(folder)), CPU, torch.float32)
    assert again.config == model.config
    torch.manual_seed(1)
    other = GPT(model.config)
    other_optimizer = make_optimizer(other, OptimizerConfig())
    checkpoint.load_weights(folder, other)
    checkpoint.load_optimizer(folder, other, other_optimizer)
    for (name, ours), loaded, theirs in zip(
        model.named_parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(ours, loaded), name
        assert torch.equal(ours, theirs), name
        state, other_state = optimizer.state[ours], other_optimizer.state[theirs]
        assert state.keys() == other_state.keys() == {"step", "exp_avg", "exp_avg_sq"}
        for entry in state:
            assert state[entry].dtype == other_state[entry].dtype
            assert torch.equal(state[entry], other_state[entry]), (name, entry)


def test_resumed_training_is_undisturbed(tmp_path: Path) -> None:
    folder, model, optimizer = save(tmp_path, seed=2)  # a model of its own, since it is trained on
    torch.manual_seed(1)
    other = GPT(TINY)
    other_optimizer = make_optimizer(other, OptimizerConfig())
    checkpoint.load_weights(folder, other)
    checkpoint.load_optimizer(folder, other, other_optimizer)
    tokens = torch.arange(18).view(2, 9)
    for network, updates in ((model, optimizer), (other, other_optimizer)):
        network(tokens[:, :-1], tokens[:, 1:]).backward()
        updates.step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_files_hold_weights_once_without_padding(tmp_path: Path) -> None:
    folder, model, _ = save(tmp_path)
    weights = load_file(folder / "model.safetensors")
    assert weights["transformer.wte.weight"].shape == (257, 16)
    assert model.transformer.wte.weight.shape == (320, 16)
    assert "lm_head.weight" not in weights
    assert set(weights) == {name for name, _ in model.named_parameters()}
    untied, _, _ = save(tmp_path / "untied", config=replace(TINY, tie_embeddings=False))
    assert load_file(untied / "model.safetensors")["lm_head.weight"].shape == (257, 16)


def test_checkpoint_describes_itself(tmp_path: Path) -> None:
    folder, _, _ = save(tmp_path, 3)
    info = json.loads((folder / "checkpoint.json").read_text())
    files = {path.name for path in folder.iterdir()}
    assert files == {"model.safetensors", "optimizer.safetensors", "tokenizer.json", "checkpoint.json"}
    assert set(info["sha256"]) == files
    assert info["model"] == asdict(TINY)
    assert (info["step"], info["sequences"], info["format_version"]) == (3, 24, checkpoint.FORMAT_VERSION)


def test_pointers_and_retention(tmp_path: Path) -> None:
    losses = {1: 5.0, 2: 3.0, 3: 4.0, 4: 4.5, 5: 4.7}
    for step, loss in losses.items():
        best = min(value for earlier, value in losses.items() if earlier <= step)
        save(tmp_path, step, loss, best, keep=2)
        assert (tmp_path / "last").read_text() == f"step_{step:08d}\n"
    assert (tmp_path / "best").read_text() == "step_00000002\n"
    assert steps(tmp_path) == [2, 4, 5]
    save(tmp_path, 6, 2.0, 2.0, keep=1)
    assert steps(tmp_path) == [6]
    assert (tmp_path / "best").read_text() == "step_00000006\n"
    for step in (7, 8, 9):
        save(tmp_path, step, 3.0, 2.0, keep=0)
    assert steps(tmp_path) == [6, 7, 8, 9]


def test_best_is_the_best_that_was_saved(tmp_path: Path) -> None:
    """An evaluation between two checkpoints may be better than both."""
    save(tmp_path, 1, 3.0, 3.0)
    second, _, _ = save(tmp_path, 2, 2.6, 2.5)
    assert checkpoint.find(tmp_path) == second
    save(tmp_path, 3, 2.7, 2.5)
    assert checkpoint.find(tmp_path) == second
    save(tmp_path / "other", 1, None, None)
    assert not (tmp_path / "other" / "best").exists()


def test_protected_checkpoint_is_kept_as_well(tmp_path: Path) -> None:
    first, model, optimizer = save(tmp_path, 1)
    for step in (2, 3, 4):
        arguments = model, optimizer, open_tokenizer("bytes"), Progress(step, 8 * step), {}
        checkpoint.save(tmp_path, *arguments, keep=1, protected=first)
    assert steps(tmp_path) == [1, 4]


def test_checkpoints_set_aside_are_out_of_use(tmp_path: Path) -> None:
    folders = [save(tmp_path, step, 5.0 - step, keep=0)[0] for step in (1, 2, 3)]
    (tmp_path / "step_00000003.suspect").mkdir()
    checkpoint.set_aside(tmp_path, folders[0])
    assert {path.name for path in tmp_path.iterdir()} == {
        *("step_00000001", "step_00000002.suspect", "step_00000003.suspect", "last", "best")
    }
    assert checkpoint.find(tmp_path) == checkpoint.last_whole(tmp_path)[0] == folders[0]
    folders += [save(tmp_path, step, 5.0 + step, keep=0)[0] for step in (2, 3)]
    checkpoint.set_aside(tmp_path, folders[-2])
    assert [(tmp_path / pointer).read_text() for pointer in ("last", "best")] == [
        "step_00000002\n",
        "step_00000001\n",
    ]
    checkpoint.set_aside(tmp_path, folders[0])
    assert (tmp_path / "step_00000003.suspect" / "checkpoint.json").is_file()
    checkpoint.set_aside(tmp_path, None)
    assert checkpoint.last_whole(tmp_path) == (None, "")
    with pytest.raises(UserError, match="no finished checkpoint"):
        checkpoint.find(tmp_path)


def test_find(tmp_path: Path) -> None:
    first, _, _ = save(tmp_path, 1, 3.0, 3.0)
    second, _, _ = save(tmp_path, 2, 4.0, 3.0)
    assert checkpoint.find(tmp_path) == first
    assert checkpoint.find(str(second)) == second
    (tmp_path / "best").unlink()
    assert checkpoint.find(tmp_path) == second
    assert checkpoint.pointed(tmp_path, "best") is None


def test_find_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint folder .*nowhere: run `python train.py --out_dir="):
        checkpoint.find(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file: pass the folder"):
        checkpoint.find(tmp_path / "file")
    (tmp_path / "step_00000003.tmp").mkdir()
    with pytest.raises(UserError, match="no finished checkpoint"):
        checkpoint.find(tmp_path)
    (tmp_path / "last").write_text("step_00000003\n")
    with pytest.raises(UserError, match=r"last names 'step_00000003', which does not exist"):
        checkpoint.find(tmp_path)


def load_to_sample(folder: Path) -> None:
    load_model(find(str(folder)), CPU, torch.float32)


def rejection(folder: Path, read: Callable[[Path], object] = load_to_sample) -> str:
    with pytest.raises(UserError) as error:
        read(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_corrupt_files_are_rejected(tmp_path: Path, name: str, damage: str) -> None:
    folder, _, _ = save(tmp_path)
    file, reads = folder / name, [checkpoint.read_checked, load_to_sample]
    if name == checkpoint.OPTIMIZER:
        reads.remove(load_to_sample)  # does without
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
        assert all(f"{name} is missing" in rejection(folder, read) for read in reads)
        return
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "bit" else content[:-10])
    assert all(f"{name} is corrupt" in rejection(folder, read) for read in reads)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 345\n")
    assert all(f"{name} is a Git LFS pointer" in rejection(folder, read) for read in reads)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"format_version": 1, "sha256": ["a"]}', "{" * 5, "\udcff"]
)
def test_unreadable_info_is_rejected(tmp_path: Path, content: str) -> None:
    folder, _, _ = save(tmp_path)
    (folder / "checkpoint.json").write_bytes(content.encode(errors="surrogateescape"))
    assert "checkpoint.json" in rejection(folder)


def change_info(folder: Path, **changes: object) -> None:
    """Change checkpoint.json as whoever wants it to be believed would."""
    path = folder / "checkpoint.json"
    info = {**json.loads(path.read_text()), **changes}
    info["sha256"]["checkpoint.json"] = checkpoint._hash_of_others(info)
    path.write_text(json.dumps(info))


def test_other_format_and_impossible_model_are_rejected(tmp_path: Path) -> None:
    folder, _, _ = save(tmp_path)
    change_info(folder, model={"n_layer": 0})
    assert "its model cannot be built" in rejection(folder)
    change_info(folder, model={"layers": 1})
    assert "its model cannot be built" in rejection(folder)
    change_info(folder, model=asdict(replace(TINY, n_embd=32)))
    assert "model.safetensors" in rejection(folder)
    change_info(folder, model=asdict(replace(TINY, n_layer=2)))
    change_info(folder, git_commit="abc123")
    assert re.search(
        "missing .*: the code changed since, use that of then .git commit abc123.", rejection(folder)
    )
    change_info(folder, format_version=99)
    assert "checkpoint format 99" in rejection(folder)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_every_flipped_bit_of_the_info_is_found(tmp_path: Path) -> None:
    """But for those of the spaces between what it says."""
    folder, _, _ = save(tmp_path, 3, 2.5, 2.25)
    path = folder / "checkpoint.json"
    content, info = path.read_bytes(), checkpoint.read_info(folder)
    unseen = []
    for place in range(len(content)):
        path.write_bytes(flipped(content, place))
        try:
            found = checkpoint.read_info(folder)
        except UserError:
            continue
        unseen.append(content[place : place + 1])
        assert found == info
    assert set(unseen) <= {b" ", b"\n"}


def test_checkpoint_of_the_previous_format_is_read(tmp_path: Path) -> None:
    folder, _, _ = save(tmp_path, 3)
    change_info(folder, format_version=1)
    info = json.loads((folder / "checkpoint.json").read_text())
    del info["sha256"]["checkpoint.json"]
    (folder / "checkpoint.json").write_text(json.dumps(info))
    assert checkpoint.read_info(folder)["step"] == 3


def test_last_whole_skips_corrupt_checkpoints(tmp_path: Path) -> None:
    assert checkpoint.last_whole(tmp_path) == (None, "")
    folders = [save(tmp_path, step, 5.0 - step, keep=0)[0] for step in (1, 2, 3)]
    assert checkpoint.last_whole(tmp_path) == (folders[2], "")
    (tmp_path / "last").write_text("step_00000002\n")
    assert checkpoint.last_whole(tmp_path) == (folders[1], ""), "whoever goes back, goes back"
    flip_a_bit(folders[1] / "tokenizer.json")
    (folders[2] / "checkpoint.json").unlink()
    expected = f"{folders[1]}: tokenizer.json is corrupt (its sha256 differs)"
    assert checkpoint.last_whole(tmp_path) == (folders[0], expected)
    flip_a_bit(folders[0] / "checkpoint.json")
    with pytest.raises(
        UserError,
        match=r"tokenizer.json is corrupt .*; .*checkpoint.json.*: no checkpoint is left .*: delete .* to start again",
    ):
        checkpoint.last_whole(tmp_path)


@pytest.mark.parametrize("content", [b"", b"step_0", b"\x80\x05\x00", b"../elsewhere", b"x" * 5000, None])
def test_damaged_pointer_loses_nothing(tmp_path: Path, content: bytes | None) -> None:
    folders = [save(tmp_path, step, 3.0 + step, keep=0)[0] for step in (1, 2, 3)]
    (tmp_path / "last").write_bytes(content) if content is not None else (tmp_path / "last").unlink()
    found, damaged = checkpoint.last_whole(tmp_path)
    assert found == folders[2]
    assert ("last names" in damaged and len(damaged) < 200 + len(str(tmp_path))) or content is None
    (tmp_path / "best").write_bytes(content or b"")
    save(tmp_path, 4, None, keep=1)
    assert checkpoint.find(tmp_path) == folders[0], "the best is kept, and found again"
    assert steps(tmp_path) == [1, 4]


def test_empty_pointer_alone_loses_nothing(tmp_path: Path) -> None:
    """A run that was saved by the clock or a signal has no best checkpoint, and so no pointer to it."""
    folders = [save(tmp_path, step)[0] for step in (1, 2)]
    (tmp_path / "last").write_bytes(b"")
    found, damaged = checkpoint.last_whole(tmp_path)
    assert found == folders[1]
    assert "last names ''" in damaged


def test_folders_with_other_names_are_not_checkpoints(tmp_path: Path) -> None:
    folders = [save(tmp_path, step, 3.0 - step)[0] for step in (1, 2)]
    for copy in ("step_old", "step_00000002_copy"):
        shutil.copytree(folders[1], tmp_path / copy)
    (tmp_path / "last").unlink()
    assert checkpoint.last_whole(tmp_path) == (folders[1], "")
    newest, _, _ = save(tmp_path, 3, 2.5, keep=1)
    assert checkpoint.find(tmp_path) == folders[1]
    assert (tmp_path / "last").read_text() == f"{newest.name}\n"


def test_remains_of_killed_saves_are_removed_by_the_next(tmp_path: Path) -> None:
    for step in (3, 7):
        (tmp_path / f"step_{step:08}.tmp").mkdir()
        (tmp_path / f"step_{step:08}.tmp" / "model.safetensors").write_bytes(b"part")
    save(tmp_path, 8)
    assert {path.name for path in tmp_path.glob("step_*")} == {"step_00000008"}


def test_steps_that_are_done_again_are_not_the_best(tmp_path: Path) -> None:
    for step, loss in ((1, 3.0), (2, 2.5), (3, 2.0)):
        save(tmp_path, step, loss, keep=0)
    flip_a_bit(tmp_path / "step_00000003" / "model.safetensors")
    (tmp_path / "last").write_text("step_00000001\n")
    save(tmp_path, 2, 2.6, keep=1)
    assert checkpoint.find(tmp_path).name == "step_00000002"
    assert steps(tmp_path) == [2, 3], "what comes later is not this run's to remove"


class Trap:
    """Creates a file as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "tokenizer.json", "checkpoint.json"]
)
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_nothing_is_unpickled(tmp_path: Path, name: str, kind: str) -> None:
    folder, model, optimizer = save(tmp_path)
    sprung = tmp_path / "sprung"
    with open(folder / name, "wb") as file:
        pickle.dump(Trap(sprung), file) if kind == "pickle" else torch.save(Trap(sprung), file)
    if name != "checkpoint.json":
        change_info(folder, sha256={name: file_hash(folder / name)})
    with pytest.raises(UserError) as error:  # noqa: PT012 - whichever reads the file rejects it
        load_model(find(str(folder)), CPU, torch.float32)
        Tokenizer.load(folder / checkpoint.TOKENIZER)
        checkpoint.load_optimizer(folder, model, optimizer)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not sprung.exists()
    with open(folder / name, "rb") as file:  # the trap itself works
        pickle.load(file) if kind == "pickle" else torch.load(file, weights_only=False)
    assert sprung.exists()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left")]
)
def test_full_disk_leaves_no_half_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    first, _, _ = save(tmp_path, 1, 3.0, 3.0)
    real, written = checkpoint.save_file, []

    def full(tensors: dict, path: Path) -> None:
        if written:
            path.write_bytes(b"half")
            raise error
        written.append(path)
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*step_00000002 .*No space left.*: make room"):
        save(tmp_path, 2, 2.0, 2.0)
    assert written
    assert {path.name for path in tmp_path.iterdir()} == {"last", "best", first.name}
    assert checkpoint.find(tmp_path) == first
    monkeypatch.undo()
    second, _, _ = save(tmp_path, 2, 2.0, 2.0)
    assert checkpoint.find(tmp_path) == second


class Killed(BaseException):
    """What no handler catches: the process is gone."""


EFFECTS = [(os, "fsync"), (os, "rename"), (os, "replace"), (shutil, "rmtree"), (checkpoint, "save_file")]


def kill_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> list[str]:
    """Let the process end as it begins its `moment`-th effect on the disk; return the list of effects begun."""
    begun: list[str] = []

    def dying(name: str, real):
        def effect(*arguments, **options):
            begun.append(name)
            if len(begun) > moment:
                raise Killed
            return real(*arguments, **options)

        return effect

    for owner, name in EFFECTS:
        monkeypatch.setattr(owner, name, dying(name, getattr(owner, name)))
    return begun


def test_reader_sees_a_whole_checkpoint_whenever_the_writer_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in range(1000):
        out_dir = tmp_path / str(moment)
        save(out_dir, 1, 4.0, 4.0)
        save(out_dir, 2, 3.0, 3.0, keep=1)
        begun = kill_at(monkeypatch, moment)
        try:
            save(out_dir, 3, 2.0, 2.0, keep=1, seed=1)
        except Killed:
            finished = False
        else:
            finished = True
        monkeypatch.undo()
        last, best = checkpoint.pointed(out_dir, "last"), checkpoint.find(out_dir)
        for folder in (last, best):
            load_model(find(str(folder)), CPU, torch.float32)
        info = checkpoint.read_info(last)
        if info["val_loss"] == info["best_val_loss"] and info["step"] == 3:
            assert best == last, "a run that resumes from `last` does not look for the best again"
        save(out_dir, 3, 2.0, 2.0, keep=1, seed=1)
        assert steps(out_dir) == [3]
        assert checkpoint.find(out_dir).name == "step_00000003"
        if finished:
            break
    assert len(begun) > 8


def test_missing_step_names_the_existing_ones(tmp_path: Path) -> None:
    for name in ("step_00000040", "step_00000060"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="has step_00000040, step_00000060"):
        checkpoint.find(tmp_path / "step_00000050")
