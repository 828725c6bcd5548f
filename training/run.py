"""A run's folder: which run lives there, whether this command may resume it, and from which checkpoint.

It holds config.json (config, identity, versions), metrics.jsonl (log.py) and the checkpoints (checkpointing/checkpoint.py).
"""

import contextlib
import json
import platform
import shlex
import subprocess
import uuid
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch

from checkpointing import checkpoint, foreign, pretrained
from checkpointing.checkpoint import Progress
from checkpointing.pretrained import Pretrained
from corpus.dataset import TokenDataset
from corpus.tokenizer import Tokenizer
from model import GPTConfig
from system import hub
from system.errors import UserError
from system.files import cannot_write, only_writer, replace_file
from system.world import World
from training.agreement import check_agreement
from training.config import OptimizerConfig, TrainConfig
from training.micro_batch import share_batch
from training.same_run import changes, recorded_identity, reject_other_run, take_fixed_steps

CONFIG = "config.json"
OWN = ("dropout", "document_mask")  # of the network, which a run need not take from the model it starts from


class Data(NamedTuple):
    """The two splits of a data folder, and the tokenizer of both."""

    train: TokenDataset
    val: TokenDataset
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Run:
    """A run about to start or to resume. Its config is final: network, vocabulary and origin are filled in.

    But for one that `is_timed`, whose number of steps budget.py fixes.
    """

    config: TrainConfig
    data: Data
    origin: Pretrained | None  # the model to start from, if its weights are still to be loaded
    checkpoint: Path | None  # the checkpoint to load
    progress: Progress
    about: dict[
        str, Any
    ]  # config, identity, data, versions, git commit, run id, ...: saved with each checkpoint
    notes: list[str]  # for the log: cut pairs, changed settings, corrupt checkpoints
    is_new: bool  # nothing of it is on record

    @property
    def out_dir(self) -> Path:
        """The run's folder."""
        return Path(self.config.out_dir)

    @property
    def fallback(self) -> Path | None:
        """The checkpoint that the run returns to if its data turn out corrupt: the one it resumed from, if it did."""
        return self.checkpoint if self.resumes else None

    @property
    def resumes(self) -> bool:
        """Whether the checkpoint is this run's own: its step is evaluated, saved and on record already."""
        return self.checkpoint is not None and self.checkpoint.parent == self.out_dir

    @property
    def is_timed(self) -> bool:
        """Whether max_minutes fixes its steps: once, before they are on record."""
        return self.is_new and self.config.max_minutes > 0

    @property
    def starts_trained(self) -> bool:
        """Whether it is a new run that starts from weights of another one, which are worth an evaluation."""
        return self.origin is not None or (self.checkpoint is not None and not self.resumes)


def open_data(data_dir: str) -> Data:
    """Open the splits of a data folder and their tokenizer."""
    train, val = (TokenDataset(data_dir, split) for split in ("train", "val"))
    return Data(train, val, train.tokenizer())


def open_together(config: TrainConfig, world: World) -> Run:
    """Return the run of `config`, opened in all processes; only the main one hashes checkpoints, which is to read all of them.

    Raises UserError in all of them if one cannot open it, or if they would not start from the same step.
    """
    out_dir = Path(config.out_dir)
    last: tuple[Path | None, str] = None, ""
    with world.all_or_none():
        data = open_data(config.data_dir)
        if world.is_main:
            last = checkpoint.last_whole(out_dir)
    check_agreement(config, data.train.manifest_hash, world)
    folder, _ = last
    found = int(
        world.sum(torch.tensor(checkpoint.step_of(folder) + 1 if folder else 0))
    )  # by the main process
    with world.all_or_none():
        if found and not world.is_main:
            folder = checkpoint.folder_of(out_dir, found - 1)
            if not folder.is_dir():
                raise _different_checkpoints(out_dir, f"no {folder.name}")
            last = folder, ""
        run = open_run(config, data, world.size, last, check=world.is_main)
    check_same_step(run, world)
    return run


