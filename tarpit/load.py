"""How full the server is, and the two water marks.

Pure: a number from 0.0 (empty) to 1.0 (no session left). What follows from it is `policy`.
"""

from typing import Final

SHRINK_ABOVE: Final = 0.7  # delays shrink from here on
SPARE_ABOVE: Final = 0.9  # new suspects are not slowed from here on; OpenBSD's spamd sheds load alike


def share(sessions: int, limit: int) -> float:
    """Return how much of *limit* is taken."""
    return min(sessions / limit, 1.0) if limit else 1.0
