"""Pace: whether it adds time, and how much."""

import pytest

from tarpit.pace import FULL_SPEED, Pace, piece_end


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


LINES = b"250-a\r\n250-b\r\n250 c\r\n"  # 21 bytes


@pytest.mark.parametrize(
    ("pace", "data", "gap", "by_line"),
    [
        pytest.param(Pace(per_byte=1), LINES, 1, False, id="no end in sight"),
        pytest.param(Pace(per_byte=1, within=20), LINES, 1, False, id="it just fits"),
        pytest.param(Pace(per_byte=1, within=19), LINES, 9.5, True, id="it does not fit"),
        pytest.param(Pace(3, per_byte=1, within=19), LINES, 8, True, id="the wait takes its share"),
        pytest.param(Pace(3, per_byte=1, within=3), LINES, 1, False, id="no time left after the wait"),
        pytest.param(Pace(3, within=19), LINES, 0, False, id="a wait and no gap"),
        pytest.param(Pace(per_byte=1, within=2), b"250 one line\r\n", 1, False, id="one line"),
        pytest.param(FULL_SPEED, LINES, 0, False, id="full speed"),
    ],
)
def test_shape(pace: Pace, data: bytes, gap: float, by_line: bool) -> None:
    """Several lines are stretched when they would not be out in time byte by byte."""
    assert pace.shape(data) == (gap, by_line)


@pytest.mark.parametrize(
    ("start", "by_line", "end"), [(0, False, 1), (20, False, 21), (0, True, 7), (3, True, 7), (14, True, 21)]
)
def test_piece_end(start: int, by_line: bool, end: int) -> None:
    """A piece is a byte, or up to the end of the line."""
    assert piece_end(LINES, start, by_line=by_line) == end


def test_piece_end_without_a_line_end() -> None:
    """What has no line end is a piece all the same."""
    assert piece_end(b"250", 1, by_line=True) == 3