def open_run(
    config: TrainConfig,
    data: Data,
    n_processes: int = 1,
    last: tuple[Path | None, str] | None = None,
    check: bool = True,
) -> Run:
    """Return the run of `config` in its out_dir: new, branched, or at its last intact checkpoint. Only reads.

    `last` is the result of `last_whole` if it is known already. `check` hashes a checkpoint of another run too.
    Raises UserError if the data do not fit the config, or if the folder holds another run, with the differing keys.
    """
    out_dir = Path(config.out_dir)
    folder, damage = last or checkpoint.last_whole(out_dir)
    earlier, found = _earlier(out_dir, folder)
    config, origin = find_network(config, data.tokenizer, folder, earlier, check)
    config = with_end_of_text(config, data.tokenizer.end_of_text)
    config, requested, ignored = take_fixed_steps(config, earlier)
    notes = _check_data(config, data, n_processes)
    ours = recorded_identity(config) | {"data": data.train.manifest_hash}
    if earlier:
        reject_other_run(out_dir, earlier["identity"], ours, config.extend, folder)
    config = replace(config, branch_from=_branch_origin(config, earlier))
    if not folder and config.branch_from:
        folder = checkpoint.find(config.branch_from)
    about = {
        "config": asdict(config),
        "identity": ours,
        "data": data.train.manifest.summary(),
        "run_id": earlier["run_id"] if earlier else uuid.uuid4().hex[:8],
        "init_folder": (earlier or {}).get("init_folder") or (str(origin.folder) if origin else None),
        # What attention=auto chose, by CPU; None for a run from before it was timed, which keeps the rule of then.
        "attention": (earlier or {"attention": {}}).get("attention"),
        "compiled": dict((earlier or {}).get("compiled", {})),  # what compile=auto chose, by device type
        "parallel": dict(
            (earlier or {}).get("parallel", {})
        ),  # what parallel=auto chose, by number of processes
        "tokens_per_step": config.sequences_per_step
        * data.train.tokens_per_sequence(config.model.block_size),  # on average
        "requested": requested,  # the steps that the command requests, where max_minutes fixed others
        **_surroundings(n_processes),
    }
    if earlier:
        notes += changes(earlier, about) + ignored
        if _windows_differ(config, data, earlier["config"]):
            notes.append("`best` now compares validation losses over different windows")
    notes += [
        f"{words}: resuming from {folder}" for words in (damage and f"CORRUPT {damage}", found) if words
    ]
    progress = _progress(config, folder, data, check) if folder else Progress()
    return Run(config, data, origin, folder, progress, about, notes, is_new=not earlier)


def _check_data(config: TrainConfig, data: Data, n_processes: int) -> list[str]:
    """Raise UserError if there is too little text or the batch does not divide.

    Returns notes about pairs that are cut, and about more windows to evaluate on than there are.
    """
    share_batch(config, n_processes)
    data.train.n_sequences(config.model.block_size)
    data.val.cut_pairs(config.model.block_size)
    notes = [data.train.cut_pairs(config.model.block_size)]
    n_windows = len(data.val.validation_starts(config.model.block_size, None))
    if n_windows < config.eval_windows:
        notes.append(
            f"eval_windows={config.eval_windows}: the validation split has {n_windows}, all are used"
        )
    return [note for note in notes if note]


def check_same_step(run: Run, world: World) -> None:
    """Raise UserError if the processes would not start from the same step."""
    step = run.progress.step
    if world.smallest(step) != -world.smallest(-step):
        raise _different_checkpoints(run.out_dir, f"step {step}")


def _different_checkpoints(out_dir: Path, found: str) -> UserError:
    return UserError(
        f"out_dir={out_dir}: the processes see different checkpoints there, this one {found}: use a folder that all of them"
        " share"
    )


def find_network(
    config: TrainConfig,
    tokenizer: Tokenizer,
    folder: Path | None,
    earlier: dict[str, Any] | None,
    check: bool,
) -> tuple[TrainConfig, Pretrained | None]:
    """Return the config with its network filled in, and the model of `init_from` if its weights are still to be loaded.

    They are not if the run has a checkpoint, `folder`. `earlier` is what its config.json holds.
    """
    if not config.init_from:
        return with_vocabulary(config, tokenizer.vocab_size), None
    if folder:
        return with_network(config, checkpoint.network_of(checkpoint.read_info(folder), folder)), None
    # The folder on record: a run's best checkpoint, or what a hub name means, may have changed since.
    recorded = (earlier or {}).get("init_folder")
    origin = pretrained.find(config.branch_from or recorded or config.init_from, check)
    if origin.tokenizer().hash != tokenizer.hash:
        raise UserError(
            f"data_dir={config.data_dir}: its tokenizer differs from that of init_from={config.init_from}:"
            f" prepare the data with --tokenizer={shlex.quote(config.init_from)}"
        )
    return with_network(config, origin.config), origin


