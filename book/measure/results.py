"""The files of measured figures in book/measured: what was measured, where and how, as JSON."""

import json
import platform
import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from system.errors import UserError
from system.hardware import cpu_name

MEASURED = Path(__file__).parent.parent / "measured"


def save(out_dir: str, name: str, results: dict[str, Any], argv: Sequence[str]) -> Path:
    """Write results with the command, the machine and the versions that they depend on. Raises UserError if it cannot."""
    circumstances = {
        "command": shlex.join(["python", "-m", "book.measure", *argv]),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }
    path = Path(out_dir) / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(circumstances | results, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot write it ({error.strerror})", "choose another --out_dir") from None
    return path


def load(name: str) -> Any:
    """Return the committed results of a part."""
    return json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))


def summary(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """Return the mean of the values, the lowest, the highest, and each."""
    rounded = [round(value, digits) for value in values]
    return {
        "mean": round(mean(values), digits),
        "lowest": min(rounded),
        "highest": max(rounded),
        "each": rounded,
    }
