"""A run's folder: which command may resume it, rejecting others with the differing keys, extending and branching."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE, CPU
from safetensors.torch import load_file

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from model import GPT
from system import hardware
from system.errors import UserError
from system.files import file_hash
from system.world import World
from train import train
from training import run as run_module
from training.config import TrainConfig
from training.learner import build_learner
from training.optim import make_optimizer
from training.plot import read_metrics
from training.run import (
    Run,
    check_same_step,
    open_data,
    open_run,
    open_together,
    with_vocabulary,
    write_config,
)

BYTES = open_tokenizer("bytes")
DATA = "d" * 64


def opened(
    config: TrainConfig, data_hash: str = DATA, tokenizer: Tokenizer = BYTES, n_processes: int = 1
) -> Run:
    """Open a run as if its data had this hash and this tokenizer."""
    data = open_data(config.data_dir)._replace(tokenizer=tokenizer)
    data.train.manifest_hash = data_hash
    return open_run(config, data, n_processes)


@pytest.fixture
def begun(config: TrainConfig) -> TrainConfig:
    """The config of a run that has a checkpoint of step 5 of 10."""
    config = with_vocabulary(config, BYTES.vocab_size)
    torch.manual_seed(0)
    model = GPT(config.model)
    optimizer = make_optimizer(model, config.optimizer)
    model(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long)).backward()
    optimizer.step()
    run = opened(config)
    write_config(run)
    guard = {"spread": [0.0, 0.0, 0.0], "skipped": [], "val_loss": 3.0, "best_val_loss": 2.5}
    progress = Progress(5, 40, 3.0, 2.5, guard=guard)
    checkpoint.save(Path(config.out_dir), model, optimizer, BYTES, progress, run.about, 2)
    return config


def rejection(config: TrainConfig, data_hash: str = DATA) -> str:
    with pytest.raises(UserError) as error:
        opened(config, data_hash)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_opening_a_new_run_only_reads(config: TrainConfig) -> None:
    run = opened(config)
    assert run.progress == Progress()
    assert run.checkpoint is None
    assert not run.resumes
    assert not Path(config.out_dir).exists()


def test_same_command_resumes(begun: TrainConfig) -> None:
    run = opened(begun)
    assert run.resumes
    assert run.checkpoint == Path(begun.out_dir) / "step_00000005"
    assert run.progress == Progress(5, 40, 3.0, 2.5)
    assert run.notes == []
    written = json.loads((Path(begun.out_dir) / "config.json").read_text())
    assert run.about["run_id"] == written["run_id"]
    assert {"config", "identity", "versions", "git_commit"} <= set(written)
    assert written["versions"]["torch"] == torch.__version__


def test_batch_in_tokens_is_the_same_run(begun: TrainConfig) -> None:
    in_tokens = replace(begun, batch_size=0, batch_tokens=begun.batch_size * begun.model.block_size)
    assert opened(in_tokens).resumes


def test_operational_changes_are_allowed_and_noted(begun: TrainConfig) -> None:
    changed = replace(begun, micro_batch_size=4, attention="math", eval_interval=2)
    run = opened(changed)
    assert run.resumes
    (note,) = run.notes
    for words in ("micro_batch_size 0 -> 4", "attention sdpa -> math", "eval_interval 5 -> 2"):
        assert words in note
    assert "precision" not in note


def test_other_windows_are_the_same_run_and_said(begun: TrainConfig) -> None:
    """Also of a run whose identity had them."""
    path = Path(begun.out_dir) / "config.json"
    content = json.loads(path.read_text())
    content["identity"]["eval_windows"] = begun.eval_windows
    path.write_text(json.dumps(content))
    run = opened(replace(begun, eval_windows=7))
    assert run.resumes
    assert run.notes == [
        "changed since last time: eval_windows 11 -> 7",
        "`best` now compares validation losses over different windows",
    ]
    for key, loss in (("val_loss", 3.0), ("best_val_loss", 2.5)):
        usual = [found.progress.guard[key] for found in (run, opened(begun))]
        assert usual == [None, loss], "an evaluation over other windows is not judged by the earlier ones"


def test_all_windows_are_the_same_however_they_are_requested(begun: TrainConfig) -> None:
    n_windows = len(open_data(begun.data_dir).val.validation_starts(16, None))
    for path in (
        Path(begun.out_dir) / "config.json",
        Path(begun.out_dir) / "step_00000005" / "checkpoint.json",
    ):
        content = json.loads(path.read_text()) | {"format_version": 1}  # without a hash of this file itself
        content["config"]["eval_windows"] = n_windows + 100
        path.write_text(json.dumps(content))
    run = opened(replace(begun, eval_windows=0))
    assert run.notes == [f"changed since last time: eval_windows {n_windows + 100} -> 0"]
    assert run.progress.guard["val_loss"] == 3.0


def test_more_windows_than_there_are_is_said(config: TrainConfig) -> None:
    n_windows = len(open_data(config.data_dir).val.validation_starts(16, None))
    assert opened(replace(config, eval_windows=n_windows)).notes == []
    note = f"eval_windows={n_windows + 1}: the validation split has {n_windows}, all are used"
    assert opened(replace(config, eval_windows=n_windows + 1)).notes == [note]


def test_other_processes_and_threads_are_noted(begun: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """They change the order of sums."""
    write_config(opened(begun, n_processes=2))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert opened(begun, n_processes=2).notes == ["changed since last time: threads 1 -> 7"]
    assert opened(begun, n_processes=4).notes == ["changed since last time: processes 2 -> 4, threads 1 -> 7"]


def test_another_run_is_rejected_with_the_differing_keys(begun: TrainConfig) -> None:
    model, optimizer = replace(begun.model, dropout=0.5), replace(begun.optimizer, betas=(0.5, 0.6))
    message = rejection(replace(begun, seed=9, model=model, optimizer=optimizer, eval_interval=2))
    for words in (begun.out_dir, "seed=1 (not 9)", "dropout=0.0 (not 0.5)", "betas"):
        assert words in message
    assert "eval_interval" not in message
    assert "n_layer" not in message
    fix = f"choose another --out_dir or delete that run with --overwrite, or start a new run from it with --branch_from={begun.out_dir} --out_dir=..."
    assert message.endswith(fix)


def test_branching_is_advised_only_where_it_works(begun: TrainConfig) -> None:
    other = replace(begun, seed=9, max_steps=5)
    assert rejection(other).endswith(f"--branch_from={begun.out_dir} --out_dir=... --max_steps=... (above 5)")
    muon = replace(begun.optimizer, optimizer="muon")
    for changes in (
        {"model": replace(begun.model, n_layer=3)},
        {"init_from": begun.out_dir},
        {"optimizer": muon},
    ):
        assert rejection(replace(begun, seed=9, **changes)).endswith(
            ": choose another --out_dir or delete that run with --overwrite"
        )
    (Path(begun.out_dir) / "last").unlink()
    (Path(begun.out_dir) / "best").unlink()
    shutil.rmtree(Path(begun.out_dir) / "step_00000005")
    assert rejection(other).endswith(": choose another --out_dir or delete that run with --overwrite"), (
        "there is no checkpoint to branch from"
    )


def test_other_data_are_rejected_by_a_short_hash(begun: TrainConfig) -> None:
    message = rejection(begun, "e" * 64)
    assert "data=dddddddddddd... (not eeeeeeeeeeee...)" in message


def test_processes_must_start_from_the_same_step(begun: TrainConfig) -> None:
    class Other(World):
        def smallest(self, number: int) -> int:
            return min(number, 0)  # another process is at step 0

    run = opened(begun)
    check_same_step(run, ALONE)
    with pytest.raises(UserError, match="the processes see different checkpoints there, this one step 5"):
        check_same_step(run, Other(0, 2, CPU))


class SecondOfTwo(World):
    """The second process, where the main one has found the checkpoint of step 5."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if tensor.is_floating_point() else tensor + 5 + 1

    def smallest(self, number: int) -> int:
        return number


