"""A message read slowly: how many bytes at which second, and what ends the slowness."""

import socket
from math import inf
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tarpit.drip import TICK
from tarpit.errors import PeerGone, PeerSilent
from tarpit.slow import SlowReader
from tests.support.pair import Pair, wired

CONTENT: Final = bytes(range(250)) * 20  # 5,000 bytes
RATE: Final = 1000.0


def reader_on(pair: Pair, *, rate: float = RATE, within: float = 10) -> SlowReader:
    """Return a reader of our end."""
    return SlowReader(pair.wheel, pair.wire, rate=rate, within=within)


async def read(reader: SlowReader, size: int) -> list[tuple[float, int]]:
    """Read *size* bytes, and return at which second how many came."""
    heard: list[tuple[float, int]] = []
    data = b""
    while len(data) < size:
        piece = await reader.receive(4096)
        heard.append((trio.current_time(), len(piece)))
        data += piece
    assert data == CONTENT[:size]
    return heard


async def test_rate(autojump_clock: MockClock) -> None:
    """The first bytes are read at once, then as many a second as the rate says."""
    async with wired() as pair:
        await pair.far.send(CONTENT)
        reader = reader_on(pair)
        assert await read(reader, 2000) == [(0, 500), (0.5, 500), (1, 500), (1.5, 500)]
        assert reader.spent == 1.5
        assert reader.slow


async def test_budget(autojump_clock: MockClock) -> None:
    """When the seconds are used up, the rest is read at full speed."""
    async with wired() as pair:
        await pair.far.send(CONTENT)
        reader = reader_on(pair, within=1.2)
        heard = await read(reader, 5000)
        assert heard == [(0, 500), (0.5, 500), (1, 500), (1.2, 3500)]
        assert reader.spent == pytest.approx(1.2, abs=TICK)
        assert not reader.slow


@pytest.mark.parametrize(("rate", "within"), [(inf, 10), (RATE, 0)])
async def test_full_speed(rate: float, within: float, autojump_clock: MockClock) -> None:
    """Without a rate or a budget nothing is waited for."""
    async with wired() as pair:
        await pair.far.send(CONTENT)
        reader = reader_on(pair, rate=rate, within=within)
        assert await read(reader, 5000) == [(0, 4096), (0, 904)]
        assert reader.spent == 0


async def test_time_that_passes_by_itself(autojump_clock: MockClock) -> None:
    """A peer that is slower than the rate is not made to wait on top."""
    async with wired() as pair, trio.open_nursery() as nursery:

        async def send() -> None:
            for at in range(0, 2000, 500):
                await pair.far.send(CONTENT[at : at + 500])
                await trio.sleep(3)

        nursery.start_soon(send)
        reader = reader_on(pair)
        assert await read(reader, 2000) == [(0, 500), (3, 500), (6, 500), (9, 500)]
        assert reader.spent == 1.5  # the half second after each read, and not the wait for the peer


async def test_silent_peer(autojump_clock: MockClock) -> None:
    """The peer's own time-out is the caller's, as at full speed."""
    async with wired() as pair:
        with pytest.raises(PeerSilent):
            await reader_on(pair).receive(4096, 30)
        assert 30 <= trio.current_time() <= 31


@pytest.mark.parametrize("unread", [0, 1000])
async def test_reset(unread: int) -> None:
    """A reset ends the wait at once, also with bytes unread."""
    async with wired(tcp=True) as pair:
        await pair.far.send(CONTENT[:1])
        reader = reader_on(pair, rate=0.01, within=60)
        await reader.receive(4096)
        if unread:
            await pair.far.send(bytes(unread))
        pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        pair.far.close()
        with trio.fail_after(5), pytest.raises(PeerGone):
            await reader.receive(4096)
        assert reader.spent < 5


async def test_fin_in_the_middle(autojump_clock: MockClock) -> None:
    """Who has finished sending with nothing unread has left; what is unread is read first."""
    async with wired() as pair:
        await pair.far.send(CONTENT[:1000])
        pair.far.shutdown(socket.SHUT_WR)
        reader = reader_on(pair)
        assert await read(reader, 1000) == [(0, 500), (0.5, 500)]
        with pytest.raises(PeerGone):
            await reader.receive(4096)


async def test_drain(autojump_clock: MockClock) -> None:
    """A server that stops reads on at full speed, from the very moment."""
    async with wired() as pair, trio.open_nursery() as nursery:
        await pair.far.send(CONTENT)
        heard: list[tuple[float, int]] = []

        async def hear() -> None:
            heard.extend(await read(reader_on(pair, rate=100, within=60), 5000))

        nursery.start_soon(hear)
        await trio.sleep(0.7)
        pair.wheel.hurry()
        pair.wire.stop()
    assert heard == [(0, 50), (0.5, 50), (0.7, 4096), (0.7, 804)]


async def test_our_own_waits_are_not_the_peers_time(autojump_clock: MockClock) -> None:
    """What we have waited is added to what the peer has for its next piece."""
    async with wired() as pair:
        await pair.far.send(CONTENT[:600])
        reader = reader_on(pair, rate=20, within=90)
        for _ in range(60):
            await reader.receive(4096, 30)
        assert reader.spent == 29.5
        with pytest.raises(PeerSilent):
            await reader.receive(4096, 30)
        assert 60 <= trio.current_time() <= 61
