"""TLS handshakes: how many at once, how long each may take, and one step of one of them at a time.

A step is up to a millisecond of CPU in one piece, and whoever asks for it need pay nothing. So steps stand in
line, one for each turn of the scheduler: between two of them every drip and every relayed session has its
turn, however many handshakes are wanted. Who begins one and does not go on holds a place, not the line; there
are so many places, a share of them for one network, and so many seconds for each.

Rejected: a cap alone. With 100 handshakes ready at once nobody else would be served for 50 ms.

What a certificate is and how it is renewed is `tls`; what is said before and after is `starttls`, towards a
backend `backend.dial`.
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Final

import trio

from scoring.verdict import to_address
from tarpit.errors import Stopping
from tarpit.sealed import Sealed
from tarpit.sockets import reason_of
from tarpit.wire import Wire

MOST: Final = 200  # at once
SHARE: Final = MOST // 8  # of these, for one /24 or /64
PATIENCE: Final = 2.0  # seconds in line for a place: clients give STARTTLS 5 s (KumoMTA) and more


class NoPlace(Exception):  # noqa: N818 - named for what happened
    """As many handshakes as may be are going on already."""


class Handshakes:
    """All handshakes of a worker."""

    def __init__(self, *, seconds: float, most: int = MOST, share: int = SHARE) -> None:
        self._seconds = seconds
        self._places = trio.CapacityLimiter(most)
        self._share = share
        self._held: Counter[str] = Counter()  # by network
        self._turn = trio.StrictFIFOLock()

    def __len__(self) -> int:
        return self._places.borrowed_tokens

    @asynccontextmanager
    async def place(self, peer: str) -> AsyncIterator[None]:
        """Hold a place for a handshake with *peer*, an address. Raises `NoPlace` where none comes free."""
        network = _network(peer)
        if self._held[network] >= self._share:
            raise NoPlace
        self._held[network] += 1
        try:
            with trio.move_on_after(PATIENCE) as waiting:
                await self._places.acquire_on_behalf_of(waiting)
            if waiting.cancelled_caught:
                raise NoPlace
            try:
                yield
            finally:
                self._places.release_on_behalf_of(waiting)
        finally:
            self._held[network] -= 1
            if not self._held[network]:
                del self._held[network]

    async def make(self, wire: Wire, context: ssl.SSLContext, host: str | None = None) -> None:
        """Put *wire* inside TLS, as the server, or as the client of *host*.

        Raises what the wire was made with: with the reason, or when the seconds are over; and `Stopping`.
        """
        until = trio.current_time() + self._seconds
        sealed = wire.seal(context, host)
        try:
            while not await self._step(sealed):
                if wire.stopping:
                    raise Stopping
                await wire.stir(until)
        except OSError as error:
            raise wire.gone(f"TLS: {reason_of(error)}") from None

    async def _step(self, sealed: Sealed) -> bool:
        async with self._turn:
            return sealed.shake()


def _network(peer: str) -> str:
    address = to_address(peer)
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))
