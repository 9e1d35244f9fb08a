"""Who comes when, in seconds from the start of the load, and from which loopback address.

The schedule stands before the first connection: nobody comes later because somebody else is served slowly.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.fleet.arrivals import DAY
from bench.fleet.models import PopulationError
from bench.fleet.population import Population, Preset, Sender, populate

FIRST: Final = 1  # 127.0.0.0/16 is left to servers, and to what DNSBLs use it for
LAST: Final = 254


class Loopback:
    """Where the addresses of a population are on loopback: each /16 is one of 127.1 to 127.254.

    What is near each other stays so: caps and rates of networks see what they would.
    """

    def __init__(self) -> None:
        self._nets: dict[tuple[str, str], int] = {}

    def __call__(self, address: str) -> str:
        """Return where *address* is. Raises `PopulationError` when there are no networks left."""
        first, second, third, fourth = address.split(".")
        number = self._nets.setdefault((first, second), FIRST + len(self._nets))
        if number > LAST:
            raise PopulationError("the population has more networks than loopback: ask for fewer --sessions")
        return f"127.{number}.{third}.{fourth}"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How the day becomes a load: as it is, or *compress*ed into seconds, or at a *rate* a second."""

    compress: float | None = None
    rate: float | None = None

    def pauses(self, seconds: float) -> float:
        """Return how long a pause between two attempts of a sender becomes."""
        return seconds * self.compress / DAY if self.compress else seconds

    def times(self, senders: Sequence[Sender], seed: int) -> list[float]:
        """Return when each comes; at a rate, independently of each other; as it is, the first at 0."""
        if self.compress:
            return [self.pauses(sender.at) for sender in senders]
        if self.rate is None:
            return [sender.at - senders[0].at for sender in senders]
        chance, now = random.Random(f"{seed}:rate"), 0.0
        times: list[float] = []
        for _ in senders:
            times.append(now)
            now += chance.expovariate(self.rate)
        return times


def scheduled(
    preset: Preset,
    *,
    seed: int,
    sessions: int,
    arrivals: Arrivals,
    seconds: float,
    moved: Callable[[str], str],
) -> Population:
    """Return the population, its moments counted from the start, without who would come after *seconds*."""
    population = populate(preset, seed, sessions, moved=moved)
    times = arrivals.times(population.senders, seed)
    population.senders = [
        _paced(replace(sender, at=at), arrivals)
        for sender, at in zip(population.senders, times, strict=True)
        if at <= seconds
    ]
    return population


def _paced(sender: Sender, arrivals: Arrivals) -> Sender:
    if not arrivals.compress or not sender.model.retries:
        return sender
    retries = tuple(map(arrivals.pauses, sender.model.retries))
    return replace(sender, model=replace(sender.model, retries=retries))
