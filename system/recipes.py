"""The commands that make a folder, from the `Command` lines at the top of the config files."""

import ast
import os
import re
import shlex
import sys
from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "configs"
BLOCK = re.compile(r"^Command {3}(.*(?:\n {10}.*)*)", re.MULTILINE)
DEFAULT_DATA = Path("data/wikipedia")
LAUNCHERS = ("python ", "torchrun ", "make ")


def commands(config_file: Path) -> list[str]:
    """Return the commands at the top of a config file, without the remarks beside them."""
    try:
        text = ast.get_docstring(ast.parse(config_file.read_text(encoding="utf-8")), clean=False) or ""
    except (OSError, ValueError, SyntaxError):
        return []
    block = BLOCK.search(text)
    lines = re.sub(r"\n {11,}", " ", block[1]).split("\n") if block else []  # deeper lines continue one
    lines = [re.split(r" +# ", line.strip())[0] for line in lines]
    return [line for line in lines if line.startswith(LAUNCHERS)]


def preparation(data_dir: str | Path) -> str:
    """Return what to run for the data in `data_dir`: `this`, or `this` and `that`.

    The config file on this command line says it, or one in configs/ that reads the folder.
    """
    folder = _from_here(data_dir)
    option = f"--out_dir={shlex.quote(folder)}"
    # Without a config file, train.py reads what prepare_data.py writes by default.
    shipped = _shipped() if Path(folder) != DEFAULT_DATA else []
    for config_file in [*(Path(word) for word in sys.argv[1:] if word.endswith(".py")), *shipped]:
        lines = commands(config_file)
        for number, line in enumerate(lines, start=1):
            if "prepare_data.py" in line and option in line.split():
                return " and ".join(f"`{line}`" for line in lines[:number])
    return f"`python prepare_data.py --out_dir={shlex.quote(str(data_dir))}`"


def training(out_dir: str | Path) -> str:
    """Return what to run for a run in `out_dir`: with the config in configs/ that writes there, if there is one.

    `out_dir` may also be one of the run's checkpoints.
    """
    if re.fullmatch(r"step_\d+", Path(out_dir).name):
        out_dir = Path(out_dir).parent
    setting = f'out_dir="{_from_here(out_dir)}",\n'
    for config_file in _shipped():
        lines = commands(config_file) if setting in config_file.read_text(errors="replace") else []
        for line in lines:
            if f"configs/{config_file.name}" in line.split() or line.startswith("make "):
                return f"`{line}`"
    return f"`python train.py --out_dir={shlex.quote(str(out_dir))}`"


def _from_here(folder: str | Path) -> str:
    """Return the path that commands and config files have for a folder inside the current one, else as it is."""
    path = os.path.relpath(Path(folder))
    return os.path.normpath(folder) if path.startswith("..") else path


def _shipped() -> list[Path]:
    return sorted(CONFIGS.glob("*.py"))
