"""Handshakes: a bounded number at once, one step at a time; and a wire that goes on inside TLS."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent
from tarpit.handshake import PATIENCE, Handshakes, NoPlace
from tarpit.pace import Pace
from tarpit.tls import Certificate, Trust
from tarpit.wire import Wire
from tests.support.certificates import NAME, Authority
from tests.support.pair import Pair, wired
from tests.support.wires import PEER


class Inside(NamedTuple):
    """A pair of ends inside TLS, and the far one's stream."""

    pair: Pair
    far: "trio.SSLStream[trio.SocketStream]"


@asynccontextmanager
async def shaken(directory: Path) -> AsyncIterator[Inside]:
    """Yield a wire inside TLS and its far end."""
    authority = Authority(directory)
    issued = authority.issue()
    context = Certificate.load(issued.cert, issued.key).context
    async with wired() as pair:
        stream = trio.SocketStream(pair.far)
        far = trio.SSLStream(stream, authority.client(), server_hostname=NAME)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Handshakes(seconds=5).make, pair.wire, context)
            await far.do_handshake()
        yield Inside(pair, far)


# -- a wire inside TLS


async def test_a_byte_is_a_record(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The drip works inside TLS as outside: each byte arrives by itself, at its second."""
    async with shaken(tmp_path) as (pair, far), trio.open_nursery() as nursery:
        nursery.start_soon(_say, pair, b"220 ok\r\n")
        began, heard = trio.current_time(), list[tuple[float, bytes]]()
        while len(heard) < 8:
            data = bytes(await far.receive_some())
            heard.append((trio.current_time() - began, data))
        assert b"".join(data for _, data in heard) == b"220 ok\r\n"
        assert [round(after) for after, _ in heard] == list(range(2, 10))
        assert pair.wire.bytes_out == 8


async def _say(pair: Pair, data: bytes) -> None:
    await pair.wheel.say(pair.wire, data, Pace(2.0, 1.0), patience=10)


async def test_a_drip_ends_when_the_peer_leaves(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A close_notify and a FIN end the wait at once."""
    async with shaken(tmp_path) as (pair, far), trio.open_nursery() as nursery:
        nursery.start_soon(_leave_at_once, far)
        with pytest.raises(PeerGone):
            await pair.wheel.say(pair.wire, b"220 ok\r\n", Pace(50.0, 1.0), patience=10)


async def _leave_at_once(far: "trio.SSLStream[trio.SocketStream]") -> None:
    with trio.move_on_after(1):
        await far.aclose()


async def test_has_left_loses_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """To ask whether a peer has left takes from it nothing, and no reader sleeps over what was seen."""
    async with shaken(tmp_path) as (pair, far):
        assert not pair.wire.has_left()
        await far.send_all(b"NOOP\r\n")
        assert not pair.wire.has_left()
        await wait_all_tasks_blocked()
        assert pair.wire.readable
        assert await pair.wire.receive(100, 5) == b"NOOP\r\n"
        await far.transport_stream.aclose()
        assert pair.wire.has_left()
        assert not pair.wire.has_left(after_fin=False)


async def test_reading_in_pieces_never_sleeps_over_what_is_decrypted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What is left of a record is read without epoll; what comes behind it is waited for."""
    async with shaken(tmp_path) as (pair, far):
        await far.send_all(b"abcdef")
        assert [await pair.wire.receive(4, 5), await pair.wire.receive(4, 5)] == [b"abcd", b"ef"]
        assert pair.wire.receive_now(4) is None
        assert not pair.wire.readable
        assert pair.wire.bytes_in == 6


async def test_large_both_ways(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Many records, more than the kernel holds, arrive whole both ways."""
    data = bytes(range(256)) * 8192
    async with shaken(tmp_path) as (pair, far), trio.open_nursery() as nursery:
        nursery.start_soon(pair.wire.send_all, data)
        heard = b""
        while len(heard) < len(data):
            heard += bytes(await far.receive_some())
        assert heard == data
        nursery.start_soon(far.send_all, data)
        heard = b""
        while len(heard) < len(data):
            heard += await pair.wire.receive(65536, 1000)
        assert heard == data


async def test_tls_08_cut_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """TLS-08: a stream that ends without a close_notify has been lost, and did not end."""
    async with shaken(tmp_path) as (pair, far):
        await far.transport_stream.aclose()
        with pytest.raises(PeerGone):
            await pair.wire.receive(100, 5)


async def test_last_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A gentle close ends TLS in order, and all of it is closed."""
    async with shaken(tmp_path) as (pair, far), trio.open_nursery() as nursery:
        await pair.wire.send_all(b"221 bye\r\n")
        nursery.start_soon(pair.wire.close_gently)
        assert [await far.receive_some(), await far.receive_some()] == [b"221 bye\r\n", b""]
        await far.aclose()
    assert len(pair.poller) == 0


# -- how a handshake ends


async def test_seconds_are_of_the_whole(tmp_path: Path, autojump_clock: MockClock) -> None:
    """TLS-05: it is not the silence that is counted."""
    issued = Authority(tmp_path).issue()
    context = Certificate.load(issued.cert, issued.key).context
    async with wired() as pair:
        with pytest.raises(PeerSilent):
            await Handshakes(seconds=30).make(pair.wire, context)
        assert 30 <= trio.current_time() <= 31.1


async def test_a_peer_that_is_gone_already(tmp_path: Path) -> None:
    """A reset before the handshake is one more way to have left."""
    issued = Authority(tmp_path).issue()
    context = Certificate.load(issued.cert, issued.key).context
    async with wired(tcp=True) as pair:
        pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        pair.far.close()
        await trio.sleep(0.01)
        with pytest.raises(PeerGone, match="TLS"):
            await Handshakes(seconds=5).make(pair.wire, context)
    assert len(pair.poller) == 0


@pytest.mark.parametrize(
    ("host", "why"),
    [("other.example", "Hostname mismatch"), (NAME, "unable to get local issuer certificate")],
)
async def test_as_a_client(host: str, why: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    """The other side's certificate must be for the host, and from somebody we believe."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path)
    issued = (authority if host != NAME else stranger).issue()
    context = Certificate.load(issued.cert, issued.key).context
    authority.file.write_bytes(authority.pem)
    async with wired() as pair:
        server = trio.SSLStream(trio.SocketStream(pair.far), context, server_side=True)
        wire = pair.wire
        wire.gone = BackendUnavailable
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, server)
            with pytest.raises(BackendUnavailable, match=why):
                await Handshakes(seconds=5).make(wire, Trust(authority.file).require, host)
            wire.close()


