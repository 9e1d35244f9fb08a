"""Two workers in one slot: a backend's cap holds for both together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from tarpit.backend.slots import Purpose, Slots
from tarpit.processes.sheet import Sheet
from tarpit.processes.shift import EVERY, Shift
from tarpit.services import Services
from tests.support.dns_zone import FakeResolver
from tests.support.wires import NOBODY, load, stage

CAP = 5


@asynccontextmanager
async def working(shift: Shift) -> AsyncIterator[tuple[Services, Slots]]:
    """Yield what a worker's sessions share, and the slots of its one backend."""
    settings = load(BACKENDS=NOBODY, BACKEND_MAX=str(CAP), BACKEND_CHECKS="1")
    async with stage(settings, FakeResolver({})) as around, trio.open_nursery() as nursery:
        shift.begin(around.services)
        nursery.start_soon(shift.run, around.services)
        yield around.services, around.services.pool.backends[0].slots
        nursery.cancel_scope.cancel()


async def settled() -> None:
    """Let everybody look again."""
    await trio.sleep(2 * EVERY)


def take(slots: Slots, count: int = CAP) -> int:
    """Take so many connections, as far as there are; return how many there were."""
    taken = 0
    while taken < count and slots.free_for(Purpose.JOIN):
        slots.take(Purpose.JOIN)
        taken += 1
    return taken


async def test_one_alone_has_all(autojump_clock: MockClock) -> None:
    """Its sheet says so, and how many sessions are open."""
    sheet = Sheet([NOBODY])
    async with working(Shift(sheet)) as (services, slots):
        assert take(slots) == CAP
        services.tally(3)
        assert (sheet.sessions, sheet.claimed(NOBODY)) == (3, CAP)


async def test_a_successor_is_tried(autojump_clock: MockClock) -> None:
    """It gets one connection, when there is one, and no more; then the first has all again."""
    first = Shift(Sheet([NOBODY]))
    second = Shift(Sheet([NOBODY]), [first.sheet])
    async with working(first) as (_, ours), working(second) as (_, theirs):
        assert take(ours) == CAP
        first.spare(sparing=True)
        await settled()
        assert take(theirs) == 0
        ours.give_back(Purpose.JOIN)
        await settled()
        assert (take(ours), take(theirs)) == (0, 1)
        theirs.give_back(Purpose.JOIN)
        first.spare(sparing=False)
        await settled()
        assert (take(theirs), take(ours)) == (0, 1)


async def test_a_worker_ends(autojump_clock: MockClock) -> None:
    """What it has no sessions for is the other's, more and more; together they stay within the cap."""
    first = Shift(Sheet([NOBODY]))
    second = Shift(Sheet([NOBODY]), [first.sheet])
    async with working(first) as (_, ours), working(second) as (_, theirs):
        assert take(ours, 3) == 3
        first.spare(sparing=True)
        await settled()
        first.end()
        await settled()
        assert (take(ours), take(theirs)) == (0, 2)
        ours.give_back(Purpose.JOIN)
        await settled()
        assert (take(ours), take(theirs)) == (0, 1)
        first.sheet.clear()  # it has ended
        assert take(theirs) == 2


async def test_who_waits_is_served(autojump_clock: MockClock) -> None:
    """Whoever waits for a connection of the one that ends gets it in the other."""
    first = Shift(Sheet([NOBODY]))
    first.sheet.claim(NOBODY, CAP)
    async with working(Shift(Sheet([NOBODY]), [first.sheet])) as (services, slots):
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(services.pool.queue.take, [slots], Purpose.JOIN)
                await settled()
                assert slots.taken == 0
                first.sheet.clear()
        assert slots.taken == 1
