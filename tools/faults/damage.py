"""Damage to files of a run and of its data, and what must come of it: the faults of `faults.py` that no process suffers.

What is damaged in a checkpoint is named, and the run goes on from the one before it. What is damaged elsewhere is
refused in one line; with the file as it was, the same command goes on.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkpointing import checkpoint
from corpus.dataset import Manifest
from tools.faults.runs import Lab, NotSurvived, Run, Tally, expect

FILES = (checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.TOKENIZER, checkpoint.INFO)
POINTERS = ("last", "best")


def truncate(lab: Lab, path: Path) -> None:
    """Cut a file off at a random place."""
    os.truncate(path, lab.chooser.randrange(path.stat().st_size))


def flip(lab: Lab, path: Path) -> None:
    """Flip one random bit of a file."""
    content = bytearray(path.read_bytes())
    content[lab.chooser.randrange(len(content))] ^= 1 << lab.chooser.randrange(8)
    path.write_bytes(content)


def swap(first: Path, second: Path) -> None:
    """Give each of two files the other's content."""
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def checkpoint_truncated(lab: Lab, tally: Tally, _config: Any) -> None:
    """Truncate each file of the newest checkpoint in turn, and the pointers."""
    _damage_checkpoints(lab, tally, truncate)


def checkpoint_flipped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Flip a bit of each file of the newest checkpoint in turn, and of the pointers."""
    _damage_checkpoints(lab, tally, flip)


def _damage_checkpoints(lab: Lab, tally: Tally, harm: Callable[[Lab, Path], None]) -> None:
    base = half_way(lab)
    for name in (*FILES, *POINTERS):
        run = lab.copy(base)
        path = _file(run, name)
        with tally.attempt(f"{path.relative_to(lab.folder)}"):
            harm(lab, path)
            life = run.start()
            expect(life.status() == 0, life.output()[-2000:])
            if name in FILES:
                expect(
                    "DAMAGED" in life.output() and name in life.output(), f"it is not named: {life.output()}"
                )
            run.expect_same(lab.undisturbed())


def half_way(lab: Lab) -> Run:
    """Return a run that was killed when it had several checkpoints; to be copied."""
    run = lab.run()
    life = run.start()
    expect(life.wait_for("step_00000045"), life.output())
    os.kill(life.pid, signal.SIGKILL)
    expect(life.status() == -signal.SIGKILL, life.output())
    return run


def _file(run: Run, name: str) -> Path:
    last = checkpoint.pointed(run.out_dir, "last")
    assert last is not None
    return last / name if name in FILES else run.out_dir / name


def hostile_pickle(lab: Lab, tally: Tally, _config: Any) -> None:
    """Put a pickle that runs a command in the place of each file of a run and of its data."""
    sprung = lab.folder / "sprung"
    trap = f"cposix\nsystem\n(S'touch {sprung}'\ntR.".encode()
    (lab.folder / "trap").write_bytes(trap)
    subprocess.run([sys.executable, "-m", "pickle", str(lab.folder / "trap")], capture_output=True)
    if not sprung.exists():
        raise NotSurvived("the trap does not work, so that nothing can be said")
    sprung.unlink()
    base, data_dir = half_way(lab), lab.folder / "other_data"
    shutil.copytree(lab.data_dir, data_dir)
    shard = Manifest.read(data_dir).splits["train"].shards[0].name
    in_data = [data_dir / name for name in ("manifest.json", "tokenizer.json", shard)]
    in_run: list[str | Path] = [*FILES, *POINTERS, "config.json", "metrics.jsonl"]
    for place in in_run + in_data:
        run = lab.copy(base, data_dir=data_dir)
        path = place if isinstance(place, Path) else _file(run, place)
        with tally.attempt(f"{path.relative_to(lab.folder)}"):
            _damage_and_restore(lab, run, [path], lambda path: path.write_bytes(trap))
            expect(not sprung.exists(), "it was unpickled")


def _damage_and_restore(lab: Lab, run: Run, paths: list[Path], harm: Callable[..., object]) -> None:
    """Expect that the damage is refused by name, or gone round; and that nothing is lost once it is repaired."""
    before = {path: path.read_bytes() for path in paths}
    harm(*paths)
    life = run.start()
    status, said = life.status(), life.output()
    if status != 0:
        expect_refusal(status, said, [path.name for path in paths])
        for path, content in before.items():
            path.write_bytes(content)
        life = run.start()
        expect(life.status() == 0, life.output()[-2000:])
    elif paths[0].name != "best":  # which is found anew
        expect("DAMAGED" in said and paths[0].name in said, f"it is not named: {said}")
    run.expect_same(lab.undisturbed())


def expect_refusal(status: int, said: str, names: list[str]) -> None:
    """Expect status 2 and one line that names one of the files."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    expect(status == 2 and "Traceback" not in said, f"status {status}: {said[-2000:]}")
    expect(len(errors) == 1 and any(name in errors[0] for name in names), f"it is not named: {said[-2000:]}")


def _with_data(lab: Lab) -> tuple[Run, list[Path]]:
    """Return a run that has a few checkpoints, on data of its own, and the shards of these."""
    data_dir = lab.folder / f"data_{len(lab.runs):03}"
    shutil.copytree(lab.data_dir, data_dir)
    shards = Manifest.read(data_dir).splits["train"].shards
    return lab.copy(half_way(lab), data_dir=data_dir), [data_dir / shard.name for shard in shards]


def shard_truncated(lab: Lab, tally: Tally, _config: Any) -> None:
    """Truncate a shard of the data."""
    run, shards = _with_data(lab)
    shard = lab.chooser.choice(shards)
    with tally.attempt(shard.name):
        _damage_and_restore(lab, run, [shard], lambda path: truncate(lab, path))


def shards_swapped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Swap two shards of the same size."""
    run, (first, second, *_) = _with_data(lab)
    with tally.attempt(f"{first.name} and {second.name}"):
        _damage_and_restore(lab, run, [first, second], swap)


def shard_flipped(lab: Lab, tally: Tally, _config: Any) -> None:
    """Flip a bit of a shard."""
    run, shards = _with_data(lab)
    shard = lab.chooser.choice(shards)
    with tally.attempt(shard.name):
        _damage_and_restore(lab, run, [shard], lambda path: flip(lab, path))