def with_vocabulary(config: TrainConfig, vocab_size: int) -> TrainConfig:
    """Return the config with the vocab_size of the data's tokenizer; raise UserError if it sets another one."""
    if config.model.vocab_size not in (0, vocab_size):
        raise UserError(
            f"vocab_size={config.model.vocab_size}: must be 0 (taken from the data) or {vocab_size}, the"
            f" vocabulary of {config.data_dir}"
        )
    return replace(config, model=replace(config.model, vocab_size=vocab_size))


def with_end_of_text(config: TrainConfig, end_of_text: int) -> TrainConfig:
    """Return the config with the data's end-of-text token if it masks documents; raise UserError if it sets another one."""
    if not config.model.document_mask:
        return config
    if config.model.end_of_text not in (-1, end_of_text):
        raise UserError(
            f"end_of_text={config.model.end_of_text}: must be -1 (taken from the data) or {end_of_text}, the"
            f" end-of-text token of {config.data_dir}"
        )
    return replace(config, model=replace(config.model, end_of_text=end_of_text))


def with_network(config: TrainConfig, network: GPTConfig) -> TrainConfig:
    """Return the config with the network of the model it starts from, but its own dropout and block_size.

    It may mask documents where that model does not; where that does, it does too. Raises UserError if a setting is neither the default nor the model's, or if block_size is longer than the model's.
    """
    default, own = GPTConfig(), config.model
    for key in (item.name for item in fields(GPTConfig)):
        ours, theirs = getattr(own, key), getattr(network, key)
        fits = ours <= theirs if key == "block_size" else ours == theirs or key in OWN
        if not fits and ours != getattr(default, key):
            raise UserError(
                f"{key}={ours}: the model of init_from={config.init_from} has {key}={theirs}: leave it out"
            )
    block_size = min(own.block_size, network.block_size)
    masks = own.document_mask or network.document_mask
    model = replace(network, dropout=own.dropout, block_size=block_size, document_mask=masks)
    try:
        return replace(config, model=model)
    except ValueError as error:  # batch_tokens fitted another block_size
        raise UserError(str(error)) from None


def is_run(out_dir: Path) -> bool:
    """Return whether there is a run of ours in the folder, whole or corrupt."""
    with contextlib.suppress(OSError):
        if any((folder / checkpoint.INFO).exists() for folder in out_dir.glob("step_*")):
            return True
        return '"run_id"' in (out_dir / CONFIG).read_text(errors="replace")
    return False


def only_trainer(out_dir: Path, is_main: bool = True) -> AbstractContextManager[None]:
    """Lock a run's folder, so that no other command trains there in the block. Raises UserError if one does.

    Of several processes, the main one holds the lock.
    """
    if not is_main:
        return contextlib.nullcontext()
    return only_writer(
        out_dir, f"another process is training in {out_dir}: wait for it, or choose another --out_dir"
    )


def write_config(run: Run) -> None:
    """Write the run's config.json, by which later commands know whose folder it is."""
    try:
        run.out_dir.mkdir(parents=True, exist_ok=True)
        replace_file(run.out_dir / CONFIG, json.dumps(run.about, indent=2) + "\n")
    except OSError as error:
        raise cannot_write(run.out_dir, error) from None


def _earlier(out_dir: Path, folder: Path | None) -> tuple[dict[str, Any] | None, str]:
    """Return what config.json holds about the run in the folder (None: no run yet), and what is wrong with the file.

    The run's checkpoint `folder` holds the same, and is read if config.json cannot be.
    """
    try:
        content = json.loads((out_dir / CONFIG).read_text())
        for key in ("config", "identity"):
            if not isinstance(content[key], dict) or not content[key]:
                raise ValueError(f"no settings in its {key}")
        return {**content, "run_id": content["run_id"]}, ""
    except FileNotFoundError:
        if not folder:
            return None, ""
        damage = f"no {CONFIG} in {out_dir}, written again"
    except (OSError, ValueError, KeyError, TypeError) as error:
        if not folder:
            raise UserError(f"cannot read {out_dir / CONFIG} ({error}): choose another --out_dir") from None
        damage = f"CORRUPT {out_dir / CONFIG} ({error})"
    return checkpoint.read_info(folder), damage


