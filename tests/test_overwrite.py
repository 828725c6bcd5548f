"""--overwrite of a run: asked twice, and only the run's own files."""

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Start, Terminal, elsewhere, final_files, outcome

from system.errors import UserError
from train import train
from training.config import TrainConfig
from training.overwrite import overwrite
from training.run import only_trainer


@pytest.fixture
def trained(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A finished run, beside files that are not the run's."""
    train(config)
    out_dir = Path(config.out_dir)
    (out_dir / "notes.txt").write_text("mine")
    (out_dir / "step_notes.txt").write_text("mine")
    (out_dir / "step_00000010_keep").mkdir()
    for folder in ("step_00000005.tmp", "autopsy_step_00000003", "wandb"):
        (out_dir / folder).mkdir()
        (out_dir / folder / "file").touch()
    return replace(config, overwrite=True)


def content(config: TrainConfig) -> set[str]:
    return {str(path) for path in Path(config.out_dir).rglob("*")}


def test_a_run_is_deleted_after_two_answers(trained: TrainConfig, types: Callable[[str], Terminal]) -> None:
    before, weights = content(trained), final_files(trained)
    mine = {
        path for path in before if Path(path).name in ("notes.txt", "step_notes.txt", "step_00000010_keep")
    }
    assert len(mine) == 3
    for lines in ("\n", "n\n", "y\nn\n", "y\n"):  # the last one ends with Ctrl-D
        types(lines)
        with pytest.raises(UserError, match="run is unchanged: leave out --overwrite to resume its run"):
            overwrite(trained)
    assert content(trained) == before
    shown = types("y\nyes\n")
    train(replace(trained, seed=2))
    question = f"delete the run in {trained.out_dir}, whose last checkpoint is of step 10?"
    asked = f"{question} [y/N] are you sure? [y/N] "
    assert shown.getvalue() == asked
    assert content(trained) >= mine
    assert f"{trained.out_dir}/autopsy_step_00000003" not in content(trained)
    assert final_files(trained) != weights


def test_a_run_stays_where_nobody_can_be_asked(
    trained: TrainConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(trained)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\n"))
    status, errors = outcome(start(trained))
    assert (status, content(trained)) == (2, before)
    assert (
        "holds a run, which is deleted only after asking on a terminal: delete it yourself, leave out --overwrite"
        in errors
    )


def test_only_the_main_process_deletes(
    trained: TrainConfig, types: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, shown = content(trained), types("y\ny\n")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    overwrite(trained)
    assert (content(trained), shown.getvalue()) == (before, "")
    monkeypatch.setenv("WORLD_SIZE", "0")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match="RANK must be below WORLD_SIZE"):
        overwrite(trained)


@pytest.mark.parametrize("restarts", ["0", "1"])
def test_a_command_that_torchrun_may_restart_neither_deletes_nor_resumes(
    trained: TrainConfig, start: Start, restarts: str
) -> None:
    """A restart must not resume the run that the first start was not allowed to delete."""
    before = content(trained)
    place = {"TORCHELASTIC_MAX_RESTARTS": "1", "TORCHELASTIC_RESTART_COUNT": restarts}
    for config in (trained, elsewhere(trained, "new")):  # a new run too: its restart would find it
        status, errors = outcome(start(config, **place))
        assert (status, errors.count("\n")) == (2, 1)
        assert "overwrite=True: must not be combined with torchrun's --max_restarts" in errors
    assert content(trained) == before


def test_what_is_in_use_is_not_deleted(trained: TrainConfig, types: Callable[[str], Terminal]) -> None:
    before = content(trained)
    for origin in ({"branch_from": f"{trained.out_dir}/step_00000005"}, {"init_from": trained.out_dir}):
        types("y\ny\n")
        with pytest.raises(UserError, match=r"_from=.*: would be deleted with the run in"):
            overwrite(replace(trained, **origin))
    types("y\ny\n")
    with only_trainer(Path(trained.out_dir)), pytest.raises(UserError, match="another process is training"):
        overwrite(trained)
    assert content(trained) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"data_dir": "none"}, "no manifest"), ({"micro_batch_size": 3}, "must divide")],
)
def test_a_run_is_deleted_only_for_one_that_can_start(
    trained: TrainConfig, types: Callable[[str], Terminal], changes: dict, message: str
) -> None:
    before = content(trained)
    types("y\ny\n")
    with pytest.raises(UserError, match=message):
        train(replace(trained, **changes))
    assert content(trained) == before


def test_another_run_beside_it_does_not_matter(
    trained: TrainConfig, types: Callable[[str], Terminal]
) -> None:
    beside = Path(f"{trained.out_dir}.new")
    shutil.copytree(trained.out_dir, beside)
    types("y\ny\n")
    overwrite(replace(trained, seed=2))
    assert not list(Path(trained.out_dir).glob("step_0*0"))
    assert (beside / "step_00000010").is_dir()


def test_what_a_kill_leaves_is_still_a_run(
    trained: TrainConfig, types: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def killed(path: Path, *options: bool) -> None:
        if path.name == "config.json":
            raise KeyboardInterrupt
        unlink(path, *options)

    types("y\ny\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            overwrite(trained)
    assert not (Path(trained.out_dir) / "metrics.jsonl").exists()
    shown = types("y\ny\n")
    overwrite(trained)
    assert shown.getvalue().startswith(f"delete the run in {trained.out_dir}, which has no checkpoint?")
    assert not (Path(trained.out_dir) / "config.json").exists()


def test_a_corrupt_run_is_deleted_and_another_folder_is_not(
    trained: TrainConfig, types: Callable[[str], Terminal]
) -> None:
    out_dir = Path(trained.out_dir)
    for file in out_dir.glob("step_*/model.safetensors"):
        file.write_bytes(b"")
    (out_dir / "config.json").unlink()
    (out_dir / "last").unlink()
    types("y\ny\n")
    overwrite(trained)
    assert not list(out_dir.glob("step_0*0"))
    exported = elsewhere(trained, "exported")
    Path(exported.out_dir).mkdir()
    (Path(exported.out_dir) / "config.json").write_text('{"model_type": "gpt2"}')
    overwrite(exported)
    assert len(content(exported)) == 1
