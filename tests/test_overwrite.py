"""--overwrite of a run: asked twice, and only the run's own files."""

import io
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
    asked = f"delete the run in {trained.out_dir}, with 2 checkpoints? [y/N] are you sure? [y/N] "
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


@pytest.mark.parametrize("place", [{"RANK": "1", "WORLD_SIZE": "2"}, {"TORCHELASTIC_RESTART_COUNT": "1"}])
def test_only_the_first_start_of_the_main_process_deletes(
    trained: TrainConfig,
    types: Callable[[str], Terminal],
    place: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = content(trained)
    types("y\ny\n")
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    overwrite(trained)
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
    ("changes", "message"), [({"data_dir": "none"}, "no manifest"), ({"micro_batch_size": 3}, "must divide")]
)
def test_a_run_is_deleted_only_for_one_that_can_start(
    trained: TrainConfig, types: Callable[[str], Terminal], changes: dict, message: str
) -> None:
    before = content(trained)
    types("y\ny\n")
    with pytest.raises(UserError, match=message):
        train(replace(trained, **changes))
    assert content(trained) == before


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
