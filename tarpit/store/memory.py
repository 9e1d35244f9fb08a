"""The store in memory: bounded, gone with the process. The others are a copy of this one that lasts.

The one idea: a crowd of strangers can only push out strangers. Histories are in two halves; who is known as
good is in one, everybody else in the other, and each forgets what was not heard of for longest (a segmented
LRU). In one table, a million bots with one message each would wash away whom we trust, when it matters most.

A history takes 0.4 KB (measured), so that all of them together stay below 50 MB. Keys are whole addresses,
for IPv6 too: a /64 may be shared by good and bad, and who changes addresses has no good history anywhere.
"""

from collections.abc import Callable
from typing import Final

import trio

from scoring.memory import Memory
from scoring.verdict import Address, Verdict
from tarpit.store import NO_HISTORY, Deed, History, Remembered

VERDICTS: Final = 20_000
HISTORIES: Final = 30_000  # in each half, of peers and of domains
Clock = Callable[[], float]


class Histories:
    """Histories by key, those that are known as good apart."""

    __slots__ = ("_clock", "_known", "_others", "_size")

    def __init__(self, size: int, clock: Clock) -> None:
        self._clock = clock
        self._size = size
        self._known: dict[object, History] = {}  # each in the order of last use
        self._others: dict[object, History] = {}

    def __len__(self) -> int:
        return len(self._known) + len(self._others)

    def get(self, key: object) -> History:
        """Return the history of *key*, as it is now."""
        if (held := self._taken(key)) is None:
            return NO_HISTORY
        (self._known if held.known_good else self._others)[key] = held
        return held.faded(self._clock())

    def note(self, key: object, deed: Deed) -> None:
        """Add *deed*; the history moves to the half it belongs to now."""
        history = (self._taken(key) or NO_HISTORY).after(deed, self._clock())
        half = self._known if history.known_good else self._others
        half[key] = history
        if len(half) > self._size:
            del half[next(iter(half))]

    def _taken(self, key: object) -> History | None:
        return self._known.pop(key, None) or self._others.pop(key, None)

    def known_good(self, key: object) -> bool:
        """Whether *key* is known as good now; asking costs nothing where it never was."""
        return key in self._known and self.get(key).known_good


class MemoryStore:
    """A `Store` that never waits; *clock* in seconds, by default trio's."""

    def __init__(
        self,
        *,
        verdicts: int = VERDICTS,
        histories: int = HISTORIES,
        clock: Clock = trio.current_time,
    ) -> None:
        self._clock = clock
        self._verdicts = Memory(verdicts)
        self.peers = Histories(histories, clock)
        self.domains = Histories(histories, clock)

    async def recall(self, address: Address, domain: str | None = None) -> Remembered:
        """Return what is known of *address*, and of *domain* where SPF passed for it."""
        return self.recall_now(address, domain)

    def recall_now(self, address: Address, domain: str | None = None) -> Remembered:
        """Return the same at once."""
        now = self._clock()
        verdict, age = self._verdicts.kept(address, now)
        return Remembered(
            verdict,
            age,
            self.peers.get(address),
            self.domains.get(domain.lower()) if domain else NO_HISTORY,
        )

    async def remember(self, address: Address, verdict: Verdict) -> None:
        """Keep a verdict for its lifetime."""
        self._verdicts.keep(address, verdict, self._clock())

    async def note(self, deed: Deed, address: Address, domain: str | None = None) -> None:
        """Add to the history of *address*, and of *domain* where SPF passed for it."""
        self.peers.note(address, deed)
        if domain:
            self.domains.note(domain.lower(), deed)

    def forget_verdicts(self) -> None:
        """Forget all verdicts."""
        self._verdicts.clear()

    def knows(self, address: Address) -> bool:
        """Whether *address* is known as good."""
        return self.peers.known_good(address)
