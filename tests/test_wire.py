"""One socket: reading, writing, and how each kind of waiting ends."""

import socket
import struct
from collections.abc import Callable

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.poller import SWEEP_EVERY, Poller
from tarpit.wire import Wire
from tests.support.pair import Pair, drain, fill, wired


async def after(seconds: float, act: Callable[[], object]) -> None:
    """Do something later."""
    await trio.sleep(seconds)
    act()


def reset(far: trio.socket.SocketType) -> None:
    """Close with a reset."""
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


# -- reading


async def test_receive_waits(autojump_clock: MockClock) -> None:
    """A read waits for bytes, and has them when they come."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.far.send, b"EHLO")
        assert await pair.wire.receive(100) == b"EHLO"
        nursery.start_soon(after, 200, lambda: nursery.start_soon(pair.far.send, b"x\r\n"))
        assert await pair.wire.receive(100) == b"x\r\n"
        assert trio.current_time() == 200
        assert pair.wire.bytes_in == 7


async def test_receive_in_pieces(autojump_clock: MockClock) -> None:
    """A read takes no more than its limit; the rest is there for the next, then the end."""
    async with wired() as pair:
        await pair.far.send(b"abcde")
        pair.far.close()
        assert [await pair.wire.receive(2) for _ in range(5)] == [b"ab", b"cd", b"e", b"", b""]


async def test_peek(autojump_clock: MockClock) -> None:
    """What was looked at is still there to be read; nothing is None, the end no bytes."""
    async with wired() as pair:
        assert pair.wire.peek_now(10) is None
        await pair.far.send(b"abc")
        assert pair.wire.peek_now(2) == b"ab"
        assert (pair.wire.peek_now(10), pair.wire.bytes_in) == (b"abc", 0)
        assert pair.wire.receive_now(10) == b"abc"
        pair.far.close()
        assert pair.wire.peek_now(10) == b""


async def test_receive_now(autojump_clock: MockClock) -> None:
    """Asked not to wait, nothing is None, and the end is no bytes."""
    async with wired() as pair:
        assert pair.wire.receive_now(10) is None
        await pair.far.send(b"x")
        assert pair.wire.receive_now(10) == b"x"
        pair.far.close()
        assert pair.wire.receive_now(10) == b""


async def test_stopped_while_it_waits_its_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was about to read, and finds that there is nothing, does not wait for more."""
    async with wired() as pair:
        await trio.testing.wait_all_tasks_blocked()
        pair.wire.readable = True  # as epoll may have it of what was read already

        async def stop() -> None:
            pair.wire.stop()

        monkeypatch.setattr(trio.lowlevel, "checkpoint", stop)
        with pytest.raises(Stopping):
            await pair.wire.receive(100, 50, stoppable=True)
        assert trio.current_time() == 0


async def test_end_while_waiting(autojump_clock: MockClock) -> None:
    """The end of the stream ends the wait at once."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(after, 3, pair.far.close)
        assert await pair.wire.receive(10) == b""
        assert trio.current_time() == 3
        assert pair.wire.readable


@pytest.mark.parametrize("until", [0.5, 5.0, 299.3])
async def test_time_out(until: float, autojump_clock: MockClock) -> None:
    """A silent peer is told of within a second of the deadline, never early."""
    async with wired() as pair:
        with pytest.raises(PeerSilent):
            await pair.wire.receive(10, until)
        assert until <= trio.current_time() <= until + SWEEP_EVERY


async def test_usable_after_a_time_out(autojump_clock: MockClock) -> None:
    """A time-out ends one wait, not the wire."""
    async with wired() as pair:
        with pytest.raises(PeerSilent):
            await pair.wire.receive(10, 5)
        await pair.far.send(b"late")
        assert await pair.wire.receive(10, 10) == b"late"


async def test_cancelled_wait(autojump_clock: MockClock) -> None:
    """A cancelled wait leaves nobody to wake."""
    async with wired() as pair:
        with trio.move_on_after(1):
            await pair.wire.receive(10, 2)
        await trio.sleep(5)
        await pair.far.send(b"x")
        assert await pair.wire.receive(10, 20) == b"x"


async def test_reset() -> None:
    """A reset is no end of the stream: the peer is gone."""
    async with wired(tcp=True) as pair:
        reset(pair.far)
        with pytest.raises(PeerGone, match="reset"):
            await pair.wire.receive(10, trio.current_time() + 5)


async def test_own_failures(autojump_clock: MockClock) -> None:
    """A backend's wire fails as a backend does."""
    async with wired() as pair:
        ours, far = socket.socketpair()
        wire = Wire(pair.poller, ours, gone=BackendUnavailable, silent=BackendUnavailable)
        with pytest.raises(BackendUnavailable, match="in time"):
            await wire.receive(10, 1)
        far.close()
        with pytest.raises(BackendUnavailable, match="closed"):
            wire.send_now(b"x")
        wire.close()


