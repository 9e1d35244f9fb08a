"""How full the server is, and the two water marks.

Pure: a number from 0.0 (empty) to 1.0 (no session left), and how much of a delay is left at it. To whom
that applies is `policy`.
"""

from typing import Final

SHRINK_ABOVE: Final = 0.7  # delays shrink from here on
SPARE_ABOVE: Final = 0.9  # new suspects are not slowed from here on; OpenBSD's spamd sheds load alike


def share(sessions: int, limit: int) -> float:
    """Return how much of *limit* is taken."""
    return min(sessions / limit, 1.0) if limit else 1.0


def left_of_delays(load: float) -> float:
    """Return what is left of every delay: all of it up to the first mark, nothing from the second on.

    It falls in a straight line between them, so that a server that stands at a mark does not flap: the
    fuller it is, the sooner those end whose sessions fill it.
    """
    return min(max((SPARE_ABOVE - load) / (SPARE_ABOVE - SHRINK_ABOVE), 0.0), 1.0)