async def _serve(server: "trio.SSLStream[trio.SocketStream]") -> None:
    try:
        await server.do_handshake()
    except trio.BrokenResourceError:
        return


# -- how many


async def test_tls_07_a_network_has_its_share(autojump_clock: MockClock) -> None:
    """TLS-07: one network holds so many places and no more; another has its own."""
    handshakes = Handshakes(seconds=5, most=10, share=2)
    async with handshakes.place("192.0.2.1"), handshakes.place("192.0.2.2"):
        with pytest.raises(NoPlace):
            async with handshakes.place("192.0.2.3"):
                pass
        with pytest.raises(NoPlace):
            async with handshakes.place("::ffff:192.0.2.4"):
                pass
        async with handshakes.place("198.51.100.1"), handshakes.place("2001:db8::1"):
            assert len(handshakes) == 4
    async with handshakes.place("192.0.2.3"):
        assert len(handshakes) == 1


async def test_all_places_taken(autojump_clock: MockClock) -> None:
    """A place is waited for, for a moment; it comes back however a handshake ends."""
    handshakes = Handshakes(seconds=5, most=1, share=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hold, handshakes, 1.0)
        await wait_all_tasks_blocked()
        async with handshakes.place("198.51.100.1"):
            assert trio.current_time() == 1.0
            with pytest.raises(NoPlace):
                async with handshakes.place("203.0.113.1"):
                    pass
            assert trio.current_time() == 1.0 + PATIENCE
    assert len(handshakes) == 0


async def _hold(handshakes: Handshakes, seconds: float) -> None:
    async with handshakes.place(PEER[0]):
        await trio.sleep(seconds)


async def test_others_have_their_turn(tmp_path: Path) -> None:
    """While many handshakes are ready at once, another task runs between every two steps of them."""
    authority = Authority(tmp_path)
    issued = authority.issue()
    context, handshakes = Certificate.load(issued.cert, issued.key).context, Handshakes(seconds=30)
    steps, turns = list[int](), 0
    async with wired() as pair, trio.open_nursery() as nursery, trio.open_nursery() as clients:
        for _ in range(20):
            near, far = socket.socketpair()
            nursery.start_soon(_make, handshakes, Wire(pair.poller, near), context, steps)
            clients.start_soon(_shake, far, authority.client())
        while len(steps) < 20:
            turns += 1
            await trio.lowlevel.checkpoint()
        assert turns > 20


async def _make(handshakes: Handshakes, wire: Wire, context: ssl.SSLContext, done: list[int]) -> None:
    await handshakes.make(wire, context)
    done.append(1)
    wire.close()


async def _shake(sock: socket.socket, context: ssl.SSLContext) -> None:
    sock.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    async with stream:
        await trio.SSLStream(stream, context, server_hostname=NAME).do_handshake()
