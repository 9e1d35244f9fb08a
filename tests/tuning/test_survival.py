"""The curve, held against a textbook's table, and its bands against samples of which the truth is known."""

from math import inf, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.tuning.survival import Band, estimate

# Weeks of remission with 6-mercaptopurine; True: it ended then, False: it went on (Freireich and others,
# Blood 21 (1963)), and the curve as every textbook has it.
REMISSIONS = [
    *[(6, True)] * 3,
    *[(week, True) for week in (7, 10, 13, 16, 22, 23)],
    *[(week, False) for week in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)],
]
TABLE = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def test_a_textbook_table() -> None:
    """The shares are those of the table, and stay as they are between its weeks."""
    curve = estimate(REMISSIONS)
    assert {week: round(curve.at(week).value, 3) for week in TABLE} == TABLE
    assert curve.at(21.9) == curve.at(16)
    assert curve.at(5.9) == Band(1.0, 1.0, 1.0)
    assert (curve.tried, curve.ended, curve.longest) == (21, 9, 35)


def test_a_textbook_band() -> None:
    """At ten weeks the band on the log(-log) scale is the published one, 0.503 to 0.889."""
    band = estimate(REMISSIONS).at(10)
    assert (round(band.low, 3), round(band.high, 3)) == (0.503, 0.889)


def test_the_median_and_its_band() -> None:
    """Half have ended by week 23; how late it may be at most is not known."""
    assert estimate(REMISSIONS).median() == Band(23, 13, inf)


def test_nobody_ends() -> None:
    """Where all are still there, nothing is known of when half will have left."""
    curve = estimate([(5.0, False)] * 10)
    assert curve.median() == Band(inf, inf, inf)
    assert curve.at(4) == Band(1.0, 1.0, 1.0)


def test_all_end_at_once() -> None:
    """Nobody is left, and nobody divides by nothing."""
    curve = estimate([(0.0, True)] * 3)
    assert curve.at(0) == Band(0.0, 0.0, 0.0)
    assert curve.median() == Band(0.0, 0.0, 0.0)


def test_nothing_seen() -> None:
    """No observation is no fault."""
    assert estimate([]).median() == Band(inf, inf, inf)


@given(st.lists(st.tuples(st.floats(0, 1000), st.booleans()), max_size=60))
def test_a_curve_falls_within_its_band(observations: list[tuple[float, bool]]) -> None:
    """Shares fall from 1 to 0 at most, and lie between their ends."""
    curve = estimate(observations)
    values = [1.0, *(share.value for share in curve.shares)]
    assert values == sorted(values, reverse=True)
    assert all(0 <= share.low <= share.value <= share.high <= 1 for share in curve.shares)


@pytest.mark.parametrize("median", [3.0, 10.0])
def test_the_band_holds_the_truth_as_often_as_it_says(median: float) -> None:
    """Of 300 samples of peers with known patience, cut off at 20 s, 95 % have its median in their band."""
    random, held = Random(1), 0
    for _ in range(300):
        lives = [random.expovariate(log(2) / median) for _ in range(200)]
        found = estimate((min(life, 20.0), life <= 20.0) for life in lives).median()
        held += found.low <= median <= found.high
    assert 0.92 <= held / 300 <= 0.98
