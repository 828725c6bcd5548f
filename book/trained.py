"""A small trained GPT that several chapters look at, made by the repository's own commands when it is first needed."""

import fcntl
import hashlib
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = "--source=builtin --tokenizer=bpe:1024 --validation_fraction=0.05"
SHAPE = "--block_size=64 --n_layer=2 --n_embd=96 --device=cpu --precision=float32 --attention=sdpa"
STEPS = "--max_steps=300 --max_minutes=0 --eval_windows=300 --log_interval=100 --eval_interval=300 --checkpoint_interval=300"


def command(line: str) -> str:
    """Run a command of the repository, such as "train.py configs/debug.py", and return what it prints.

    Raises RuntimeError with that text if the command fails.
    """
    words = [sys.executable, *shlex.split(line)]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{line} failed:\n{done.stdout}")
    return done.stdout


def trained_run() -> str:
    """Return the run of a GPT with 2 layers of 96 channels, as --checkpoint takes it, relative to the repository.

    If there is none by today's code, train it: about a minute on a slow CPU. Who needs it meanwhile waits for it.
    """
    folder = f"out/book/trained-{_digest()}"
    data, run = f"{folder}/data", f"{folder}/run"
    (ROOT / folder).mkdir(parents=True, exist_ok=True)
    with (ROOT / folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ROOT / run / "best").exists():
            command(f"prepare_data.py {DATA} --out_dir={data}")
            command(f"train.py configs/demo.py --data_dir={data} --out_dir={run} {SHAPE} {STEPS}")
    return run


def _digest() -> str:
    """Return a hash of the code that decides what is trained."""
    folders = ("corpus", "training", "evaluation", "checkpointing", "system")
    paths = [*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    code = [path.read_bytes() for path in sorted([*paths, ROOT / "configs/demo.py", Path(__file__)])]
    return hashlib.sha256(b"".join(code)).hexdigest()[:12]
