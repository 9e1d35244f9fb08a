"""The order in which one message's connections are had, where it goes to several groups.

The one idea: who holds a connection and waits for another waits only for backends that come after all that it
holds, in the order of the settings. So those who wait for each other never stand in a circle: in it, the one
who holds the last of their backends would wait for one that comes before.

Rejected: giving up what is held as soon as the next one is not free. With one connection a backend, and many
who want it, nobody would ever have two. And one such message at a time: a backend that is slow to take one
would hold up all others.
"""

from collections.abc import Collection, Sequence

from tarpit.backend.server import Backend
from tarpit.backend.slots import Slots


def after(backends: Sequence[Backend], held: Collection[Backend], wanted: Sequence[Slots]) -> Sequence[Slots]:
    """Return which of *wanted* may be waited for by who holds *held*; none if none of these takes mail."""
    later = backends[max(map(backends.index, held)) + 1 :]
    may = [backend.slots for backend in later if backend.slots in wanted]
    return may if any(one.takes_mail for one in may) else ()


def taking(backends: Sequence[Backend], members: Collection[Backend]) -> frozenset[int]:
    """Return the places in *backends* of those *members* that take mail now."""
    return frozenset(at for at, one in enumerate(backends) if one in members and one.takes_mail())
