"""A client's side of a connection: whole replies, and timers of each kind."""

import pytest
import trio
from trio.testing import MockClock

from bench.clients import Client, Kind, Limit, Step
from bench.fleet.caller import Caller, Closed
from bench.fleet.memory import End, pair

REPLY = b"250-mx\r\n250 SIZE\r\n"


async def drip(end: End, data: bytes, gap: float) -> None:
    for byte in data:
        await trio.sleep(gap)
        end.put(bytes([byte]))


@pytest.mark.parametrize(
    ("kind", "seconds", "heard"),
    [
        (Kind.WHOLE, 40, True),
        (Kind.WHOLE, 20, False),
        (Kind.SILENCE, 3, True),
        (Kind.SILENCE, 1, False),
        (Kind.LINE, 22, True),
        (Kind.LINE, 15, False),
        (Kind.FIRST_LINE, 22, True),
    ],
)
async def test_timers(kind: Kind, seconds: float, heard: bool, autojump_clock: MockClock) -> None:
    """A reply of 18 bytes, one each 2 s, is heard by those whose timers allow it, and by no others."""
    near, far = pair()
    caller = Caller(far, Client("it", Limit(seconds, kind)))
    answer = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip, near, REPLY, 2.0)
        with caller.patience:
            answer = await caller.hear(Step.EHLO)
        nursery.cancel_scope.cancel()
    assert (answer is not None and answer.raw == REPLY) is heard
    assert caller.step is Step.EHLO


async def test_replies_that_come_together_are_heard_one_by_one() -> None:
    """Each with its code; and then the end."""
    near, far = pair()
    near.put(b"220 mx\r\n" + REPLY + b"nonsense\r\n")
    near.shut()
    caller = Caller(far, Client("it", Limit(10, Kind.WHOLE)))
    with caller.patience:
        assert [(await caller.hear(Step.EHLO)).code for _ in range(3)] == [220, 250, 0]
        with pytest.raises(Closed):
            await caller.hear(Step.EHLO)


async def test_the_whole_delivery_may_have_an_end(autojump_clock: MockClock) -> None:
    """chasquid's: whatever the single replies take."""
    near, far = pair()
    caller = Caller(far, Client("it", Limit(300, Kind.SILENCE), session=60))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip, near, b"x" * 100, 10.0)
        with caller.patience:
            await caller.hear(Step.BANNER)
        nursery.cancel_scope.cancel()
    assert autojump_clock.current_time() == 60
