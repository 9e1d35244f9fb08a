"""Bytes at a pace: which second each is sent, and what ends the waiting."""

import socket
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.drip import TICK, Dripped, Wheel
from tarpit.errors import PeerGone, PeerSilent
from tarpit.pace import FULL_SPEED, Pace
from tests.support.pair import Pair, arrivals, drain, fill, wired

REPLY: Final = b"250 ok\r\n"


async def say_and_hear(data: bytes, pace: Pace) -> tuple[Dripped, list[tuple[float, bytes]]]:
    """Say *data*, and return what that was on both ends."""
    heard: list[tuple[float, bytes]] = []

    async def hear(pair: Pair) -> None:
        heard.extend(await arrivals(pair.far, len(data)))

    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(hear, pair)
        dripped = await pair.wheel.say(pair.wire, data, pace)
        assert len(pair.wheel) == 0
    return dripped, heard


async def test_a_byte_a_second(autojump_clock: MockClock) -> None:
    """After the wait one byte leaves at each exact second."""
    dripped, heard = await say_and_hear(b"220 \r\n", Pace(before_reply=2, per_byte=1))
    assert heard == [(2, b"2"), (3, b"2"), (4, b"0"), (5, b" "), (6, b"\r"), (7, b"\n")]
    assert dripped == Dripped(7, 6)


async def test_wait_then_all(autojump_clock: MockClock) -> None:
    """Without a gap between bytes the reply comes as one, after the wait."""
    dripped, heard = await say_and_hear(REPLY, Pace(before_reply=3))
    assert heard == [(3, REPLY)]
    assert dripped == Dripped(3, 0)


async def test_full_speed(autojump_clock: MockClock) -> None:
    """No pace, no time."""
    dripped, heard = await say_and_hear(REPLY, FULL_SPEED)
    assert heard == [(0, REPLY)]
    assert dripped == Dripped(0, 0)


async def test_rest_at_once_when_time_is_over(autojump_clock: MockClock) -> None:
    """When `within` has passed, what is left comes in one piece."""
    dripped, heard = await say_and_hear(REPLY, Pace(per_byte=1, within=2.5))
    assert heard == [(0, b"2"), (1, b"5"), (2, b"0"), (2.5, b" ok\r\n")]
    assert dripped == Dripped(2.5, 3)


async def test_wait_longer_than_the_budget(autojump_clock: MockClock) -> None:
    """The wait before a reply is bounded too."""
    assert (await say_and_hear(REPLY, Pace(before_reply=60, per_byte=1, within=5)))[1] == [(5, REPLY)]


@given(
    data=st.binary(min_size=1, max_size=40),
    before=st.floats(0, 20),
    per_byte=st.just(0.0) | st.floats(TICK, 3),
    within=st.floats(0.01, 60),
)
@settings(max_examples=40, deadline=None)
def test_total_time(data: bytes, before: float, per_byte: float, within: float) -> None:
    """A reply takes what its pace says, up to one tick more; whatever has come is a beginning of it."""
    pace = Pace(before, per_byte, within)
    clock = MockClock(autojump_threshold=0)
    dripped, heard = trio.run(say_and_hear, data, pace, clock=clock)
    assert -1e-9 <= dripped.seconds - pace.takes(len(data)) <= TICK + 1e-9
    assert b"".join(chunk for _, chunk in heard) == data


@given(size=st.integers(2, 40), per_byte=st.floats(TICK / 100, TICK))
@settings(max_examples=20, deadline=None)
def test_finer_than_a_tick(size: int, per_byte: float) -> None:
    """A gap shorter than a tick may take up to a tick: never early, and a tick a byte at most."""
    clock = MockClock(autojump_threshold=0)
    dripped, _ = trio.run(say_and_hear, bytes(size), Pace(per_byte=per_byte), clock=clock)
    assert per_byte * (size - 1) - 1e-9 <= dripped.seconds <= TICK * size


@given(size=st.integers(0, 8), jitter=st.floats(0, 0.9))
@settings(max_examples=20, deadline=None)
def test_prefix(size: int, jitter: float) -> None:
    """Whenever one looks, what was received is a prefix of the reply."""

    async def look() -> bytes:
        async with wired() as pair, trio.open_nursery() as nursery:
            nursery.start_soon(pair.wheel.say, pair.wire, REPLY, Pace(per_byte=1, jitter=jitter))
            heard = await drain(pair.far, size) if size else b""
            nursery.cancel_scope.cancel()
        return heard

    assert trio.run(look, clock=MockClock(autojump_threshold=0)) == REPLY[:size]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 5), (0.5, 10), (1.0, 15)])
