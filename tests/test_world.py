"""What processes do together, in two real ones, and how the loss of one is told from a bug."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from conftest import (
    CPU,
    ROOT,
    Ranks,
    Start,
    arguments,
    command_environment,
    completed,
    elsewhere,
    final_files,
    losses,
    records,
    wait_for,
    with_dropout,
)
from torch import distributed, nn

from system.errors import UserError
from system.world import World, is_from_collective, start_world
from tools.faults.commands import free_port
from train import train
from training.config import TrainConfig

SCRIPT = """
import json, os, sys, time, torch
sys.path.insert(0, {root!r})
from system.errors import UserError
from system.parallel import clear_gradients, replicate, sync_gradients
from system.world import is_from_collective, start_world
world = start_world("cpu", timeout_minutes=0.5)
channel, own = world.side_channel(), torch.tensor([1.0 + world.rank])
network = replicate(torch.nn.Linear(1, 1, bias=False), world)
first_place = network.module.weight.grad.data_ptr()
found = dict(sum=world.sum(own).item(), own=own.item(), smallest=world.smallest(12 - world.rank))
channel.sum(own)
found["channel"] = own.item()
for is_last in (False, True):
    with sync_gradients(network, is_last):
        network(torch.tensor([[10.0 ** world.rank]])).sum().backward()
    found[f"gradient, last is {{is_last}}"] = network.module.weight.grad.item()
found["places in the first step"] = len({{first_place, network.module.weight.grad.data_ptr()}})
places = set()
for is_last in 3 * (False, True):  # from the second step on, DDP's buckets are in their final order
    with sync_gradients(network, is_last):
        network(own[None]).sum().backward()
    places.add(network.module.weight.grad.data_ptr())
    if is_last:
        clear_gradients(network)
        places.add(network.module.weight.grad.data_ptr())
found["gradients after clearing"], found["places of gradients"] = network.module.weight.grad.item(), len(places)
found["text"], found["nothing"] = world.from_main(f"café from rank {{world.rank}}"), world.from_main("")
found["turn"] = world.main_first(lambda: (time.sleep(0.5 * world.is_main), time.monotonic())[1])
try:
    with world.all_or_none():
        if world.rank == 1:
            raise UserError("no data here")
except UserError as error:
    found["error"] = str(error)
calls = {{
    "backward": lambda: network(torch.ones(1, 1)).sum().backward(),
    "sum": lambda: world.sum(own),
    "smallest": lambda: world.smallest(1),
    "wait": world.wait,
    "channel": lambda: channel.sum(own),
    "started sum": lambda: channel.wait(channel.start_sum(own)),
    "wrap": lambda: replicate(torch.nn.Linear(1, 1), world),
}}
found["lost"] = {{}}
for name, call in calls.items() if world.rank == 0 else ():
    try:
        call()
    except RuntimeError as error:
        found["lost"][name] = is_from_collective(error)
print(json.dumps(found), flush=True)
os._exit(0)
"""


@pytest.mark.serial
def test_two_processes_compute_together_until_one_is_lost(
    config: TrainConfig, ranks: Ranks, tmp_path: Path
) -> None:
    """Once rank 1 has left, all communication fails, and the error shows by its place what it is about."""
    script = tmp_path / "together.py"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    started = ranks(config, config, script=script)
    assert [command.status() for command in started] == [0, 0]
    first, second = (json.loads(command.output().splitlines()[-1]) for command in started)
    lost = first.pop("lost")
    assert lost.keys() == {"backward", "sum", "smallest", "wait", "channel", "started sum", "wrap"}
    assert all(lost.values()), lost
    assert first.pop("turn") < second.pop("turn")  # the main process was first, though it took its time
    # The gradients are in DDP's buckets from the start: there is no second set.
    both = {"gradients after clearing": 0, "places in the first step": 1, "places of gradients": 1}
    both |= {"sum": 3, "smallest": 11, "channel": 3, "gradient, last is True": (2 * 1 + 2 * 10) / 2}
    both |= {"text": "café from rank 0", "nothing": ""}
    error = "cannot start: see the error line of rank 1"
    assert first == {**both, "own": 1, "gradient, last is False": 1, "error": error}
    assert second == {**both, "own": 2, "gradient, last is False": 10, "error": "no data here", "lost": {}}


LEAVE_OFTEN = """
import faulthandler, os, torch, torch.distributed as dist
from system.parallel import replicate
from system.world import World
faulthandler.dump_traceback_later(30, exit=True)
rank = int(os.environ["RANK"])
store = dist.TCPStore("127.0.0.1", int(os.environ["MASTER_PORT"]), 2, rank == 0)
def train_and_leave(number):
    dist.init_process_group("gloo", store=dist.PrefixStore(str(number), store), rank=rank, world_size=2)
    world = World(rank, 2, torch.device("cpu"))
    network = replicate(torch.nn.Linear(8, 8), world)  # which refers to the group, and is freed after all else
    network(torch.ones(1, 8)).sum().backward()
    for work in [world.side_channel().start_sum(torch.ones(3)) for _ in range(3)]:
        work.wait()
    world.wait()
    world.stop()
for number in range(60):
    train_and_leave(number)
