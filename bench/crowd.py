"""A crowd of peers that connect and read, in a process of its own: `python -m bench.crowd PORT`.

It takes one order a line and answers each with a line of JSON: `hold N` (connect N, each from an address of
its own, and wait for everybody's first byte), `watch S` (note for S seconds when each byte comes), `burst N`
(connect N at once, time it to everybody's first byte, hang up). It never stops reading in between.

A peer cannot know when its first byte was due. So lateness is counted from the schedule of a second a byte
that fits its most punctual byte: it is never negative, and hides a delay that all bytes of a peer share. What
the crowd is late itself counts as lateness of whom it measures.
"""

import contextlib
import json
import os
import resource
import select
import socket
import statistics
import sys
import time
from array import array
from collections.abc import Iterator
from typing import Final

PACE: Final = 1.0  # seconds between two bytes
BATCH: Final = 20  # connections opened before the crowd reads again
PATIENCE: Final = 60.0  # seconds for everybody's first byte


class Crowd:
    """Peers, read by one epoll loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._peers: dict[int, socket.socket] = {}
        self._arrivals: dict[int, array[float]] = {}
        self._heard: set[int] = set()
        self._opened = 0
        self._watching = False

    def hold(self, count: int) -> dict[str, float]:
        """Connect *count* peers, and wait until each has a byte."""
        began = time.monotonic()
        for number in range(count):
            self._connect()
            if number % BATCH == BATCH - 1:
                self._read(0.002)
        self._wait_heard(set(self._peers))
        return {"held": len(self._peers), "seconds": time.monotonic() - began}

    def watch(self, seconds: float) -> dict[str, float]:
        """Read for *seconds*, and return how late the bytes were, in milliseconds."""
        self._arrivals = {descriptor: array("d") for descriptor in self._peers}
        self._watching = True
        self._read_until(time.monotonic() + seconds)
        self._watching = False
        late = sorted(late for one in self._arrivals.values() for late in lateness(one))
        if len(late) < 2:
            return {"held": len(self._peers), "bytes": len(late), "p50": 0.0, "p99": 0.0}
        cuts = statistics.quantiles(late, n=100, method="inclusive")
        return {
            "held": len(self._peers),
            "bytes": len(late),
            "p50": cuts[49] * 1000,
            "p99": cuts[98] * 1000,
        }

    def burst(self, count: int) -> dict[str, float]:
        """Connect *count* more at once, and return how many a second had their first byte."""
        began = time.monotonic()
        newcomers = {self._connect() for _ in range(count)}
        self._wait_heard(newcomers)
        seconds = time.monotonic() - began
        answered = len(newcomers & self._peers.keys() & self._heard)
        for descriptor in newcomers & self._peers.keys():
            self._drop(descriptor)
        return {"answered": answered, "rate": answered / seconds}

    def close(self) -> None:
        """Hang up."""
        for descriptor in list(self._peers):
            self._drop(descriptor)

    def idle(self, descriptor: int) -> None:
        """Read until *descriptor* (our orders) is readable."""
        self._epoll.register(descriptor, select.EPOLLIN)
        while not self._read(1.0, descriptor):
            pass
        self._epoll.unregister(descriptor)

    def _connect(self) -> int:
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        number = self._opened = self._opened + 1
        sock.bind((f"127.1.{number // 250 % 250}.{1 + number % 250}", 0))
        sock.connect_ex(("127.0.0.1", self._port))
        self._peers[sock.fileno()] = sock
        self._heard.discard(sock.fileno())
        self._epoll.register(sock, select.EPOLLIN)
        return sock.fileno()

    def _drop(self, descriptor: int) -> None:
        sock = self._peers.pop(descriptor)
        self._epoll.unregister(sock)
        sock.close()

    def _wait_heard(self, wanted: set[int]) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not wanted & self._peers.keys() <= self._heard:
            self._read(0.01)

    def _read_until(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._read(left)

    def _read(self, timeout: float, orders: int = -1) -> bool:
        """Read what is there, or return True when *orders* has something."""
        for descriptor, _ in self._epoll.poll(timeout, 256):
            if descriptor == orders:
                return True
            data = b""
            with contextlib.suppress(OSError):
                data = self._peers[descriptor].recv(4096)
            if not data:
                self._drop(descriptor)
                continue
            self._heard.add(descriptor)
            if self._watching and (times := self._arrivals.get(descriptor)) is not None:
                times.extend([time.monotonic()] * len(data))
        return False


def lateness(times: "array[float]") -> Iterator[float]:
    """Yield how many seconds each byte came after its place in the schedule."""
    offsets = [at - number * PACE for number, at in enumerate(times)]
    best = min(offsets, default=0.0)
    return (offset - best for offset in offsets)


def main() -> int:
    """Obey until the orders end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(int(sys.argv[1]))
    while True:
        crowd.idle(sys.stdin.fileno())
        word, _, number = os.read(sys.stdin.fileno(), 100).decode().strip().partition(" ")
        match word:
            case "hold":
                answer = crowd.hold(int(number))
            case "watch":
                answer = crowd.watch(float(number))
            case "burst":
                answer = crowd.burst(int(number))
            case _:
                crowd.close()
                return 0
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
