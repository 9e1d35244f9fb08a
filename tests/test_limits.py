"""From which load on limits are strained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.limits import STRAINED_IDLE, idle_at, limits_at, strained_from
from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE, share
from tarpit.smtp.limits import STRAINED, USUAL


@pytest.mark.parametrize("load", [0.0, SHRINK_ABOVE, SPARE_ABOVE])
def test_up_to_the_second_mark(load: float) -> None:
    """Nobody is hurried as long as there are places."""
    assert idle_at(load, 300.0) == 300.0


@pytest.mark.parametrize("load", [0.901, 1.0])
def test_above_it(load: float) -> None:
    """Ten seconds (RES-09); nobody gets more patience than usual."""
    assert idle_at(load, 300.0) == STRAINED_IDLE == 10.0
    assert idle_at(load, 5.0) == 5.0


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_limits_by_number(limit: int, sessions: int) -> None:
    """One error and one command of junk (RES-09) from exactly that session on that is above the mark."""
    strained = share(sessions, limit) > SPARE_ABOVE
    assert limits_at(sessions, strained_from(limit)) == (STRAINED if strained else USUAL)
