"""What processes do together, in real ones."""

import subprocess
from pathlib import Path

from conftest import ROOT, TWO, command_environment

SMALLEST = """
from distributed import start_world
world = start_world("cpu")
print(f" {world.smallest(12 - world.rank)} ", end="")  # in one piece: both write to one pipe
world.stop()
"""


def test_smallest_is_of_all_processes(tmp_path: Path) -> None:
    """Here of two, by gloo."""
    script = tmp_path / "smallest.py"
    script.write_text(SMALLEST)
    environment = command_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*TWO, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["11", "11"], done.stderr
