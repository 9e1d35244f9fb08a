"""A scripted backend: speaks SMTP over loopback, and keeps every byte each connection sent to it.

What it says to a verb can be replaced, for BANNER and DOT (the end of data) too: other bytes, a closed
connection, a reset, silence, or whatever a function of the connection says; by whole line, too. With a
`context`, TLS begins behind its 220 to STARTTLS, and what it says inside may differ (`TLS EHLO`). It judges
nothing and checks no order: what it is told is the test's matter.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NoReturn

import trio


class Does(Enum):
    """What a backend can do in place of an answer."""

    CLOSE = "close"
    RESET = "reset"
    SILENT = "silent"


Answer = bytes | Does | Callable[["Connection"], bytes | Does]

ANSWERS: Final[Mapping[str, Answer]] = {
    "BANNER": b"220 backend.example ESMTP hello from the backend\r\n",
    "EHLO": b"250-backend.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n",
    "HELO": b"250 backend.example\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 Go ahead\r\n",
    "DOT": b"250 2.0.0 Ok: queued as 1\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "NOOP": b"250 2.0.0 Ok\r\n",
    "XCLIENT": b"220 backend.example ESMTP again\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}
UNKNOWN: Final = b"502 5.5.2 What?\r\n"


@dataclass
class Connection:
    """What came over one connection."""

    received: bytearray = field(default_factory=bytearray)
    proxy_header: bytes = b""
    commands: list[bytes] = field(default_factory=list)  # without CRLF, content left out
    contents: list[bytes] = field(default_factory=list)  # as on the wire, the last dot left out
    closed: bool = False
    secure: bool = False  # inside TLS by now


@dataclass
class FakeBackend:
    """A backend that is listening. `answers` may be changed at any time."""

    address: tuple[str, int]
    answers: dict[str, Answer]
    proxied: bool = False  # expect a PROXY header of either version
    connections: list[Connection] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    cut_after: int | None = None  # bytes received on a connection, which is then reset
    _changed: trio.Event = field(default_factory=trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends."""
        connection = Connection()
        self.connections.append(connection)
        try:
            await _Dialogue(self, connection, stream).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            connection.closed = True
            self._changed.set()

    async def wait_closed(self, count: int) -> None:
        """Wait until *count* connections have come and gone."""
        while sum(connection.closed for connection in self.connections) < count:
            self._changed = trio.Event()
            await self._changed.wait()


@asynccontextmanager
async def fake_backend(
    answers: Mapping[str, Answer] | None = None, *, proxied: bool = False
) -> AsyncIterator[FakeBackend]:
    """Run a backend whose *answers* replace those of `ANSWERS`, verb by verb."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()[:2]
    backend = FakeBackend((host, port), {**ANSWERS, **(answers or {})}, proxied)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, backend.serve, [listener])
        yield backend
        nursery.cancel_scope.cancel()


class _Ended(Exception):  # noqa: N818 - the dialogue is over, on either side's wish
    pass


class _Dialogue:
    def __init__(self, backend: FakeBackend, connection: Connection, stream: trio.SocketStream) -> None:
        self._backend = backend
        self._connection = connection
        self._socket = stream
        self._stream: trio.abc.Stream = stream
        self._buffer = bytearray()

    async def run(self) -> None:
        try:
            async with self._socket:
                await self._talk()
        except _Ended:
            pass

    async def _talk(self) -> None:
        if self._backend.proxied:
            header = await self._exactly(16)
            text = header.startswith(b"PROXY ")
            rest = self._until(b"\r\n") if text else self._exactly(int.from_bytes(header[14:16], "big"))
            self._connection.proxy_header = header + await rest
        await self._answer("BANNER")
        while True:
            line = await self._until(b"\r\n")
            self._connection.commands.append(line)
            verb = line.partition(b" ")[0].decode("latin-1").upper()
            said = await self._answer(verb, line)
            if verb == "DATA" and said.startswith(b"354"):
                await self._content()
            if verb == "STARTTLS" and said.startswith(b"220") and self._backend.context:
                secure = trio.SSLStream(self._socket, self._backend.context, server_side=True)
                await secure.do_handshake()
                self._stream, self._connection.secure = secure, True
            if verb == "QUIT":
                raise _Ended

    async def _content(self) -> None:
        content = b""
        while (line := await self._until(b"\r\n")) != b".":
            content += line + b"\r\n"
        self._connection.contents.append(content)
        await self._answer("DOT")

    async def _answer(self, verb: str, line: bytes = b"") -> bytes:
        answers = self._backend.answers
        answer = answers.get(line.decode("latin-1")) or answers.get(verb, UNKNOWN)
        if self._connection.secure:
            answer = answers.get(f"TLS {verb}", answer)
        if callable(answer):
            answer = answer(self._connection)
        if answer is Does.RESET:
            self._reset()
        if answer is Does.CLOSE:
            raise _Ended
        if answer is Does.SILENT:
            while True:
                await self._receive()
        assert isinstance(answer, bytes)
        await self._stream.send_all(answer)
        return answer

    def _reset(self) -> NoReturn:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raise _Ended

    async def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            await self._receive()
        line, _, rest = self._buffer.partition(end)
        self._buffer = rest
        return bytes(line)

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._receive()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _receive(self) -> None:
        cut = self._backend.cut_after
        room = None if cut is None else cut - len(self._connection.received)
        if room is not None and room <= 0:
            self._reset()
        data = await self._stream.receive_some(room)
        if not data:
            raise _Ended
        self._connection.received += data
        self._buffer += data