async def test_jitter(chance: float, seconds: float, autojump_clock: MockClock) -> None:
    """Every wait is longer or shorter by a share of itself."""
    async with wired() as pair, trio.open_nursery() as nursery:
        wheel = Wheel(lambda: chance)
        nursery.start_soon(wheel.run)
        dripped = await wheel.say(pair.wire, REPLY, Pace(before_reply=3, per_byte=1, jitter=0.5))
        nursery.cancel_scope.cancel()
        assert dripped.seconds == seconds


async def test_many_at_once(autojump_clock: MockClock) -> None:
    """Replies in progress do not wait for one another."""
    async with wired() as slow, wired() as quick, trio.open_nursery() as nursery:
        nursery.start_soon(slow.wheel.say, slow.wire, REPLY, Pace(before_reply=60))
        await trio.sleep(1)
        assert await slow.wheel.say(quick.wire, REPLY, Pace(per_byte=0.5)) == Dripped(3.5, 8)
        assert len(slow.wheel) == 1


@pytest.mark.parametrize("before", [True, False])
async def test_peer_leaves(before: bool, autojump_clock: MockClock) -> None:
    """A peer that closes ends the wait at that very moment, or before it begins."""

    async def leave(pair: Pair) -> None:
        await trio.sleep(2.3)
        pair.far.close()

    async with wired() as pair, trio.open_nursery() as nursery:
        if before:
            pair.far.close()
        else:
            nursery.start_soon(leave, pair)
        with pytest.raises(PeerGone):
            await pair.wheel.say(pair.wire, REPLY, Pace(before_reply=60))
        assert trio.current_time() == (0 if before else 2.3)
        assert len(pair.wheel) == 0


async def test_fin_after_quit(autojump_clock: MockClock) -> None:
    """Who said QUIT and finished sending still gets the whole reply, slowly."""
    async with wired() as pair:
        pair.far.shutdown(socket.SHUT_WR)
        dripped = await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=1), left_after_fin=False)
        assert dripped == Dripped(7, 8)
        assert await drain(pair.far, 8) == REPLY


async def test_gone_after_quit(autojump_clock: MockClock) -> None:
    """Who said QUIT and closed is noticed with the next byte."""
    async with wired() as pair:
        pair.far.close()
        with pytest.raises(PeerGone):
            await pair.wheel.say(pair.wire, REPLY, Pace(before_reply=5, per_byte=1), left_after_fin=False)
        assert trio.current_time() == 5


async def test_unread_bytes_are_no_leave(autojump_clock: MockClock) -> None:
    """A peer that pipelines and finishes sending is answered: its commands are still to be read."""
    async with wired() as pair:
        await pair.far.send(b"QUIT\r\n")
        pair.far.shutdown(socket.SHUT_WR)
        assert await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=1)) == Dripped(7, 8)


async def test_hurry(autojump_clock: MockClock) -> None:
    """Told to hurry, the rest of a reply goes out at once."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.wheel.say, pair.wire, REPLY, Pace(per_byte=1))
        await trio.sleep(2.5)
        pair.wheel.hurry()
        assert await drain(pair.far, 8) == REPLY
        assert trio.current_time() == 2.5
        assert len(pair.wheel) == 0


async def test_cancelled(autojump_clock: MockClock) -> None:
    """A cancelled wait leaves no drip behind, and nothing more is sent."""
    async with wired() as pair:
        with trio.move_on_after(1.5):
            await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=1))
        assert len(pair.wheel) == 0
        assert pair.wire.on_hangup is None
        await trio.sleep(10)
        assert pair.wire.bytes_out == 2


async def test_peer_reads_nothing(autojump_clock: MockClock) -> None:
    """Against a full buffer the wheel goes on turning; in the end the peer is silent."""
    async with wired() as pair:
        fill(pair.wire)
        with pytest.raises(PeerSilent):
            await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=1, within=10))
        assert 40 <= trio.current_time() <= 41


async def test_lateness(autojump_clock: MockClock) -> None:
    """A listener hears how late each byte was: never early, at most a tick."""
    async with wired() as pair:
        late: list[float] = []
        pair.wheel.lateness = late.append
        await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=0.123))
        assert len(late) == len(REPLY)
        assert all(0 <= seconds <= TICK for seconds in late)
