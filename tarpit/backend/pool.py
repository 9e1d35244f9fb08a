"""The backends and their slots: never one connection more than a backend's cap.

A slot is taken before dialling and given back when the connection is closed. Whoever finds none waits
in line, at most `queue` seconds, and then hears 421. The least busy usable backend is taken, by
weight. Probing is `health`; the connection itself is `dial`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tarpit.backend.dial import Dialling, Line, dial, greet
from tarpit.backend.introduce import Introduction
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller


class Backend:
    """One backend: what is known of it, and its slots."""

    def __init__(self, address: BackendAddress) -> None:
        self.address = address
        self.name = address.name
        self.slots = trio.Semaphore(address.max, max_value=address.max)
        self.keywords: tuple[bytes, ...] = ()  # what a suspect may be shown; none before a probe succeeded
        self.up: bool | None = None  # None: not probed yet
        self.open_relay = False  # it would relay for everybody who comes through us
        self.untested = False  # the relay test is still to come: not used before

    @property
    def busy(self) -> float:
        """Connections per weight."""
        return (self.address.max - self.slots.value) / self.address.weight


class Pool:
    """All backends of this server."""

    def __init__(
        self, backends: tuple[BackendAddress, ...], poller: Poller, dialling: Dialling, *, queue: float
    ) -> None:
        self.backends = tuple(map(Backend, backends))
        self.poller = poller
        self.dialling = dialling
        self._queue = queue

    @property
    def keywords(self) -> tuple[bytes, ...]:
        """The EHLO keywords that every usable backend showed."""
        usable = [backend.keywords for backend in self.backends if backend.up]
        if not usable:
            return ()
        return tuple(word for word in usable[0] if all(word in others for others in usable[1:]))

    @asynccontextmanager
    async def joined(
        self, introduction: Introduction, *, ours: tuple[str, int]
    ) -> AsyncIterator[tuple[Backend, Line]]:
        """Yield a backend and a fresh, introduced connection to it; it is closed afterwards.

        Raises `BackendUnavailable` when no slot came free in time, or the backend cannot be used.
        """
        backend = self._least_busy()
        with trio.move_on_after(self._queue) as waiting:
            await backend.slots.acquire()
        if waiting.cancelled_caught:
            raise BackendUnavailable("all its connections are in use (TARPIT_BACKEND_MAX)")
        try:
            line = await connect(self, backend, introduction, ours)
            try:
                yield backend, line
            finally:
                line.wire.close()
        finally:
            backend.slots.release()

    def _least_busy(self) -> Backend:
        usable = [backend for backend in self.backends if not (backend.open_relay or backend.untested)]
        if not usable:
            raise BackendUnavailable("relays for everybody, or was not tested yet (TARPIT_RELAY_TEST)")
        alive = [backend for backend in usable if backend.up is not False]
        return min(alive or usable, key=lambda backend: backend.busy)


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
