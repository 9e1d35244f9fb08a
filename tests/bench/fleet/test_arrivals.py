"""When senders come."""

import random
from collections.abc import Mapping

import pytest

from bench.fleet.arrivals import DAY, moments

HOUR = 3600


def drawn(arrival: Mapping[str, object]) -> list[float]:
    moment = moments(arrival, random.Random(1))
    return [moment() for _ in range(4000)]


def between(times: list[float], first: float, last: float) -> float:
    return sum(first * HOUR <= time < last * HOUR for time in times) / len(times)


@pytest.mark.parametrize("process", ["steady", "diurnal", "burst", "wave"])
def test_all_come_within_the_day(process: str) -> None:
    """Whatever the process, and the same ones for the same seed."""
    times = drawn({"process": process})
    assert all(0 <= time <= DAY for time in times)
    assert times == drawn({"process": process})


def test_processes_are_what_they_are_called() -> None:
    """Steady is even, diurnal has its high in the afternoon, a wave has its hour, bursts leave gaps."""
    assert between(drawn({"process": "steady"}), 0, 12) == pytest.approx(0.5, abs=0.03)
    day = drawn({"process": "diurnal"})
    assert between(day, 13, 15) > 3 * between(day, 1, 3)
    assert between(drawn({"process": "wave", "at": 3, "minutes": 30}), 2, 4) > 0.9
    bursts = drawn({"process": "burst", "bursts": 2, "minutes": 10})
    assert len({int(time // 600) for time in bursts}) <= 4


@pytest.mark.parametrize("arrival", [{}, {"process": "sometimes"}, {"process": "wave", "at": "noon"}])
def test_what_is_none_is_refused(arrival: dict[str, object]) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match=r"process|number"):
        moments(arrival, random.Random(1))
