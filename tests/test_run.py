"""Whose a run's folder is: who may go on with it, what is refused with the differing keys, extending and branching."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE
from safetensors.torch import load_file

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from model import GPT
from system.errors import UserError
from train import Training, train
from training import run as run_module
from training.config import TrainConfig
from training.log import read_metrics
from training.optim import make_optimizer
from training.run import open_run, with_vocabulary, write_config

BYTES = open_tokenizer("bytes")
DATA = "d" * 64


@pytest.fixture
def begun(config: TrainConfig) -> TrainConfig:
    """The config of a run that has a checkpoint of step 5 of 10."""
    config = with_vocabulary(config, BYTES.vocab_size)
    torch.manual_seed(0)
    model = GPT(config.model)
    optimizer = make_optimizer(model, config.optimizer)
    model(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long)).backward()
    optimizer.step()
    run = open_run(config, DATA, BYTES)
    write_config(run)
    checkpoint.save(Path(config.out_dir), model, optimizer, BYTES, Progress(5, 40, 3.0, 2.5), run.about, 2)
    return config


def refusal(config: TrainConfig, data_hash: str = DATA) -> str:
    with pytest.raises(UserError) as error:
        open_run(config, data_hash, BYTES)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_new_run_starts_at_nothing_and_only_reads(config: TrainConfig) -> None:
    run = open_run(config, DATA, BYTES)
    assert run.progress == Progress()
    assert run.checkpoint is None
    assert not run.continues
    assert not Path(config.out_dir).exists()


def test_same_command_goes_on(begun: TrainConfig) -> None:
    run = open_run(begun, DATA, BYTES)
    assert run.continues
    assert run.checkpoint == Path(begun.out_dir) / "step_00000005"
    assert run.progress == Progress(5, 40, 3.0, 2.5)
    assert run.changes == ""
    written = json.loads((Path(begun.out_dir) / "config.json").read_text())
    assert run.about["run_id"] == written["run_id"]
    assert {"config", "identity", "versions", "git_commit"} <= set(written)
    assert written["versions"]["torch"] == torch.__version__


def test_batch_in_tokens_is_the_same_run(begun: TrainConfig) -> None:
    in_tokens = replace(begun, batch_size=0, batch_tokens=begun.batch_size * begun.model.block_size)
    assert open_run(in_tokens, DATA, BYTES).continues


def test_operational_changes_are_allowed_and_said(begun: TrainConfig) -> None:
    changed = replace(begun, micro_batch_size=4, attention="math", eval_interval=2)
    run = open_run(changed, DATA, BYTES)
    assert run.continues
    for words in ("micro_batch_size 0 -> 4", "attention auto -> math", "eval_interval 5 -> 2"):
        assert words in run.changes
    assert "precision" not in run.changes


def test_other_processes_and_threads_are_said(begun: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """They change the order of sums."""
    write_config(open_run(begun, DATA, BYTES, n_processes=2))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert open_run(begun, DATA, BYTES, n_processes=2).changes == ", threads 1 -> 7"
    assert open_run(begun, DATA, BYTES, n_processes=3).changes == ", processes 2 -> 3, threads 1 -> 7"


def test_another_run_is_refused_with_the_differing_keys(begun: TrainConfig) -> None:
    model, optimizer = replace(begun.model, dropout=0.5), replace(begun.optimizer, betas=(0.5, 0.6))
    message = refusal(replace(begun, seed=9, model=model, optimizer=optimizer, eval_interval=2))
    for words in (begun.out_dir, "seed (1 there, 9 asked)", "dropout (0.0 there, 0.5 asked)", "betas"):
        assert words in message
    assert "eval_interval" not in message
    assert "n_layer" not in message
    assert "--branch_from" in message


def test_other_data_are_refused_shortly(begun: TrainConfig) -> None:
    message = refusal(begun, "e" * 64)
    assert "data (dddddddddddd... there, eeeeeeeeeeee... asked)" in message


def test_more_steps_need_extend(begun: TrainConfig) -> None:
    longer = replace(begun, max_steps=20)
    message = refusal(longer)
    assert "max_steps (10 there, 20 asked)" in message
    assert "--extend" in message
    extended = open_run(replace(longer, extend=True), DATA, BYTES)
    assert extended.continues
    assert extended.progress.step == 5
    write_config(extended)
    assert open_run(longer, DATA, BYTES).continues, (
        "once extended, the same command goes on without being asked"
    )
    message = refusal(replace(begun, max_steps=20, seed=2, extend=True))
    assert "seed" in message
    for fewer in (4, 7):  # the second is further than the run has come
        assert f"max_steps={fewer}: the run in" in refusal(replace(begun, max_steps=fewer, extend=True))


def test_branch_takes_weights_optimizer_and_place(begun: TrainConfig, tmp_path: Path) -> None:
    optimizer = replace(begun.optimizer, learning_rate=1e-4)
    branch = replace(
        begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, optimizer=optimizer, seed=3
    )
    run = open_run(branch, DATA, BYTES)
    assert not run.continues
    assert run.progress == Progress(5, 40, None, None), "the best is of this run, not of its origin"
    assert run.about["run_id"] != open_run(begun, DATA, BYTES).about["run_id"]
    training = Training(replace(branch, data_dir=begun.data_dir), ALONE)
    training.build()
    origin = Path(begun.out_dir) / "step_00000005"
    for name, weight in load_file(origin / "model.safetensors").items():
        assert torch.equal(training.model.weights()[name], weight)
    parameters = dict(training.model.named_parameters())
    for key, tensor in load_file(origin / "optimizer.safetensors").items():
        name, _, entry = key.rpartition("/")
        assert torch.equal(training.optimizer.state[parameters[name]][entry], tensor)


def test_branch_trains_and_then_is_a_run_of_its_own(begun: TrainConfig, tmp_path: Path, capsys) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, seed=3)
    progress = train(branch)
    assert (progress.step, progress.sequences) == (10, 80)
    steps = [record["step"] for record in read_metrics(tmp_path / "branch" / "metrics.jsonl")]
    assert steps == [5, 6, 7, 8, 9, 10]
    assert "going on from" in capsys.readouterr().out
    assert train(replace(branch, branch_from="")) == progress


def test_checkpoint_of_another_tokenizer_is_not_gone_on_from(begun: TrainConfig) -> None:
    """As where checkpoints were put into the folder by hand: what config.json says fits."""
    other = Tokenizer("other", BYTES.ranks, r"\S+|\s+", BYTES.special_tokens)
    with pytest.raises(
        UserError, match="step_00000005: it was trained with another tokenizer than data_dir's"
    ):
        open_run(begun, DATA, other)


def test_branch_refuses_another_network_or_tokenizer(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    other_dropout = replace(branch, model=replace(begun.model, dropout=0.25))
    assert open_run(other_dropout, DATA, BYTES).checkpoint
    message = refusal(replace(branch, model=replace(begun.model, n_layer=3, norm="rmsnorm")))
    assert "n_layer (2 there, 3 asked)" in message
    assert "norm (layernorm there, rmsnorm asked)" in message
    assert "dropout" not in message
    other = Tokenizer("other", BYTES.ranks, r"\S+|\s+", BYTES.special_tokens)
    with pytest.raises(UserError, match="another tokenizer"):
        open_run(branch, DATA, other)
    assert "no checkpoint folder" in refusal(replace(branch, branch_from=str(tmp_path / "nowhere")))


def test_branch_killed_before_its_first_checkpoint_is_still_a_branch(
    begun: TrainConfig, tmp_path: Path
) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    for config in (branch, replace(branch, branch_from=""), replace(branch, branch_from="")):
        run = open_run(config, DATA, BYTES)
        write_config(run)
        assert run.checkpoint == Path(begun.out_dir) / "step_00000005"
        assert run.changes == ""


def test_extended_run_names_its_end_and_what_else_differs(begun: TrainConfig) -> None:
    write_config(open_run(replace(begun, max_steps=20, extend=True), DATA, BYTES))
    assert "give --max_steps=20" in refusal(begun)
    message = refusal(replace(begun, max_steps=30, extend=True, seed=7))
    assert "seed (" in message
    assert "max_steps" not in message


def test_run_that_is_there_is_no_branch_of_another(begun: TrainConfig, tmp_path: Path) -> None:
    assert "which is no branch" in refusal(replace(begun, branch_from=begun.out_dir))
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir)
    write_config(open_run(branch, DATA, BYTES))
    assert open_run(branch, DATA, BYTES).checkpoint, "the same command continues"
    message = refusal(replace(branch, branch_from=str(tmp_path / "other")))
    assert "holds a run already, branched from" in message


def test_branch_needs_a_step_to_do(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, max_steps=5)
    assert "max_steps=5" in refusal(branch)


def test_branch_that_has_begun_goes_on_from_its_own_checkpoint(begun: TrainConfig, tmp_path: Path) -> None:
    branch = replace(begun, out_dir=str(tmp_path / "branch"), branch_from=begun.out_dir, max_steps=20)
    train(replace(branch, max_steps=20, checkpoint_interval=7, eval_interval=100))
    run = open_run(branch, Training(branch, ALONE).data.manifest_hash, BYTES)
    assert run.continues
    assert run.progress.step == 20


def test_finished_run_says_so_and_does_nothing(config: TrainConfig, capsys) -> None:
    progress = train(config)
    capsys.readouterr()
    files = {path: path.stat().st_mtime_ns for path in Path(config.out_dir).rglob("*")}
    assert train(config) == progress
    assert "is finished: step 10, validation loss" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path(config.out_dir).rglob("*")} == files


def test_extended_run_goes_on_from_its_end(config: TrainConfig) -> None:
    train(config)
    progress = train(replace(config, max_steps=12, extend=True))
    assert (progress.step, progress.sequences) == (12, 96)
    steps = [record["step"] for record in read_metrics(Path(config.out_dir) / "metrics.jsonl")]
    assert steps == list(range(13))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"config": 1', "null"])
def test_unreadable_config_is_refused(begun: TrainConfig, content: str) -> None:
    (Path(begun.out_dir) / "config.json").write_text(content)
    for folder in Path(begun.out_dir).glob("step_*"):
        shutil.rmtree(folder)
    for pointer in ("last", "best"):
        (Path(begun.out_dir) / pointer).unlink(missing_ok=True)
    assert "cannot read" in refusal(begun)


@pytest.mark.parametrize("content", ["", "{}", '{"config": 1', None])
def test_checkpoint_says_what_a_lost_config_said(begun: TrainConfig, content: str | None) -> None:
    before, path = open_run(begun, DATA, BYTES), Path(begun.out_dir) / "config.json"
    path.unlink() if content is None else path.write_text(content)
    run = open_run(begun, DATA, BYTES)
    assert (run.progress, run.about["run_id"]) == (before.progress, before.about["run_id"])
    assert "config.json" in run.damage
    assert "step_00000005 says the same" in run.damage
    assert "seed (1 there, 7 asked)" in refusal(replace(begun, seed=7))


def test_folders_that_cannot_hold_a_run_are_refused(begun: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "choose another --out_dir" in refusal(replace(begun, out_dir=str(tmp_path / "file")))
    below = replace(begun, out_dir=str(tmp_path / "file" / "run"))
    assert "choose another --out_dir" in refusal(below)


def test_full_disk_refuses_the_config(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    run = open_run(config, DATA, BYTES)
    monkeypatch.setattr(run_module, "replace_file", full)
    with pytest.raises(UserError, match=r"cannot write to out_dir=.*No space left"):
        write_config(run)
