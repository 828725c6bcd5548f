"""Two hosts on one machine: Linux network namespaces, each with a name, an address and a link to the other.

The kernel removes a namespace with its last process, so nothing is left behind and names cannot collide.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INTERFACE = "eth0"
# On a host of its own: its name, and the names of all. `read`, which is no process that a crash kills, ends with this
# process, however it ends; then all is killed.
HOLD = """
hostname {name} && mount --bind {hosts} /etc/hosts && ip link set lo up && echo ready && read -r end
for folder in /proc/[0-9]*; do
    pid=${{folder#/proc/}}
    [ $pid != $$ ] && [ "$(readlink $folder/ns/net)" = "$(readlink /proc/$$/ns/net)" ] && kill -9 $pid
done
"""
UNSHARE = ("unshare", "--net", "--uts", "--mount")


@dataclass(frozen=True)
class Host:
    """A host, held by a process that does nothing."""

    name: str
    address: str
    holder: subprocess.Popen[str]

    @property
    def enter(self) -> list[str]:
        """The words that run a command on this host."""
        return [
            shutil.which("nsenter") or "nsenter",
            f"--target={self.holder.pid}",
            "--net",
            "--uts",
            "--mount",
        ]

    def call(self, *words: str) -> None:
        """Run a short command on this host."""
        subprocess.run([*self.enter, *words], check=True, capture_output=True)

    def processes(self) -> list[int]:
        """Return the processes that run on this host."""
        own, found = os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino, []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended by now
                found += [int(folder.name)] * (os.stat(folder / "ns/net").st_ino == own)
        return [pid for pid in found if pid != self.holder.pid]

    def plug(self, is_in: bool) -> None:
        """Plug the cable in, or pull it: then packets vanish, and no connection is closed."""
        self.call("ip", "link", "set", INTERFACE, "up" if is_in else "down")

    def crash(self) -> None:
        """Kill everything at once, with the cable pulled, as when the power fails."""
        self.plug(is_in=False)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def missing() -> str:
    """Return why there cannot be such hosts here, "" if there can."""
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "nsenter", "ip", "hostname"))):
        return "needs Linux with unshare, nsenter, ip and hostname"
    allowed = subprocess.run([*UNSHARE, "ip", "link"], capture_output=True).returncode == 0
    return "" if allowed else "needs root, to make network namespaces"


@contextlib.contextmanager
def two_hosts(delay: float = 0.0, bytes_per_second: float = 0.0) -> Iterator[tuple[Host, Host]]:
    """Make two hosts for the block; on a slow link if it has a delay (seconds, each way) and a bandwidth."""
    with contextlib.ExitStack() as stack:
        addresses = {f"node{number}": f"10.0.0.{number + 1}" for number in range(2)}
        names = stack.enter_context(tempfile.NamedTemporaryFile("w"))
        names.writelines(
            f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **addresses}.items()
        )
        names.flush()
        first, second = (_host(stack, *each, Path(names.name)) for each in addresses.items())
        if bytes_per_second:
            _slow_link(stack, first, second, delay, bytes_per_second)
        else:
            ends = (["name", INTERFACE, "netns", str(host.holder.pid)] for host in (first, second))
            subprocess.run(
                ["ip", "link", "add", *next(ends), "type", "veth", "peer", *next(ends)], check=True
            )
        for host in (first, second):
            host.call("ip", "addr", "add", f"{host.address}/24", "dev", INTERFACE)
            host.plug(is_in=True)
        yield first, second


def _host(stack: contextlib.ExitStack, name: str, address: str, hosts: Path) -> Host:
    words = [*UNSHARE, "sh", "-c", HOLD.format(name=name, hosts=hosts)]
    # In a session of its own, so that Ctrl-C does not end it before this process has cleaned up.
    holder = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    host = Host(name, address, stack.enter_context(holder))
    assert holder.stdout
    assert holder.stdout.readline() == "ready\n", f"{name} did not start"
    return host


def _slow_link(
    stack: contextlib.ExitStack, first: Host, second: Host, delay: float, bytes_per_second: float
) -> None:
    """Start a process on each host, between its interface and the other process, that holds packets back."""
    script = str(Path(__file__).with_name("slow_link.py"))
    for host, end in zip(
        (first, second), socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET), strict=True
    ):
        words = [sys.executable, script, INTERFACE, str(end.fileno()), str(delay), str(bytes_per_second)]
        process = subprocess.Popen(
            [*host.enter, *words], pass_fds=[end.fileno()], stdout=subprocess.PIPE, start_new_session=True
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        end.close()
        assert process.stdout
        assert process.stdout.readline() == b"ready\n", "the slow link did not start"
