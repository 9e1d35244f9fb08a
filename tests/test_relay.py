"""A joined session: bytes unchanged both ways, and what happens when either side fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tarpit.drip import Wheel
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent
from tarpit.poller import Poller
from tarpit.relay import Relay
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.observer import Observer
from tests.support.wires import TIME_OUTS, Far, running, voice_on, wire_pair

CONTENT = b"Subject: x\r\n\r\n..dots\r\n\xff\0 eight bits\r\n.\r\n"


@asynccontextmanager
async def relay() -> AsyncIterator[tuple[Relay, Far, Far]]:
    """Yield a relay, its peer and its backend."""
    poller, wheel, dialogue = Poller(), Wheel(), Dialogue()
    async with (
        running(poller.run, wheel.run),
        wire_pair(poller) as (near, peer),
        wire_pair(poller, backend=True) as (wire, backend),
    ):
        yield Relay(voice_on(near, dialogue, wheel), wire, Observer(dialogue), TIME_OUTS), peer, backend


async def begin(peer: Far, backend: Far, *steps: tuple[bytes, bytes]) -> None:
    """Say each command and its reply, and see both arrive unchanged."""
    for command, reply in steps:
        await peer.say(command)
        assert await backend.hear() == command
        await backend.say(reply)
        assert await peer.hear() == reply


TO_DATA = (
    (b"helo peer.example\r\n", b"250 backend.example\r\n"),
    (b"mail from:<a@b.example>\r\n", b"250 2.1.0 Ok\r\n"),
    (b"RCPT TO:<c@d.example>\r\n", b"250 2.1.5 Ok\r\n"),
    (b"DATA\r\n", b"354 go ahead\r\n"),
)


async def test_a_message_goes_through_unchanged(autojump_clock: MockClock) -> None:
    """Commands, content and replies are the same bytes on both sides."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA)
        await peer.say(CONTENT[:20])
        await trio.sleep(1)
        await peer.say(CONTENT[20:])
        assert await backend.hear(b"\r\n.\r\n") == CONTENT
        await backend.say(b"250 2.0.0 queued\r\n")
        assert await peer.hear() == b"250 2.0.0 queued\r\n"
        await begin(peer, backend, (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"))


async def test_what_is_malformed_stays_here(autojump_clock: MockClock) -> None:
    """A line that is no command is answered by us; the backend never sees it."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        assert (await peer.ask(b"NO\0OP")).startswith(b"500 5.5.2 ")
        await begin(peer, backend, (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"))


async def test_the_end_of_a_cut_message_is_never_sent(autojump_clock: MockClock) -> None:
    """A peer that leaves in mid-content leaves no end of data at the backend."""
    async with relay() as (joined, peer, backend):

        async def leave() -> None:
            await begin(peer, backend, *TO_DATA)
            await peer.say(b"half a line")
            assert await backend.hear(b"half a line") == b"half a line"
            await peer.stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.raises(PeerGone, match="middle of a message"):
                await joined.run()


async def test_a_421_unasked_is_passed_on(autojump_clock: MockClock) -> None:
    """A backend that shuts down between two commands is heard at once."""
    async with relay() as (joined, peer, backend):
        await backend.say(b"421 4.3.2 shutting down\r\n")
        with pytest.raises(BackendUnavailable, match="421 unasked"):
            await joined.run()
        assert await peer.hear() == b"421 4.3.2 shutting down\r\n"


async def test_a_silent_backend_is_given_up(autojump_clock: MockClock) -> None:
    """The reply's time-out is the backend's fault, not the peer's."""
    async with relay() as (joined, peer, _):
        began = trio.current_time()
        await peer.say(b"EHLO peer.example\r\n")
        with pytest.raises(BackendUnavailable, match="no answer in time"):
            await joined.run()
        assert 300 <= trio.current_time() - began <= 301


async def test_a_silent_peer_is_given_up(autojump_clock: MockClock) -> None:
    """The command's time-out is the peer's."""
    async with relay() as (joined, _, _):
        with pytest.raises(PeerSilent):
            await joined.run()


async def test_what_is_injected_before_tls_ends_the_session(autojump_clock: MockClock) -> None:
    """Bytes behind STARTTLS reach nobody, neither as commands nor inside TLS."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, (b"EHLO peer.example\r\n", b"250 backend.example\r\n"))
        assert (await peer.ask(b"STARTTLS\r\nMAIL FROM:<a@b.example>")).startswith(b"554 5.5.0 ")


async def test_content_behind_a_refused_data_is_no_command(autojump_clock: MockClock) -> None:
    """Where DATA is refused and content came along, not one byte of it is read as a command."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA[:3])
        await peer.say(b"DATA\r\nRSET\r\n.\r\n")
        assert await backend.hear() == b"DATA\r\n"
        await backend.say(b"451 4.3.0 not now\r\n")
        assert (await peer.hear()).startswith(b"554 5.5.0 ")


async def test_tls_is_passed_through_unheard(autojump_clock: MockClock) -> None:
    """After the backend's 220 to STARTTLS all bytes go both ways as they are, and the session is blind."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, (b"EHLO peer.example\r\n", b"250 backend.example\r\n"))
        await begin(peer, backend, (b"STARTTLS\r\n", b"220 go ahead\r\n"))
        await peer.say(b"\x16\x03\x01 not a command\n")
        assert await backend.hear(b"\n") == b"\x16\x03\x01 not a command\n"
        await backend.say(b"\x16\x03\x03\n")
        assert await peer.hear(b"\n") == b"\x16\x03\x03\n"
        assert joined.blind
        nursery.cancel_scope.cancel()


async def test_a_backend_without_helo_is_followed(autojump_clock: MockClock) -> None:
    """A backend may take mail without HELO: content is content all the same, never read as commands."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA[1:])
        await peer.say(b"Subject: x\r\n\r\nRSET\r\n.\r\n")
        assert await backend.hear(b"\r\n.\r\n") == b"Subject: x\r\n\r\nRSET\r\n.\r\n"
        await backend.say(b"250 2.0.0 queued\r\n")
        assert await peer.hear() == b"250 2.0.0 queued\r\n"
        await begin(peer, backend, (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"))


async def test_an_answer_before_a_hang_up_stands(autojump_clock: MockClock) -> None:
    """A refusal with a 421 right behind it reaches the peer as both, not as a fault of ours."""
    async with relay() as (joined, peer, backend):
        with pytest.RaisesGroup(BackendUnavailable):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(joined.run)
                await begin(peer, backend, *TO_DATA[:2])
                await peer.say(b"RCPT TO:<x@d.example>\r\n")
                assert await backend.hear() == b"RCPT TO:<x@d.example>\r\n"
                await backend.say(b"550 5.1.1 nobody\r\n421 4.7.0 too many errors\r\n")
                assert await peer.hear() == b"550 5.1.1 nobody\r\n421 4.7.0 too many errors\r\n"


@pytest.mark.parametrize(
    ("behind", "reply", "doubtful"),
    [
        (b"", b"250 2.0.0 queued as 1\r\n", True),
        (b"", b"451 4.3.0 not now\r\n", False),
        (b"QUIT\r\n", b"250 2.0.0 queued as 1\r\n", False),
    ],
    ids=["taken", "refused", "QUIT was said"],
)
async def test_a_peer_gone_before_the_last_word(
    behind: bytes, reply: bytes, doubtful: bool, autojump_clock: MockClock
) -> None:
    """NET-07, BE-09: the backend finishes; what it took is in doubt if the peer had closed by then."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(ends, joined)
        await begin(peer, backend, *TO_DATA)
        await peer.say(CONTENT + behind)
        await peer.stream.send_eof()
        assert await backend.hear(b"\r\n.\r\n") == CONTENT
        await trio.sleep(1)
        await backend.say(reply)
        assert await peer.hear() == reply
        await trio.sleep(1)
        assert joined.committing is doubtful
        nursery.cancel_scope.cancel()


async def ends(joined: Relay) -> None:
    """Run a relay until its peer is gone."""
    with pytest.raises(PeerGone):
        await joined.run()
