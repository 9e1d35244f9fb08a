"""Connections in memory: what the proxy sees of one is what it sees of a socket."""

import pytest
import trio
from trio.testing import MockClock

from bench.fleet.memory import Deadlines, End, MemoryWire, pair
from tarpit.errors import PeerGone, PeerSilent


def wire() -> tuple[MemoryWire, End]:
    near, far = pair()
    return MemoryWire(Deadlines(), near, ("192.0.2.1", 4321)), far


async def test_what_one_end_sends_the_other_reads() -> None:
    """In order, in pieces, and then the end."""
    one, other = pair()
    await one.send_all(b"abc")
    assert await other.receive_some(2) == b"ab"
    await one.aclose()
    assert [await other.receive_some(), await other.receive_some()] == [b"c", b""]
    with pytest.raises(trio.BrokenResourceError):
        await other.send_all(b"x")


async def test_a_wire_reads_what_was_sent_before_the_end() -> None:
    """As a socket does: who has hung up has left only once all it said is read."""
    near, far = wire()
    far.put(b"QUIT\r\n")
    far.shut()
    assert near.hung_up
    assert not near.has_left()
    assert near.receive_now(4096) == b"QUIT\r\n"
    assert near.receive_now(4096) == b""
    assert near.has_left()
    assert not near.has_left(after_fin=False)


async def test_a_wire_breaks_on_the_second_word_to_nobody() -> None:
    """The first is lost on the way, as with a reset that is yet to come."""
    near, far = wire()
    far.shut()
    near.send_now(b"220 hello\r\n")
    with pytest.raises(PeerGone):
        near.send_now(b"250 hello\r\n")


async def test_a_silent_peer_is_overdue_within_a_second(autojump_clock: MockClock) -> None:
    """Time-outs come as late as those of the real poller, and not later."""
    near, far = pair()
    poller = Deadlines()
    mine = MemoryWire(poller, near, ("192.0.2.1", 4321))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        with pytest.raises(PeerSilent):
            await mine.receive(100, trio.current_time() + 30)
        assert 30 <= autojump_clock.current_time() <= 31
        nursery.cancel_scope.cancel()
    assert not far.inbox
