"""From which load on limits are strained."""

import pytest

from tarpit.limits import STRAINED_IDLE, idle_at, limits_at
from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE
from tarpit.smtp.limits import STRAINED, USUAL


@pytest.mark.parametrize("load", [0.0, SHRINK_ABOVE, SPARE_ABOVE])
def test_up_to_the_second_mark(load: float) -> None:
    """Nothing is strained as long as there are places."""
    assert limits_at(load) == USUAL
    assert idle_at(load, 300.0) == 300.0


@pytest.mark.parametrize("load", [0.901, 1.0])
def test_above_it(load: float) -> None:
    """One error, one command of junk, ten seconds (RES-09); nobody gets more patience than usual."""
    assert limits_at(load) == STRAINED
    assert idle_at(load, 300.0) == STRAINED_IDLE == 10.0
    assert idle_at(load, 5.0) == 5.0
