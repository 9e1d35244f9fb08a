"""Findings as an event has them."""

from dataclasses import replace

from scoring.verdict import Finding, Result
from tarpit.observe.findings import KEPT, _said_again, told


def test_told() -> None:
    """It is told with the age that it has by now, and is harmless."""
    finding = Finding("dnsbl:zen.example", Result.LISTED, 4.0, "a\\b", seconds=0.01234, age=10.0)
    later, now = told([(finding, 30.04), (finding, 0.0)])
    assert later == {
        "signal": "dnsbl:zen.example",
        "result": "listed",
        "points": 4.0,
        "why": r"a\x5cb",
        "ms": 12.3,
        "age": 40.0,
    }
    assert now == {**later, "age": 10.0}


def test_points_are_written_as_they_are() -> None:
    """Findings that are equal may still look unlike."""
    whole, broken = Finding("helo", Result.FAIL, 3, "why"), Finding("helo", Result.FAIL, 3.0, "why")
    for age in (0.0, 5.0):
        points = [one["points"] for one in told((finding, age) for finding in (whole, broken, whole))]
        assert repr(points) == "[3, 3.0, 3]"


def test_strangers_push_out_nobody() -> None:
    """What was found just now takes no place among what is told again and again."""
    known = Finding("dnsbl:zen.example", Result.NONE, 0.0, "not listed", seconds=0.0125)
    (first,) = told([(known, 5.0)])
    for number in range(KEPT + 1):
        told([(replace(known, seconds=1.0 + number / 1024), 0.0)])
    before = _said_again.cache_info()
    (again,) = told([(known, 5.0)])
    after = _said_again.cache_info()
    assert again == first
    assert (after.hits - before.hits, after.misses) == (1, before.misses)
