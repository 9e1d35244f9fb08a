"""What the kernel keeps for a suspect. Over TCP, in real time: no clock of ours is in it."""

import socket
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fcntl import ioctl
from termios import FIONREAD
from typing import Final

import pytest
import trio

from tarpit.buffers import narrow, widen
from tarpit.drip import Wheel
from tarpit.poller import Poller
from tarpit.wire import Wire
from tests.support.pair import Pair, fill, wired

FLOOD: Final = 1_000_000  # bytes


@asynccontextmanager
async def across_a_network() -> AsyncIterator[Pair]:
    """Yield a wire to a far end, in segments as long as on Ethernet; on loopback they are of 64 KB."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as far:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        far.connect(listener.getsockname())
        far.setblocking(False)
        poller, wheel = Poller(), Wheel()
        wire = Wire(poller, listener.accept()[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            with trio.socket.from_stdlib_socket(far.dup()) as other:
                yield Pair(wire, other, wheel, poller)
            wire.close()
            nursery.cancel_scope.cancel()


async def waiting(pair: Pair) -> int:
    """Return how many bytes wait for us after a peer has sent what it could."""
    with trio.move_on_after(0.3):
        await trio.SocketStream(pair.far).send_all(bytes(FLOOD))
    size = array("i", [0])
    ioctl(pair.wire._socket, FIONREAD, size)
    return size[0]


async def test_a_flood_is_held_back() -> None:
    """A narrowed peer's bytes wait on its own side."""
    async with across_a_network() as pair:
        pair.wire.hold_small()
        assert await waiting(pair) <= 16_384


async def test_a_clean_peer_is_not() -> None:
    """The same flood by a peer that nobody narrowed: this is what the measure is about."""
    async with across_a_network() as pair:
        assert await waiting(pair) > 65_536


async def test_replies_nobody_reads() -> None:
    """A narrowed peer that reads nothing is not kept much for."""
    async with wired(tcp=True) as pair:
        pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pair.wire.hold_small()
        assert fill(pair.wire) < 200_000


@pytest.mark.parametrize("near", [True, False])
async def test_widened_again(near: bool) -> None:
    """What is read at full speed comes at once, after a beginning that was slow; on loopback too."""
    async with wired(tcp=True) if near else across_a_network() as pair, trio.open_nursery() as nursery:
        pair.wire.hold_small()
        nursery.start_soon(trio.SocketStream(pair.far).send_all, bytes(FLOOD))
        read = len(await pair.wire.receive(100))
        await trio.sleep(0.1)
        pair.wire.hold_usual()
        with trio.fail_after(5):
            while read < FLOOD:
                read += len(await pair.wire.receive(65_536))
        assert pair.wire._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 200_000


async def test_dead_peers() -> None:
    """The kernel gives a vanished host up."""
    async with wired(tcp=True) as pair:
        pair.wire.hold_small()
        assert pair.wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000


@pytest.mark.parametrize("change", [narrow, widen])
async def test_what_is_no_tcp(change: Callable[[socket.socket], None]) -> None:
    """A socket that has no such option, or is closed, is left as it is."""
    async with wired() as pair:
        change(pair.wire._socket)
        pair.wire.close()
        change(pair.wire._socket)
