"""Findings as an event has them."""

from scoring.verdict import Finding, Result
from tarpit.observe.findings import told


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
    points = [one["points"] for one in told((finding, 0.0) for finding in (whole, broken, whole))]
    assert repr(points) == "[3, 3.0, 3]"
