"""The store in memory: bounded, gone with the process. The others are a copy of this one that lasts.

The one idea: a crowd of strangers can only push out strangers. Histories are in two halves; who is known as
good is in one, everybody else in the other, and each forgets what was not heard of for longest (a segmented
LRU). In one table, a million bots with one message each would wash away whom we trust, when it matters most.

A history takes 0.4 KB (measured), so that all of them together stay below 50 MB. A verdict takes 0.6 KB, and
1.6 KB once a HELO name and a reverse-path were added to it, for it keeps what that gave (`Verdict.joined`):
20,000 of them take some 30 MB at most, 20 MB of it for that. Keys are whole addresses, for IPv6 too: a /64
may be shared by good and bad, and who changes addresses has no good history anywhere.
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

    __slots__ = ("_known", "_others", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[bytes | str, History] = {}  # each in the order of last use
        self._others: dict[bytes | str, History] = {}

    def __len__(self) -> int:
        return len(self._known) + len(self._others)

    def get(self, key: bytes | str, now: float) -> History:
        """Return the history of *key*, as it is at *now* (seconds, any clock)."""
        half = self._known if key in self._known else self._others
        if (held := half.pop(key, None)) is None:
            return NO_HISTORY
        half[key] = held
        return held.faded(now)

    def note(self, key: bytes | str, deed: Deed, now: float) -> None:
        """Add *deed*, done at *now*; the history moves to the half it belongs to now."""
        before = self._known.pop(key, None) or self._others.pop(key, NO_HISTORY)
        history = before.after(deed, now)
        half = self._known if history.known_good else self._others
        half[key] = history
        if len(half) > self._size:
            del half[next(iter(half))]

    def known_good(self, key: bytes | str, now: float) -> bool:
        """Whether *key* is known as good at *now*; asking costs nothing where it never was."""
        return key in self._known and self.get(key, now).known_good


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
        self.peers = Histories(histories)  # by packed address: an address itself is hashed in Python
        self.domains = Histories(histories)

    async def recall(self, address: Address, domain: str | None = None) -> Remembered:
        """Return what is known of *address*, and of *domain* where SPF passed for it."""
        return self.recall_now(address, domain)

    def recall_now(self, address: Address, domain: str | None = None) -> Remembered:
        """Return the same at once."""
        now, key = self._clock(), address.packed
        verdict, age = self._verdicts.kept(key, now)
        return Remembered.of(
            verdict,
            age,
            self.peers.get(key, now),
            self.domains.get(domain.lower(), now) if domain else NO_HISTORY,
        )

    def recall_domain_now(self, domain: str) -> History:
        """Return the history of *domain*."""
        return self.domains.get(domain.lower(), self._clock())

    async def remember(self, address: Address, verdict: Verdict) -> None:
        """Keep a verdict for its lifetime."""
        self._verdicts.keep(address.packed, verdict, self._clock())

    async def note(self, deed: Deed, address: Address, domain: str | None = None) -> None:
        """Add to the history of *address*, and of *domain* where SPF passed for it."""
        now = self._clock()
        self.peers.note(address.packed, deed, now)
        if domain:
            self.domains.note(domain.lower(), deed, now)

    def forget_verdicts(self) -> None:
        """Forget all verdicts."""
        self._verdicts.clear()

    def knows(self, address: Address) -> bool:
        """Whether *address* is known as good."""
        return self.peers.known_good(address.packed, self._clock())
