"""Two workers in one slot while one takes over from the other: a backend's cap holds for both together.

    the old one    writes on its sheet what it may hold at most: its cap; with a successor being tried, one
                   less of each backend; once it ends, no more than it has sessions, and ever less
    the new one    takes what that leaves, and looks again every `EVERY`

So the new one is tried over a connection that the old one has given up, and neither has to ask the other. A
peer's own limits, and TARPIT_MAX_SESSIONS, each of the two counts for itself, for TARPIT_DRAIN at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from tarpit.backend.server import Backend
from tarpit.bell import Bell
from tarpit.processes.sheet import Sheet
from tarpit.services import Services

EVERY: Final = 0.05  # seconds


@dataclass
class Shift:
    """A worker's part in it: its own sheet, and those of the workers that it follows."""

    sheet: Sheet
    before: Sequence[Sheet] = ()
    _caps: dict[Backend, int] = field(default_factory=dict)
    _sparing: bool = False
    _ending: bool = False
    _changed: Bell = field(default_factory=Bell)

    def spare(self, *, sparing: bool) -> None:
        """Leave a successor that is being tried one connection of each backend; or have all again."""
        self._sparing = sparing
        self._changed.ring()

    def end(self) -> None:
        """Give up, little by little, what is not needed any more."""
        self._ending = True
        self._changed.ring()

    def begin(self, services: Services) -> None:
        """Have everything counted from now on."""
        services.tally = self.sheet.count
        self._caps = {backend: backend.slots.cap for backend in services.pool.backends}
        for backend, cap in self._caps.items():
            self.sheet.claim(backend.name, cap)
            backend.slots.elsewhere = partial(self._held_before, backend.name)

    async def run(self, services: Services) -> None:
        """Keep the sheet, and to what the others' sheets leave. Until cancelled."""
        while True:
            for backend, cap in self._caps.items():
                self._claim(backend, cap, len(services.open))
                services.pool.queue.serve(backend.slots)
            if self._moving():
                await trio.sleep(EVERY)
            else:
                await self._changed.wait()

    def _claim(self, backend: Backend, cap: int, sessions: int) -> None:
        slots = backend.slots
        if self._ending:
            slots.cap = min(slots.cap, max(slots.taken, sessions))
        else:
            slots.cap = cap - self._sparing
        self.sheet.claim(backend.name, max(slots.cap, slots.taken))

    def _held_before(self, name: str) -> int:
        return sum(sheet.claimed(name) for sheet in self.before)

    def _moving(self) -> bool:
        return self._ending or self._sparing or any(sheet.claims for sheet in self.before)
