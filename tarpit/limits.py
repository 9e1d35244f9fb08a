"""Which limits and how much patience hold at a load: above the second mark, those of Postfix under stress.

Above `load.SPARE_ABOVE` a place is worth more than a peer that does nothing with it: it has 10 s for its next
command, and is let go at its first error. Between the marks nothing changes: only delays shrink by degrees.

Not here: what is counted, and what a peer hears (`tarpit.smtp.limits`).
"""

from bisect import bisect
from functools import partial
from typing import Final

from tarpit.load import SPARE_ABOVE, share
from tarpit.smtp.limits import STRAINED, USUAL, Limits

STRAINED_IDLE: Final = 10.0  # seconds; Postfix's smtpd_timeout under stress


def strained_from(limit: int) -> int:
    """Return how many sessions, of *limit* at most, are above the second mark."""
    return bisect(range(limit + 1), SPARE_ABOVE, key=partial(share, limit=limit))


def limits_at(sessions: int, strained: int) -> Limits:
    """Return the limits that hold while so many are open, and *strained* is as `strained_from` says."""
    return STRAINED if sessions >= strained else USUAL


def idle_at(load: float, usual: float) -> float:
    """Return the seconds that a peer may take for its next command, given those it usually may."""
    return min(usual, STRAINED_IDLE) if load > SPARE_ABOVE else usual