def test_only_the_main_process_hashes_checkpoints(
    begun: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = replace(begun, device="cpu")
    data_hash = open_data(begun.data_dir).train.manifest_hash
    path = Path(begun.out_dir) / "config.json"
    path.write_text(path.read_text().replace(DATA, data_hash))
    hashed: list[str] = []
    monkeypatch.setattr(run_module, "check_agreement", lambda *_arguments: None)  # there is no other process
    monkeypatch.setattr(checkpoint, "file_hash", lambda path: hashed.append(path.name) or file_hash(path))
    runs = [open_together(begun, world) for world in (SecondOfTwo(1, 2, CPU), ALONE)]
    assert len(hashed) == 3, "the three files, by the main process"
    assert runs[0].checkpoint == runs[1].checkpoint == Path(begun.out_dir) / "step_00000005"
    assert runs[0].progress == runs[1].progress
    branch = replace(begun, branch_from=begun.out_dir, out_dir=begun.out_dir + "_branch")
    monkeypatch.setattr(SecondOfTwo, "sum", lambda self, tensor: tensor)
    for world in (SecondOfTwo(1, 2, CPU), ALONE):
        assert open_together(branch, world).checkpoint == runs[0].checkpoint
    assert len(hashed) == 6
    monkeypatch.undo()
    monkeypatch.setattr(run_module, "check_agreement", lambda *_arguments: None)
    shutil.rmtree(runs[0].checkpoint)
    with pytest.raises(
        UserError, match="see different checkpoints there, this one no step_00000005: use a folder"
    ):
        open_together(begun, SecondOfTwo(1, 2, CPU))


def test_field_newer_than_the_run_has_its_default(begun: TrainConfig, tmp_path: Path) -> None:
    """A field added to a config later must not lock out the runs from before it."""
    for path in (
        Path(begun.out_dir) / "config.json",
        Path(begun.out_dir) / "step_00000005" / "checkpoint.json",
    ):
        content = json.loads(path.read_text())
        for fields in (content["identity"], content.get("model", {}), content["config"]["model"]):
            fields.pop("n_inner", None)
        if path.name == "checkpoint.json":
            content["format_version"] = 1  # without a hash of this file itself
        path.write_text(json.dumps(content))
    assert opened(begun).resumes
    assert opened(replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)).checkpoint
    other = replace(begun, model=replace(begun.model, n_inner=100))
    assert "n_inner=0 (not 100)" in rejection(other)
    branch = replace(other, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    assert "n_inner=0 (not 100)" in rejection(branch)


def test_more_steps_need_extend(begun: TrainConfig) -> None:
    longer = replace(begun, max_steps=20)
    message = rejection(longer)
    assert "max_steps=10 (not 20)" in message
    assert "--extend" in message
    extended = opened(replace(longer, extend=True))
    assert extended.resumes
    assert extended.progress.step == 5
    write_config(extended)
    assert opened(longer).resumes, "once extended, the same command resumes without --extend"
    message = rejection(replace(begun, max_steps=20, seed=2, extend=True))
    assert "seed=1 (not 2)" in message
    for fewer in (4, 7):  # the second is further than the run has come
        assert f"max_steps={fewer}: the run in" in rejection(replace(begun, max_steps=fewer, extend=True))


def test_branch_takes_weights_optimizer_and_progress(begun: TrainConfig, tmp_path: Path) -> None:
    optimizer = replace(begun.optimizer, learning_rate=1e-4)
    branch = replace(
        begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, optimizer=optimizer, seed=3
    )
    run = opened(branch)
    assert not run.resumes
    assert run.progress == Progress(5, 40, None, None), "the best is of this run, not of its origin"
    assert run.about["run_id"] != opened(begun).about["run_id"]
    learner = build_learner(run, ALONE)
    origin = Path(begun.out_dir) / "step_00000005"
    for name, weight in load_file(origin / "model.safetensors").items():
        assert torch.equal(learner.model.weights()[name], weight)
    parameters = dict(learner.model.named_parameters())
    for key, tensor in load_file(origin / "optimizer.safetensors").items():
        name, _, entry = key.rpartition("/")
        assert torch.equal(learner.optimizer.state[parameters[name]][entry], tensor)


def test_branch_rejects_another_optimizer(begun: TrainConfig, tmp_path: Path) -> None:
    """Its state would be of the other kind."""
    muon = replace(begun.optimizer, optimizer="muon")
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, optimizer=muon)
    message = rejection(branch)
    assert message.startswith("optimizer=muon: the state in branch_from=")
    assert "is adamw's: set the same, or start from its weights alone with --init_from=" in message


