"""Bytes at a pace: which second each is sent, and what ends the waiting."""

import select
import socket
from dataclasses import dataclass
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.drip import TICK, Wheel
from tarpit.errors import PeerGone, PeerSilent
from tarpit.pace import FULL_SPEED, Pace
from tests.support.pair import Pair, arrivals, drain, fill, wired

REPLY: Final = b"250 ok\r\n"
LINES: Final = b"250-one\r\n250-two\r\n250 three\r\n"
PATIENCE: Final = 30.0


@dataclass
class Sum:
    """What a wheel writes down."""

    held_seconds: float = 0.0
    dripped_bytes: int = 0


async def say(
    pair: Pair, data: bytes, pace: Pace, *, wheel: Wheel | None = None, left_after_fin: bool = True
) -> Sum:
    """Say *data*, and return what that came to."""
    account = Sum()
    await (pair.wheel if wheel is None else wheel).say(
        pair.wire, data, pace, patience=PATIENCE, account=account, left_after_fin=left_after_fin
    )
    return account


async def say_and_hear(data: bytes, pace: Pace) -> tuple[Sum, list[tuple[float, bytes]]]:
    """Say *data*, and return what that was on both ends."""
    heard: list[tuple[float, bytes]] = []

    async def hear(pair: Pair) -> None:
        heard.extend(await arrivals(pair.far, len(data)))

    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(hear, pair)
        dripped = await say(pair, data, pace)
        assert len(pair.wheel) == 0
    return dripped, heard


async def test_a_byte_a_second(autojump_clock: MockClock) -> None:
    """After the wait one byte leaves at each exact second."""
    dripped, heard = await say_and_hear(b"220 \r\n", Pace(before_reply=2, per_byte=1))
    assert heard == [(2, b"2"), (3, b"2"), (4, b"0"), (5, b" "), (6, b"\r"), (7, b"\n")]
    assert dripped == Sum(7, 6)


async def test_wait_then_all(autojump_clock: MockClock) -> None:
    """Without a gap between bytes the reply comes as one, after the wait."""
    dripped, heard = await say_and_hear(REPLY, Pace(before_reply=3))
    assert heard == [(3, REPLY)]
    assert dripped == Sum(3, 0)


async def test_full_speed(autojump_clock: MockClock) -> None:
    """No pace, no time."""
    dripped, heard = await say_and_hear(REPLY, FULL_SPEED)
    assert heard == [(0, REPLY)]
    assert dripped == Sum(0, 0)


async def test_rest_at_once_when_time_is_over(autojump_clock: MockClock) -> None:
    """When `within` has passed, what is left comes in one piece."""
    dripped, heard = await say_and_hear(REPLY, Pace(per_byte=1, within=2.5))
    assert heard == [(0, b"2"), (1, b"5"), (2, b"0"), (2.5, b" ok\r\n")]
    assert dripped == Sum(2.5, 3)


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
    assert -1e-9 <= dripped.held_seconds - pace.takes(len(data)) <= TICK + 1e-9
    assert b"".join(chunk for _, chunk in heard) == data


@given(size=st.integers(2, 400), per_byte=st.floats(TICK / 100, TICK))
@settings(max_examples=20, deadline=None)
def test_finer_than_a_tick(size: int, per_byte: float) -> None:
    """Gaps shorter than a tick do not add up to ticks: several bytes leave at a time."""
    clock = MockClock(autojump_threshold=0)
    dripped, _ = trio.run(say_and_hear, bytes(size), Pace(per_byte=per_byte), clock=clock)
    assert -1e-9 <= dripped.held_seconds - per_byte * (size - 1) <= TICK + 1e-9


async def test_line_by_line(autojump_clock: MockClock) -> None:
    """Lines that would not be out in time byte by byte come one at a time, evenly over the time there is."""
    dripped, heard = await say_and_hear(LINES, Pace(before_reply=2, per_byte=1, within=12))
    assert heard == [(2, b"250-one\r\n"), (7, b"250-two\r\n"), (12, b"250 three\r\n")]
    assert dripped.held_seconds == 12


async def test_lines_that_fit(autojump_clock: MockClock) -> None:
    """Where there is time enough, lines come byte by byte like any reply."""
    _, heard = await say_and_hear(LINES, Pace(per_byte=1, within=28))
    assert heard == [(second, LINES[second : second + 1]) for second in range(29)]


