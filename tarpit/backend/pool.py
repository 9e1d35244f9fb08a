"""The backends, and connections lent from them: never one more than a backend's cap.

A slot is taken before dialling and given back when the connection is closed. Whoever finds none waits
in line, at most `queue` seconds, and then hears 421 or 451. The least busy usable backend is taken, by
weight. A connection is always fresh: rejected was a stock of used ones that are cleaned with RSET (Postfix
looks up the right to XCLIENT again after the first, and counts errors over all of a connection).

Who waits for what is `slots`; probing is `health`; the connection itself is `dial`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from tarpit.backend.dial import Dialling, Line, dial, greet
from tarpit.backend.introduce import Introduction
from tarpit.backend.slots import Purpose, Queue, Slots
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tarpit.smtp.keywords import common


class NoSlot(BackendUnavailable):
    """Nobody's fault: all connections were in use for as long as anyone may wait for one."""


class Unreached(BackendUnavailable):
    """A backend could not be connected to, or did not take the introduction."""

    def __init__(self, backend: "Backend", why: str) -> None:
        self.backend = backend
        super().__init__(why)


class Backend:
    """One backend: what is known of it, and its slots."""

    def __init__(self, address: BackendAddress, *, checks: int | None = None) -> None:
        self.address = address
        self.name = address.name
        self.slots = Slots(address, share=checks)
        self.keywords: tuple[bytes, ...] = ()  # what a suspect may be shown; none before a probe succeeded
        self.up: bool | None = None  # None: not probed yet
        self.open_relay = False  # it would relay for everybody who comes through us
        self.held_seconds = 0.0  # of all connections lent so far, from the dial to the end
        self.untested = False  # the relay test is still to come: not used before

    @property
    def usable(self) -> bool:
        """Whether mail may go there, up or not."""
        return not (self.open_relay or self.untested)

    @property
    def busy(self) -> float:
        """Connections per weight."""
        return self.slots.busy


class Loan:
    """A fresh, introduced connection, and its slot until it is over. End it by `quit`, `close` or `abort`."""

    __slots__ = ("_purpose", "_queue", "_returned", "backend", "began", "line")

    def __init__(self, backend: Backend, line: Line, queue: Queue, purpose: Purpose, *, began: float) -> None:
        self.backend = backend
        self.line = line
        self.began = began
        self._queue = queue
        self._purpose = purpose
        self._returned = False

    async def quit(self) -> None:
        """End in order: the backend is told, and given a second to answer. Nothing, if it is over."""
        try:
            if not self._returned:
                await self.line.quit()
        finally:
            self.close()

    def close(self) -> None:
        """End at once. May be called again."""
        self.line.wire.close()
        self._give_back()

    def abort(self) -> None:
        """End with a reset: what was begun can not be mistaken for something whole."""
        self.line.wire.abort()
        self._give_back()

    def _give_back(self) -> None:
        if not self._returned:
            self._returned = True
            self.backend.held_seconds += trio.current_time() - self.began
            self._queue.give_back(self.backend.slots, self._purpose)


class Pool:
    """All backends of this server."""

    def __init__(
        self,
        backends: tuple[BackendAddress, ...],
        poller: Poller,
        dialling: Dialling,
        *,
        queue: float,
        checks: int | None = None,
        largest: int | None = None,
    ) -> None:
        self.backends = tuple(Backend(address, checks=checks) for address in backends)
        self.poller = poller
        self.dialling = dialling
        self.queue = Queue()
        self._patience = queue  # seconds in line
        self._largest = largest  # bytes of a suspect's message that we could keep

    @property
    def keywords(self) -> tuple[bytes, ...]:
        """The EHLO keywords that every usable backend showed; none before a probe succeeded."""
        shown = [backend.keywords for backend in self.backends if backend.up and backend.usable]
        return common(shown, largest=self._largest)

    @asynccontextmanager
    async def joined(
        self, introduction: Introduction, *, ours: tuple[str, int], purpose: Purpose = Purpose.JOIN
    ) -> AsyncIterator[tuple[Backend, Line]]:
        """Yield a backend and a fresh, introduced connection to it; it is closed afterwards.

        Raises `BackendUnavailable` when no slot came free in time, or the backend cannot be used.
        """
        loan = await self.borrow(introduction, ours=ours, purpose=purpose)
        try:
            yield loan.backend, loan.line
        finally:
            loan.close()

    async def borrow(
        self,
        introduction: Introduction,
        *,
        ours: tuple[str, int],
        purpose: Purpose,
        avoid: Backend | None = None,
    ) -> Loan:
        """Return a fresh, introduced connection, not to the backend *avoid* if there is another.

        Raises `NoSlot` when none came free in time, `Unreached` when the one that was taken cannot be used,
        and a plain `BackendUnavailable` when none may be.
        """
        backend = await self._slot(self._candidates(avoid), purpose)
        began = trio.current_time()
        try:
            line = await connect(self, backend, introduction, ours)
        except BackendUnavailable as lost:
            self.queue.give_back(backend.slots, purpose)
            raise Unreached(backend, str(lost)) from None
        except BaseException:
            self.queue.give_back(backend.slots, purpose)
            raise
        return Loan(backend, line, self.queue, purpose, began=began)

    async def _slot(self, candidates: Sequence[Backend], purpose: Purpose) -> Backend:
        slots = None
        with trio.move_on_after(self._patience):
            slots = await self.queue.take([backend.slots for backend in candidates], purpose)
        if slots is None:
            raise NoSlot("all its connections are in use (TARPIT_BACKEND_MAX)")
        return next(backend for backend in candidates if backend.slots is slots)

    def _candidates(self, avoid: Backend | None) -> Sequence[Backend]:
        usable = [backend for backend in self.backends if backend.usable]
        if not usable:
            raise BackendUnavailable("relays for everybody, or was not tested yet (TARPIT_RELAY_TEST)")
        alive = [backend for backend in usable if backend.up is not False] or usable
        return [backend for backend in alive if backend is not avoid] or alive


async def connect(pool: Pool, backend: Backend, introduction: Introduction, ours: tuple[str, int]) -> Line:
    """Dial *backend* and introduce the peer. No slot is taken here."""
    address = backend.address
    line = await dial(pool.poller, address.host, address.port, pool.dialling)
    try:
        await greet(line, introduction, str(address.introduce), ours=ours)
    except BaseException:
        line.wire.close()
        raise
    return line
