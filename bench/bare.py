"""The floor of one task a session: a relay on our own poller and wires that parses, judges and tells nothing.

`python -m bench.bare PORT BACKEND` relays what comes to 127.0.0.1:PORT to 127.0.0.1:BACKEND. What this proxy
costs beyond it in `bench peers` is our own work: SMTP, policy, scoring, the event. It is no example: it does
not wait for a connect, and ends both sides when one does.
"""

import gc
import socket
import sys
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Final

import trio

from tarpit.errors import PeerGone, PeerSilent
from tarpit.poller import Poller
from tarpit.wire import Wire
from tarpit.worker import COLLECT_EVERY

HOST: Final = "127.0.0.1"
BLOCK: Final = 65536  # bytes
PATIENCE: Final = 300.0  # seconds


async def relayed(peer: Wire, backend: Wire) -> None:
    """Carry bytes both ways, until one side has ended."""
    backend.wakes = peer  # one wait for both
    try:
        while True:
            if not (peer.readable or backend.readable):
                await peer.stir(peer.poller.now + PATIENCE)
            for here, there in ((peer, backend), (backend, peer)):
                while here.readable and (data := here.receive_now(BLOCK)) is not None:
                    if not data:
                        return
                    if (rest := there.send(data, PATIENCE)) is not None:
                        await rest
    except (PeerGone, PeerSilent):
        return
    finally:
        peer.close()
        backend.close()


class Door:
    """Accepts when the poller says so."""

    deadline = inf

    def __init__(self, sock: socket.socket, backend: int, poller: Poller, nursery: trio.Nursery) -> None:
        self._sock, self._backend, self._poller, self._nursery = sock, backend, poller, nursery

    def overdue(self) -> bool:
        """Nobody waits here."""
        return False

    def stirred(self, _: int) -> None:
        """Take everybody who has connected."""
        while True:
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            there = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there.connect_ex((HOST, self._backend))
            peer = Wire(self._poller, sock, peer=address)
            self._nursery.start_soon(relayed, peer, Wire(self._poller, there, peer=(HOST, self._backend)))


async def serve(port: int, backend: int) -> None:
    """Relay until cancelled."""
    poller = Poller()
    with socket.create_server((HOST, port), backlog=1024) as sock:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with trio.open_nursery() as nursery:
            poller.add(sock.fileno(), Door(sock, backend, poller, nursery))
            gc.freeze()
            gc.set_threshold(*COLLECT_EVERY)
            await poller.run()


def main(arguments: Sequence[str]) -> None:
    """Relay from the first port to the second."""
    port, backend = map(int, arguments)
    trio.run(partial(serve, port, backend))


if __name__ == "__main__":
    main(sys.argv[1:])
