"""What all processes must have in common is compared at the start, and the one that differs says what."""

import json
from pathlib import Path

import pytest
from conftest import ALONE, ROOT, Ranks, completed

from training.agreement import check_agreement, facts
from training.config import TrainConfig

# Each process has its own settings, data hash and torch; out_dir is where the main process makes its file.
SCRIPT = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from system.errors import UserError
from system.world import start_world
from training.agreement import check_agreement
from training.config import TrainConfig
world = start_world("cpu", timeout_minutes=0.5)
def answer(data_hash="d" * 64, version=torch.__version__, **settings):
    torch.__version__ = version
    settings = dict(data_dir=f"data{{world.rank}}", out_dir="shared", device="cpu") | settings
    try:
        check_agreement(TrainConfig(**settings), data_hash, world)
    except UserError as error:
        return str(error)
    return "agreed"
os.chdir({folder!r})
for name in ("shared", "elsewhere"):
    Path(name).mkdir(exist_ok=True)
own = str(world.rank)
print(json.dumps([
    answer(),
    answer(seed=world.rank, max_steps=20 + world.rank),
    answer(data_hash=own * 64),
    answer(version="2." + own),
    answer(out_dir="elsewhere" if world.rank else "shared"),
    answer(out_dir="nowhere/" + own),
    answer(out_dir="nowhere/" + own, plan=True),
]))
"""


@pytest.mark.serial
def test_the_process_that_differs_says_what(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    script = tmp_path / "agree.py"
    script.write_text(SCRIPT.format(root=str(ROOT), folder=str(tmp_path)))
    first, second = (json.loads(completed(process)) for process in ranks(config, config, script=script))
    same = "use the same command, code and versions on all nodes"
    other, here = "cannot start: see the error line of rank 1", "rank 0 has other settings or versions, here"
    where = "out_dir=elsewhere: is not the folder that rank 0 has under this name: use a folder that all nodes share"
    assert second[:5] == [
        "agreed",
        f"{here} seed=1 (not 0), max_steps=21 (not 20): {same}",
        "data_dir=data1: other data than rank 0 has, data=111111111111 (not 000000000000): copy the same data to all"
        " nodes",
        f"{here} torch=2.1 (not 2.0): {same}",
        where,
    ]
    assert first[:5] == ["agreed", other, other, other, other]
    assert first[5].startswith(
        "cannot write to nowhere/0 (No such file or directory): choose another --out_dir"
    )
    assert second[5] == "cannot start: see the error line of rank 0"
    assert first[6] == second[6] == "agreed"
    assert not list((tmp_path / "shared").iterdir()), "the file is removed"


def test_paths_may_differ_and_all_else_is_compared(config: TrainConfig) -> None:
    """Also settings that do not define the run, such as eval_interval: processes would wait for each other."""
    compared = facts(config, "d" * 64)
    assert compared["data"] == "d" * 12
    assert {"eval_interval", "learning_rate", "n_layer", "torch", "timeout_minutes"} <= compared.keys()
    assert compared.keys().isdisjoint({"data_dir", "out_dir", "init_from", "branch_from", "eval_tasks"})
    check_agreement(config, "d" * 64, ALONE)