async def test_more_lines_than_ticks(autojump_clock: MockClock) -> None:
    """Many lines in little time: several leave at a time, and all are out when it has passed."""
    data = b"250-x\r\n" * 499 + b"250 x\r\n"
    dripped, heard = await say_and_hear(data, Pace(per_byte=1, within=1))
    assert dripped.held_seconds == 1
    assert 50 <= len(heard) <= 101
    assert all(chunk.endswith(b"\r\n") for _, chunk in heard)


@given(size=st.integers(0, 8), jitter=st.floats(0, 0.9))
@settings(max_examples=20, deadline=None)
def test_prefix(size: int, jitter: float) -> None:
    """NET-11 Whenever one looks, what was received is a prefix of the reply."""

    async def look() -> bytes:
        async with wired() as pair, trio.open_nursery() as nursery:
            nursery.start_soon(say, pair, REPLY, Pace(per_byte=1, jitter=jitter))
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
        dripped = await say(pair, REPLY, Pace(before_reply=3, per_byte=1, jitter=0.5), wheel=wheel)
        nursery.cancel_scope.cancel()
        assert dripped.held_seconds == seconds


async def test_many_at_once(autojump_clock: MockClock) -> None:
    """Replies in progress do not wait for one another."""
    async with wired() as slow, wired() as quick, trio.open_nursery() as nursery:
        nursery.start_soon(say, slow, REPLY, Pace(before_reply=60))
        await trio.sleep(1)
        assert await say(quick, REPLY, Pace(per_byte=0.5), wheel=slow.wheel) == Sum(3.5, 8)
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
            await say(pair, REPLY, Pace(before_reply=60))
        assert trio.current_time() == (0 if before else 2.3)
        assert len(pair.wheel) == 0


async def test_fin_after_quit(autojump_clock: MockClock) -> None:
    """Who said QUIT and finished sending still gets the whole reply, slowly."""
    async with wired() as pair:
        pair.far.shutdown(socket.SHUT_WR)
        dripped = await say(pair, REPLY, Pace(per_byte=1), left_after_fin=False)
        assert dripped == Sum(7, 8)
        assert await drain(pair.far, 8) == REPLY


async def test_gone_after_quit(autojump_clock: MockClock) -> None:
    """Who said QUIT and closed is noticed with the next byte."""
    async with wired() as pair:
        pair.far.close()
        with pytest.raises(PeerGone):
            await say(pair, REPLY, Pace(before_reply=5, per_byte=1), left_after_fin=False)
        assert trio.current_time() == 5


async def test_unread_bytes_are_no_leave(autojump_clock: MockClock) -> None:
    """A peer that pipelines and finishes sending is answered: its commands are still to be read."""
    async with wired() as pair:
        await pair.far.send(b"QUIT\r\n")
        pair.far.shutdown(socket.SHUT_WR)
        assert await say(pair, REPLY, Pace(per_byte=1)) == Sum(7, 8)


@pytest.mark.parametrize("left_after_fin", [True, False])
@pytest.mark.parametrize("unread", [b"", b"QUIT\r\n"])
async def test_reset(unread: bytes, left_after_fin: bool) -> None:
    """A reset ends any wait within a tick, whatever is still to be read."""
    async with wired(tcp=True) as pair, trio.open_nursery() as nursery:

        async def reset() -> None:
            await pair.far.send(unread)
            await trio.sleep(0.05)
            pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            pair.far.close()

        nursery.start_soon(reset)
        with trio.fail_after(5), pytest.raises(PeerGone):
            await say(pair, REPLY, Pace(before_reply=60), left_after_fin=left_after_fin)


async def test_account_of_a_leaver(autojump_clock: MockClock) -> None:
    """What was dripped to a peer that left counts as well."""
    async with wired() as pair, trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.sleep(2.5)
            pair.far.close()

        nursery.start_soon(leave)
        account = Sum()
        with pytest.raises(PeerGone):
            await pair.wheel.say(pair.wire, REPLY, Pace(per_byte=1), patience=PATIENCE, account=account)
        assert account == Sum(2.5, 3)


async def test_rest(autojump_clock: MockClock) -> None:
    """A rest is a wait with nothing said, and counts."""
    async with wired() as pair:
        account = Sum()
        await pair.wheel.rest(pair.wire, 4, account=account)
        assert (account, trio.current_time()) == (Sum(4, 0), 4)
        assert pair.wire.bytes_out == 0


