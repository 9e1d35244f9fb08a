"""Where a task waits."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock

from tarpit.parked import FOREVER, NOTHING, Parked


async def test_woken(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who is woken goes on at once, and has no deadline any more."""
    parked = Parked()

    async def later() -> None:
        await trio.sleep(3)
        assert parked.deadline == 100
        parked.wake()
        assert parked.deadline == FOREVER

    nursery.start_soon(later)
    await parked.stir(100)
    assert trio.current_time() == 3


async def test_overdue(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A deadline that has passed ends the wait."""
    parked = Parked()

    async def late() -> None:
        await trio.sleep(3)
        assert parked.overdue()
        assert not parked.overdue(), "it is being woken already"

    nursery.start_soon(late)
    await parked.stir(2)
    assert trio.current_time() == 3


async def test_cancelled(autojump_clock: MockClock) -> None:
    """A task that was cancelled is forgotten: nobody wakes it again, nor is it overdue."""
    parked = Parked()
    with trio.move_on_after(1) as scope:
        await parked.stir(FOREVER)
    assert scope.cancelled_caught
    parked.wake()
    assert not parked.overdue()
    assert parked.deadline == FOREVER


@pytest.mark.parametrize("end", [Parked.wake, Parked.overdue])
def test_nobody_waits(end: Callable[[Parked], object]) -> None:
    """There is nobody to wake."""
    end(Parked())


async def test_nothing() -> None:
    """It says what `outcome.Value(None)` says, and as often as it is wanted."""

    def steps() -> Generator[str, None, None]:
        yield "on"

    async def steps_too() -> AsyncGenerator[str, None]:
        yield "on"

    for _ in range(2):
        assert NOTHING.send(steps()) == "on"
        async with aclosing(steps_too()) as others:
            assert await NOTHING.asend(others) == "on"
        NOTHING.unwrap()
