"""A bell is heard by one who waits, or by the next."""

import trio
import trio.testing

from tarpit.bell import Bell


async def test_a_bell_is_heard_once() -> None:
    """Rung twice before anybody waits, it is heard once; rung again, again."""
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    with trio.move_on_after(0.01) as waiting:
        await bell.wait()
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await trio.testing.wait_all_tasks_blocked()
        bell.ring()


async def test_what_is_known_already(autojump_clock: trio.testing.MockClock) -> None:
    """A bell that was rung for nothing new wakes nobody; rung again, it does."""
    bell = Bell()
    for _ in range(2):
        bell.ring()
        bell.still()
        bell.still()
        with trio.move_on_after(1) as patience:
            await bell.wait()
        assert patience.cancelled_caught
    bell.ring()
    await bell.wait()
