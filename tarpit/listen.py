"""The accept loop: who comes in, and who hears 421 at once.

Who is one too many (`caps`) hears so without a session or a task of its own, and is not slowed: 421 4.7.0 for
a peer or network over its cap, 4.3.2 where the whole server is full. When descriptors run out, a spare one is
let go to tell one peer so, and accepting rests a moment.

Refusals are told by number: one line in ten seconds for each limit. A flood must not fill the disk as well.
"""

import contextlib
import errno
import math
import os
import secrets
import socket
from dataclasses import dataclass
from typing import Final

import trio

from tarpit.caps import Refusal
from tarpit.observe import events
from tarpit.services import Services
from tarpit.session import Session
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import BUSY
from tarpit.wire import Wire

BACK_OFF: Final = 0.1  # seconds
TELL_EVERY: Final = 10.0  # seconds between two events of one kind
BATCH: Final = 64  # connections accepted before others get their turn
BROKEN: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})  # our own bug; all else passes


@dataclass(slots=True)
class Untold:
    """Refusals for one limit that no event has told yet, the last peer and reason among them."""

    due: float  # when an event may tell of them
    count: int = 0
    peer: str = ""
    refusal: Refusal | None = None


class Listener:
    """Accepts on one socket."""

    def __init__(self, sock: socket.socket, services: Services) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._socket = sock
        self._services = services
        self._spare = os.open(os.devnull, os.O_RDONLY)
        self._untold: dict[str, Untold] = {}  # by limit
        self._back_off_due = 0.0

    async def run(self) -> None:
        """Accept until cancelled."""
        try:
            while True:
                with trio.move_on_at(self._next_due()):
                    await trio.lowlevel.wait_readable(self._socket)
                    await self._accept_or_rest()
                self._tell()
        finally:
            if self._spare >= 0:
                os.close(self._spare)

    async def _accept_or_rest(self) -> None:
        try:
            self._accept_waiting()
        except OSError as error:
            if error.errno in BROKEN:
                raise
            await self._back_off(error)

    def _accept_waiting(self) -> None:
        for _ in range(BATCH):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, ConnectionError):
                return
            refusal = self._services.caps.admit(address[0])
            if refusal is None:
                self._begin(sock, address[:2])
            else:
                self._refuse(sock, refusal.reply)
                self._keep(address[0], refusal)

    def _begin(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        services = self._services
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(services.pool.poller, sock)
        except OSError:
            sock.close()
            raise
        wire.peer = peer  # it may have reset already, and getpeername know nothing
        session = Session(wire, services, secrets.token_hex(6))
        services.began(session)
        services.nursery.start_soon(services.alone, session.run)

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

    def _keep(self, peer: str, refusal: Refusal) -> None:
        untold = self._untold.setdefault(refusal.limit, Untold(due=trio.current_time()))
        untold.count += 1
        untold.peer, untold.refusal = peer, refusal

    def _next_due(self) -> float:
        """Return when the next event is to be written, where there is something to tell."""
        return min((untold.due for untold in self._untold.values() if untold.count), default=math.inf)

    def _tell(self) -> None:
        now = trio.current_time()
        for untold in self._untold.values():
            if untold.refusal is None or not untold.count or untold.due > now:
                continue
            events.sessions_full(
                self._services.log,
                peer=untold.peer,
                limit=untold.refusal.limit,
                sessions=untold.refusal.sessions,
                refused=untold.count,
            )
            untold.count, untold.due = 0, now + TELL_EVERY
