"""What a name holds in DNS, as a value: `Answer`.

The one idea: an answer is found, or it is known that there is nothing, or it is unknown why; a caller
treats the third as silence, never as a listing. Each answer says for how long it may still be relied on.

How an answer is read is in `packet`; who asks, and what is remembered, is in `resolve`.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

SHORTEST_LIFE: Final = 60.0  # seconds; the bounds are postscreen's
LONGEST_LIFE: Final = 3600.0
LONGEST_NOTHING: Final = 300.0  # a peer that gets itself listed is noticed soon
FAILURE_LIFE: Final = 5.0  # a server that says SERVFAIL is not asked the same at once (RFC 9520)
MOST_RECORDS: Final = 100
IN_TIME: Final = "no answer in time"


class Status(Enum):
    """What is known once an answer is there."""

    FOUND = "found"
    NOTHING = "nothing"  # the name, or the type at this name, does not exist
    UNKNOWN = "unknown"  # silence, SERVFAIL, a broken answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name holds. `why` says what kind of nothing it is, or why nothing is known.

    `life` is for how many more seconds it may be relied on, `age` for how many it has been known. Two
    answers that say the same are equal, whenever they were given.
    """

    status: Status
    why: str = ""
    addresses: tuple[str, ...] = ()
    texts: tuple[bytes, ...] = ()  # the strings of a record joined
    names: tuple[str, ...] = ()  # of PTR and CNAME, in lower case, without the last dot
    exchanges: tuple[tuple[int, str], ...] = ()  # (preference, name)
    life: float = field(default=LONGEST_LIFE, compare=False)
    age: float = field(default=0.0, compare=False)

    def after(self, seconds: float) -> "Answer":
        """Return the answer as it stands *seconds* later."""
        return Answer(
            self.status,
            self.why,
            self.addresses,
            self.texts,
            self.names,
            self.exchanges,
            max(self.life - seconds, 0.0),
            self.age + seconds,
        )


def unknown(why: str) -> Answer:
    """Return that nothing is known. It holds for a moment only: trouble passes."""
    return Answer(Status.UNKNOWN, why, life=FAILURE_LIFE)


def nothing(why: str, *, ttl: float) -> Answer:
    """Return that there is nothing, which holds for *ttl* seconds, within bounds."""
    return Answer(Status.NOTHING, why, life=min(max(ttl, SHORTEST_LIFE), LONGEST_NOTHING))


def found_life(ttl: float) -> float:
    """Return for how many seconds records hold whose time to live is *ttl*."""
    return min(max(ttl, SHORTEST_LIFE), LONGEST_LIFE)


TOO_LATE: Final = Answer(Status.UNKNOWN, IN_TIME, life=0.0)
NO_ROOM: Final = Answer(Status.UNKNOWN, "too many questions under way", life=0.0)  # no server's fault
