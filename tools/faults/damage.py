"""The faults in files: a full disk, and damage to a run's files and to its data.

If a checkpoint is corrupt, the run names it and resumes from the one before. Any other damage ends the run with one line;
once the file is repaired, the same command resumes.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkpointing import checkpoint
from corpus.dataset import Manifest
from tools.faults.commands import Command, NotSurvived, Together, expect
from tools.faults.runs import Lab, Run, Tally

FILES = ("model*", "optimizer*", checkpoint.TOKENIZER, checkpoint.INFO)  # of a checkpoint
POINTERS = ("last", "best")
# The check of the shards finds nothing before the run's end.
LATE_CHECK = """
from training.shard_check import ShardCheck
ShardCheck.check_slowly = lambda check: None
"""


def full_disk(lab: Lab, tally: Tally, _config: Any) -> None:
    """Fill the disk of a run: for a while, and until its end."""
    place = lab.folder / "small_disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        tally.skipped = "needs root, to mount a small tmpfs"
        return
    try:
        for is_emptied in (True, False):
            run = lab.run(place)
            with tally.attempt(f"{run.out_dir}, full {'for a while' if is_emptied else 'until the end'}"):
                _fill_and_empty(lab, run, place / "filler", is_emptied)
            shutil.rmtree(run.out_dir, ignore_errors=True)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill_and_empty(lab: Lab, run: Run, filler: Path, is_emptied: bool) -> None:
    command = run.start()
    expect(command.wait_for(f"saved {run.out_dir}"), command.output())
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    expect(command.wait_for("NOT SAVED"), f"no line about the full disk: {command.output()[-2000:]}")
    run.last_step()  # which is not corrupt
    if is_emptied:
        filler.unlink()
        command.expect_success()
    else:
        expect(command.status() == 2 and "make room" in command.output(), command.output()[-2000:])
        filler.unlink()
        run.start().expect_success()
    run.expect_same(lab.undisturbed())


def truncate(lab: Lab, path: Path) -> None:
    """Truncate a file at a random place."""
    os.truncate(path, lab.chooser.randrange(path.stat().st_size))


def flip(lab: Lab, path: Path) -> None:
    """Flip a random bit of a file."""
    content = bytearray(path.read_bytes())
    content[lab.chooser.randrange(len(content))] ^= 1 << lab.chooser.randrange(8)
    path.write_bytes(content)


def swap(first: Path, second: Path) -> None:
    """Swap the contents of two files."""
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def checkpoint_truncated(lab: Lab, tally: Tally, _config: Any) -> None:
    """Truncate each file of the last checkpoint in turn, and the pointers."""
    _damage_checkpoints(lab, tally, truncate)


def checkpoint_flipped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Flip a bit of each file of the last checkpoint in turn, and of the pointers."""
    _damage_checkpoints(lab, tally, flip)


def _damage_checkpoints(lab: Lab, tally: Tally, damage: Callable[[Lab, Path], None]) -> None:
    base = half_way(lab)
    for name in (*names(base), *POINTERS):
        run = lab.copy(base)
        path = _file(run, name)
        with tally.attempt(f"{path.relative_to(lab.folder)}"):
            damage(lab, path)
            command = run.start()
            command.expect_success()
            if name not in POINTERS:
                expect_corrupt(command, name)
            run.expect_same(lab.undisturbed())


def expect_corrupt(command: Command, name: str) -> None:
    """Raise NotSurvived unless the command names the corrupt file."""
    output = command.output()
    expect("CORRUPT" in output and name in output, f"no line about {name}: {output}")


def half_way(lab: Lab) -> Run:
    """Return a run that was killed when it had several checkpoints; to be copied."""
    run = lab.run()
    command = run.start()
    expect(command.wait_for("step_00000045"), command.output())
    command.strike()
    expect(command.status() == -signal.SIGKILL, command.output())
    return run


def names(run: Run) -> list[str]:
    """Return the names of the files in the run's last checkpoint."""
    last = checkpoint.pointed(run.out_dir, "last")
    assert last is not None
    return [path.name for pattern in FILES for path in sorted(last.glob(pattern))]


def _file(run: Run, name: str) -> Path:
    last = checkpoint.pointed(run.out_dir, "last")
    assert last is not None
    return last / name if name in names(run) else run.out_dir / name


