"""What processes do together, in real ones."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT, TWO, arguments, command, command_environment, one_line_error

from training.config import TrainConfig

SMALLEST = """
from system.world import start_world
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


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"RANK": ""}, "RANK='' in the environment: must be a whole number"),
        ({"RANK": "1"}, "RANK=1 and WORLD_SIZE=1 in the environment: ranks go from 0"),
        ({"WORLD_SIZE": "0"}, "RANK=0 and WORLD_SIZE=0 in the environment"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, "rank 1 does not find the other 1 processes (Error initializing"),
    ],
)
def test_place_that_nobody_gave_is_refused(
    config: TrainConfig, run, monkeypatch: pytest.MonkeyPatch, place: dict[str, str], words: str
) -> None:
    for key, value in place.items():
        monkeypatch.setenv(key, value)
    assert one_line_error(run("train.py", *arguments(config))).startswith(words)


def test_interrupt_ends_a_process_that_waits_for_the_others(config: TrainConfig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    environment = command_environment() | place | {"RANK": "0", "WORLD_SIZE": "2"}
    with subprocess.Popen(command(config), env=environment) as process:
        try:
            give_up = time.monotonic() + 60
            while (
                f":{int(place['MASTER_PORT']):04X} " not in Path(f"/proc/{process.pid}/net/tcp6").read_text()
            ):
                assert time.monotonic() < give_up
                time.sleep(0.1)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == -signal.SIGINT
        finally:
            process.kill()
