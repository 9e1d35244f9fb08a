"""A fresh connection to one backend, introduced: connect, banner, TLS, and who the peer is.

TLS comes before XCLIENT: a backend may forget who the peer is when TLS begins (RFC 3207 section 4.2). A PROXY
header comes before everything. Bytes behind the 220 to STARTTLS are an attack, and the backend is not used.

Every failure is `BackendUnavailable`. Which backend, and whether there is a slot, is `pool`; what an
introduction consists of is `introduce`.
"""

import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import trio

from tarpit.backend.guest import GivesUpBy, Guest, never
from tarpit.backend.introduce import proxy_v1_header, proxy_v2_header, xclient_commands
from tarpit.backend.places import Place, Places
from tarpit.choices import BackendTls
from tarpit.errors import BackendUnavailable
from tarpit.handshake import Handshakes
from tarpit.poller import Poller
from tarpit.smtp.replies import ReceivedReply, ReplyFault, ReplyReader
from tarpit.sockets import reason_of
from tarpit.tls import Trust
from tarpit.wire import Wire

PROXY_HEADERS: Final = {"proxy-v1": proxy_v1_header, "proxy-v2": proxy_v2_header}
STREAM: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK  # at once, not by a system call of its own
BEGUN: Final = frozenset({0, errno.EINPROGRESS})

Reach = Callable[[Poller, Place], Awaitable[Wire]]


@dataclass(frozen=True, slots=True)
class Dialling:
    """How to reach a backend. Seconds each."""

    hostname: str  # what we call ourselves
    connect: float
    banner: float
    reply: float
    handshakes: Handshakes | None = None  # both or neither: without them there is no TLS to a backend
    trust: Trust | None = None
    reach: Reach | None = None  # how a place is connected to, if not by a socket


class NoTls(BackendUnavailable):
    """The backend does not speak TLS, or not in a way that we may believe."""


class Unwelcome(BackendUnavailable):
    """The backend failed us when it knew who the peer was: it may have meant the peer, and be well."""


class NoSocket(Unwelcome):
    """We have none to reach it with: that says nothing of the backend either."""


class Line:
    """A connection to a backend, with its last greeting."""

    __slots__ = ("_dialling", "_replies", "banner", "plain_because", "wire")

    def __init__(self, wire: Wire, dialling: Dialling) -> None:
        self.wire = wire
        self._dialling = dialling
        self._replies = ReplyReader()
        self.banner = b""
        self.plain_because = ""  # why there is no TLS, where it was wanted

    async def ask(self, command: bytes) -> ReceivedReply:
        """Send a command line and return the reply. Nothing may have come before it was asked for."""
        self.check_silent()
        await self.send(command)
        return await self.reply(self._dialling.reply)

    async def send(self, data: bytes) -> None:
        """Send *data*."""
        await self.wire.send_all(data, trio.current_time() + self._dialling.reply)

    async def welcome(self) -> None:
        """Read the banner."""
        self.banner = _accepted(await self.reply(self._dialling.banner), "its banner").raw

    async def reply(self, patience: float) -> ReceivedReply:
        """Return the next reply, waiting at most *patience* seconds."""
        until, replies = trio.current_time() + patience, self._replies
        reply = replies.next_reply()
        while reply is None:
            data = await self.wire.receive(4096, until)
            if not data:
                raise BackendUnavailable("closed the connection")
            reply = replies.next_of(data)
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

    def check_read(self) -> None:
        """Do as `check_silent` does behind the last reply: whoever reads on does not see what was read here.

        Nothing is asked of a socket that this reply has emptied: whoever reads on is told of what comes now.
        """
        if self.wire.readable or not self._replies.empty:
            self.check_silent()

    async def hello(self) -> ReceivedReply:
        """Say EHLO under our own name."""
        return await self.ask(f"EHLO {self._dialling.hostname}\r\n".encode("ascii", "replace"))

    async def secure(self, host: str, tls: BackendTls) -> None:
        """Go on inside TLS; where *tls* is `may`, only if the backend has it. Raises `NoTls`."""
        handshakes, trust = self._dialling.handshakes, self._dialling.trust
        assert handshakes is not None
        assert trust is not None
        required = tls is BackendTls.REQUIRE
        if why := await self._without_tls():
            if required:
                raise NoTls(why)
            self.plain_because = why
            return
        self.check_silent()
        try:
            await handshakes.make(self.wire, trust.require if required else trust.may, host)
        except BackendUnavailable as failed:
            raise NoTls(str(failed)) from None

    async def _without_tls(self) -> str:
        """Ask for TLS, and return why there is none, or ""."""
        if b"STARTTLS" not in keywords_of(_accepted(await self.hello(), "EHLO")):
            return "does not offer STARTTLS"
        reply = await self.ask(b"STARTTLS\r\n")
        return "" if reply.code == 220 else f"refused us at STARTTLS: {_said(reply)}"

    async def quit(self) -> None:
        """End in order, waiting a second at most; then close."""
        with trio.move_on_after(1, shield=True):
            with contextlib.suppress(BackendUnavailable, OSError):
                await self.ask(b"QUIT\r\n")
                if self.wire.sealed is not None:
                    self.wire.sealed.shutdown(socket.SHUT_WR)
        self.wire.close()