def _progress(config: TrainConfig, folder: Path, data: Data, check: bool) -> Progress:
    """Return the progress of the checkpoint to start from: the run's own, already verified, or the one it branches from."""
    branches = folder.parent != Path(config.out_dir)
    info = checkpoint.read_checked(folder) if branches and check else checkpoint.read_info(folder)
    if branches:
        _check_branch(config, folder, info)
    if info["tokenizer_hash"] != data.tokenizer.hash:
        raise UserError(
            f"{folder} was trained with another tokenizer than that of data_dir={config.data_dir}: prepare the data with"
            f" --tokenizer={shlex.quote(str(folder))}"
        )
    progress = checkpoint.progress_of(info)
    if progress.step + int(branches) > config.max_steps:  # a branch trains at least one step
        raise UserError(f"max_steps={config.max_steps}: must be above {progress.step}, the step of {folder}")
    if branches:  # best and usual losses are those of the new run
        progress = replace(progress, val_loss=None, val_bits_per_byte=None, best_val_loss=None, guard=None)
    elif progress.guard and _windows_differ(config, data, info["config"]):
        progress.guard.update(
            val_loss=None, best_val_loss=None
        )  # of other windows: not to judge the next ones by
    return progress


def _branch_origin(config: TrainConfig, earlier: dict[str, Any] | None) -> str:
    """Return the checkpoint that the run branches from, "" for none; raise UserError if it started from another one.

    It is on record from the first command, so a branch killed before its first checkpoint remains that branch.
    """
    if not earlier:
        return str(_find_branch(config.branch_from)) if config.branch_from else ""
    recorded: str = earlier["config"].get("branch_from", "")
    if config.branch_from and Path(recorded) != Path(config.branch_from) != Path(recorded).parent:
        kind = f"branched from {recorded}" if recorded else "not a branch"
        raise UserError(
            f"branch_from={config.branch_from}: {config.out_dir} already holds a run, {kind}: choose another --out_dir"
        )
    return recorded


def _find_branch(branch_from: str) -> Path:
    """Return the checkpoint to branch from; raise UserError if there is none, or only a model without optimizer state."""
    path = Path(branch_from)
    if hub.is_model_folder(path) or hub.is_hub_name(branch_from):
        kind = "" if path.is_dir() else "no such folder; if it is a model on the hub, it "
        raise UserError(
            f"branch_from={branch_from}: {kind}has no optimizer state: start from its weights with"
            f" --init_from={shlex.quote(branch_from)}"
        )
    try:
        return checkpoint.find(path)
    except UserError:
        foreign.reject_foreign(path)
        raise


def _check_branch(config: TrainConfig, folder: Path, info: dict[str, Any]) -> None:
    """Raise UserError if a checkpoint to branch from has another network or optimizer, or started from another model."""
    ours, theirs = asdict(config.model), asdict(GPTConfig()) | info["model"]
    differing = [key for key in ours if key != "dropout" and ours[key] != theirs[key]]
    if differing:
        listed = ", ".join(f"{key}={theirs[key]} (not {ours[key]})" for key in differing)
        raise UserError(f"branch_from={folder}: its network has {listed}: set the same")
    optimizer = info["config"]["optimizer"].get("optimizer", OptimizerConfig().optimizer)
    if config.optimizer.optimizer != optimizer:
        raise UserError(
            f"optimizer={config.optimizer.optimizer}: the state in branch_from={folder} is {optimizer}'s: set the same, or"
            f" start from its weights alone with --init_from={shlex.quote(str(folder))}"
        )
    init_from = info["config"].get("init_from", "")
    if config.init_from != init_from:
        raise UserError(
            f"init_from={config.init_from or repr('')}: the run of branch_from={folder} started with"
            f" init_from={init_from or repr('')}: set the same"
        )


def _windows_differ(config: TrainConfig, data: Data, before: dict[str, Any]) -> bool:
    """Return whether a config on record evaluates other windows: another number of them, of those that there are."""
    counts = (before.get("eval_windows", config.eval_windows), config.eval_windows)
    ours, theirs = (len(data.val.validation_starts(config.model.block_size, n or None)) for n in counts)
    return ours != theirs


def _surroundings(n_processes: int) -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in ("numpy", "tiktoken", "safetensors")}
    # torch's own version names its build, such as +cpu; its package metadata may not.
    versions = {"python": platform.python_version(), "torch": torch.__version__, **packages}
    counts = {"processes": n_processes, "threads": torch.get_num_threads()}
    return {"versions": versions, "git_commit": _git_commit(), **counts}


def _git_commit() -> str | None:
    """Return the commit of this code, with `-dirty` if files differ from it, None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