async def test_rest_of_a_leaver(autojump_clock: MockClock) -> None:
    """Who leaves ends a rest too."""
    async with wired() as pair, trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.sleep(1.5)
            pair.far.close()

        nursery.start_soon(leave)
        with pytest.raises(PeerGone):
            await pair.wheel.rest(pair.wire, 4)
        assert trio.current_time() == 1.5


async def test_hurried_rest(autojump_clock: MockClock) -> None:
    """Told to hurry, nobody rests."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.wheel.rest, pair.wire, 60)
        await trio.sleep(1)
        pair.wheel.hurry()
    assert trio.current_time() == 1


async def test_hurry(autojump_clock: MockClock) -> None:
    """Told to hurry, the rest of a reply goes out at once."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(say, pair, REPLY, Pace(per_byte=1))
        await trio.sleep(2.5)
        pair.wheel.hurry()
        assert await drain(pair.far, 8) == REPLY
        assert trio.current_time() == 2.5
        assert len(pair.wheel) == 0


async def test_cancelled(autojump_clock: MockClock) -> None:
    """A cancelled wait leaves no drip behind, and nothing more is sent."""
    async with wired() as pair:
        with trio.move_on_after(1.5):
            await say(pair, REPLY, Pace(per_byte=1))
        assert len(pair.wheel) == 0
        assert pair.wire.on_hangup is None
        await trio.sleep(10)
        assert pair.wire.bytes_out == 2


async def test_peer_reads_nothing(autojump_clock: MockClock) -> None:
    """Against a full buffer the wheel goes on turning; in the end the peer is silent."""
    async with wired() as pair:
        fill(pair.wire)
        with pytest.raises(PeerSilent):
            await say(pair, REPLY, Pace(per_byte=1, within=10))
        assert 10 + PATIENCE <= trio.current_time() <= 11 + PATIENCE


async def test_peer_reads_nothing_for_long(autojump_clock: MockClock) -> None:
    """A drip without an end in sight is given up when nothing was taken for as long as patience lasts."""
    async with wired() as pair:
        fill(pair.wire)
        with pytest.raises(PeerSilent):
            await say(pair, REPLY, Pace(before_reply=5, per_byte=1))
        assert trio.current_time() == 5 + PATIENCE
        assert len(pair.wheel) == 0


async def test_peer_stops_reading_twice(autojump_clock: MockClock) -> None:
    """Patience begins anew each time: having read late once is not held against a peer."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(say, pair, REPLY, Pace(per_byte=5))
        for full, read in ((4, 12), (24, 46)):
            await trio.sleep_until(full)
            filled = fill(pair.wire)
            await trio.sleep_until(read)
            assert len(await drain(pair.far, filled)) >= filled
        assert len(pair.wheel) == 1


async def test_peer_reads_again(autojump_clock: MockClock) -> None:
    """A full buffer costs nothing but time: the drip goes on where it was."""
    async with wired() as pair, trio.open_nursery() as nursery:
        filled = fill(pair.wire)
        nursery.start_soon(say, pair, REPLY, Pace(per_byte=1))
        await trio.sleep(4.5)
        assert await drain(pair.far, filled) == bytes(filled)
        heard = await arrivals(pair.far, len(REPLY))
        assert heard == [(5 + at, REPLY[at : at + 1]) for at in range(len(REPLY))]


async def test_lateness(autojump_clock: MockClock) -> None:
    """A listener hears how late each byte was: never early, at most a tick."""
    async with wired() as pair:
        late: list[float] = []
        pair.wheel.lateness = late.append
        await say(pair, REPLY, Pace(per_byte=0.123))
        assert len(late) == len(REPLY)
        assert all(0 <= seconds <= TICK for seconds in late)


async def test_no_wait_begins_in_a_server_that_stops(autojump_clock: MockClock) -> None:
    """Who is told to stop while nothing is said or waited for is not made to wait afterwards."""
    async with wired() as pair:
        pair.wire.stop()
        await pair.wheel.rest(pair.wire, 60)
        await say(pair, REPLY, Pace(per_byte=1))
        assert await drain(pair.far, len(REPLY)) == REPLY
        assert trio.current_time() == 0


async def test_hurry_brings_nobody_back(autojump_clock: MockClock) -> None:
    """A peer that has left in the very moment in which all are told to hurry has left."""
    async with wired() as pair, trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.sleep(1.5)
            pair.far.close()
            pair.wire.stirred(select.EPOLLRDHUP)
            pair.wheel.hurry()

        nursery.start_soon(leave)
        with pytest.raises(PeerGone):
            await pair.wheel.rest(pair.wire, 4)
