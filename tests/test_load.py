"""How full the server is."""

import pytest

from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE, left_of_delays, share


@pytest.mark.parametrize(
    ("sessions", "limit", "full"), [(0, 10, 0.0), (7, 10, 0.7), (10, 10, 1.0), (11, 10, 1.0), (0, 0, 1.0)]
)
def test_share(sessions: int, limit: int, full: float) -> None:
    """From empty to full, and never more; where there is no room, it is full."""
    assert share(sessions, limit) == full


def test_water_marks() -> None:
    """Delays shrink before they vanish, and vanish before the server is full."""
    assert 0 < SHRINK_ABOVE < SPARE_ABOVE < 1


@pytest.mark.parametrize(
    ("load", "left"), [(0, 1), (0.7, 1), (0.75, 0.75), (0.8, 0.5), (0.85, 0.25), (0.9, 0), (1, 0)]
)
def test_left_of_delays(load: float, left: float) -> None:
    """All of a delay up to the first mark, none from the second on, a straight line between."""
    assert left_of_delays(load) == pytest.approx(left)
