"""A suspect without a backend: our own replies, until a command wants one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tarpit.drip import Wheel
from tarpit.errors import PeerGone, PeerSilent, Stopping
from tarpit.front import Front
from tarpit.poller import Poller
from tarpit.smtp.commands import Mail, Rcpt
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.server import Server
from tarpit.wire import Wire
from tests.support.wires import Far, running, voice_on, wire_pair


@asynccontextmanager
async def front() -> AsyncIterator[tuple[Front, Far, Wire, list[Mail]]]:
    poller, wheel, dialogue = Poller(), Wheel(), Dialogue()
    mails: list[Mail] = []

    async def on_mail(mail: Mail) -> None:
        mails.append(mail)

    async with running(poller.run, wheel.run), wire_pair(poller) as (wire, far):
        server = Server(dialogue, hostname="mx.example")
        yield Front(voice_on(wire, dialogue, wheel), server, idle=300, on_mail=on_mail), far, wire, mails


async def test_ends_at_the_first_recipient(autojump_clock: MockClock) -> None:
    """HELO and MAIL are answered by us; RCPT is handed to the caller unanswered."""
    async with front() as (suspect, far, _, mails):
        await far.say(b"HELO peer.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
        wanted = await suspect.serve()
        assert isinstance(wanted, Rcpt)
        assert await far.hear(b"2.1.0 Ok\r\n") == b"250 mx.example\r\n250 2.1.0 Ok\r\n"
        assert len(mails) == 1


async def test_ends_at_quit(autojump_clock: MockClock) -> None:
    """QUIT is answered, and nothing is wanted."""
    async with front() as (suspect, far, _, _):
        await far.say(b"QUIT\r\n")
        assert await suspect.serve() is None
        assert await far.hear() == b"221 2.0.0 Bye\r\n"


async def test_a_peer_that_speaks_early_is_noticed(autojump_clock: MockClock) -> None:
    """Listening lasts its whole time, and what came early is kept for its turn."""
    async with front() as (suspect, far, _, _):
        began = trio.current_time()
        await far.say(b"QUIT\r\n")
        assert await suspect.listen(6)
        assert trio.current_time() - began == pytest.approx(6)
        assert await suspect.serve() is None


async def test_a_peer_that_waits_is_not_early(autojump_clock: MockClock) -> None:
    """Silence before the banner is what RFC 5321 asks for; leaving is `PeerGone`."""
    async with front() as (suspect, far, _, _):
        assert not await suspect.listen(6)
        await far.stream.aclose()
        with pytest.raises(PeerGone):
            await suspect.listen(6)


async def test_a_line_has_the_whole_time_out_and_no_more(autojump_clock: MockClock) -> None:
    """Bytes one by one do not prolong the wait for a command; deadlines are kept to the second."""
    async with front() as (suspect, far, _, _), trio.open_nursery() as nursery:

        async def dawdle() -> None:
            while True:
                await far.say(b"x")
                await trio.sleep(10)

        nursery.start_soon(dawdle)
        began = trio.current_time()
        with pytest.raises(PeerSilent):
            await suspect.serve()
        assert 300 <= trio.current_time() - began <= 311
        nursery.cancel_scope.cancel()


async def test_stopping_ends_a_wait(autojump_clock: MockClock) -> None:
    """A peer that says nothing is told when the server stops."""
    async with front() as (suspect, _, wire, _):
        wire.stop()
        with pytest.raises(Stopping):
            await suspect.serve()