def hostile_pickle(lab: Lab, tally: Tally, _config: Any) -> None:
    """Replace each file of a run and of its data by a pickle that runs a command."""
    proof = lab.folder / "unpickled"
    trap = f"cposix\nsystem\n(S'touch {proof}'\ntR.".encode()
    (lab.folder / "trap").write_bytes(trap)
    subprocess.run([sys.executable, "-m", "pickle", str(lab.folder / "trap")], capture_output=True)
    if not proof.exists():
        raise NotSurvived("the hostile pickle does nothing when it is unpickled, so this would prove nothing")
    proof.unlink()
    base, data_dir = half_way(lab), lab.folder / "other_data"
    shutil.copytree(lab.data_dir, data_dir)
    shard = Manifest.read(data_dir).splits["train"].shards[0].name
    in_data = [data_dir / name for name in ("manifest.json", "tokenizer.json", shard)]
    in_run: list[str | Path] = [*names(base), *POINTERS, "config.json", "metrics.jsonl"]
    for place in in_run + in_data:
        run = lab.copy(base, data_dir=data_dir)
        path = place if isinstance(place, Path) else _file(run, place)
        with tally.attempt(f"{path.relative_to(lab.folder)}"):
            _damage_and_repair(lab, run, [path], lambda path: path.write_bytes(trap))
            expect(not proof.exists(), "it was unpickled")


def _damage_and_repair(
    lab: Lab, run: Run, paths: list[Path], damage: Callable[..., object], script: str = "train.py"
) -> None:
    """Damage files, and expect that the run survives it, or ends with a line that names one and resumes after the repair."""
    contents = {path: path.read_bytes() for path in paths}
    before, resumed_from = run.checkpoints(), checkpoint.pointed(run.out_dir, "last")
    damage(*paths)
    command = run.start(script=script)
    if command.status() != 0:
        expect_error(command, [path.name for path in paths])
        for path, content in contents.items():
            path.write_bytes(content)
        newer, suspect = run.checkpoints() - before, run.checkpoints(".suspect")
        expect(not newer, f"{newer} may have learned from corrupt data")
        saved = re.findall(r"^saved \S+/(step_\d+) in ", command.output(), re.MULTILINE)
        expect(not saved or saved[-1] in suspect, f"{saved[-1:]} was not set aside")
        for pointer in POINTERS if suspect else ():
            found = checkpoint.pointed(run.out_dir, pointer)
            expect(
                found == resumed_from, f"{pointer} names {found}, not {resumed_from} from before the damage"
            )
        run.start().expect_success()
    elif paths[0].name != "best":  # which is only read to replace it
        expect_corrupt(command, paths[0].name)
    run.expect_same(lab.undisturbed())


def expect_error(command: Command, names: list[str]) -> None:
    """Raise NotSurvived unless the command ends with status 2 and one line that names one of the files."""
    status, output = command.status(), command.output()
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    expect(status == 2 and "Traceback" not in output, f"status {status}: {output[-2000:]}")
    n_processes = len(command.commands) if isinstance(command, Together) else 1
    is_named = any(name in error for name in names for error in errors)
    expect(len(errors) == n_processes and is_named, f"no file is named: {output[-2000:]}")


def _with_data(lab: Lab) -> tuple[Run, list[Path]]:
    """Return a run that has a few checkpoints, on data of its own, and the shards of these data."""
    data_dir = lab.folder / f"data_{len(lab.runs):03}"
    shutil.copytree(lab.data_dir, data_dir)
    shards = Manifest.read(data_dir).splits["train"].shards
    return lab.copy(half_way(lab), data_dir=data_dir), [data_dir / shard.name for shard in shards]


def shard_truncated(lab: Lab, tally: Tally, _config: Any) -> None:
    """Truncate a shard of the data, which shows at the start."""
    run, shards = _with_data(lab)
    shard = lab.chooser.choice(shards)
    with tally.attempt(shard.name):
        _damage_and_repair(lab, run, [shard], lambda path: truncate(lab, path))


def shards_swapped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Swap two shards of the same size, which shows while the run trains."""
    run, (first, second, *_) = _with_data(lab)
    with tally.attempt(f"{first.name} and {second.name}"):
        _damage_and_repair(lab, run, [first, second], swap)


def shard_flipped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Flip a bit of a shard, which shows at the run's end, or when a token is not valid: its checkpoints are set aside."""
    run, shards = _with_data(lab)
    shard = lab.chooser.choice(shards)
    with tally.attempt(shard.name):
        script = lab.script("late_check", LATE_CHECK)
        _damage_and_repair(lab, run, [shard], lambda path: flip(lab, path), script)
