"""The flood of `bench.flood`, a process of its own: connects, reads what it is told, stays for a while.

`python -m bench.attack PORT CONNECTIONS RATE PATIENCE` prints what each connection heard, counted, as JSON.
"""

import json
import random
import select
import socket
import sys
import time
from collections import Counter
from typing import Final

ADDRESSES: Final = 200
FIRST: Final = 128  # second number of their addresses: 127.128 to 127.140
STEP: Final = 0.02  # seconds between two bunches of connections


class Attack:
    """All flooders, in one epoll loop: connect, read, stay until their patience is over."""

    def __init__(self, port: int, patience: float) -> None:
        self._port = port
        self._patience = patience  # seconds that the most patient of them stays
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float, bytes]] = {}
        self.told: Counter[str] = Counter()

    def run(self, connections: int, rate: int) -> None:
        """Open *connections*, *rate* in a second, and wait until the last has gone."""
        began = now = time.monotonic()
        sent = 0
        while sent < connections or self._open:
            due = min(int((now - began) * rate) + 1, connections)
            for number in range(sent, due):
                self._connect(number, now)
            sent = due
            self._read(STEP)
            now = time.monotonic()
            for descriptor in [d for d, (_, until, _) in self._open.items() if until < now]:
                self._close(descriptor)

    def _connect(self, number: int, now: float) -> None:
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # no port is left waiting
        which = number % ADDRESSES
        sock.bind((f"127.{FIRST + which // 16}.{16 * (which % 16)}.1", 0))  # each its own /20
        sock.connect_ex(("127.0.0.1", self._port))
        self._open[sock.fileno()] = sock, now + self._patience * random.uniform(0.3, 1.0), b""
        self._epoll.register(sock, select.EPOLLIN)

    def _read(self, timeout: float) -> None:
        for descriptor, _ in self._epoll.poll(timeout):
            sock, until, heard = self._open[descriptor]
            try:
                data = sock.recv(4096)
            except OSError:
                data = b""
            self._open[descriptor] = sock, until, heard + data
            if not data:
                self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        sock, _, heard = self._open.pop(descriptor)
        sock.close()
        self.told[_what(heard)] += 1


def _what(heard: bytes) -> str:
    if heard.startswith(b"421"):
        return heard[:9].decode()
    if heard.endswith(b"\r\n"):
        return "whole banner"
    return "part of a banner" if heard else "nothing"


def main() -> int:
    """Attack, and say what was heard."""
    port, connections, rate, patience = map(int, sys.argv[1:])
    attack = Attack(port, patience)
    attack.run(connections, rate)
    print(json.dumps(attack.told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
