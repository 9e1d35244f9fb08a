"""The accept loop: who comes in, and who hears 421 at once.

Full is 421 4.3.2, said without a task of its own. When descriptors run out, a spare one is let go to
tell one peer so, and accepting rests a moment. The one `except Exception` of the program is here:
a bug ends the session it happened in, and no other.
"""

import contextlib
import errno
import os
import secrets
import socket
from typing import Final

import trio

from tarpit.observe import events
from tarpit.services import Services
from tarpit.session import Session
from tarpit.smtp.server import BUSY
from tarpit.wire import Wire

BACK_OFF: Final = 0.1  # seconds
TELL_EVERY: Final = 10.0  # seconds between two events of one kind
BATCH: Final = 64  # connections accepted before others get their turn
BROKEN: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})  # our own bug; all else passes


class Listener:
    """Accepts on one socket."""

    def __init__(self, sock: socket.socket, services: Services) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._socket = sock
        self._services = services
        self._spare = os.open(os.devnull, os.O_RDONLY)
        self._told: dict[str, float] = {}

    async def run(self) -> None:
        """Accept until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                try:
                    self._accept_waiting()
                except OSError as error:
                    if error.errno in BROKEN:
                        raise
                    await self._back_off(error)
        finally:
            if self._spare >= 0:
                os.close(self._spare)

    def _accept_waiting(self) -> None:
        for _ in range(BATCH):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, ConnectionError):
                return
            services = self._services
            if len(services.open) >= services.settings.max_sessions:
                self._refuse(sock)
                if self._may_tell("full"):
                    events.sessions_full(
                        services.log,
                        peer=address[0],
                        limit="TARPIT_MAX_SESSIONS",
                        sessions=len(services.open),
                    )
                continue
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire = Wire(services.pool.poller, sock)
            except OSError:
                sock.close()
                raise
            wire.peer = address[:2]  # it may have reset already, and getpeername know nothing
            session = Session(wire, services, secrets.token_hex(6))
            services.open.add(session)
            services.nursery.start_soon(serve, session, services)

    async def _back_off(self, error: OSError) -> None:
        if self._may_tell("backoff"):
            name = errno.errorcode.get(error.errno or 0, str(error))
            events.accept_backoff(self._services.log, error=name, seconds=BACK_OFF)
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):
            self._refuse(self._socket.accept()[0])
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        await trio.sleep(BACK_OFF)

    @staticmethod
    def _refuse(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.send(BUSY.encode(), socket.MSG_DONTWAIT)

    def _may_tell(self, what: str) -> bool:
        now = trio.current_time()
        if now < self._told.get(what, 0.0):
            return False
        self._told[what] = now + TELL_EVERY
        return True


async def serve(session: Session, services: Services) -> None:
    """Run one session; a bug in it is told and ends here."""
    try:
        await session.run()
    except Exception as error:  # noqa: BLE001 - one session, no other
        events.session_failed(services.log, error=error)
        session.wire.close()
    finally:
        services.ended(session)
