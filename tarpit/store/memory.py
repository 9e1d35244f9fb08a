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
from cachetools import LRUCache, TLRUCache

from scoring.verdict import Address, Verdict
from tarpit.store import NO_HISTORY, Deed, History, Remembered

VERDICTS: Final = 20_000
HISTORIES: Final = 30_000  # in each half, of peers and of domains
Clock = Callable[[], float]


class Histories:
    """Histories by key, those that are known as good apart."""

    __slots__ = ("_clock", "_known", "_others")

    def __init__(self, size: int, clock: Clock) -> None:
        self._clock = clock
        self._known: LRUCache[object, History] = LRUCache(size)
        self._others: LRUCache[object, History] = LRUCache(size)

    def __len__(self) -> int:
        return len(self._known) + len(self._others)

    def get(self, key: object) -> History:
        """Return the history of *key*, as it is now."""
        held = self._known.get(key) or self._others.get(key)
        return held.faded(self._clock()) if held else NO_HISTORY

    def note(self, key: object, deed: Deed) -> None:
        """Add *deed*; the history moves to the half it belongs to now."""
        history = self.get(key).after(deed, self._clock())
        self._known.pop(key, None)
        self._others.pop(key, None)
        (self._known if history.known_good else self._others)[key] = history

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
        self._verdicts: TLRUCache[Address, tuple[Verdict, float]] = TLRUCache(
            verdicts, ttu=_until, timer=clock
        )
        self.peers = Histories(histories, clock)
        self.domains = Histories(histories, clock)

    async def recall(self, address: Address, domain: str | None = None) -> Remembered:
        """Return what is known of *address*, and of *domain* where SPF passed for it."""
        now = self._clock()
        verdict, made = self._verdicts.get(address, (None, now))
        return Remembered(
            verdict,
            now - made,
            self.peers.get(address),
            self.domains.get(domain.lower()) if domain else NO_HISTORY,
        )

    async def remember(self, address: Address, verdict: Verdict) -> None:
        """Keep a verdict for its lifetime."""
        self._verdicts[address] = (verdict, self._clock())

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


def _until(_address: Address, entry: tuple[Verdict, float], now: float) -> float:
    return now + entry[0].lifetime
