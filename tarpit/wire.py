"""A connected socket, ours to read and write without blocking.

Errors of the socket are translated here and nowhere else: into `PeerGone` and `PeerSilent` on the peer's
side, into `BackendUnavailable` on the backend's. Where nothing can be there yet, a read waits first: the
flag `readable` keeps what edge-triggered polling last said.

How slowly a reply goes out is `drip`; which sockets stirred, `poller`; why a held peer's buffers are small
is `buffers`; how a wire gets into TLS, where it reads, sends and counts what is inside, `handshake`.
"""

import contextlib
import os
import select
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Final, Protocol

import trio

from tarpit import buffers
from tarpit.errors import DESERTED, BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.parked import FOREVER, Parked
from tarpit.poller import HUNG_UP, Poller
from tarpit.sealed import Sealed, seal
from tarpit.sockets import end_of, reason_of

_LINGER_ROUNDS: Final = 16  # reads after our last word, at most: a peer that floods is cut off

_IN: Final = select.EPOLLIN
_RARE: Final = HUNG_UP | select.EPOLLPRI

Failure = Callable[[str], Exception]


class HangUp(Protocol):
    """Who wants to know at once that the other side has hung up."""

    def hung_up(self) -> None:
        """Be told."""


class Wire(Parked):
    """One connection. At most one task waits on it at a time."""

    __slots__ = (
        "_broken",
        "_deserted",
        "_silent",
        "_socket",
        "_told_of_room",
        "_urgent",
        "bytes_in",
        "bytes_out",
        "gone",
        "half_said",
        "hung_up",
        "on_hangup",
        "peer",
        "poller",
        "readable",
        "sealed",
        "stopping",
    )

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        *,
        peer: tuple[str, int] | None = None,  # the kernel is asked if it is not known
        gone: Failure = PeerGone,
        silent: Failure = PeerSilent,
    ) -> None:
        if sock.gettimeout() != 0:  # no system call, and the other is one
            sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._begin(poller, gone, silent)
        self._socket = sock
        self.peer = end_of(sock.getpeername) if peer is None else peer
        poller.add(sock.fileno(), self)

    def _begin(self, poller: Poller, gone: Failure, silent: Failure) -> None:
        """Set all that has nothing to do with a socket."""
        super().__init__()
        self.poller, self.gone, self._silent = poller, gone, silent
        self._told_of_room = False  # whether epoll says when the kernel takes bytes again
        self.readable = False  # whether a read may find something: bytes, an end, or an error
        self.stopping = False  # whether `stop` was called
        self.hung_up = False  # whether the other side closed or reset; what it sent before may be unread
        self._deserted = False  # by the peer for whom it is waited here
        self._broken = False  # by a reset or an error: not merely closed
        self._urgent = False  # whether a byte out of band has come: a read ends before it, and skips it
        self.on_hangup: HangUp | None = None  # told of a FIN, reset or error, at once
        self.half_said = False  # a piece of what was to be sent is out, and no more of it will follow
        self.bytes_in = self.bytes_out = 0
        self.sealed: Sealed | None = None  # the same socket, once it is inside TLS

    @property
    def ours(self) -> tuple[str, int]:
        """Address and port of our end."""
        return end_of(self._socket.getsockname)

    # -- reading and writing

    async def receive(self, limit: int, until: float = FOREVER, *, stoppable: bool = False) -> bytes:
        """Return up to *limit* bytes, b"" at the end of the stream, waiting until the time *until*.

        Raises what the wire was made with when the connection breaks or the time passes, and
        `Stopping` when the wait is *stoppable* and `stop` was called.
        """
        parked = False
        while True:
            if stoppable and self.stopping:
                raise Stopping
            if self.readable:
                if not parked:
                    await trio.lowlevel.checkpoint()  # before the read: a cancelled read must lose nothing
                    parked = True
                data = self.receive_now(limit)
                if data is not None:
                    return data
            if not (stoppable and self.stopping):  # we may have been told to stop since it was looked at
                self.check_wanted()
                await self.stir(until)
                parked = True

    def receive_now(self, limit: int) -> bytes | None:
        """Return what is there, b"" at the end of the stream, or None when nothing is there yet."""
        try:
            data = self._socket.recv(limit)
        except BlockingIOError:
            self.readable = self.hung_up
            return None
        except OSError as error:
            raise self.gone(reason_of(error)) from None
        size = len(data)
        self.bytes_in += size
        # a short read has emptied the socket, unless its end was told together with the bytes
        more = self._urgent or (self.sealed is not None and self.sealed.more)
        self.readable = size == limit or self.hung_up or more
        return data

    def peek_now(self, limit: int) -> bytes | None:
        """Return as `receive_now` does what is there; it stays unread."""
        try:
            return self._socket.recv(limit, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.gone(reason_of(error)) from None

    async def send_all(self, data: bytes, until: float = FOREVER) -> None:
        """Send all of *data*, waiting until the time *until*."""
        sent = self.send_now(data)
        if sent < len(data):
            await self._send_rest(data, sent, until)

    def send(self, data: bytes, patience: float) -> Coroutine[None, None, None] | None:
        """Send all of *data* in *patience* seconds. None: it is done, as nearly always; or what is to await.

        No coroutine for each command and each reply.
        """
        sent = self.send_now(data)
        return None if sent == len(data) else self._send_rest(data, sent, self.poller.now + patience)

    async def _send_rest(self, data: bytes, sent: int, until: float) -> None:
        while sent < len(data):
            self.half_said = True
            self._expect_room()
            await self.stir(until)
            sent += self.send_now(data[sent:])
        self.half_said = False

    def _expect_room(self) -> None:
        """Be told when the kernel takes bytes, as after it has not taken all of them."""
        if not self._told_of_room:
            self._told_of_room = True
            self.poller.tell_of_room(self._socket.fileno())

    def send_now(self, data: bytes) -> int:
        """Send what the kernel takes at once; return how many bytes that was."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.gone(reason_of(error)) from None
        self.bytes_out += sent
        return sent

    def splice(self, pipe: int, limit: int, *, reads: bool) -> int | None:
        """Move up to *limit* bytes into *pipe*, or out of it; return how many, None while none can be."""
        ends = (self._socket.fileno(), pipe) if reads else (pipe, self._socket.fileno())
        try:
            size = os.splice(*ends, limit, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            self.readable = (self.readable and not reads) or self.hung_up
            if not reads:
                self._expect_room()
            return None
        except OSError as error:
            raise self.gone(reason_of(error)) from None
        self.bytes_in += size if reads else 0
        self.bytes_out += 0 if reads else size
        return size

    async def connected(self, until: float) -> None:
        """Wait for a connect in progress, which has no `peer` yet, to succeed."""
        self._expect_room()
        while not (self.peer[1] or self.hung_up):
            self.check_wanted()
            await self.stir(until)
            self.peer = end_of(self._socket.getpeername)
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise self.gone(reason_of(OSError(error, "")))

    def seal(self, context: ssl.SSLContext, host: str | None = None) -> Sealed:
        """Go on inside TLS, as the server, or as the client of *host*; the handshake is yet to be made."""
        self.poller.remove(self._socket.fileno())
        try:
            self._socket = self.sealed = seal(self._socket, context, host)
        except OSError as error:
            raise self.gone(f"TLS: {reason_of(error)}") from None
        self.poller.add(self._socket.fileno(), self)
        self._told_of_room = False
        self._expect_room()  # a handshake may wait for that
        self.readable = True  # bytes right behind the handshake may be read with it
        return self.sealed

    def has_left(self, *, after_fin: bool = True) -> bool:
        """Whether the other side has reset, or (*after_fin*) closed with nothing left to read."""
        if self._broken:
            return True
        try:
            closed = self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            self._broken = True
            return True
        self.readable = True  # inside TLS the peek has taken it from where epoll would see it
        # what came before a reset stays readable, and would hide it
        self._broken = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        return self._broken or (closed and after_fin)

    def hold_small(self) -> None:
        """Let the kernel keep little of what is sent either way, and notice a dead peer in two minutes."""
        buffers.narrow(self._socket)

    def hold_usual(self) -> None:
        """Take `hold_small` back: bytes may flow."""
        buffers.widen(self._socket)

    def stirred(self, events: int) -> None:
        """Take note of what epoll said, and wake whoever waits."""
        if events & _IN:
            self.readable = True
        if events & _RARE:
            self._stirred_oddly(events)
        self.wake()

    def _stirred_oddly(self, events: int) -> None:
        if events & select.EPOLLPRI:
            self._urgent = True
        if events & HUNG_UP:
            self.hung_up = self.readable = True
            self._broken = self._broken or bool(events & select.EPOLLERR)
            if self.on_hangup is not None:
                self.on_hangup.hung_up()

    def overdue(self) -> bool:
        """End a wait that took too long, and return whether there was one."""
        return self.fail(self._silent("no answer in time"))

    def desert(self) -> None:
        """Have who waits here hear `PeerGone`, now or next time: the peer for whom it waits has left."""
        self._deserted = True
        self.fail(PeerGone(DESERTED))

    def check_wanted(self) -> None:
        """Raise `PeerGone` if this side is waited for in vain."""
        if self._deserted:
            raise PeerGone(DESERTED)

    def stop(self) -> None:
        """End a stoppable wait, now or when it begins."""
        self.stopping = True
        self.wake()

    def close(self) -> None:
        """Close at once. What the kernel has taken is still delivered."""
        if (descriptor := self._socket.fileno()) >= 0:
            self.poller.remove(descriptor)
            self._socket.close()

    def abort(self) -> None:
        """Close with a reset: the other side can not mistake it for an orderly end."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def has_ended(self) -> bool:
        """Whether the other side has sent its FIN, and nothing is left to read: a close destroys nothing."""
        try:
            return self.receive_now(65536) == b""
        except (PeerGone, BackendUnavailable):
            return True

    async def close_gently(self, patience: float = 1.0) -> None:
        """Close so that our last words are read: end our side, then read on for up to *patience* seconds.

        A close with bytes unread resets the connection, and the reset destroys what was sent.
        """
        until = trio.current_time() + patience
        with contextlib.suppress(OSError, PeerGone, PeerSilent, BackendUnavailable):
            self._socket.shutdown(socket.SHUT_WR)
            for _ in range(_LINGER_ROUNDS):
                if not await self.receive(65536, until):
                    break
        self.close()