@pytest.mark.parametrize(("minutes", "compiled"), [(4.0, False), (40.0, True)])
def test_resumed_run_compiles_if_it_did_before(
    config: TrainConfig, minutes: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More steps or processes would change the choice of `auto`. Another run, or another kind of device, chooses again."""

    def is_compiled(config: TrainConfig, minutes: float) -> bool:
        monkeypatch.setattr(hardware, "eager_minutes", lambda *_arguments: minutes)
        run = opened(config)
        found = build_learner(run, ALONE).is_compiled
        write_config(run)
        return found

    monkeypatch.setattr(torch, "compile", lambda function, **_options: function)
    automatic = replace(config, compile="auto")
    assert is_compiled(automatic, minutes) is compiled
    assert is_compiled(automatic, 44.0 - minutes) is compiled
    assert is_compiled(replace(automatic, compile=not compiled), minutes) is not compiled
    path = Path(config.out_dir) / "config.json"
    path.write_text(path.read_text().replace('"cpu":', '"cuda":'))
    assert is_compiled(automatic, 44.0 - minutes) is not compiled
    assert is_compiled(replace(automatic, out_dir=config.out_dir + "_new"), 44.0 - minutes) is not compiled


def test_branch_trains_and_then_is_its_own_run(begun: TrainConfig, tmp_path: Path, capsys) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, seed=3)
    progress = train(branch)
    assert (progress.step, progress.sequences) == (10, 80)
    steps = [record["step"] for record in read_metrics(tmp_path / "branch" / "metrics.jsonl")]
    assert steps == [5, 6, 7, 8, 9, 10]
    assert "branching from" in capsys.readouterr().out
    assert train(replace(branch, branch_from="")) == progress


def test_checkpoint_of_another_tokenizer_is_rejected(begun: TrainConfig) -> None:
    """As where checkpoints were put into the folder by hand: what config.json says fits."""
    other = Tokenizer("other", BYTES.ranks, r"\S+|\s+", BYTES.special_tokens)
    with pytest.raises(
        UserError, match="step_00000005 was trained with another tokenizer than that of data_dir="
    ):
        opened(begun, tokenizer=other)


def test_branch_rejects_another_network_or_tokenizer(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    other_dropout = replace(branch, model=replace(begun.model, dropout=0.25))
    assert opened(other_dropout).checkpoint
    message = rejection(replace(branch, model=replace(begun.model, n_layer=3, norm="rmsnorm")))
    assert "n_layer=2 (not 3)" in message
    assert "norm=layernorm (not rmsnorm)" in message
    assert "dropout" not in message
    other = Tokenizer("other", BYTES.ranks, r"\S+|\s+", BYTES.special_tokens)
    with pytest.raises(UserError, match="another tokenizer"):
        opened(branch, tokenizer=other)
    assert "no checkpoint folder" in rejection(replace(branch, branch_from=str(tmp_path / "nowhere")))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / "ckpt.pt").write_bytes(b"PK")
    for origin, words in {
        str(tmp_path): f": has no optimizer state: start from its weights with --init_from={tmp_path}",
        "openai-community/gpt2": "no such folder; if it is a model on the hub, it has no optimizer state: start from its weights with --init_from=openai",
        str(tmp_path / "nano"): "ckpt.pt is a pickle",
    }.items():
        assert words in rejection(replace(branch, branch_from=origin))


def test_branch_killed_before_its_first_checkpoint_is_still_a_branch(
    begun: TrainConfig, tmp_path: Path
) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    for config in (branch, replace(branch, branch_from=""), replace(branch, branch_from="")):
        run = opened(config)
        write_config(run)
        assert run.checkpoint == Path(begun.out_dir) / "step_00000005"
        assert run.notes == []


def test_extended_run_names_its_end_and_other_differences(begun: TrainConfig) -> None:
    write_config(opened(replace(begun, max_steps=20, extend=True)))
    assert "set --max_steps=20" in rejection(begun)
    message = rejection(replace(begun, max_steps=30, extend=True, seed=7))
    assert "seed=" in message
    assert "max_steps" not in message


def test_existing_run_cannot_become_a_branch(begun: TrainConfig, tmp_path: Path) -> None:
    assert "already holds a run, not a branch" in rejection(replace(begun, branch_from=begun.out_dir))
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    write_config(opened(branch))
    assert opened(branch).checkpoint, "the same command continues"
    message = rejection(replace(branch, branch_from=str(tmp_path / "other")))
    assert "already holds a run, branched from" in message


def test_branch_trains_at_least_one_step(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, max_steps=5)
    assert "max_steps=5" in rejection(branch)


def test_started_branch_resumes_from_its_own_checkpoint(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, max_steps=20)
    train(replace(branch, max_steps=20, checkpoint_interval=7, eval_interval=100))
    run = open_run(branch, open_data(branch.data_dir))
    assert run.resumes
    assert run.progress.step == 20


def test_finished_run_says_so_and_does_nothing(config: TrainConfig, capsys) -> None:
    progress = train(config)
    capsys.readouterr()
    files = {path: path.stat().st_mtime_ns for path in Path(config.out_dir).rglob("*")}
    assert train(config) == progress
    assert "is finished: step 10, validation loss" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path(config.out_dir).rglob("*")} == files


def test_extended_run_resumes_from_its_end(config: TrainConfig) -> None:
    train(config)
    progress = train(replace(config, max_steps=12, extend=True))
    assert (progress.step, progress.sequences) == (12, 96)
    steps = [record["step"] for record in read_metrics(Path(config.out_dir) / "metrics.jsonl")]
    assert steps == list(range(1, 13))


def test_command_that_fails_does_not_extend_the_run(config: TrainConfig) -> None:
    train(config)
    metrics = Path(config.out_dir) / "metrics.jsonl"
    content = metrics.read_text()
    metrics.write_text("not a record\n" + content)
    with pytest.raises(UserError, match="is corrupt"):
        train(replace(config, max_steps=30, extend=True))
    metrics.write_text(content)
    assert train(replace(config, max_steps=20, extend=True)).step == 20


INCOMPLETE = [
    f'{{"config": {config}, "identity": {identity}, "run_id": "a"}}'
    for config, identity in (("{}", '{"seed": 1}'), ("[]", '{"seed": 1}'), ('{"seed": 1}', "[]"))
]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"config": 1', *INCOMPLETE, "null"])
def test_unreadable_config_is_rejected(begun: TrainConfig, content: str) -> None:
    (Path(begun.out_dir) / "config.json").write_text(content)
    for folder in Path(begun.out_dir).glob("step_*"):
        shutil.rmtree(folder)
    for pointer in ("last", "best"):
        (Path(begun.out_dir) / pointer).unlink(missing_ok=True)
    assert "cannot read" in rejection(begun)


@pytest.mark.parametrize("content", ["", "{}", '{"config": 1', *INCOMPLETE, None])
def test_checkpoint_replaces_a_lost_config(begun: TrainConfig, content: str | None) -> None:
    before, path = opened(begun), Path(begun.out_dir) / "config.json"
    path.unlink() if content is None else path.write_text(content)
    run = opened(begun)
    assert (run.progress, run.about["run_id"]) == (before.progress, before.about["run_id"])
    (note,) = run.notes
    assert note.startswith(f"CORRUPT {path} (" if content is not None else f"no config.json in {path.parent}")
    assert note.endswith("resuming from " + str(run.checkpoint))
    assert "seed=1 (not 7)" in rejection(replace(begun, seed=7))


def test_folders_that_cannot_hold_a_run_are_rejected(begun: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "choose another --out_dir" in rejection(replace(begun, out_dir=str(tmp_path / "file")))
    below = replace(begun, out_dir=str(tmp_path / "file" / "run"))
    assert "choose another --out_dir" in rejection(below)


def test_full_disk_rejects_the_config(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    run = opened(config)
    monkeypatch.setattr(run_module, "replace_file", full)
    with pytest.raises(UserError, match=r"cannot write to .*No space left"):
        write_config(run)
