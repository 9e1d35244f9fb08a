"""How fast something comes: `Rate`, and `Meters` that hold one mark a key.

The one idea (GCRA, the "virtual scheduling" of ITU-T I.371): a key is owed one event an interval, and its
mark is the time at which all events so far would have been due. Who is more than a burst ahead of the clock
is too fast. One number a key, no window and so no edge of one at which twice the rate slips through.

Marks stop at two bursts ahead, so that who falls silent is forgiven within a burst's time, however fast it
was. The table is bounded; the mark that has not moved for longest goes first. Rejected: `TLRUCache`, which
keeps a heap to drop marks that have passed: a passed mark costs nothing but its place, and the heap twice
the time.

Time is handed in. What a rate weighs is `signals.rate`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

AHEAD: Final = 2.0  # bursts
SLACK: Final = 1e-9  # seconds, so that a burst of exactly the rate fits


@dataclass(frozen=True, slots=True)
class Rate:
    """*count* events in *seconds*; *burst* of them may come at once, by default all.

    Raises ValueError for a rate that lets nothing through.
    """

    count: float
    seconds: float
    burst: float | None = None

    def __post_init__(self) -> None:
        if not (self.count > 0 and self.seconds > 0 and (self.burst is None or self.burst >= 1)):
            raise ValueError(f"{self.count:g} in {self.seconds:g} s is not a rate")

    @property
    def interval(self) -> float:
        """Return the seconds between two events."""
        return self.seconds / self.count

    @property
    def patience(self) -> float:
        """Return the seconds that a key may be ahead of the clock."""
        return self.interval * (self.count if self.burst is None else self.burst)

    def times(self, factor: float) -> "Rate":
        """Return the rate of something that comes *factor* times as often."""
        burst = None if self.burst is None else max(self.burst * factor, 1.0)
        return Rate(self.count * factor, self.seconds, burst)

    def __str__(self) -> str:
        return f"{self.count:g} in {self.seconds:g} s"


class Meters:
    """One meter a key, at most *size* of them."""

    __slots__ = ("_furthest", "_interval", "_size", "marks", "patience")

    def __init__(self, rate: Rate, size: int) -> None:
        self._interval, self.patience = rate.interval, rate.patience  # seconds
        self._furthest = AHEAD * self.patience
        self.marks: dict[bytes, float] = {}
        self._size = size

    def __len__(self) -> int:
        return len(self.marks)

    def count(self, key: bytes, now: float) -> bool:
        """Count one event of *key* at *now* (seconds, any clock); return whether it is too fast."""
        marks = self.marks
        due = marks.pop(key, now)
        mark = (max(now, due)) + self._interval
        furthest = now + self._furthest
        marks[key] = min(furthest, mark)
        if len(marks) > self._size:
            del marks[next(iter(marks))]
        return mark - now > self.patience + SLACK

    def over(self, key: bytes, now: float) -> bool:
        """Whether *key* is too fast at *now*."""
        mark = self.marks.get(key)
        return mark is not None and mark - now > self.patience + SLACK


def any_over(keys: Iterable[tuple[bytes, Iterable[Meters]]], now: float) -> bool:
    """Whether any of *keys* is too fast at *now* in any of its meters. Nearly always none is: one call."""
    for key, meters in keys:
        for meter in meters:
            mark = meter.marks.get(key)
            if mark is not None and mark - now > meter.patience + SLACK:
                return True
    return False
