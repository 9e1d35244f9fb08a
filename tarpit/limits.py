"""Which limits and how much patience hold at a load: above the second mark, those of Postfix under stress.

Above `load.SPARE_ABOVE` a place is worth more than a peer that does nothing with it: it has 10 s for its next
command, and is let go at its first error. Between the marks nothing changes: only delays shrink by degrees.

Not here: what is counted, and what a peer hears (`tarpit.smtp.limits`).
"""

from typing import Final

from tarpit.load import SPARE_ABOVE
from tarpit.smtp.limits import STRAINED, USUAL, Limits

STRAINED_IDLE: Final = 10.0  # seconds; Postfix's smtpd_timeout under stress


def limits_at(load: float) -> Limits:
    """Return the limits that hold."""
    return STRAINED if load > SPARE_ABOVE else USUAL


def idle_at(load: float, usual: float) -> float:
    """Return the seconds that a peer may take for its next command, given those it usually may."""
    return min(usual, STRAINED_IDLE) if load > SPARE_ABOVE else usual
