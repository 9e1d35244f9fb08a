"""Slow reading: a suspect's message at so many bytes a second for some seconds, then at full speed.

What we do not read fills the kernel's buffer, small for a suspect (`buffers`), and then the sender's own:
its host waits as it would on a slow line. The budget is of seconds waited for this one message; what the
peer itself takes to send does not count, and time that passes by itself is not waited for again.

How slow, and for how long, is `policy`; whoever reads content (`deliver`) makes one reader a message.
"""

from math import ceil, inf
from typing import Final

import trio

from tarpit.drip import Wheel
from tarpit.parked import FOREVER
from tarpit.wire import Wire

SLICE: Final = 0.5  # seconds' worth of bytes in one read: a suspect wakes us twice a second


class SlowReader:
    """Reads one message of a suspect."""

    __slots__ = ("_due", "_flowing", "_piece", "_rate", "_wheel", "_wire", "_within", "spent")

    def __init__(self, wheel: Wheel, wire: Wire, *, rate: float, within: float) -> None:
        self._wheel = wheel
        self._wire = wire
        self._rate = rate  # bytes a second, never 0; inf is full speed
        self._within = within if rate < inf else 0.0  # seconds
        self._piece = ceil(rate * SLICE) if rate < inf else 0
        self._due = 0.0  # when the next read is due
        self._flowing = False
        self.spent = 0.0  # seconds waited so far

    @property
    def slow(self) -> bool:
        """Whether the next read may have to wait: the budget is not used up, and the server not stopping."""
        return self.spent < self._within and not self._wire.stopping

    async def receive(self, limit: int, until: float = FOREVER) -> bytes:
        """Return up to *limit* bytes, b"" at the end of the stream.

        *until* is the peer's time, not ours: all that we have waited so far is added to it. Raises as
        `Wire.receive` does; `PeerGone` during our own wait too, when the peer resets or closes with nothing
        unread.
        """
        if self.slow:
            await self._wait_due()
        if not self.slow:
            self._flow()
            return await self._wire.receive(limit, until + self.spent)
        data = await self._wire.receive(min(limit, self._piece), until + self.spent)
        self._due = trio.current_time() + len(data) / self._rate
        return data

    async def _wait_due(self) -> None:
        began = trio.current_time()
        seconds = min(self._due - began, self._within - self.spent)
        if seconds > 0:
            try:
                await self._wheel.rest(self._wire, seconds)
            finally:
                self.spent += trio.current_time() - began

    def _flow(self) -> None:
        if not self._flowing:
            self._flowing = True
            self._wire.hold_usual()