async def dial(
    poller: Poller,
    places: Places,
    dialling: Dialling,
    now: float,
    gives_up_by: GivesUpBy = never,
) -> Line:
    """Connect to the next of *places* that can be connected to. The banner has not been read yet.

    *gives_up_by*, a `Guest`'s, is told what ends a wait for a connection that does not stand at once.
    """
    if not places.places:
        await places.look_up()  # nobody has done so yet: afterwards it is done beside the sessions
        now = trio.current_time()
    lost: BackendUnavailable | None = None
    until, left = now + dialling.connect, places.in_turn()
    while left:
        place = left.pop(0)
        try:
            if dialling.reach is not None:
                return Line(await dialling.reach(poller, place), dialling)
            wire = _begun(poller, place)
            if not wire.peer[1]:  # on this host a connection is there at once
                await _connected(wire, now + (until - now) / (len(left) + 1), gives_up_by)
            return Line(wire, dialling)
        except BackendUnavailable as failed:
            places.failed(place)
            lost, now = failed, trio.current_time()
    raise lost or BackendUnavailable(f"{places.host} is not known: {places.trouble}")


def _begun(poller: Poller, place: Place) -> Wire:
    """Return a connection that has been begun; its `peer` is known once it stands."""
    try:
        sock = socket.socket(place.family, STREAM)
    except OSError as error:
        raise NoSocket(f"no socket: {reason_of(error)}") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error_number = sock.connect_ex(place.address)
    if error_number not in BEGUN:
        sock.close()
        host, port = place.address[:2]
        raise BackendUnavailable(f"{host}:{port}: {errno.errorcode.get(error_number, error_number)}")
    return Wire(poller, sock, gone=BackendUnavailable, silent=BackendUnavailable)


async def _connected(wire: Wire, until: float, gives_up_by: GivesUpBy) -> None:
    try:
        gives_up_by(wire.desert)
        await wire.connected(until)
    except BaseException:
        wire.close()
        raise


async def greet(
    line: Line, guest: Guest, how: str, *, host: str = "", tls: BackendTls = BackendTls.OFF
) -> None:
    """Read the banner, begin TLS with *host*, introduce the peer in the way *how*, a value of `Introduce`.

    `line.banner` is then what the peer may be shown. A backend that does not take the introduction is
    not used: under our own address it would trust a stranger. Raises `Unwelcome` for what may be meant for
    the peer, and plain `BackendUnavailable` for what cannot be.
    """
    if header_for := PROXY_HEADERS.get(how):
        who = guest.introduction()
        await line.send(header_for((str(who.address), who.port), guest.ours))
        with _named():
            await line.welcome()
    else:
        await line.welcome()
    if tls is not BackendTls.OFF:
        await line.secure(host, tls)
    if how == "xclient":
        ehlo = _accepted(await line.hello(), "EHLO")
        commands = xclient_commands(guest.introduction(), _xclient_attributes(ehlo))
        with _named():
            for command in commands:
                line.banner = _accepted(await line.ask(command), "XCLIENT").raw
    line.check_read()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Take what goes wrong in here for an answer to the peer, who has been named."""
    try:
        yield
    except BackendUnavailable as lost:
        raise Unwelcome(str(lost)) from None


def _accepted(reply: ReceivedReply, what: str) -> ReceivedReply:
    if reply.code // 100 != 2:
        raise BackendUnavailable(f"refused us at {what}: {_said(reply)}")
    return reply


def _said(reply: ReceivedReply) -> str:
    return reply.raw[:100].decode("ascii", "replace").strip()


def keywords_of(ehlo: ReceivedReply) -> frozenset[bytes]:
    """Return the bare keywords of a reply to EHLO, in capitals."""
    return frozenset(line.partition(b" ")[0].upper() for line in ehlo.lines[1:])


def _xclient_attributes(ehlo: ReceivedReply) -> frozenset[str]:
    for text in ehlo.lines[1:]:
        keyword, _, attributes = text.decode("ascii", "replace").upper().partition(" ")
        if keyword == "XCLIENT":
            return frozenset(attributes.split())
    return frozenset()
