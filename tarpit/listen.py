"""The accept loop: who comes in, and who hears 421 at once.

Who is one too many (`caps`) hears so without a session or a task of its own, and is not slowed: 421 4.7.0 for
a peer or network over its cap, 4.3.2 where the whole server is full. When descriptors run out, a spare one is
let go to tell one peer so, and accepting rests a moment.

A trusted proxy (TARPIT_PROXY_FROM) first says in a PROXY header for whom it comes, before anything else and
within five seconds; from then on that peer is the one that is counted, judged and told of. The proxy's own
address counts for nothing but the whole server's cap, for all peers behind it come from there. Without a
sound header the connection is closed in silence: a banner would invite mail under the wrong name. From
anybody else a header is a command like any other, and a bad one.

Refusals are told by number: one line in ten seconds for each limit. A flood must not fill the disk as well.
"""

import contextlib
import errno
import math
import os
import socket
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from scoring.networks import Networks
from scoring.verdict import to_address
from tarpit.caps import Refusal
from tarpit.errors import PeerGone, PeerSilent
from tarpit.observe import events
from tarpit.parked import Parked
from tarpit.proxied import LIMIT, Announcement, Header, HeaderFault, read
from tarpit.services import Services
from tarpit.session import Session
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import BUSY, STOPPING
from tarpit.wire import Wire

HEADER_WAIT: Final = 5.0  # seconds; Postfix's smtpd_upstream_proxy_timeout
BACK_OFF: Final = 0.1  # seconds
TELL_EVERY: Final = 10.0  # seconds between two events of one kind
BATCH: Final = 64  # connections accepted before others get their turn
BROKEN: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})  # our own bug; all else passes


@dataclass(slots=True)
class Untold:
    """Refusals for one reason that no event has told yet, the last peer and reason among them."""

    due: float  # when an event may tell of them
    count: int = 0
    peer: str = ""
    reason: Refusal | HeaderFault | None = None


