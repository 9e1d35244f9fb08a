"""Pace: how slowly one reply is said, and where it is cut.

A value, decided by `policy`, carried out by `drip`. A reply leaves byte by byte. One of several lines that
would not be out in time that way leaves line by line, evenly over its budget: every line renews the timers
of clients that time each line (mox: 30 s), where a few bytes at the start and the rest in one go would let
the first line's timer run over the whole budget. Whatever has left is a beginning of the reply.

Rejected: bytes dripped faster, so that all of them fit. A line would still take as long, and each of its
bytes costs a packet.

It knows nothing of who the peer is or why.
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

    def shape(self, data: bytes) -> tuple[float, bool]:
        """Return the seconds between two pieces of a reply, and whether they are lines (else bytes).

        The first piece leaves after `before_reply`. Of lines the last one leaves as the time is over, so
        that both shapes take what `takes` says.
        """
        lines = data.count(b"\n")
        time = self.within - self.before_reply
        if lines < 2 or time <= 0 or self.per_byte * (len(data) - 1) <= time:
            return self.per_byte, False
        return time / (lines - 1), True


def piece_end(data: bytes, start: int, *, by_line: bool) -> int:
    """Return where the piece of *data* that begins at *start* ends."""
    return (data.find(b"\n", start) + 1 or len(data)) if by_line else start + 1


FULL_SPEED: Final = Pace()
