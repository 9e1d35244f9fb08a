"""Which of several backends gets the next connection (TARPIT_BALANCE). Pure but for the turns it remembers.

    least         the fewest connections per weight; among equals in turn
    round-robin   in turn, by weight, and evenly: 5:1 is aaabaa, never aaaaab (the smooth way of nginx)
    peer          always the same one for a network (/24, /64), by weight; only its peers move when one goes
    first         the first in TARPIT_BACKENDS that has a connection free

Each chooses among those that may be used and have a connection free, so `peer` and `first` go on to the
next where the first is full, and do not wait. Rejected for `peer`: a ring of hashes, which needs a table and
gives weights by chance; rendezvous hashing gives them exactly.

A backend that comes back gets its share by and by (`ramp`): its caches are cold, and what waits for it would
come all at once. That lessens its weight, so it is nothing to `first`, and nothing to whoever is alone.

Whether one may be used is `health`; that none gets too many, `slots`.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from tarpit.choices import Balance

SLOW_START: Final = 30.0  # seconds until a backend that is back has all of its share
LEAST_SHARE: Final = 0.1  # what it begins with


class Choice(Protocol):
    """A backend as far as a choice looks at it."""

    @property
    def name(self) -> str:
        """What it is known by."""

    @property
    def weight(self) -> float:
        """Its share, above 0."""

    @property
    def taken(self) -> int:
        """Its connections now."""


C = TypeVar("C", bound=Choice)


class Balancer(Protocol):
    """A way to choose."""

    def choose(self, free: Sequence[C], network: bytes) -> C:
        """Return one of *free*, of which there is at least one, for a peer of *network*."""


class RoundRobin:
    """In turn: each gains its weight, the richest is taken, and pays what all have gained."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def choose(self, free: Sequence[C], network: bytes = b"") -> C:  # noqa: ARG002 - whoever it is
        """Return the one whose turn it is."""
        credit, weights = self._credit, [one.weight for one in free]  # read once: a weight may be growing
        for one, weight in zip(free, weights, strict=True):
            credit[one.name] = credit.get(one.name, 0.0) + weight
        best = max(free, key=lambda one: credit[one.name])
        credit[best.name] -= sum(weights)
        return best


class Least:
    """The fewest connections per weight, counted with the one that is to be made."""

    def __init__(self) -> None:
        self._turn = RoundRobin()

    def choose(self, free: Sequence[C], network: bytes = b"") -> C:  # noqa: ARG002 - whoever it is
        """Return the least busy one."""
        after = [(one.taken + 1) / one.weight for one in free]  # once: a weight may be growing
        least = min(after)
        equals = [one for one, busy in zip(free, after, strict=True) if busy == least]
        return equals[0] if len(equals) == 1 else self._turn.choose(equals)


class Peer:
    """The highest of all hashes of network and backend, each stretched by weight."""

    def choose(self, free: Sequence[C], network: bytes) -> C:
        """Return the one that this network always gets."""
        return max(free, key=lambda one: _rank(network, one))


class First:
    """The first."""

    def choose(self, free: Sequence[C], network: bytes = b"") -> C:  # noqa: ARG002 - whoever it is
        """Return it."""
        return free[0]


def ramp(seconds: float) -> float:
    """Return the part of its weight that counts for a backend which came back so many *seconds* ago."""
    return min(max(seconds / SLOW_START, LEAST_SHARE), 1.0)


def balancer(balance: Balance) -> Balancer:
    """Return the way to choose that TARPIT_BALANCE names."""
    return WAYS[balance]()


def _rank(network: bytes, one: Choice) -> float:
    digest = hashlib.blake2b(network + b"\0" + one.name.encode(), digest_size=8).digest()
    share = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52  # exact, so it is never 0 and never 1
    return -one.weight / math.log(share)


WAYS: Final[Mapping[Balance, Callable[[], Balancer]]] = {
    Balance.LEAST: Least,
    Balance.ROUND_ROBIN: RoundRobin,
    Balance.PEER: Peer,
    Balance.FIRST: First,
}
