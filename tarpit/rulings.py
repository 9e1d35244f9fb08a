"""What the operator has said of networks while we run: allowed or denied, for a while or until we end.

The one idea: a ruling goes before TARPIT_ALLOW and TARPIT_DENY, and among rulings the smallest network's
counts: one host can be let in out of a denied network, and one shut out of an allowed one. Of one network the
last word holds.

There are at most `MOST`: they are for today's trouble, and what is meant to stay stands in the settings. So
the sets that are searched are made anew with each change. As long as there are none nothing is searched.

How they are given is `errands`; what follows from them, `classify`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address
from math import inf
from typing import Final

import trio

from scoring.networks import Network, Networks
from scoring.verdict import Address

MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Ruling:
    """One network's: allowed, or else denied, until a time of trio's clock."""

    network: Network
    allowed: bool
    until: float = inf


class Rulings:
    """All of them; *clock* in seconds, by default trio's."""

    __slots__ = ("_clock", "_networks", "_next_end", "_rulings", "given")

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._take({})

    def __len__(self) -> int:
        return len(self._rulings)

    def __iter__(self) -> Iterator[Ruling]:
        """Yield those that hold now, in the order of their networks."""
        self._drop_ended()
        return iter(sorted(self._rulings.values(), key=_place))

    def find(self, address: Address) -> Ruling | None:
        """Return the ruling that holds for *address* now."""
        self._drop_ended()
        network = self._networks.find(address)
        return None if network is None else self._rulings[network]

    def put(self, ruling: Ruling) -> bool:
        """Have *ruling* hold from now on, in the place of one on the same network. False: no room."""
        self._drop_ended()
        if len(self._rulings) >= MOST and ruling.network not in self._rulings:
            return False
        self._take({**self._rulings, ruling.network: ruling})
        return True

    def forget(self, network: Network) -> tuple[Ruling, ...]:
        """Take back all rulings on *network* and on parts of it; return them."""
        self._drop_ended()
        gone = tuple(one for one in self if _within(one.network, network))
        self._take({key: one for key, one in self._rulings.items() if one not in gone})
        return gone

    def _drop_ended(self) -> None:
        if self._next_end == inf or (now := self._clock()) < self._next_end:
            return
        self._take({key: one for key, one in self._rulings.items() if one.until > now})

    def _take(self, rulings: dict[Network, Ruling]) -> None:
        self._rulings = rulings
        self.given = bool(rulings)  # whether there are any, asked for each peer
        self._networks = Networks(rulings)
        self._next_end = min((one.until for one in rulings.values()), default=inf)


def unmapped(network: Network) -> Network:
    """Return a network of IPv4 peers as such, as peers are known: `::ffff:192.0.2.0/120` is 192.0.2.0/24."""
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) and network.prefixlen > 96 else None
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))


def _within(inner: Network, outer: Network) -> bool:
    same = inner.version == outer.version and inner.prefixlen >= outer.prefixlen
    return same and inner.network_address in outer


def _place(ruling: Ruling) -> tuple[int, int, int]:
    network = ruling.network
    return network.version, int(network.network_address), network.prefixlen
