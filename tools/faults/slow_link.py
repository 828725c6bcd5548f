"""One end of a slow link between two hosts: `python slow_link.py <interface> <socket> <delay> <bytes per second>`.

Makes the interface, and hands its packets to the other end through the socket, late and one after the other.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import time
from collections import deque

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
MAX_WAITING = 1000  # packets; more are dropped, as routers do


def relay(interface: int, other: socket.socket, delay: float, bytes_per_second: float) -> None:
    """Relay packets until an end is closed: what leaves this host waits for the link to be free, and then `delay` seconds.

    A packet that cannot be handed on is lost, as on any network.
    """
    other.setblocking(False)
    waiting: deque[tuple[float, bytes]] = deque()
    free_at = 0.0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([interface, other.fileno()], [], [], timeout)
        if other.fileno() in readable:
            packet = other.recv(65536)
            if not packet:
                return
            with contextlib.suppress(OSError):
                os.write(interface, packet)
        if interface in readable:
            packet = os.read(interface, 65536)
            if not packet:
                return
            if len(waiting) < MAX_WAITING:
                free_at = max(free_at, time.monotonic()) + len(packet) / bytes_per_second
                waiting.append((free_at + delay, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            with contextlib.suppress(OSError):
                other.send(waiting.popleft()[1])


if __name__ == "__main__":
    name, descriptor, seconds, rate = sys.argv[1:]
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    print("ready", flush=True)
    relay(tun, socket.socket(fileno=int(descriptor)), float(seconds), float(rate))
