"""A run's folder: which run lives there, whether this command may go on with it, and from where.

Owns config.json (config, identity, versions) and the rules of continuing, extending and branching. Checkpoints are
`checkpoint.py`'s, the metrics are `metrics.py`'s.
"""

import contextlib
import errno
import json
import platform
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from checkpointing import checkpoint, pretrained
from checkpointing.checkpoint import Progress
from checkpointing.pretrained import Pretrained
from corpus.tokenizer import Tokenizer
from model import GPTConfig
from system.errors import UserError
from system.files import locked, replace_file
from training.config import OPERATIONAL, TrainConfig, identity

CONFIG = "config.json"


@dataclass(frozen=True)
class Run:
    """A run about to start or to go on: its folder, what is kept about it, and the checkpoint to load, if any."""

    out_dir: Path
    about: dict[str, Any]  # config, identity, data, versions, git commit, run id: goes into each checkpoint
    checkpoint: Path | None
    progress: Progress
    changes: str  # in words: operational settings that are others than last time
    damage: str  # in words: newer checkpoints that are not what they were

    @property
    def continues(self) -> bool:
        """Whether the checkpoint is this run's own: its step is evaluated, saved and on record already."""
        return self.checkpoint is not None and self.checkpoint.parent == self.out_dir


def open_run(
    config: TrainConfig,
    data_hash: str,
    tokenizer: Tokenizer,
    data: dict[str, str | int] | None = None,
    init_folder: Path | None = None,
    n_processes: int = 1,
) -> Run:
    """Return the run of `config` in its out_dir: new, branched, or as far as its last whole checkpoint.

    `data` is the data in words, for whoever reads a checkpoint; `init_folder` is what `init_from` was found to be.

    Only reads. Raises UserError where the folder holds another run, with the differing keys.
    """
    out_dir = Path(config.out_dir)
    ours = json.loads(json.dumps({**identity(config), "data": data_hash}))
    folder, damage = checkpoint.last_whole(out_dir)
    earlier, found = _earlier(out_dir, folder)
    damage = "; ".join(filter(None, (damage, found)))
    if earlier:
        _refuse_other_run(out_dir, earlier["identity"], ours, config.extend)
    origin = _origin(config, earlier)
    config = replace(config, branch_from=origin)
    if not folder and origin:
        folder = checkpoint.find(origin)
    progress = _progress(config, folder, tokenizer) if folder else Progress()
    run_id = earlier["run_id"] if earlier else uuid.uuid4().hex[:8]
    about = {
        "config": asdict(config),
        "identity": ours,
        "data": data or {},
        "run_id": run_id,
        **_surroundings(n_processes),
    }
    about["init_folder"] = (earlier or {}).get("init_folder") or (init_folder and str(init_folder))
    changes = _changes(earlier or {"config": {}}, about)
    return Run(out_dir, about, folder, progress, changes, damage)


def find_network(config: TrainConfig, tokenizer: Tokenizer) -> tuple[TrainConfig, Pretrained | None]:
    """Return the config with its network, as the data or the model to begin with say; and that model, while needed."""
    if not config.init_from:
        return with_vocabulary(config, tokenizer.vocab_size), None
    out_dir = Path(config.out_dir)
    last, _ = checkpoint.last_whole(out_dir)
    if last:
        return with_network(config, checkpoint.network_of(checkpoint.read_info(last), last)), None
    origin = pretrained.find(config.branch_from or _recorded_origin(out_dir) or config.init_from)
    if origin.tokenizer().hash != tokenizer.hash:
        raise UserError(
            f"data_dir={config.data_dir}: its tokenizer is not that of init_from={config.init_from}:"
            f" prepare the data with --tokenizer={config.init_from}"
        )
    return with_network(config, origin.config), origin


def with_vocabulary(config: TrainConfig, vocab_size: int) -> TrainConfig:
    """Return the config with the model's vocab_size taken from the data's tokenizer; refuse another one."""
    if config.model.vocab_size not in (0, vocab_size):
        found = f"vocab_size={config.model.vocab_size}"
        raise UserError(
            f"{found}: the tokenizer of {config.data_dir} has {vocab_size} tokens: set 0 to take that"
        )
    return replace(config, model=replace(config.model, vocab_size=vocab_size))