@pytest.mark.parametrize("before", [True, False])
async def test_stop(before: bool, autojump_clock: MockClock) -> None:
    """A stoppable wait ends when it is told to, or does not begin."""
    async with wired() as pair, trio.open_nursery() as nursery:
        if before:
            pair.wire.stop()
        else:
            nursery.start_soon(after, 2, pair.wire.stop)
        with pytest.raises(Stopping):
            await pair.wire.receive(10, stoppable=True)
        assert trio.current_time() == (0 if before else 2)
        assert pair.wire.stopping


async def test_stop_in_a_transaction(autojump_clock: MockClock) -> None:
    """A wait that is not stoppable goes on."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(after, 1, pair.wire.stop)
        nursery.start_soon(after, 5, lambda: nursery.start_soon(pair.far.send, b"."))
        assert await pair.wire.receive(10) == b"."
        assert trio.current_time() == 5


# -- writing


async def test_send_all_over_a_full_buffer(autojump_clock: MockClock) -> None:
    """What the kernel does not take at once is sent as the peer reads, in order."""
    data = bytes(range(256)) * 8192
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.wire.send_all, data)
        await trio.sleep(10)
        assert 0 < pair.wire.bytes_out < len(data)
        assert await drain(pair.far, len(data)) == data
        assert pair.wire.bytes_out == len(data)


@pytest.mark.parametrize("tcp", [False, True])
async def test_send_piece_by_piece_over_a_full_buffer(tcp: bool) -> None:
    """Each time that the kernel is full, the first and any other, the wait ends when the peer has read."""
    async with wired(tcp=tcp) as pair:
        for _ in range(3):
            filled = fill(pair.wire)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pair.wire.send_all, b"x" * 1000)
                await trio.testing.wait_all_tasks_blocked()
                assert pair.wire.half_said
                assert (await drain(pair.far, filled + 1000))[-1000:] == b"x" * 1000


async def test_send_to_who_does_not_read(autojump_clock: MockClock) -> None:
    """Who reads nothing is silent in the end."""
    async with wired() as pair:
        fill(pair.wire)
        with pytest.raises(PeerSilent):
            await pair.wire.send_all(b"x", 30)
        assert 30 <= trio.current_time() <= 30 + SWEEP_EVERY


async def test_send_to_who_has_left(autojump_clock: MockClock) -> None:
    """Who has closed is gone, also in the middle of a wait."""
    async with wired() as pair, trio.open_nursery() as nursery:
        fill(pair.wire)
        nursery.start_soon(after, 2, pair.far.close)
        with pytest.raises(PeerGone):
            await pair.wire.send_all(b"x", 30)
        assert trio.current_time() == 2


# -- leaving


async def test_has_left(autojump_clock: MockClock) -> None:
    """A peer has left when it has closed and nothing of it is unread."""
    async with wired() as pair:
        assert not pair.wire.has_left()
        await pair.far.send(b"x")
        pair.far.close()
        assert not pair.wire.has_left()
        assert await pair.wire.receive(10) == b"x"
        assert pair.wire.has_left()


async def test_has_left_after_fin(autojump_clock: MockClock) -> None:
    """Where finishing to send is no leave, only a reset is."""
    async with wired() as pair:
        pair.far.shutdown(socket.SHUT_WR)
        assert not pair.wire.has_left(after_fin=False)
        assert pair.wire.has_left()


@pytest.mark.parametrize("unread", [b"", b"x"])
@pytest.mark.parametrize("polled", [True, False])
async def test_has_left_by_reset(unread: bytes, polled: bool) -> None:
    """A reset is a leave even with bytes unread, whether epoll has told of it or not; and stays one."""
    async with wired(tcp=True) as pair:
        await pair.far.send(unread)
        if unread:
            await pair.wire.receive(0)
        pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        pair.far.close()
        if polled:
            await trio.sleep(0.05)
        assert pair.wire.has_left(after_fin=False)
        assert pair.wire.has_left()


async def test_on_hangup(autojump_clock: MockClock) -> None:
    """A listener is told of a hang-up with nobody reading."""
    async with wired() as pair:
        heard: list[float] = []

        class Listener:
            def hung_up(self) -> None:
                heard.append(trio.current_time())

        pair.wire.on_hangup = Listener()
        await trio.sleep(1)
        pair.far.shutdown(socket.SHUT_WR)
        await trio.sleep(1)
        assert heard == [1]


async def test_close_gently(autojump_clock: MockClock) -> None:
    """The last words are read, although the peer has sent what nobody read; then all is closed."""
    async with wired() as pair, trio.open_nursery() as nursery:
        await pair.far.send(b"unread")
        await pair.wire.send_all(b"421 bye\r\n")
        nursery.start_soon(pair.wire.close_gently)
        assert await drain(pair.far, 100) == b"421 bye\r\n"
        pair.far.close()
        await trio.sleep(0.1)
        assert len(pair.poller) == 0


async def test_close_gently_is_bounded(autojump_clock: MockClock) -> None:
    """A peer that never closes is waited for a moment only."""
    async with wired() as pair:
        await pair.wire.close_gently(3)
        assert 3 <= trio.current_time() <= 3 + SWEEP_EVERY
        assert len(pair.poller) == 0


async def test_close_twice(autojump_clock: MockClock) -> None:
    """Closing what is closed is nothing."""
    async with wired() as pair:
        pair.wire.close()
        pair.wire.close()
        assert len(pair.poller) == 0


async def test_abort() -> None:
    """An abort is seen as a reset, not as an end."""
    async with wired(tcp=True) as pair:
        pair.wire.abort()
        with trio.fail_after(5), pytest.raises(ConnectionResetError):
            await pair.far.recv(1)


async def test_deserted(autojump_clock: MockClock) -> None:
    """Who waits for this side hears that the other one has left, whichever kind of wire it is; once."""
    async with wired() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(after, 5, pair.wire.desert)
        with pytest.raises(PeerGone, match="left before"):
            await pair.wire.receive(100)
        assert trio.current_time() == 5
        await pair.far.send(b"x")
        await trio.lowlevel.checkpoint()
        assert await pair.wire.receive(100) == b"x"
        with pytest.raises(PeerGone, match="left before"):
            await pair.wire.receive(100)


async def test_deserted_between_two_waits(autojump_clock: MockClock) -> None:
    """Whoever has just been woken hears of it when it would wait again."""
    async with wired() as pair:
        pair.wire.check_wanted()
        pair.wire.desert()
        with pytest.raises(PeerGone, match="left before"):
            await pair.wire.receive(100)
        with pytest.raises(PeerGone, match="left before"):
            pair.wire.check_wanted()


# -- the two ends, and connecting


async def test_ends() -> None:
    """A wire knows both ends of its connection."""
    async with wired(tcp=True) as pair:
        assert pair.wire.ours == pair.far.getpeername()
        assert pair.wire.peer == pair.far.getsockname()
        assert pair.wire._socket.getpeername() == pair.wire.peer
        known = Wire(pair.poller, socket.socket(), peer=("192.0.2.1", 25))
        assert known.peer == ("192.0.2.1", 25)
        known.close()


@pytest.mark.parametrize("listening", [True, False])
async def test_connected(listening: bool) -> None:
    """A connect in progress succeeds, or fails with its reason."""
    async with wired() as pair:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            if not listening:
                listener.close()
            ours = socket.socket()
            ours.setblocking(False)
            wire = Wire(pair.poller, ours)
            assert ours.connect_ex(address) == 115
            if listening:
                await wire.connected(trio.current_time() + 5)
                assert wire.peer == address
            else:
                with pytest.raises(PeerGone, match="refused"):
                    await wire.connected(trio.current_time() + 5)
            wire.close()


async def test_has_ended(autojump_clock: MockClock) -> None:
    """A far side that has ended, with nothing left to read, may be closed without a wait."""
    async with wired() as pair:
        assert not pair.wire.has_ended()
        await pair.far.send(b"x")
        pair.far.close()
        assert not pair.wire.has_ended()
        assert pair.wire.has_ended()


async def test_has_ended_by_a_reset() -> None:
    """So may one that has reset."""
    async with wired(tcp=True) as pair:
        reset(pair.far)
        await trio.sleep(0.05)
        assert pair.wire.has_ended()


# -- two wires


@pytest.mark.parametrize("first", [0, 1])
async def test_wakes(first: int, autojump_clock: MockClock) -> None:
    """Who waits on one wire is woken by the other as well, where that one wakes it."""
    async with wired() as one, wired() as two, trio.open_nursery() as nursery:
        pairs: tuple[Pair, Pair] = (one, two)
        two.wire.wakes = one.wire
        await trio.sleep(0.1)
        nursery.start_soon(after, 4, pairs[first].far.close)
        await one.wire.stir(100)
        assert trio.current_time() == pytest.approx(4.1)
        assert [pair.wire.readable for pair in pairs] == [first == 0, first == 1]


async def test_wakes_once(autojump_clock: MockClock) -> None:
    """Two that stir together wake the task once, and nothing of either is lost."""
    async with wired() as one, wired() as two:
        two.wire.wakes = one.wire
        await trio.sleep(0.1)
        await one.far.send(b"a")
        await two.far.send(b"b")
        assert await one.wire.receive(10) == b"a"
        assert await two.wire.receive(10) == b"b"


async def test_wakes_nobody_else(autojump_clock: MockClock) -> None:
    """A task that waits on the second wire itself is woken there, and the first keeps its own deadline."""
    async with wired() as one, wired() as two, trio.open_nursery() as nursery:
        two.wire.wakes = one.wire
        await trio.sleep(0.1)
        nursery.start_soon(after, 3, two.far.close)
        with pytest.raises(PeerSilent):
            await one.wire.stir(trio.current_time() - 1)
        assert await two.wire.receive(10) == b""


async def test_a_cancelled_read_loses_nothing(autojump_clock: MockClock) -> None:
    """What is there when a read is cancelled is there for the next one."""
    async with wired() as (wire, far, _, _poller):
        await far.send(b"early")
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await wire.receive(100)
        assert scope.cancelled_caught
        assert await wire.receive(100) == b"early"


async def test_a_wire_outlives_its_poller(autojump_clock: MockClock) -> None:
    """When all is cancelled at once the poller may end first: a send just waits then, a close closes."""
    near, far = socket.socketpair()
    poller = Poller()
    wire = Wire(poller, near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with trio.move_on_after(1) as scope:
        await wire.send_all(bytes(fill(wire)))
    assert scope.cancelled_caught
    wire.close()
    assert (near.fileno(), len(poller)) == (-1, 0)
    far.close()
