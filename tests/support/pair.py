"""A wire and the far end of it, with the poller and the wheel turning.

The two ends are a pair of Unix sockets: what one sends is at the other at once, so that under an
autojump clock every second counted in a test is exact. A reset needs TCP (`tcp=True`) and real time.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

import trio

from tarpit.drip import Wheel
from tarpit.poller import Poller
from tarpit.wire import Wire


class Pair(NamedTuple):
    """Our end, the far end, and what turns."""

    wire: Wire
    far: trio.socket.SocketType
    wheel: Wheel
    poller: Poller


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets on loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=5)
        far, _ = listener.accept()
    return ours, far


@asynccontextmanager
async def wired(*, tcp: bool = False) -> AsyncIterator[Pair]:
    """Yield a wire to a far end; everything is closed in the end."""
    ours, far = tcp_pair() if tcp else socket.socketpair()
    poller, wheel = Poller(), Wheel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        nursery.start_soon(wheel.run)
        far.setblocking(False)
        other = trio.socket.from_stdlib_socket(far)
        wire = Wire(poller, ours)
        try:
            yield Pair(wire, other, wheel, poller)
        finally:
            wire.close()
            other.close()
            nursery.cancel_scope.cancel()


async def arrivals(far: trio.socket.SocketType, size: int) -> list[tuple[float, bytes]]:
    """Return when which bytes came, until *size* bytes or the end."""
    heard: list[tuple[float, bytes]] = []
    while sum(len(data) for _, data in heard) < size:
        data = await far.recv(65536)
        if not data:
            break
        heard.append((trio.current_time(), data))
    return heard


def fill(wire: Wire) -> int:
    """Send until the kernel takes no more, and return how many bytes that was."""
    total = 0
    while sent := wire.send_now(bytes(65536)):
        total += sent
    return total


async def drain(far: trio.socket.SocketType, size: int) -> bytes:
    """Read exactly *size* bytes, or up to the end."""
    return b"".join(data for _, data in await arrivals(far, size))
