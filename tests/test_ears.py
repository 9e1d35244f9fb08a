"""What the two sides of a joined session say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tarpit.backend.idle import Idlers, Sitter
from tarpit.drip import Wheel
from tarpit.ears import COMMANDS, Ears
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.poller import Poller
from tarpit.smtp.commands import Rcpt, parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.observer import Observer
from tests.support.wires import TIME_OUTS, Far, running, voice_on, wire_pair

MAIL = (b"EHLO peer.example", b"MAIL FROM:<a@b.example>")
RCPT = b"RCPT TO:<c@d.example>\r\n"


@asynccontextmanager
async def ears(sitter: Sitter | None = None) -> AsyncIterator[tuple[Ears, Far, Far]]:
    """Yield what hears, its peer and its backend."""
    poller, wheel, dialogue = Poller(), Wheel(), Dialogue()
    async with (
        running(poller.run, wheel.run),
        wire_pair(poller) as (near, peer),
        wire_pair(poller, backend=True) as (wire, backend),
    ):
        await trio.testing.wait_all_tasks_blocked()
        voice = voice_on(near, dialogue, wheel)
        yield Ears(voice, wire, Observer(dialogue), TIME_OUTS, sitter), peer, backend


async def test_a_command_in_pieces(autojump_clock: MockClock) -> None:
    """It is heard when all of it is there, however long its pieces are waited for."""
    async with ears() as (hears, peer, _), trio.open_nursery() as nursery:

        async def say() -> None:
            for start in range(0, len(RCPT), 5):
                await peer.say(RCPT[start : start + 5])
                await trio.sleep(10)

        nursery.start_soon(say)
        assert isinstance(await hears._hear(), Rcpt)
        assert trio.current_time() == 40


async def test_more_than_a_read(autojump_clock: MockClock) -> None:
    """What fills a read and has no whole line in it is read on, without the peer having to stir again."""
    async with ears() as (hears, peer, _):
        await peer.say(b"X" * COMMANDS + b"Y" * 10 + b"\r\n")
        with trio.fail_after(1):
            assert await hears._hear() is not None


async def test_the_end(autojump_clock: MockClock) -> None:
    """A peer that has closed is gone."""
    async with ears() as (hears, peer, _):
        await peer.stream.send_eof()
        with pytest.raises(PeerGone, match="without QUIT"):
            await hears._hear()


async def test_told_to_stop(autojump_clock: MockClock) -> None:
    """A server that stops waits for no command; one that came with it is not read."""
    async with ears() as (hears, peer, _):
        await peer.say(RCPT)
        hears._peer.stop()
        with pytest.raises(Stopping):
            await hears._hear()


async def test_told_to_stop_while_it_waits_its_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was about to read, and finds that there is nothing, does not wait for more."""
    async with ears() as (hears, _peer, _):

        async def stop() -> None:
            hears._peer.stop()

        hears._peer.readable = True  # as epoll may have it of what was read already
        monkeypatch.setattr(trio.lowlevel, "checkpoint", stop)
        with pytest.raises(Stopping):
            await hears._hear()
        assert trio.current_time() == 0


async def test_silence(autojump_clock: MockClock) -> None:
    """A peer has its time for a command, and a sweep or two."""
    async with ears() as (hears, _, _backend):
        began = trio.current_time()
        with pytest.raises(PeerSilent):
            await hears._hear()
        assert TIME_OUTS.command <= trio.current_time() - began <= TIME_OUTS.command + 2


async def test_the_backend_meanwhile(autojump_clock: MockClock) -> None:
    """A 421 is passed on while the peer is waited for."""
    async with ears() as (hears, peer, backend), trio.open_nursery() as nursery:

        async def part() -> None:
            await trio.sleep(5)
            await backend.say(b"421 4.3.2 going down\r\n")

        nursery.start_soon(part)
        with pytest.raises(BackendUnavailable, match="421"):
            await hears._hear()
        assert await peer.hear() == b"421 4.3.2 going down\r\n"


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_who_sits_there(autojump_clock: MockClock, in_transaction: bool) -> None:
    """Outside a transaction a peer that is waited for is known as one that sits there; inside it is not."""
    idlers = Idlers()
    async with ears(Sitter(idlers, b"net")) as (hears, peer, _), trio.open_nursery() as nursery:
        for line in MAIL[: 1 + in_transaction]:
            hears._dialogue.settle(parse(line), 250)
        nursery.start_soon(hears._hear)
        await trio.sleep(5)
        assert len(idlers.resting) == (not in_transaction)
        await peer.say(b"NOOP\r\n")
    assert not idlers.resting


async def test_a_reply_in_pieces(autojump_clock: MockClock) -> None:
    """It is heard when all of it is there."""
    async with ears() as (hears, _peer, backend), trio.open_nursery() as nursery:

        async def say() -> None:
            await backend.say(b"250-one\r\n25")
            await trio.sleep(3)
            await backend.say(b"0 two\r\n")

        nursery.start_soon(say)
        reply = await hears._reply(10)
        assert reply.raw == b"250-one\r\n250 two\r\n"
        assert hears.last_reply == reply.raw


async def test_a_reply_of_several_reads(autojump_clock: MockClock) -> None:
    """What fills a read is read on, without the backend having to stir again."""
    said = b"250-x\r\n" * COMMANDS + b"250 y\r\n"
    async with ears() as (hears, _peer, backend):
        await backend.say(said)
        with trio.fail_after(1):
            assert (await hears._reply(10)).raw == said


async def test_no_reply(autojump_clock: MockClock) -> None:
    """A backend that closes instead is lost, as is one that is silent."""
    async with ears() as (hears, _peer, backend):
        with pytest.raises(BackendUnavailable):
            await hears._reply(10)
        assert 10 <= trio.current_time() <= 12
        await backend.stream.send_eof()
        with pytest.raises(BackendUnavailable, match="closed"):
            await hears._reply(10)
