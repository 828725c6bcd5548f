"""Two nodes as network namespaces, faults among them, and the slow link between them."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT

from tools.faults import __main__ as faults
from tools.faults import nodes
from tools.faults.hosts import missing, two_hosts
from tools.faults.runs import Lab, Tally
from tools.faults.slow_link import relay

needs_hosts = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


@pytest.mark.thorough
@pytest.mark.serial
@needs_hosts
def test_faults_of_two_nodes_are_survived(capsys: pytest.CaptureFixture[str]) -> None:
    """Two of them; `python -m tools.faults --only=node` has all."""
    faults.main(faults.FaultsConfig(only="node: no,node: process", seed=1))
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == "faults: 2 tried, 2 survived", output


def test_faults_of_nodes_are_skipped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = []
    for reason, needs in (("needs root", ""), ("", "/nowhere/at_all")):
        monkeypatch.setattr(nodes, "missing", lambda reason=reason: reason)
        tallies.append(Tally())
        nodes.on_two_nodes(nodes.undisturbed, needs=needs)(Lab(tmp_path, 1), tallies[-1], None)
    assert [tally.skipped for tally in tallies] == ["needs root", "needs /nowhere/at_all"]
    assert {tally.tried for tally in tallies} == {0}


ANSWER = "import socket; print(socket.gethostname()); s = socket.create_server(('', 5000)); s.accept()[0].sendall(b'hello')"
ASK = "import socket; print(socket.create_connection(('node1', 5000), timeout=10).recv(9).decode())"


@needs_hosts
def test_hosts_reach_each_other_by_name_until_the_cable_is_pulled_and_leave_nothing() -> None:
    words = ["python3", "-c"]
    with two_hosts() as (first, second):
        holders = [host.holder for host in (first, second)]
        with subprocess.Popen([*second.enter, *words, ANSWER], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            assert server.stdout.readline() == "node1\n"
            time.sleep(0.2)
            assert subprocess.check_output([*first.enter, *words, ASK], text=True) == "hello\n"
        asking = subprocess.Popen([*second.enter, "sleep", "60"])
        second.crash()
        assert asking.wait(10) == -9
        done = subprocess.run([*first.enter, *words, ASK], capture_output=True, text=True)
        assert done.returncode == 1
        second.plug(is_in=True)  # it is back, with the same name and address
        name = subprocess.check_output([*second.enter, "hostname"], text=True)
        assert name == "node1\n"
        left = subprocess.Popen([*first.enter, "sleep", "60"])
    assert left.wait(10) == -9
    assert None not in [holder.poll() for holder in holders]


def test_a_slow_link_delays_packets_and_sends_one_after_the_other() -> None:
    """100 packets of 1000 bytes take 0.2 s at 500 kB/s, and 0.1 s more; the other way nothing waits."""
    kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
    (host, interface), (link, other) = socket.socketpair(*kind), socket.socketpair(*kind)
    for end in (host, other):
        end.settimeout(20)
    relaying = threading.Thread(target=relay, args=(interface.fileno(), link, 0.1, 500_000), daemon=True)
    relaying.start()
    packets = [bytes([number]) * 1000 for number in range(100)]
    began = time.monotonic()
    for packet in packets:
        host.send(packet)
    assert other.recv(2000) == packets[0]
    first = time.monotonic() - began
    assert [other.recv(2000) for _ in packets[1:]] == packets[1:]
    assert first >= 0.1
    assert time.monotonic() - began >= 0.1 + 0.2
    other.send(b"back")
    assert host.recv(9) == b"back"
    for end in (host, other):  # which ends the relay
        end.close()
    relaying.join(20)
    assert not relaying.is_alive()
    for end in (interface, link):
        end.close()


INTERRUPTED = """
import sys, time
sys.path.insert(0, {root!r})
from tools.faults.hosts import two_hosts
with two_hosts() as hosts:
    import subprocess
    left = subprocess.Popen([*hosts[1].enter, "sleep", "60"], start_new_session=True)
    time.sleep(0.5)
    print(*(host.holder.pid for host in hosts), left.pid, flush=True)
    time.sleep(60)
"""


@needs_hosts
@pytest.mark.parametrize("is_killed", [False, True], ids=["Ctrl-C", "SIGKILL"])
def test_hosts_vanish_with_the_command_that_made_them(is_killed: bool) -> None:
    words = [sys.executable, "-c", INTERRUPTED.format(root=str(ROOT))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        pids = process.stdout.readline().split()
        process.send_signal(9 if is_killed else 2)
    give_up = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert len(pids) == 3
