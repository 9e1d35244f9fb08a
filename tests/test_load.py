"""How full the server is."""

import pytest

from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE, share


@pytest.mark.parametrize(
    ("sessions", "limit", "full"), [(0, 10, 0.0), (7, 10, 0.7), (10, 10, 1.0), (11, 10, 1.0), (0, 0, 1.0)]
)
def test_share(sessions: int, limit: int, full: float) -> None:
    """From empty to full, and never more; where there is no room, it is full."""
    assert share(sessions, limit) == full


def test_water_marks() -> None:
    """Delays shrink before they vanish, and vanish before the server is full."""
    assert 0 < SHRINK_ABOVE < SPARE_ABOVE < 1
