"""Bytes carried both ways unseen: in blocks, and through a pipe once there are many."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tarpit.errors import PeerGone, PeerSilent
from tarpit.lane import BLOCK, Lane, carry
from tests.support.pair import Pair, wired

MUCH: Final = os.urandom(5 * BLOCK + 3)
NO_PIPES: Final = [True, False]


@dataclass
class Between:
    """A peer and a backend, each with its far end, and what is carried between them."""

    peer: Pair
    backend: Pair
    ended: trio.Event


@asynccontextmanager
async def between(*, silence: float = 300) -> AsyncIterator[Between]:
    """Carry."""
    async with wired() as peer, wired() as backend, trio.open_nursery() as nursery:
        backend.wire.wakes = peer.wire
        ended = trio.Event()

        async def run() -> None:
            await carry(peer.wire, backend.wire, block=180, silence=silence, sitter=None)
            ended.set()

        nursery.start_soon(run)
        yield Between(peer, backend, ended)
        nursery.cancel_scope.cancel()


async def taken(far: trio.socket.SocketType, size: int) -> bytes:
    """Return *size* bytes."""
    data = b""
    while len(data) < size:
        data += await far.recv(BLOCK)
    return data


async def forever(lane: Lane) -> None:
    """Carry whatever comes."""
    while True:
        await lane.move()
        await trio.sleep(0.01)


@pytest.fixture(params=NO_PIPES, ids=["pipes", "no pipes"])
def pipes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pipes, or none: no descriptor is left."""

    def none(_: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    if not request.param:
        monkeypatch.setattr(os, "pipe2", none)


@pytest.mark.usefixtures("pipes")
async def test_carries_much_both_ways(autojump_clock: MockClock) -> None:
    """What is sent at one end arrives at the other, as it is and in its order, whatever there is of it."""
    async with between() as them:
        for sender, receiver in ((them.peer, them.backend), (them.backend, them.peer)):
            for data in (b"x", MUCH, b"y" * 100, MUCH):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.SocketStream(sender.far).send_all, data)
                    assert await taken(receiver.far, len(data)) == data
        assert them.peer.wire.bytes_in == them.peer.wire.bytes_out == 2 * len(MUCH) + 101


@pytest.mark.usefixtures("pipes")
@pytest.mark.parametrize("size", [0, len(MUCH)])
async def test_one_end_is_the_end(size: int, autojump_clock: MockClock) -> None:
    """What was sent before the end arrives; then it is over."""
    async with between() as them:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.SocketStream(them.peer.far).send_all, MUCH[:size])
            assert await taken(them.backend.far, size) == MUCH[:size]
        them.peer.far.shutdown(trio.socket.SHUT_WR)
        await them.ended.wait()


async def test_silence(autojump_clock: MockClock) -> None:
    """The peer is waited for as long as was said, and no longer."""
    with pytest.raises(ExceptionGroup) as caught:
        async with between(silence=60):
            await trio.sleep(1000)
    assert trio.current_time() == pytest.approx(60, abs=1)
    assert caught.group_contains(PeerSilent)


async def test_who_takes_nothing_is_given_up(autojump_clock: MockClock) -> None:
    """A target that takes nothing of what is in the pipe is given up after its patience."""
    async with wired() as source, wired() as target, trio.open_nursery() as nursery:
        lane = Lane(source.wire, target.wire, 180)
        nursery.start_soon(trio.SocketStream(source.far).send_all, MUCH * 40)
        with pytest.raises(PeerSilent):
            await forever(lane)
        assert 180 < trio.current_time() < 190
        lane.close()
        lane.close()
        nursery.cancel_scope.cancel()


async def test_broken(autojump_clock: MockClock) -> None:
    """A target that has gone is told as such, through a pipe as well."""
    async with wired() as source, wired() as target, trio.open_nursery() as nursery:
        lane = Lane(source.wire, target.wire, 180)
        nursery.start_soon(trio.SocketStream(source.far).send_all, MUCH * 40)
        await trio.sleep(0.01)
        assert await lane.move() == BLOCK
        target.far.close()
        with pytest.raises(PeerGone):
            await forever(lane)
        lane.close()
        nursery.cancel_scope.cancel()
