"""`--overwrite`: delete the run in a folder, once someone at a terminal has agreed to it twice."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from system.command_line import agrees_twice, can_ask
from system.errors import UserError
from system.files import cannot_write
from system.world import rank_variable
from training.config import TrainConfig
from training.plot import METRICS, PLOT
from training.run import CONFIG, is_run, only_trainer, open_data, open_run

# All that a run writes, in the order in which it is deleted: a kill in between leaves a run, or what is not one.
RUN_FILES = (
    "last",
    "best",
    r"step_\d+(\.tmp|\.suspect)?",
    r"autopsy_step_\d+",
    "wandb",
    PLOT,
    METRICS,
    CONFIG,
)


def overwrite(config: TrainConfig) -> None:
    """Delete the run in `config.out_dir`, and nothing else there. Does nothing where there is none.

    Only the main process does so, and only as it is first started: after a crash torchrun starts the same command again.
    Raises UserError if the new run could not start, if nobody can be asked or agrees, or if another process trains there.
    """
    out_dir, restarts = Path(config.out_dir), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if rank_variable("RANK", "0") or restarts != "0" or not is_run(out_dir):
        return
    for name, origin in (("init_from", config.init_from), ("branch_from", config.branch_from)):
        if origin and out_dir.resolve() in (Path(origin).resolve(), *Path(origin).resolve().parents):
            raise UserError(
                f"{name}={origin}: would be deleted with the run in {out_dir}: choose another --out_dir"
            )
    elsewhere = replace(config, out_dir=f"{out_dir}.new")
    open_run(elsewhere, open_data(config.data_dir), rank_variable("WORLD_SIZE", "1"), check=False)
    advice = "leave out --overwrite to resume its run, or choose another --out_dir"
    if not can_ask():
        raise UserError(
            f"{out_dir} holds a run, which is deleted only after asking on a terminal: delete it yourself, {advice}"
        )
    with only_trainer(out_dir):
        n_checkpoints = sum(bool(re.fullmatch(r"step_\d+", path.name)) for path in out_dir.iterdir())
        if not agrees_twice(f"delete the run in {out_dir}, with {n_checkpoints} checkpoints?"):
            raise UserError(f"{out_dir} is unchanged: {advice}")
        try:
            for pattern in RUN_FILES:
                for path in [path for path in out_dir.iterdir() if re.fullmatch(pattern, path.name)]:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            raise cannot_write(out_dir, error) from None
