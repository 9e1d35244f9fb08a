"""What the plots show of a day, by small days whose figures can be seen."""

import xml.etree.ElementTree as ET
from collections.abc import Callable

from bench.clients import Step
from bench.fleet.records import Day, Ended, Reading, Record
from bench.report import charts


def record(seconds: float, ended: Ended, *, phase: Step = Step.EHLO, honest: bool = False) -> Record:
    """Return one connection."""
    return Record(
        model="bot",
        honest=honest,
        clean=honest,
        apart=False,
        sender=1,
        attempt=1,
        began=0.0,
        seconds=seconds,
        phase=phase.value,
        ended=ended,
        code=0,
        delivered=int(ended is Ended.DELIVERED),
        delay=seconds if ended is Ended.DELIVERED else 0.0,
        wanted_within=float("inf"),
    )


def day(policy: str, *records: Record) -> Day:
    """Return a day of those connections."""
    readings = (Reading(0.0, 1, 1, 0, 0.0), Reading(3600.0, 2, 1, 3, 4.5))
    return Day(policy, records, readings, 3, 4.5, 1, 1.0, 2**20, {"TARPIT_SCORE_SUSPECT": "3"})


BOTS = (
    record(3, Ended.GAVE_UP, phase=Step.BANNER),
    record(21, Ended.GAVE_UP),
    record(30, Ended.DELIVERED, phase=Step.QUIT),
    record(30, Ended.CLOSED, phase=Step.RCPT),
)


def test_who_is_served_is_censored() -> None:
    """Two of four hang up on us; nobody knows for how long the others would have stayed."""
    curve = charts.stay(BOTS)
    assert (curve.at(3).value, curve.at(29).value, curve.ended) == (0.75, 0.5, 2)


def test_past_phases() -> None:
    """A client that hangs up in a phase got past those before; one that did not got past all."""
    assert charts.past_phases(BOTS) == [0.75, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert charts.past_phases([]) == [0.0] * 6


def test_each_plot_is_one_drawing_and_the_same_twice() -> None:
    """A plot is well-formed SVG that names the policies, and equal days give equal bytes."""
    days = [day("ours", *BOTS, record(40, Ended.DELIVERED, honest=True)), day("none")]
    draws: list[Callable[[], str]] = [
        lambda: charts.survival(days, honest=False),
        lambda: charts.phases(days, honest=True),
        lambda: charts.over_time(days, lambda reading: reading.backend, label="connections"),
    ]
    for draw in draws:
        first = draw()
        assert ET.fromstring(first).tag.endswith("svg")
        assert "ours" in first
        assert draw() == first


def test_bars() -> None:
    """Each bar says what it is and how high."""
    drawing = charts.bars([("ours", 12.0), ("none", 345.0)], label="messages")
    assert all(text in drawing for text in ("ours", "none", ">12<", ">345<", "messages"))
