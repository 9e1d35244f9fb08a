"""When senders come: a process each, as data of a preset. All return one moment within the day.

steady     at any time alike
diurnal    as people work: four times as many at two in the afternoon as at two in the morning
burst      in `bursts` bursts of `minutes`, at times drawn once a day
wave       a botnet that is told to: most within `minutes` around the hour `at`
"""

import random
from collections.abc import Callable, Mapping
from math import cos, pi
from typing import Final

DAY: Final = 86400.0  # seconds
BUSIEST: Final = 14.0  # o'clock
SWING: Final = 0.6  # 1.6 at the busiest hour, 0.4 at the quietest

Moment = Callable[[], float]


def moments(arrival: Mapping[str, object], chance: random.Random) -> Moment:
    """Return a function that draws one moment after the other. Raises ValueError for an unknown process."""
    process = arrival.get("process")
    minutes = _number(arrival, "minutes", 10.0)
    match process:
        case "steady":
            return lambda: chance.uniform(0, DAY)
        case "diurnal":
            return lambda: _diurnal(chance)
        case "burst":
            begins = [
                chance.uniform(0, DAY - 60 * minutes) for _ in range(int(_number(arrival, "bursts", 6)))
            ]
            return lambda: chance.choice(begins) + chance.uniform(0, 60 * minutes)
        case "wave":
            middle = 3600 * _number(arrival, "at", 3.0)
            return lambda: min(max(chance.gauss(middle, 30 * minutes), 0.0), DAY)
    raise ValueError(f"an arrival process is steady, diurnal, burst or wave, not {process!r}")


def _number(arrival: Mapping[str, object], name: str, usual: float) -> float:
    value = arrival.get(name, usual)
    if not isinstance(value, int | float):
        raise ValueError(f"{name} is a number, not {value!r}")  # noqa: TRY004 - the file's fault, as others
    return float(value)


def _diurnal(chance: random.Random) -> float:
    while True:
        moment = chance.uniform(0, DAY)
        height = 1 + SWING * cos((moment / 3600 - BUSIEST) * pi / 12)
        if chance.uniform(0, 1 + SWING) < height:
            return moment
