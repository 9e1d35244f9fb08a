"""What is written down of a day: one record a connection, one reading of the gauges a minute.

Everything that a report shows is made from these (`figures`, and whoever else reads them).
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Ended(StrEnum):
    """How a connection ended, as its client saw it."""

    DELIVERED = "delivered"  # a message was accepted
    DEFERRED = "deferred"  # told to come again: 4xx
    REFUSED = "refused"  # for good: 5xx
    GAVE_UP = "gave-up"  # the client's patience was over
    CLOSED = "closed"  # the server hung up
    DONE = "done"  # it has done what it came for, and that was no message


@dataclass(frozen=True, slots=True)
class Record:
    """One connection of one client. Seconds are those of the day, which begins at 0."""

    model: str  # its name in the populations
    honest: bool
    clean: bool  # honest, and nothing anybody could hold against it
    apart: bool  # reported apart: known to need other settings
    sender: int  # its message: the same for all attempts
    attempt: int  # from 1
    began: float
    seconds: float  # for how long the connection stood
    phase: str  # what it waited for last: banner, EHLO, MAIL, RCPT, DATA, dot, QUIT (a `Step`)
    ended: Ended
    code: int  # of the last reply that it heard whole; 0: none
    delivered: int  # messages accepted
    delay: float  # from its first connection to the acceptance of its message; 0 where there was none
    wanted_within: float  # seconds within which it is of use (a one-time code); inf as a rule


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gauges showed at one moment."""

    at: float
    sessions: int  # open, with us
    held: int  # of these, slowed
    backend: int  # connections that the backend had
    backend_seconds: float  # for which it had any, since the beginning


@dataclass(frozen=True, slots=True)
class Day:
    """One policy's day."""

    policy: str
    records: tuple[Record, ...]
    readings: tuple[Reading, ...]
    backend_peak: int
    backend_seconds: float
    backend_messages: int
    cpu_seconds: float
    memory: int  # bytes: the most that the process had, 0 where it is not known
    settings: dict[str, str] = field(default_factory=dict)
    bugs: tuple[str, ...] = ()
