"""Rounds become figures: the median, with the least and the most; no mean, which one bad second moves."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.peers.contestants import DIRECT, OURS
from bench.peers.rounds import Measured, Rows


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds' values of one thing."""

    median: float
    least: float
    most: float

    def __format__(self, form: str) -> str:
        """Return the median, and the others behind it."""
        return f"{self.median:{form}} ({self.least:{form}}-{self.most:{form}})"

    def as_json(self) -> dict[str, float]:
        """Return it for JSON."""
        return {"median": self.median, "min": self.least, "max": self.most}


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of *values*, or None where there are none."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def sound(measured: Measured) -> bool:
    """Whether every session went well and every message arrived: what does less work is not compared."""
    return not measured.ran.failed and not measured.lost


def cpu_ratios(rows: Rows, work: str, one: str, other: str, *, other_work: str | None = None) -> list[float]:
    """Return, round by round, *one*'s CPU a session divided by *other*'s (in another row, if given)."""
    left, right = rows.get(work, {}).get(one, []), rows.get(other_work or work, {}).get(other, [])
    pairs = zip(left, right, strict=False)
    return [ours.cpu / theirs.cpu for ours, theirs in pairs if sound(ours) and sound(theirs) and theirs.cpu]


def cpu_milliseconds(rows: Rows, work: str, one: str) -> list[float]:
    """Return, round by round, the milliseconds of CPU a session."""
    return [measured.cpu * 1000 for measured in rows.get(work, {}).get(one, []) if sound(measured)]


def added_ratios(rows: Rows, work: str, one: str, other: str) -> list[float]:
    """Return, round by round, the time that *one* adds to a session, divided by what *other* adds.

    Added is the median session's time beyond that of going direct. A round in which *other* adds nothing
    says nothing.
    """
    row = rows.get(work, {})
    parts = zip(row.get(one, []), row.get(other, []), row.get(DIRECT, []), strict=False)
    return [
        (ours.ran.p50 - direct.ran.p50) / (theirs.ran.p50 - direct.ran.p50)
        for ours, theirs, direct in parts
        if sound(ours) and sound(theirs) and sound(direct) and theirs.ran.p50 > direct.ran.p50
    ]


@dataclass(frozen=True, slots=True)
class Goal:
    """Something promised, and the rounds' values of it."""

    what: str
    most: float
    values: Sequence[float]
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether the median keeps to it; None where it was not measured."""
        found = spread(self.values)
        return None if found is None else found.median <= self.most


_SMALL: Final = {"haproxy": 2.2, "nginx": 1.7, "postfix": 0.45, "aiosmtpd": 0.30, "haraka": 0.20}


def goals(rows: Rows) -> list[Goal]:
    """Return what is promised of the rows that were asked for."""
    return [goal for goal in _promised(rows) if goal.what.partition(":")[0] in rows]


def _promised(rows: Rows) -> list[Goal]:
    return [
        Goal("small: CPU a session", 0.40, cpu_milliseconds(rows, "small", OURS), "ms"),
        *(Goal(f"small: to {n}", most, cpu_ratios(rows, "small", OURS, n)) for n, most in _SMALL.items()),
        Goal("large: to nginx", 1.4, cpu_ratios(rows, "large", OURS, "nginx")),
        Goal("blind: to haproxy", 1.2, cpu_ratios(rows, "blind", OURS, "haproxy")),
        Goal("alone: added time, to haproxy's", 2.0, added_ratios(rows, "alone", OURS, "haproxy")),
        Goal(
            "crowd: CPU a session, to small's", 1.3, cpu_ratios(rows, "crowd", OURS, OURS, other_work="small")
        ),
    ]
