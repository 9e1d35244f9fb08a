"""Verdicts remembered: each for its own lifetime, and no more of them than there is room for.

The one idea: a dict in the order of last use. Whoever has not been asked about for longest goes first, so a
flood of strangers pushes out strangers, and an entry whose time has passed is as good as none and needs no
search.

Rejected: cachetools' TLRUCache, which keeps a heap of deadlines for that search: a million strangers took
it 7 s, this 2 s, and a verdict that is asked for again costs a third.

Time is handed in. What is worth remembering is `score`'s business.
"""

from collections.abc import Hashable

from scoring.verdict import Address, HostName, Verdict

NameKey = tuple[bytes | str | None, ...]


class Memory:
    """At most *size* verdicts."""

    __slots__ = ("_known", "_size")

    def __init__(self, size: int) -> None:
        self._known: dict[Hashable, tuple[Verdict, float, float]] = {}  # verdict, when reached, until when
        self._size = size

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: Hashable, verdict: Verdict, now: float) -> None:
        """Remember *verdict*, reached at *now* (seconds of any clock), for as long as it holds."""
        self._known.pop(key, None)
        self._known[key] = verdict, now, now + verdict.lifetime
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]

    def recall(self, key: Hashable, now: float) -> Verdict | None:
        """Return the verdict kept under *key*, its findings as old as they are at *now*, or None."""
        verdict, age = self.kept(key, now)
        return None if verdict is None else verdict.aged(age)

    def kept(self, key: Hashable, now: float) -> tuple[Verdict | None, float]:
        """Return the verdict as it was kept under *key*, and its age in seconds at *now*; or None, and 0."""
        known = self._known.pop(key, None)
        if known is None or now >= known[2]:
            return None, 0.0
        self._known[key] = known
        return known[0], now - known[1]

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


def helo_key(address: Address, helo: str, host: HostName) -> NameKey:
    """Return what findings about a HELO name are kept under; all of it hashes in C, unlike an address."""
    return address.packed, helo.lower(), host.name, host.state, host.claimed


def mail_key(address: Address, helo: str, mail_from: str) -> NameKey:
    """Return what findings about a reverse-path are kept under."""
    return address.packed, helo.lower(), mail_from
