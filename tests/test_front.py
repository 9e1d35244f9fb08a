"""A suspect without a backend: our own replies, until a command wants one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tarpit.drip import Wheel
from tarpit.errors import PeerSilent, Stopping
from tarpit.front import Front
from tarpit.poller import Poller
from tarpit.smtp.commands import Hello, Mail, Rcpt
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.guard import Guard
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import Server
from tarpit.voice import Voice
from tarpit.wire import Wire
from tests.support.wires import Far, running, voice_on, wire_pair


class FakeDesk:
    """Takes everything, or says what it was told to, and remembers what it was asked."""

    def __init__(self, voice: Voice, dialogue: Dialogue) -> None:
        self._voice = voice
        self._dialogue = dialogue
        self.asked: list[tuple[str, ...]] = []
        self.to_data = Reply.of(354, "go ahead")
        self.content = b""
        self.others: tuple[Heard, ...] = ()  # what is for somebody else

    async def recipients(self, asked: Sequence[Rcpt]) -> Sequence[Reply]:
        """Refuse whom it is told to by name."""
        self.asked.append(tuple(str(one.path) for one in asked))
        return [Reply.of(550 if b"nobody" in one.line else 250, str(one.path)) for one in asked]

    def idle(self) -> float:
        """Give five minutes."""
        return 300

    async def heard(self, command: Hello | Mail) -> None:
        """Do nothing about it."""

    def mail(self, mail: Mail) -> Reply | None:
        """Refuse what declares to be too large."""
        return Reply.of(552, "5.3.4 too large") if (mail.size or 0) > 1000 else None

    def parts(self, heard: Heard, *, sound: bool) -> bool:
        """Part with what it is told to."""
        return heard in self.others

    async def data(self) -> Reply:
        """Answer as told."""
        return self.to_data

    def told(self) -> None:
        """Do nothing about it."""

    async def message(self) -> Reply:
        """Read to the end of data."""
        guard = Guard()
        self.content = guard.receive(self._dialogue.lines.take_rest())
        while not guard.ended:
            self.content += guard.receive(await self._voice.wire.receive(4096))
        self._dialogue.lines.receive(guard.rest)
        return Reply.of(250, "2.0.0 taken")


@asynccontextmanager
async def front() -> AsyncIterator[tuple[Front, Far, Wire, FakeDesk]]:
    poller, wheel, dialogue = Poller(), Wheel(), Dialogue()

    async with running(poller.run, wheel.run), wire_pair(poller) as (wire, far):
        server, voice = Server(hostname="mx.example", keywords=(b"SIZE",)), voice_on(wire, dialogue, wheel)
        desk = FakeDesk(voice, dialogue)
        yield Front(voice, dialogue, server, desk), far, wire, desk


ENVELOPE = b"HELO peer.example\r\nMAIL FROM:<a@b.example>\r\n"


async def test_recipients_at_hand_are_asked_about_at_once(autojump_clock: MockClock) -> None:
    """Whoever pipelines unasked is served in order, each recipient with its own reply."""
    async with front() as (suspect, far, _, desk):
        await far.say(ENVELOPE + b"RCPT TO:<c@d.example>\r\nRCPT TO:<nobody@d.example>\r\nNOOP\r\nQUIT\r\n")
        assert await suspect.serve() is None
        assert await far.hear(b"221 2.0.0 Bye\r\n") == (
            b"250 mx.example\r\n250 2.1.0 Ok\r\n250 c@d.example\r\n550 nobody@d.example\r\n"
            b"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"
        )
        assert desk.asked == [("c@d.example", "nobody@d.example")]


async def test_a_message_is_read_and_the_next_one_served(autojump_clock: MockClock) -> None:
    """DATA opens when a recipient stands; what follows the end of data is commands again."""
    async with front() as (suspect, far, _, desk):
        message = b"Subject: x\r\n\r\nRCPT TO:<x@y.example>\r\n.\r\n"
        await far.say(
            ENVELOPE + b"RCPT TO:<c@d.example>\r\nDATA\r\n" + message + b"RCPT TO:<x@y.example>\r\nQUIT\r\n"
        )
        assert await suspect.serve() is None
        heard = await far.hear(b"221 2.0.0 Bye\r\n")
        assert heard.endswith(
            b"354 go ahead\r\n250 2.0.0 taken\r\n503 5.5.1 Bad sequence of commands\r\n221 2.0.0 Bye\r\n"
        )
        assert desk.content.startswith(message)


async def test_content_behind_a_refused_data_is_never_read_as_commands(autojump_clock: MockClock) -> None:
    """If DATA is refused and content came along, the dialogue ends (PIP-03)."""
    async with front() as (suspect, far, _, desk):
        desk.to_data = Reply.of(452, "4.3.1 full")
        await far.say(ENVELOPE + b"RCPT TO:<c@d.example>\r\nDATA\r\nQUIT\r\n.\r\n")
        assert await suspect.serve() is None
        assert (await far.hear(b"asked for\r\n")).endswith(
            b"554 5.5.0 Content sent before it was asked for\r\n"
        )


async def test_ends_at_quit(autojump_clock: MockClock) -> None:
    """QUIT is answered, and nothing is wanted."""
    async with front() as (suspect, far, _, _):
        await far.say(b"QUIT\r\n")
        assert await suspect.serve() is None
        assert await far.hear() == b"221 2.0.0 Bye\r\n"


async def test_content_behind_data_out_of_order_ends_the_dialogue(autojump_clock: MockClock) -> None:
    """PIP-03: DATA before any recipient, its content along with it: nothing of that is a command."""
    async with front() as (suspect, far, _, desk):
        await far.say(ENVELOPE + b"DATA\r\nRCPT TO:<x@y.example>\r\n.\r\n")
        assert await suspect.serve() is None
        assert (await far.hear(b"asked for\r\n")).endswith(
            b"554 5.5.0 Content sent before it was asked for\r\n"
        )
        assert not desk.asked


async def test_a_size_that_is_too_large_is_refused_at_mail(autojump_clock: MockClock) -> None:
    """SIZE is honoured before anything is read."""
    async with front() as (suspect, far, _, _):
        await far.say(b"EHLO peer.example\r\nMAIL FROM:<> SIZE=2000\r\nMAIL FROM:<> SIZE=20\r\nQUIT\r\n")
        assert await suspect.serve() is None
        heard = await far.hear(b"221 2.0.0 Bye\r\n")
        assert heard.endswith(b"552 5.3.4 too large\r\n250 2.1.0 Ok\r\n221 2.0.0 Bye\r\n")


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