class Listener(Parked):
    """Accepts on one socket when the poller says so: a `wait_readable` each was 3 % of a clean session."""

    def __init__(self, sock: socket.socket, services: Services) -> None:
        super().__init__()
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted has it from here
        self._socket = sock
        self._services = services
        self._spare = os.open(os.devnull, os.O_RDONLY)
        self._proxies = Networks(services.settings.proxy_from)
        self._untold: dict[str, Untold] = {}  # by limit
        self._back_off_due = 0.0
        self._came = False  # whether there may be a connection
        self._closed = False

    async def run(self) -> None:
        """Accept until cancelled."""
        poller = self._services.pool.poller
        poller.add(self._socket.fileno(), self)
        try:
            while True:
                due = self._next_due()
                if self._came or due <= trio.current_time():
                    await trio.lowlevel.checkpoint()  # there may be no end of them
                else:
                    await self.stir(due)  # for the next connection, or for when an event is to be told
                if self._came:
                    await self._accept_or_rest()
                self._tell()
        finally:
            self._closed = True
            self._tell(all_of_it=True)
            if self._socket.fileno() >= 0:
                poller.remove(self._socket.fileno())
            if self._spare >= 0:
                os.close(self._spare)

    def stirred(self, _: int) -> None:
        """Somebody has connected."""
        self._came = True
        self.wake()

    async def _accept_or_rest(self) -> None:
        try:
            self._accept_waiting()
        except OSError as error:
            if error.errno in BROKEN:
                raise
            await self._back_off(error)

    def _accept_waiting(self) -> None:
        proxies, admit = len(self._proxies) > 0, self._services.caps.admit
        for _ in range(BATCH):
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                self._came = False
                return
            except ConnectionError:  # it has gone again
                continue
            peer = address[:2]
            if proxies and self._is_proxy(peer[0]):
                self._await_header(sock, peer)
            elif (refusal := admit(peer[0])) is None:
                session = self._session(self._wire(sock, peer))
                # a name of its own for each task would take 70 bytes
                self._services.nursery.start_soon(session.run, name="session")
            else:
                self._refuse(sock, refusal.reply)
                self._keep(refusal.limit, peer[0], refusal)

    def _wire(self, sock: socket.socket, peer: tuple[str, int]) -> Wire:
        try:  # it may have reset already, and getpeername know nothing of a *peer*
            return Wire(self._services.pool.poller, sock, peer=peer)
        except OSError:
            sock.close()
            raise

    def _session(self, wire: Wire) -> Session:
        session = Session(wire, self._services, next(self._services.numbers))
        self._services.began(session)
        return session

    # -- behind a trusted proxy

    def _is_proxy(self, address: str) -> bool:
        return self._proxies.find(to_address(address)) is not None

    def _await_header(self, sock: socket.socket, proxy: tuple[str, int]) -> None:
        wire = self._wire(sock, proxy)
        if (refusal := self._services.caps.expect()) is not None:
            self._turn_away(wire, refusal.reply)
            self._keep(refusal.limit, proxy[0], refusal)
            return
        self._services.nursery.start_soon(
            self._services.alone, partial(self._introduced, wire, trio.current_time())
        )

    async def _introduced(self, wire: Wire, began: float) -> None:
        """Wait until a trusted proxy has said for whom it comes, and serve that peer, accepted at *began*."""
        header: Header | HeaderFault | None = None
        try:
            header = await _header_on(wire)
        finally:
            self._services.caps.arrived()
            if not isinstance(header, Header):
                wire.close()
        if isinstance(header, Header):
            await self._serve(wire, header, began)
        elif header is not None:
            self._keep("", wire.peer[0], header)

    async def _serve(self, wire: Wire, header: Header, began: float) -> None:
        proxy = wire.peer[0]
        if header.peer is not None:
            wire.peer = (str(header.peer[0]), header.peer[1])
            if (refusal := self._services.caps.admit(wire.peer[0])) is not None:
                self._turn_away(wire, refusal.reply)
                self._keep(refusal.limit, wire.peer[0], refusal)
                return
        if self._closed:
            self._turn_away(wire, STOPPING)
            return
        session = self._session(wire)
        session.dialogue.proxied = True
        session.announcement = Announcement(proxy, header.destination)
        session.judgement.began = began  # the peer waits since then, for a banner too
        if header.peer is None:  # a health check: it is counted as the proxy itself, and not judged
            session.judgement.adopt(self._services.classifier.health_check(session.address))
        await session.run()

    @staticmethod
    def _turn_away(wire: Wire, reply: Reply) -> None:
        with contextlib.suppress(PeerGone):
            wire.send_now(reply.encode())
        wire.close()

    # -- what does not come in

    async def _back_off(self, error: OSError) -> None:
        now = trio.current_time()
        if now >= self._back_off_due:
            self._back_off_due = now + TELL_EVERY
            name = errno.errorcode.get(error.errno or 0, str(error))
            events.accept_backoff(self._services.log, error=name, seconds=BACK_OFF)
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):
            self._refuse(self._socket.accept()[0], BUSY)
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        await trio.sleep(BACK_OFF)

    @staticmethod
    def _refuse(sock: socket.socket, reply: Reply) -> None:
        with contextlib.suppress(OSError), sock:
            sock.send(reply.encode(), socket.MSG_DONTWAIT)

    def _keep(self, kind: str, peer: str, reason: Refusal | HeaderFault) -> None:
        untold = self._untold.setdefault(kind, Untold(due=trio.current_time()))
        untold.count += 1
        untold.peer, untold.reason = peer, reason
        self.deadline = self._next_due()
        if untold.due <= trio.current_time():
            self.wake()

    def _next_due(self) -> float:
        """Return when the next event is to be written, where there is something to tell."""
        return min((untold.due for untold in self._untold.values() if untold.count), default=math.inf)

    def _tell(self, *, all_of_it: bool = False) -> None:
        now = trio.current_time()
        for untold in self._untold.values():
            if not untold.count or (untold.due > now and not all_of_it):
                continue
            _tell(self._services, untold)
            untold.count, untold.due = 0, now + TELL_EVERY


def _tell(services: Services, untold: Untold) -> None:
    peer, count = untold.peer, untold.count
    match untold.reason:
        case Refusal(limit=limit, sessions=sessions):
            events.sessions_full(services.log, peer=peer, limit=limit, sessions=sessions, refused=count)
        case HeaderFault(why=why):
            events.header_refused(services.log, proxy=peer, reason=why, refused=count)


async def _header_on(wire: Wire) -> Header | HeaderFault | None:
    """Take a PROXY header off the wire, and not a byte more.

    Return what is wrong with it where it is none, or None where the connection was closed without a byte,
    as by who only looks whether the port is open.
    """
    until = trio.current_time() + HEADER_WAIT
    data = b""
    try:
        while (answer := read(data := wire.peek_now(LIMIT) or b"")) is None:
            if wire.hung_up:
                return HeaderFault("closed in the middle of it") if data else None
            await wire.stir(until)
        if isinstance(answer, Header):
            wire.receive_now(answer.size)
            wire.bytes_in = 0  # they are not the peer's
    except PeerSilent:
        return HeaderFault("not there in time")
    except PeerGone:
        return HeaderFault("reset in the middle of it") if data else None
    return answer