def with_network(config: TrainConfig, network: GPTConfig) -> TrainConfig:
    """Return the config with the network of the model it starts from, but its own dropout and block_size.

    What the config leaves at its default is the model's to say. Raises UserError for a setting that makes another
    network, or longer sequences than the model knows.
    """
    default, own = GPTConfig(), config.model
    for key in (item.name for item in fields(GPTConfig)):
        asked, there = getattr(own, key), getattr(network, key)
        fits = asked <= there if key == "block_size" else asked == there or key == "dropout"
        if not fits and asked != getattr(default, key):
            raise UserError(
                f"{key}={asked}: the model of init_from={config.init_from} has {key}={there}: leave it out"
            )
    block_size = min(own.block_size, network.block_size)
    model = replace(network, dropout=own.dropout, block_size=block_size)
    try:
        return replace(config, model=model)
    except ValueError as error:  # batch_tokens was fine for another block_size
        raise UserError(str(error)) from None


def _progress(config: TrainConfig, folder: Path, tokenizer: Tokenizer) -> Progress:
    """Return where the run goes on: from its own checkpoint, whose files were compared by now, or from its origin's."""
    branches = folder.parent != Path(config.out_dir)
    info = checkpoint.read_checked(folder) if branches else checkpoint.read_info(folder)
    if branches:
        _refuse_other_network(folder, info, config.model)
        _refuse_other_beginning(folder, info, config.init_from)
    _refuse_other_tokenizer(folder, info, tokenizer)
    progress = checkpoint.progress_of(info)
    if progress.step + int(branches) > config.max_steps:  # a branch has to train at least a step
        raise UserError(
            f"max_steps={config.max_steps}: {folder} is already at step {progress.step}: give more"
        )
    if branches:  # the best and the usual losses are of this run, not of its origin
        progress = replace(progress, val_loss=None, val_bits_per_byte=None, best_val_loss=None, guard=None)
    return progress


def _recorded_origin(out_dir: Path) -> str | None:
    """Return the folder of the model that the run began with, on record from its first command on.

    What was asked for, a run's best checkpoint or a hub name, may be another model by now.
    """
    return (_earlier(out_dir, None)[0] or {}).get("init_folder")


def _origin(config: TrainConfig, earlier: dict[str, Any] | None) -> str:
    """Return the checkpoint that the run branches from, "" if it does not; refuse another one than it began with.

    It is on record from the first command on, so that a branch killed before its first checkpoint stays that branch.
    """
    if not earlier:
        return str(checkpoint.find(config.branch_from)) if config.branch_from else ""
    begun: str = earlier["config"]["branch_from"]
    if config.branch_from and Path(begun) != Path(config.branch_from) != Path(begun).parent:
        raise UserError(
            f"branch_from={config.branch_from}: {config.out_dir} holds a run already, "
            f"{f'branched from {begun}' if begun else 'which is no branch'}: choose another --out_dir"
        )
    return begun


def _earlier(out_dir: Path, folder: Path | None) -> tuple[dict[str, Any] | None, str]:
    """Return what config.json says of the run in the folder, None where there is no run yet; and its damage, in words.

    A checkpoint of the run says the same, and is asked where config.json cannot.
    """
    try:
        content = json.loads((out_dir / CONFIG).read_text())
        return {**content, **{key: content[key] for key in ("config", "identity", "run_id")}}, ""
    except FileNotFoundError as error:
        if not folder:
            return None, ""
        damage = f"{out_dir / CONFIG} is missing ({error.strerror})"
    except (OSError, ValueError, KeyError, TypeError) as error:
        damage = f"cannot read {out_dir / CONFIG} ({error})"
    if not folder:
        raise UserError(f"{damage}: choose another --out_dir")
    return checkpoint.read_info(folder), f"{damage}: {folder.name} says the same"


