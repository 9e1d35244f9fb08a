"""What is said, at which pace, and the account of the time it took."""

import socket
from collections.abc import Callable
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tarpit.errors import PeerGone, PeerSilent
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.smtp.commands import parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.lines import LineFault
from tarpit.smtp.replies import Reply
from tarpit.voice import Voice, stage_of
from tests.support.pair import Pair, drain, fill, wired
from tests.support.wires import Paced

OK: Final = Reply(250, (b"ok",))
A_SECOND: Final = Pace(per_byte=1)


def voice_of(pair: Pair, pace_for: Callable[[Stage], Pace], dialogue: Dialogue | None = None) -> Voice:
    """Return a voice on our end."""
    return Voice(pair.wire, pair.wheel, dialogue or Dialogue(), pacer=Paced(pace_for), patience=300)


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (b"HELO a.example", Stage.HELLO),
        (b"EHLO a.example", Stage.HELLO),
        (b"MAIL FROM:<>", Stage.MAIL),
        (b"RCPT TO:<a@b.example>", Stage.RCPT),
        (b"DATA", Stage.DATA),
        (b"RSET", Stage.PROMPT),
        (b"NOOP", Stage.PROMPT),
        (b"QUIT", Stage.PROMPT),
        (b"STARTTLS", Stage.PROMPT),
        (b"VRFY a", Stage.OTHER),
        (b"HELP", Stage.OTHER),
        (b"BOGUS", Stage.OTHER),
    ],
)
def test_stage(line: bytes, stage: Stage) -> None:
    """Each command has its budget."""
    assert stage_of(parse(line)) is stage


@pytest.mark.parametrize("fault", LineFault)
def test_stage_of_a_fault(fault: LineFault) -> None:
    """A line that is no line is answered at leisure."""
    assert stage_of(fault) is Stage.OTHER


async def test_full_speed(autojump_clock: MockClock) -> None:
    """A clean peer is answered at once, and nothing is put on the account."""
    async with wired() as pair:
        voice = voice_of(pair, lambda _: FULL_SPEED)
        await voice.say(OK, Stage.MAIL)
        assert await drain(pair.far, 8) == b"250 ok\r\n"
        assert trio.current_time() == 0
        assert (voice.held_seconds, voice.dripped_bytes) == (0, 0)


async def test_slow(autojump_clock: MockClock) -> None:
    """The account grows with each slow reply."""
    async with wired() as pair:
        voice = voice_of(pair, lambda _: A_SECOND)
        await voice.say(OK, Stage.MAIL)
        assert (voice.held_seconds, voice.dripped_bytes) == (7, 8)
        await voice.say(b"250 \r\n", Stage.RCPT)
        assert (voice.held_seconds, voice.dripped_bytes) == (12, 14)


async def test_pace_is_asked_anew(autojump_clock: MockClock) -> None:
    """The pace is that of the moment: it may change between two replies."""
    paces = {Stage.HELLO: A_SECOND, Stage.MAIL: FULL_SPEED}
    async with wired() as pair:
        voice = voice_of(pair, lambda stage: paces[stage])
        await voice.say(OK, Stage.MAIL)
        assert voice.held_seconds == 0
        await voice.say(OK, Stage.HELLO)
        assert voice.held_seconds == 7
        paces[Stage.MAIL] = A_SECOND
        await voice.say(OK, Stage.MAIL)
        assert voice.held_seconds == 14


async def test_stopping(autojump_clock: MockClock) -> None:
    """A server that stops has no time to be slow."""
    async with wired() as pair:
        pair.wire.stop()
        await voice_of(pair, lambda _: A_SECOND).say(OK, Stage.MAIL)
        assert await drain(pair.far, 8) == b"250 ok\r\n"
        assert trio.current_time() == 0


async def test_left(autojump_clock: MockClock) -> None:
    """Who leaves in the middle of a reply is gone; the time it was held counts."""
    async with wired() as pair, trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.sleep(3.5)
            pair.far.shutdown(socket.SHUT_WR)

        voice = voice_of(pair, lambda _: A_SECOND)
        nursery.start_soon(leave)
        with pytest.raises(PeerGone):
            await voice.say(OK, Stage.MAIL)
        assert voice.held_seconds == 3.5


async def test_quit_and_fin(autojump_clock: MockClock) -> None:
    """Who has sent QUIT already and finished sending still hears all of it."""
    async with wired() as pair:
        dialogue = Dialogue()
        dialogue.lines.receive(b"QUIT\r\n")
        pair.far.shutdown(socket.SHUT_WR)
        await voice_of(pair, lambda _: A_SECOND, dialogue).say(OK, Stage.MAIL)
        assert await drain(pair.far, 8) == b"250 ok\r\n"


async def test_commands_unread_and_fin(autojump_clock: MockClock) -> None:
    """Who has sent more commands and finished sending is answered to the last of them."""
    async with wired() as pair:
        dialogue = Dialogue()
        dialogue.lines.receive(b"RSET\r\n")
        pair.far.shutdown(socket.SHUT_WR)
        voice = voice_of(pair, lambda _: A_SECOND, dialogue)
        await voice.say(OK, Stage.MAIL)
        assert await drain(pair.far, 8) == b"250 ok\r\n"
        dialogue.next_heard()
        with pytest.raises(PeerGone):
            await voice.say(OK, Stage.MAIL)


async def test_flushed_before_the_wait(autojump_clock: MockClock) -> None:
    """Of pipelined commands, the answers that are due are out before the wait for the next one begins."""
    paces = {Stage.PROMPT: FULL_SPEED, Stage.RCPT: Pace(before_reply=5)}
    async with wired() as pair, trio.open_nursery() as nursery:

        async def answer() -> None:
            voice = voice_of(pair, lambda stage: paces[stage])
            await voice.say(b"250 reset\r\n", Stage.PROMPT)
            await voice.say(b"250 noop\r\n", Stage.PROMPT)
            await voice.say(b"250 rcpt\r\n", Stage.RCPT)

        nursery.start_soon(answer)
        assert await drain(pair.far, 21) == b"250 reset\r\n250 noop\r\n"
        assert trio.current_time() == 0
        assert await drain(pair.far, 10) == b"250 rcpt\r\n"
        assert trio.current_time() == 5


async def test_reads_nothing(autojump_clock: MockClock) -> None:
    """Who reads nothing is silent when our patience is over."""
    async with wired() as pair:
        fill(pair.wire)
        with pytest.raises(PeerSilent):
            await voice_of(pair, lambda _: FULL_SPEED).say(OK, Stage.MAIL)
        assert 300 <= trio.current_time() <= 301
