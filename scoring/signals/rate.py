"""Rates: how fast connections, recipients and errors come from a peer, and from its network.

The one idea: volume is no offence. A newsletter of an honest sender comes faster than any spammer's bot, so
these points never make a suspect alone and count nothing for a peer that somebody vouches for; `verdict`
sees to both.

One `Config.rate_peer` (connections) is the measure of all three: ten recipients, or one error, may come
with each. How a rate is metered is `scoring.rates`.
"""

from enum import Enum
from typing import Final

from scoring.config import Config
from scoring.rates import Meters, Rate, any_over
from scoring.verdict import Address, Basis, Finding, Result

RECIPIENTS: Final = 10.0  # a connection: RFC 5321 has no number; mailing lists come with more, and in bursts


class Event(Enum):
    """What is counted; the value is its name and how many may come with a connection."""

    __hash__ = object.__hash__  # by identity, in C: these are keys on the path of every session

    CONNECTION = ("connections", 1.0)
    RECIPIENT = ("recipients", RECIPIENTS)
    ERROR = ("errors", 1.0)


class Rates:
    """The meters of one configuration: bounded, and none where no rate is set."""

    __slots__ = ("_config", "_made", "_network", "_peer")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._made: dict[tuple[str, str], tuple[Finding, ...]] = {}  # by what is too fast: at most 64
        self._peer = _meters(config.rate_peer, config.cache_size)
        self._network = _meters(config.rate_network, config.cache_size)

    def count(self, event: Event, address: Address, now: float) -> None:
        """Count one *event* of *address* and of its network at *now*, in seconds of any clock."""
        packed = address.packed
        if self._peer:
            self._peer[event].count(packed, now)
        if self._network:
            self._network[event].count(packed[: 3 if len(packed) == 4 else 8], now)

    def findings(self, address: Address, now: float) -> tuple[Finding, ...]:
        """Return a finding for the peer and one for its network, where anything comes too fast."""
        peer = address.packed
        network = peer[: 3 if len(peer) == 4 else 8]
        if not any_over(((peer, self._peer.values()), (network, self._network.values())), now):
            return ()  # nearly always
        fast = _too_fast(self._peer, peer, now), _too_fast(self._network, network, now)
        if (made := self._made.get(fast)) is None:
            found = zip(
                ("peer", "network"), fast, (self._config.rate_peer, self._config.rate_network), strict=True
            )
            made = tuple(self._finding(scope, events, rate) for scope, events, rate in found if events)
            self._made[fast] = made
        return made

    def _finding(self, scope: str, events: str, rate: Rate | None) -> Finding:
        why = f"more {events} than the rate of its {scope}, {rate}"
        return Finding(
            f"rate:{scope}", Result.FAIL, self._config.weight(f"rate-{scope}"), why, basis=Basis.VOLUME
        )


def network_of(address: Address) -> bytes:
    """Return the /24 or the /64 of *address*: what one customer may have, and what changes hands as one."""
    packed = address.packed
    return packed[: 3 if len(packed) == 4 else 8]  # written out above, where each session counts


def _meters(rate: Rate | None, size: int) -> dict[Event, Meters]:
    return {} if rate is None else {event: Meters(rate.times(event.value[1]), size) for event in Event}


def _too_fast(meters: dict[Event, Meters], key: bytes, now: float) -> str:
    """Return the names of what comes too fast."""
    return " and ".join(event.value[0] for event, meter in meters.items() if meter.over(key, now))
