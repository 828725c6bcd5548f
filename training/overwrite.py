"""`--overwrite`: delete the run in a folder, once someone at a terminal has agreed to it twice."""

import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from checkpointing.checkpoint import step_of
from system.command_line import agrees_twice, can_ask
from system.errors import UserError
from system.files import cannot_write
from system.world import size_and_ranks
from training.config import TrainConfig
from training.plot import METRICS, PLOT
from training.run import CONFIG, is_run, only_trainer, open_data, open_run

# All that a run writes, in the order in which it is deleted. config.json is last, so that after a kill in between `is_run`
# still finds a run, and --overwrite deletes the rest.
RUN_FILES = (
    "last",
    "best",
    r"step_\d+(\.tmp|\.suspect)?",
    r"autopsy_step_\d+",
    "wandb",
    "tensorboard",
    "evaluation",  # of tools.evaluate
    PLOT,
    METRICS,
    CONFIG,
)


def overwrite(config: TrainConfig) -> None:
    """Delete the run in `config.out_dir`, and nothing else there. Does nothing where there is none.

    Only the main process does so. Raises UserError if the new run could not start, if nobody can be asked or agrees, if
    another process trains there, or if torchrun may restart the command, which must then resume.
    """
    out_dir, (n_processes, rank, _) = Path(config.out_dir), size_and_ranks()
    if rank:
        return
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        raise UserError(
            "overwrite=True: must not be combined with torchrun's --max_restarts, as a restart would ask to delete the new"
            f" run: leave out --max_restarts, or delete {out_dir} yourself and leave out --overwrite"
        )
    if not is_run(out_dir):
        return
    for name, origin in (("init_from", config.init_from), ("branch_from", config.branch_from)):
        if origin and out_dir.resolve() in (Path(origin).resolve(), *Path(origin).resolve().parents):
            raise UserError(
                f"{name}={origin}: would be deleted with the run in {out_dir}: choose another --out_dir"
            )
    with tempfile.TemporaryDirectory() as empty:  # where the new run is the only one
        open_run(replace(config, out_dir=empty), open_data(config.data_dir), n_processes, check=False)
    advice = "leave out --overwrite to resume its run, or choose another --out_dir"
    if not can_ask():
        raise UserError(
            f"{out_dir} holds a run, which is deleted only after asking on a terminal: delete it yourself, {advice}"
        )
    with only_trainer(out_dir):
        steps = [step_of(path) for path in out_dir.iterdir() if re.fullmatch(r"step_\d+", path.name)]
        found = f"whose last checkpoint is of step {max(steps)}" if steps else "which has no checkpoint"
        if not agrees_twice(f"delete the run in {out_dir}, {found}?"):
            raise UserError(f"{out_dir} is unchanged: {advice}")
        try:
            for pattern in RUN_FILES:
                for path in [path for path in out_dir.iterdir() if re.fullmatch(pattern, path.name)]:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            raise cannot_write(out_dir, error) from None
