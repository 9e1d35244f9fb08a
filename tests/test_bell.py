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