print("left", flush=True)
os._exit(0)
"""


@pytest.mark.serial
def test_leaving_the_others_never_hangs(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    """When the group was freed, one of about 30 runs did, after its last step."""
    script = tmp_path / "leave.py"
    script.write_text(LEAVE_OFTEN)
    assert [completed(command) for command in ranks(config, config, script=script)] == ["left\n"] * 2


@pytest.mark.serial
def test_one_process_under_a_launcher_computes_the_same_bits(
    config: TrainConfig, ranks: Ranks, tmp_path: Path
) -> None:
    """With DDP and the side channel, and an accumulation of micro-batches."""
    config = replace(with_dropout(config), micro_batch_size=2)
    launched = elsewhere(config, "launched")
    script = tmp_path / "checked.py"
    script.write_text(LAUNCHED.format(root=str(ROOT)))
    (process,) = ranks(launched, script=script)
    assert completed(process).endswith("DistributedDataParallel on gloo\n")
    train(config)
    assert final_files(launched) == final_files(config)
    assert records(launched) == records(config)


LAUNCHED = """
import os, sys
sys.path.insert(0, {root!r})
import torch, train
build, found = train.build_learner, []
def checked(run, world):
    learner = build(run, world)
    found[:] = type(learner.network).__name__, "on", torch.distributed.get_backend()
    return learner
train.build_learner = checked
train.main()
print(*found)
"""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("parallel", "network"), [("ddp", "DistributedDataParallel"), ("fsdp", "FSDPGPT")])
def test_one_gpu_runs_nccl_with_copies_and_shards_and_the_side_channel(
    config: TrainConfig, tmp_path: Path, parallel: Literal["ddp", "fsdp"], network: str
) -> None:
    config = replace(config, device="cuda", micro_batch_size=2)
    launched = elsewhere(config, "launched", parallel=parallel)
    script = tmp_path / "checked.py"
    script.write_text(LAUNCHED.format(root=str(ROOT)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=1",
        str(script),
    ]
    done = subprocess.run(
        [*command, *arguments(launched)],
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{network} on nccl\n")
    train(config)
    assert losses(launched) == pytest.approx(losses(config), rel=1e-5)


def raised_by(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:  # noqa: PT011  of any kind
        call()
    return found.value


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    "bug",
    [
        lambda: nn.Linear(3, 2)(torch.ones(4)),
        lambda: torch.ones(2, 3) @ torch.ones(2, 3),
        lambda: nn.Linear(3, 2).load_state_dict({}),
        lambda: {}["key"],
        lambda: torch.ones(1).backward(),
        out_of_memory,
    ],
    ids=["shape in a module", "shape", "state", "key", "backward", "memory"],
)
def test_bug_is_not_taken_for_a_lost_process(bug: Callable[[], object]) -> None:
    assert not is_from_collective(raised_by(bug))


def test_errors_of_torch_about_communication_are_recognized_by_their_type() -> None:
    def fail() -> None:
        raise distributed.DistBackendError("whatever it says")

    assert is_from_collective(raised_by(fail))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"RANK": ""}, "RANK='' in the environment: must be a whole number"),
        ({"RANK": "1"}, "RANK=1 and WORLD_SIZE=1 in the environment: RANK must be below WORLD_SIZE"),
        ({"WORLD_SIZE": "0"}, "RANK=0 and WORLD_SIZE=0 in the environment"),
        (
            {"RANK": "1", "WORLD_SIZE": "2"},
            "the other 1 process(es) are not found (Error initializing",
        ),
    ],
)
def test_incomplete_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, place: dict[str, str], message: str
) -> None:
    for key in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(key, raising=False)
    for key, value in place.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError) as found:
        start_world("cpu")
    assert str(found.value).startswith(message)
    assert "\n" not in str(found.value)


def test_torchrun_must_not_share_its_store_among_nodes_if_it_restarts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A restarted process would wait there for the lost ones, until the timeout."""
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    place |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    for key, value in {**place, "TORCHELASTIC_MAX_RESTARTS": "3", "GROUP_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(
        UserError, match=r"max_restarts=3 of torchrun on 2 nodes: .* set TORCH_DISABLE_SHARE_RDZV"
    ):
        start_world("cpu")


def test_many_ranks_that_cannot_start_are_counted() -> None:
    class Failing(World):
        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor + (torch.arange(self.size) != self.rank)  # all others have failed

    line = "cannot start: see the error line of rank 0, 1, 2, 3, 4, 5, 6, 7 and 3 more"
    with pytest.raises(UserError, match=f"^{line}$"), Failing(11, 12, CPU).all_or_none():
        pass


def test_processes_cannot_share_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        UserError, match=r"device=cuda:0: 2 processes cannot share one GPU: use --device=cuda"
    ):
        start_world("cuda:0")


@pytest.mark.serial
def test_interrupt_ends_a_process_that_waits_for_the_others(config: TrainConfig, start: Start) -> None:
    port = free_port()
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0", "WORLD_SIZE": "2"}
    waiting = start(config, **place)
    wait_for(lambda: f":{port:04X} " in Path(f"/proc/{waiting.pid}/net/tcp6").read_text())
    time.sleep(0.5)
    os.kill(waiting.pid, signal.SIGINT)
    wait_for(waiting.has_ended)
    assert waiting.status() == -signal.SIGINT