@contextlib.contextmanager
def only_writer(run: Run) -> Iterator[None]:
    """Keep other commands from training in the run's folder, which is made if it is not there."""
    with contextlib.ExitStack() as stack:
        try:
            run.out_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(run.out_dir))
        except BlockingIOError:
            raise UserError(
                f"another process is training in {run.out_dir}: wait for it, or choose another --out_dir"
            ) from None
        except OSError as error:
            raise _cannot_write(run, error) from None
        yield


def write_config(run: Run) -> None:
    """Write the run's config.json, so that later commands on the folder know whose it is."""
    try:
        run.out_dir.mkdir(parents=True, exist_ok=True)
        replace_file(run.out_dir / CONFIG, json.dumps(run.about, indent=2) + "\n")
    except OSError as error:
        raise _cannot_write(run, error) from None


def _cannot_write(run: Run, error: OSError) -> UserError:
    way_on = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another --out_dir"
    return UserError(f"cannot write to out_dir={run.out_dir} ({error.strerror}): {way_on}")


def _refuse_other_run(out_dir: Path, theirs: dict[str, Any], ours: dict[str, Any], extend: bool) -> None:
    is_longer = ours["max_steps"] > theirs["max_steps"]
    allowed = {"max_steps"} if extend and is_longer else set()
    differing = [key for key in ours if ours[key] != theirs.get(key) and key not in allowed]
    if not differing:
        return
    if differing == ["max_steps"] and not is_longer:
        there = theirs["max_steps"]
        raise UserError(
            f"max_steps={ours['max_steps']}: the run in {out_dir} goes to {there}: give --max_steps={there}"
        )
    listed = ", ".join(
        f"{key} ({_short(theirs.get(key))} there, {_short(ours[key])} asked)" for key in differing
    )
    ways_on = {"max_steps": "add --extend to go on with it", "data": "give the data_dir that it began with"}
    way_on = ways_on.get(",".join(differing), "choose another --out_dir")
    raise UserError(
        f"{out_dir} holds another run, which differs in {listed}: {way_on}, "
        f"or branch a new run with --branch_from={out_dir} --out_dir=..."
    )


def _changes(earlier: dict[str, Any], about: dict[str, Any]) -> str:
    settings = OPERATIONAL - {"extend", "branch_from"}  # these two are requests to one command
    before = {key: value for key, value in earlier["config"].items() if key in settings}
    now = dict(about["config"])
    for key in ("processes", "threads"):  # sums in another order: equal to rounding, no longer bit for bit
        now[key], before[key] = about[key], earlier.get(key, about[key])
    return "".join(f", {key} {value} -> {now[key]}" for key, value in before.items() if value != now.get(key))


def _short(value: Any) -> str:
    return value[:12] + "..." if isinstance(value, str) and len(value) == 64 else str(value)


def _refuse_other_network(folder: Path, info: dict[str, Any], model: GPTConfig) -> None:
    ours, theirs = asdict(model), info["model"]
    differing = [key for key in ours if key != "dropout" and ours[key] != theirs.get(key)]
    if differing:
        listed = ", ".join(f"{key} ({theirs.get(key)} there, {ours[key]} asked)" for key in differing)
        raise UserError(f"branch_from={folder}: its network differs in {listed}: give the same")


def _refuse_other_tokenizer(folder: Path, info: dict[str, Any], tokenizer: Tokenizer) -> None:
    if info["tokenizer_hash"] != tokenizer.hash:
        raise UserError(
            f"{folder}: it was trained with another tokenizer than data_dir's: prepare the data with its"
        )


def _refuse_other_beginning(folder: Path, info: dict[str, Any], init_from: str) -> None:
    theirs = info["config"].get("init_from", "")
    if init_from != theirs:
        asked = f"init_from={init_from or repr('')}"
        raise UserError(
            f"{asked}: the run of branch_from={folder} began with {theirs or repr('')}: give the same"
        )


def _surroundings(n_processes: int) -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in ("numpy", "tiktoken", "safetensors")}
    versions = {"python": platform.python_version(), "torch": torch.__version__, **packages}  # with its build
    counts = {"processes": n_processes, "threads": torch.get_num_threads()}
    return {"versions": versions, "git_commit": _git_commit(), **counts}


def _git_commit() -> str | None:
    """Return the commit of this code, with `-dirty` where files differ from it, None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
