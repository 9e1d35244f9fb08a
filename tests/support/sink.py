"""A sink for messages of any size: a mail server in threads that keeps a digest of each body.

Bodies are what stands behind the first empty line, with the dots taken off that a sender has put before
others. What else a test may ask of a backend (delays, refusals, oddities) is `tests.support.backend`.
"""

import hashlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.servers import LOOPBACK, Address

LARGEST: Final = 100 * 2**20  # bytes of a message
_EHLO: Final = b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE %d\r\n250 8BITMIME\r\n" % LARGEST


def digest(body: bytes) -> str:
    """Return the SHA-256 of *body*."""
    return hashlib.sha256(body).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept of a message."""

    header: bytes
    digest: str  # of its body
    size: int  # of its body


class Sink(socketserver.ThreadingTCPServer):
    """Takes every message. `stored` is what came, by reverse-path."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str = LOOPBACK) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Session)
        self.stored: dict[str, list[Stored]] = {}

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return (host, port)


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        try:
            self._talk()
        except ConnectionError:
            return  # whoever sent this is told by what they did not get

    def _talk(self) -> None:
        self.wfile.write(b"220 sink.example ESMTP\r\n")
        path = ""
        while line := self.rfile.readline(4096):
            verb = line[:4].upper()
            if verb == b"MAIL":
                path = line.partition(b"<")[2].partition(b">")[0].decode("ascii")
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self._keep(path)
            self.wfile.write({b"EHLO": _EHLO, b"QUIT": b"221 2.0.0 bye\r\n"}.get(verb, b"250 2.0.0 ok\r\n"))

    def _keep(self, path: str) -> None:
        assert isinstance(self.server, Sink)
        header = b"".join(iter(self._line, b"\r\n"))
        body, size = hashlib.sha256(), 0
        while line := self._line():
            body.update(line)
            size += len(line)
        self.server.stored.setdefault(path, []).append(Stored(header, body.hexdigest(), size))

    def _line(self) -> bytes:
        """Return a line of content as it was before it was sent, b"" at the end."""
        line = self.rfile.readline()
        if not line:
            raise ConnectionAbortedError("within a message")
        return b"" if line == b".\r\n" else line.removeprefix(b".")


@contextmanager
def sink(host: str = LOOPBACK) -> Iterator[Sink]:
    """Run a sink on *host*."""
    with Sink(host) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
