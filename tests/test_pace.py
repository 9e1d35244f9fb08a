"""Pace: whether it adds time, and how much."""

import pytest

from tarpit.pace import FULL_SPEED, Pace


@pytest.mark.parametrize(
    ("pace", "slow"),
    [
        (FULL_SPEED, False),
        (Pace(within=5), False),
        (Pace(jitter=0.5), False),
        (Pace(before_reply=1), True),
        (Pace(per_byte=1), True),
        (Pace(before_reply=1, per_byte=1, within=0), False),
    ],
)
def test_slow(pace: Pace, slow: bool) -> None:
    """A pace is slow if it adds time; one without a budget adds none."""
    assert pace.slow is slow


@pytest.mark.parametrize(
    ("pace", "size", "seconds"),
    [
        (FULL_SPEED, 100, 0),
        (Pace(before_reply=2), 100, 2),
        (Pace(per_byte=1), 0, 0),
        (Pace(per_byte=1), 1, 0),
        (Pace(per_byte=1), 10, 9),
        (Pace(before_reply=2, per_byte=1), 10, 11),
        (Pace(before_reply=2, per_byte=1, within=5), 10, 5),
        (Pace(before_reply=9, within=5), 10, 5),
    ],
)
def test_takes(pace: Pace, size: int, seconds: float) -> None:
    """The wait, then a gap between any two bytes, and never longer than `within`."""
    assert pace.takes(size) == seconds
