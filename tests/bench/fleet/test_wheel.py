"""The simulator's wheel: as slow as the real one, and alive to those who listen for a byte."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from bench.fleet.memory import Deadlines, End, MemoryWire, pair
from bench.fleet.wheel import BEAT, WholeReplies
from tarpit.errors import PeerGone
from tarpit.pace import Pace

LINE = b"220 mx.example ESMTP\r\n"
LINES = b"250-one\r\n250-two\r\n250 three\r\n"


class Tally:
    """An account."""

    held_seconds = 0.0
    dripped_bytes = 0


async def said(data: bytes, pace: Pace) -> list[tuple[float, bytes]]:
    """Say *data* at *pace*; return the pieces that came, and when."""
    near, far = pair()
    wire, wheel, tally = MemoryWire(Deadlines(), near, ("192.0.2.1", 1)), WholeReplies(), Tally()
    pieces = list[tuple[float, bytes]]()

    async def listen() -> None:
        while piece := await far.receive_some():
            pieces.append((round(trio.current_time(), 2), piece))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wheel.run)
        nursery.start_soon(listen)
        await wheel.say(wire, data, pace, patience=60, account=tally)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert tally.held_seconds == pytest.approx(pieces[-1][0], abs=0.02)
    return pieces


async def test_a_short_wait_ends_in_one_piece(autojump_clock: MockClock) -> None:
    """When all of it would have been out."""
    pace = Pace(before_reply=2, per_byte=0.25)
    assert await said(LINE, pace) == [(pace.takes(len(LINE)), LINE)]


@pytest.mark.parametrize("data", [LINE, LINES])
async def test_a_long_one_shows_signs_of_life(data: bytes, autojump_clock: MockClock) -> None:
    """At least every `BEAT` seconds, or as often as the pace has it; of lines, whole ones."""
    pace = Pace(before_reply=2, per_byte=3, within=45)
    pieces = await said(data, pace)
    assert b"".join(piece for _, piece in pieces) == data
    assert pieces[-1][0] == pace.takes(len(data)) == 45
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(pieces)]
    assert max(gaps) <= (2 * BEAT if data is LINE else 45 / 2 + BEAT)
    if data is LINES:
        assert all(piece.endswith(b"\r\n") for _, piece in pieces)


async def test_a_peer_that_leaves_ends_the_wait(autojump_clock: MockClock) -> None:
    """At once, and with what it has cost."""
    near, far = pair()
    wire, wheel, tally = MemoryWire(Deadlines(), near, ("192.0.2.1", 1)), WholeReplies(), Tally()

    async def leave() -> None:
        await trio.sleep(7)
        far.shut()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wheel.run)
        nursery.start_soon(leave)
        with pytest.raises(PeerGone):
            await wheel.say(wire, LINE, Pace(before_reply=30), patience=60, account=tally)
        nursery.cancel_scope.cancel()
    assert tally.held_seconds == 7


def test_ends_are_streams() -> None:
    """So that a client of the fleets speaks over them as over a socket."""
    assert {"send_all", "receive_some", "aclose"} <= set(dir(End)) & set(dir(trio.SocketStream))
