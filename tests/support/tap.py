"""A tap on the line from the proxy to a real server: passes every byte on, and keeps what the proxy sent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.servers import LOOPBACK, Address


@dataclass
class Tap:
    """Where the proxy is to connect, and what it has sent there, by connection."""

    address: Address
    server: Address
    sent: list[bytearray] = field(default_factory=list)

    @property
    def lines(self) -> list[bytes]:
        """Each line of each connection, without its CRLF; what ends in something else is one line with it."""
        return [line for one in list(self.sent) for line in bytes(one).split(b"\r\n") if line]

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                threading.Thread(target=self._join, args=(ours,), daemon=True).start()

    def _join(self, ours: socket.socket) -> None:
        kept = bytearray()
        self.sent.append(kept)
        with ours, socket.create_connection(self.server) as theirs:
            for one in (ours, theirs):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass, args=(theirs, ours, bytearray()), daemon=True)
            back.start()
            _pass(ours, theirs, kept)
            back.join()


def _pass(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tap(server: Address) -> Iterator[Tap]:
    """Run a tap in front of *server*."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        one = Tap(listener.getsockname()[:2], server)
        thread = threading.Thread(target=one.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield one
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
