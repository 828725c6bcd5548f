"""The faults of a training on two nodes: each is a host of its own (hosts.py), with a torchrun that starts one process."""

import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.faults.commands import Command, expect
from tools.faults.hosts import INTERFACE, Host, missing, two_hosts
from tools.faults.runs import Lab, Run, Tally
from training.plot import METRICS, read_metrics

TORCHRUN = (
    *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"),
    "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
)
RESTARTING = ("--rdzv_backend=c10d", "--rdzv_endpoint=node0:29500", "--rdzv_id=faults", "--max_restarts=3")
FIXED = ("--master_addr=node0", "--master_port=29500")  # with node_rank: torchrun compares no clocks
AHEAD = ("faketime", "-f", "+5h")
NETWORK = {"GLOO_SOCKET_IFNAME": INTERFACE, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
TIMEOUT_MINUTES = 0.5  # longer than anything here takes
Fault = Callable[[Run, Host, Host], None]


def on_two_nodes(
    fault: Fault, needs: str = "", max_steps: int = 120, **link: float
) -> Callable[[Lab, Tally, Any], None]:
    """Return what injects the fault into a run on two nodes, which must end like two processes of one machine.

    It is skipped without the program or device that it `needs`.
    """

    def inject(lab: Lab, tally: Tally, _config: Any) -> None:
        has_all = not needs or shutil.which(needs) or Path(needs).exists()
        tally.skipped = missing() or ("" if has_all else f"needs {needs}")
        if tally.skipped:
            return
        run = lab.run(None, timeout_minutes=TIMEOUT_MINUTES, max_steps=max_steps)
        with tally.attempt(f"{run.out_dir}"), two_hosts(**link) as hosts:
            fault(run, *hosts)
            run.expect_same(lab.undisturbed(2, max_steps=max_steps))
            speeds = [record.get("tokens_per_second", 0) for record in read_metrics(run.out_dir / METRICS)]
            tally.notes.append(f"median {statistics.median(speeds):,.0f} tokens/s")

    return inject


def start(
    run: Run, host: Host, meeting: tuple[str, ...] = RESTARTING, wrapper: tuple[str, ...] = ()
) -> Command:
    """Start the run's torchrun on a host, behind a `wrapper`; `meeting` is how it finds the other."""
    words = [*host.enter, *wrapper, *TORCHRUN, *meeting, *run.argv("train.py")]
    command = Command.start(words, run.next_log(), **NETWORK)
    run.commands.append(command)
    return command


def _started(run: Run, *hosts: Host) -> list[Command]:
    """Start the run on the hosts, and wait for its first checkpoint."""
    commands = [start(run, host) for host in hosts]
    expect(commands[0].wait_for(f"saved {run.out_dir}"), commands[0].output())
    return commands


def _expect_success(*commands: Command) -> None:
    for command in commands:
        command.expect_success()


def _expect_success_at_once(run: Run) -> None:
    """Raise NotSurvived unless the run's commands succeed without a restart."""
    _expect_success(*run.commands)
    for command in run.commands:
        expect("error: rank" not in command.output(), command.output()[-2000:])


def undisturbed(run: Run, first: Host, second: Host) -> None:
    """Train without a fault but those of the link."""
    for host in (first, second):
        start(run, host)
    _expect_success_at_once(run)


def clocks_apart(run: Run, first: Host, second: Host) -> None:
    """Train with the second host's clock 5 hours ahead."""
    for number, host in enumerate((first, second)):
        start(run, host, (*FIXED, f"--node_rank={number}"), AHEAD if host is second else ())
    _expect_success_at_once(run)


def process_killed(run: Run, first: Host, second: Host) -> None:
    """Kill the process of the second node: torchrun restarts both."""
    commands = _started(run, first, second)
    os.kill(commands[1].ranks()[0], signal.SIGKILL)
    _expect_success(*commands)
    line = "error: rank 0 of 2 on node0: lost another process in step "
    expect(line in commands[0].output(), commands[0].output()[-2000:])


def cable_pulled(run: Run, first: Host, second: Host) -> None:
    """Pull the second node's cable for 5 seconds: training waits, and nothing else."""
    _started(run, first, second)
    second.plug(is_in=False)
    time.sleep(5)
    second.plug(is_in=True)
    _expect_success_at_once(run)


def crash(run: Run, first: Host, second: Host) -> None:
    """Crash the second node. Nothing but silence tells the first one; when the second is back, both resume."""
    survivor, _ = _started(run, first, second)
    second.crash()
    expect(
        survivor.wait_for(r"error: rank 0 of 2 on node0: step \d+ has been running for"), survivor.output()
    )
    second.plug(is_in=True)
    _expect_success(survivor, start(run, second))


def main_crash(run: Run, first: Host, second: Host) -> None:
    """Crash the node of rank 0, and of torchrun's store: the other torchrun fails too, and both commands resume the run."""
    _, survivor = _started(run, first, second)
    first.crash()
    expect(
        survivor.wait_for(r"error: rank 1 of 2 on node1: step \d+ has been running for"), survivor.output()
    )
    first.plug(is_in=True)
    expect(survivor.status() != 0, survivor.output()[-2000:])
    _expect_success(*(start(run, host) for host in (first, second)))


def signal_to_each(run: Run, first: Host, second: Host) -> None:
    """Send SIGUSR1 to both torchruns, as Slurm does: the run stops where it is saved, and the same command resumes it."""
    commands = _started(run, first, second)
    for command in commands:
        os.kill(command.pid, signal.SIGUSR1)
    for number, command in enumerate(commands):
        command.status()  # torchrun's own, whatever its processes do
        name = f"rank {number} of 2 on node{number}"
        expect(f"{name}: SIGUSR1: stopping after this step" in command.output(), command.output()[-2000:])
    step = run.last_step()
    expect(f"after step {step}, which is saved" in commands[0].output(), commands[0].output()[-2000:])
    _expect_success(*(start(run, host) for host in (first, second)))


NODE_FAULTS = {
    "node: no fault": on_two_nodes(undisturbed),
    "node: process killed": on_two_nodes(process_killed),
    "node: crash": on_two_nodes(crash),
    "node: crash of the main one": on_two_nodes(main_crash),
    "node: cable pulled for 5 s": on_two_nodes(cable_pulled),
    "node: link of 50 ms and 10 Mbit/s": on_two_nodes(
        undisturbed, needs="/dev/net/tun", max_steps=30, delay=0.05, bytes_per_second=1.25e6
    ),
    "node: clocks 5 hours apart": on_two_nodes(clocks_apart, needs="faketime"),
    "node: SIGUSR1 to both": on_two_nodes(signal_to_each),
}
