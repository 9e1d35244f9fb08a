"""Pace: how slowly one reply is said.

A value, decided by `policy`, carried out by `drip`. It knows nothing of who the peer is or why.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Stage(Enum):
    """Which reply is being said. Each has its own budget of patience (`policy`)."""

    BANNER = "banner"
    HELLO = "hello"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END = "end"  # the reply to the end of data
    OTHER = "other"  # what may be slowed, but is none of the above: errors, VRFY, HELP
    PROMPT = "prompt"  # STARTTLS, RSET, NOOP, QUIT: never slowed


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of silence before a reply, seconds between its bytes, and when all of it must be out.

    `within` is counted from the moment the reply is due; when it has passed, what is left of the
    reply is sent at once. `jitter` is the ± share of every wait, so that no two gaps are alike.
    """

    before_reply: float = 0.0
    per_byte: float = 0.0
    within: float = float("inf")
    jitter: float = 0.0

    @property
    def slow(self) -> bool:
        """Whether any time is added at all."""
        return self.within > 0 and (self.before_reply > 0 or self.per_byte > 0)

    def takes(self, size: int) -> float:
        """Return the seconds that a reply of *size* bytes takes, jitter aside."""
        return min(self.before_reply + self.per_byte * max(size - 1, 0), self.within)


FULL_SPEED: Final = Pace()
