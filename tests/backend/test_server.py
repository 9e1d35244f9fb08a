"""What there is to see of one backend."""

import trio
from trio.testing import MockClock

from tarpit.backend.balance import LEAST_SHARE, SLOW_START
from tarpit.backend.server import Backend, BackendState
from tarpit.backend.slots import Purpose
from tarpit.destinations import BackendAddress


async def test_its_state(autojump_clock: MockClock) -> None:
    """Whether it is up, since when, why not, and how full it is; each change is told."""
    told = list[bool | None]()
    backend = Backend(BackendAddress("192.0.2.1", 25, weight=2), tell=lambda one: told.append(one.up))
    assert backend.up is None
    backend.marks.good()
    await trio.sleep(7)
    backend.slots.take(Purpose.JOIN)
    assert backend.state == BackendState("192.0.2.1:25", True, True, "", 7.0, 1, 100, 2.0)
    backend.marks.bad("gone")
    backend.untested = True
    assert backend.state == BackendState("192.0.2.1:25", False, False, "gone", 0.0, 1, 100, 2.0)
    assert told == [True, False]


async def test_it_starts_slowly_when_it_is_back(autojump_clock: MockClock) -> None:
    """But not when we have only just begun."""
    backend = Backend(BackendAddress("192.0.2.1", 25, weight=2))
    backend.marks.good()
    assert backend.state.weight == 2
    backend.marks.bad("gone")
    backend.marks.good()
    assert backend.state.weight == 2 * LEAST_SHARE
    await trio.sleep(SLOW_START)
    assert backend.state.weight == 2
