"""A fresh connection to one backend, introduced: connect, banner, and who the peer is.

Every failure is `BackendUnavailable`. Which backend, and whether there is a slot, is `pool`; what an
introduction consists of is `introduce`.
"""

import contextlib
import errno
import socket
from dataclasses import dataclass

import trio

from tarpit.backend.introduce import Introduction, proxy_v2_header, xclient_commands
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tarpit.smtp.replies import ReceivedReply, ReplyFault, ReplyReader
from tarpit.wire import Wire


@dataclass(frozen=True, slots=True)
class Dialling:
    """How to reach a backend. Seconds each."""

    hostname: str  # what we call ourselves
    connect: float
    banner: float
    reply: float


class Line:
    """A connection to a backend, with its last greeting."""

    __slots__ = ("_dialling", "_replies", "banner", "wire")

    def __init__(self, wire: Wire, dialling: Dialling) -> None:
        self.wire = wire
        self._dialling = dialling
        self._replies = ReplyReader()
        self.banner = b""

    async def ask(self, command: bytes) -> ReceivedReply:
        """Send a command line and return the reply. Nothing may have come before it was asked for."""
        self.check_silent()
        await self.wire.send_all(command, trio.current_time() + self._dialling.reply)
        return await self.reply(self._dialling.reply)

    async def reply(self, patience: float) -> ReceivedReply:
        """Return the next reply, waiting at most *patience* seconds."""
        until = trio.current_time() + patience
        while (reply := self._replies.next_reply()) is None:
            data = await self.wire.receive(4096, until)
            if not data:
                raise BackendUnavailable("closed the connection")
            self._replies.receive(data)
        if isinstance(reply, ReplyFault):
            raise BackendUnavailable(f"does not speak SMTP: {reply.why}")
        return reply

    def check_silent(self) -> None:
        """Raise `BackendUnavailable` if something came unasked: it would be taken for the next reply."""
        data = self.wire.receive_now(4096)
        if data == b"":
            raise BackendUnavailable("closed the connection")
        self._replies.receive(data or b"")
        if not self._replies.empty:
            reply = self._replies.next_reply()
            said_421 = isinstance(reply, ReceivedReply) and reply.code == 421
            raise BackendUnavailable("said 421" if said_421 else "spoke unasked")

    async def hello(self) -> ReceivedReply:
        """Say EHLO under our own name."""
        return await self.ask(f"EHLO {self._dialling.hostname}\r\n".encode("ascii", "replace"))

    async def quit(self) -> None:
        """End in order, waiting a second at most; then close."""
        with trio.move_on_after(1, shield=True):
            with contextlib.suppress(BackendUnavailable):
                await self.ask(b"QUIT\r\n")
        self.wire.close()


async def dial(poller: Poller, host: str, port: int, dialling: Dialling) -> Line:
    """Connect to *host* and *port*. The banner has not been read yet."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BackendUnavailable(f"{host} is not known: {error.strerror}") from None
    family, kind, proto, _, address = found[0]
    sock = socket.socket(family, kind, proto)
    sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error_number = sock.connect_ex(address)
    if error_number not in {0, errno.EINPROGRESS}:
        sock.close()
        raise BackendUnavailable(f"{host}:{port}: {errno.errorcode.get(error_number, error_number)}")
    wire = Wire(poller, sock, gone=BackendUnavailable, silent=BackendUnavailable)
    try:
        await wire.connected(trio.current_time() + dialling.connect)
    except BaseException:
        wire.close()
        raise
    return Line(wire, dialling)


async def greet(line: Line, introduction: Introduction, how: str, *, ours: tuple[str, int]) -> None:
    """Read the banner and introduce the peer in the way *how* (`off`, `xclient`, `proxy-v2`).

    `line.banner` is then what the peer may be shown. A backend that does not take the introduction is
    not used: under our own address it would trust a stranger.
    """
    if how == "proxy-v2":
        header = proxy_v2_header((str(introduction.address), introduction.port), ours)
        await line.wire.send_all(header, trio.current_time() + line._dialling.reply)  # noqa: SLF001
    line.banner = _accepted(await line.reply(line._dialling.banner), "its banner").raw  # noqa: SLF001
    if how == "xclient":
        ehlo = _accepted(await line.hello(), "EHLO")
        for command in xclient_commands(introduction, _xclient_attributes(ehlo)):
            line.banner = _accepted(await line.ask(command), "XCLIENT").raw


def _accepted(reply: ReceivedReply, what: str) -> ReceivedReply:
    if reply.code // 100 != 2:
        said = reply.raw[:100].decode("ascii", "replace").strip()
        raise BackendUnavailable(f"refused us at {what}: {said}")
    return reply


def _xclient_attributes(ehlo: ReceivedReply) -> frozenset[str]:
    for text in ehlo.lines[1:]:
        keyword, _, attributes = text.decode("ascii", "replace").upper().partition(" ")
        if keyword == "XCLIENT":
            return frozenset(attributes.split())
    return frozenset()
