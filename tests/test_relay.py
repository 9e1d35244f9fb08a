"""A joined session: bytes unchanged both ways, and what happens when either side fails."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tarpit.drip import Wheel
from tarpit.ears import COMMANDS
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent
from tarpit.poller import Poller
from tarpit.relay import Relay
from tarpit.smtp.commands import Rcpt, parse
from tarpit.smtp.content import END
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.guard import Guard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import Reply
from tarpit.smtp.states import State
from tests.support.wires import TIME_OUTS, Far, running, voice_on, wire_pair

CONTENT = b"Subject: x\r\n\r\n..dots\r\n\xff\0 eight bits\r\n.\r\n"


@asynccontextmanager
async def relay(
    guard: Callable[[], Guard] = Guard,
    *,
    parts: Callable[[Heard], bool] = lambda _: False,
    elsewhere: Callable[[Rcpt], Reply | None] = lambda _: None,
    once: bool = False,
) -> AsyncIterator[tuple[Relay, Far, Far]]:
    """Yield a relay, its peer and its backend."""
    poller, wheel, dialogue = Poller(), Wheel(), Dialogue()
    async with (
        running(poller.run, wheel.run),
        wire_pair(poller) as (near, peer),
        wire_pair(poller, backend=True) as (wire, backend),
    ):
        voice = voice_on(near, dialogue, wheel)
        joined = Relay(
            voice,
            wire,
            Observer(dialogue),
            TIME_OUTS,
            guard=guard,
            parts=parts,
            elsewhere=elsewhere,
            once=once,
        )
        yield joined, peer, backend


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
    """G8 Commands, content and replies are the same bytes on both sides."""
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


async def test_what_is_not_for_this_backend_is_returned(autojump_clock: MockClock) -> None:
    """The backend does not see it, and the peer has no answer yet."""
    async with relay(parts=lambda heard: isinstance(heard, Rcpt)) as (joined, peer, backend):
        async with trio.open_nursery() as nursery:

            async def other_side() -> None:
                await begin(peer, backend, *TO_DATA[:2])
                await peer.say(TO_DATA[2][0])

            nursery.start_soon(other_side)
            heard = await joined.run()
        assert isinstance(heard, Rcpt)
        assert heard.line == b"RCPT TO:<c@d.example>"


async def test_a_recipient_for_another_is_answered_here(autojump_clock: MockClock) -> None:
    """It is refused in between; the transaction goes on without it."""

    def elsewhere(rcpt: Rcpt) -> Reply | None:
        return Reply.of(452, "4.5.3 later") if str(rcpt.path) == "x@y.example" else None

    async with relay(elsewhere=elsewhere) as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA[:3])
        assert await peer.ask(b"RCPT TO:<x@y.example>") == b"452 4.5.3 later\r\n"
        await begin(peer, backend, TO_DATA[3])
        await peer.say(CONTENT)
        assert await backend.hear(b"\r\n.\r\n") == CONTENT
        await backend.say(b"250 2.0.0 queued\r\n")
        assert await peer.hear() == b"250 2.0.0 queued\r\n"
        await begin(peer, backend, (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"))


@pytest.mark.parametrize("end", [b"RSET\r\n", b"DATA\r\n"])
async def test_for_one_transaction(autojump_clock: MockClock, end: bytes) -> None:
    """What begins with a command that was heard elsewhere ends with its transaction."""
    async with relay(once=True) as (joined, peer, backend):
        dialogue = joined._dialogue
        for line, _ in TO_DATA[:2]:
            dialogue.settle(parse(line.removesuffix(b"\r\n")), 250)

        async def other_side() -> None:
            assert await backend.hear() == TO_DATA[2][0]
            await backend.say(TO_DATA[2][1])
            assert await peer.hear() == TO_DATA[2][1]
            if end == b"RSET\r\n":
                await begin(peer, backend, (end, b"250 2.0.0 Ok\r\n"))
                return
            await begin(peer, backend, TO_DATA[3])
            await peer.say(CONTENT)
            await backend.hear(b"\r\n.\r\n")
            await backend.say(b"250 2.0.0 queued\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_side)
            assert await joined.run(parse(TO_DATA[2][0].removesuffix(b"\r\n"))) is None
        assert dialogue.state is State.READY


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


@pytest.mark.parametrize(
    ("stray", "why", "shown"),
    [
        (b"421 4.3.2 shutting down\r\n", "said 421 unasked", b"421 4.3.2 shutting down\r\n"),
        (b"250 2.0.0 Ok\r\n", "spoke unasked", b""),
    ],
)
@pytest.mark.parametrize("replayed", [False, True], ids=["relayed", "replayed"])
async def test_what_was_said_before_is_no_answer(
    stray: bytes, why: str, shown: bytes, replayed: bool, autojump_clock: MockClock
) -> None:
    """PIP-07: what is there when a command is to go on answers nothing, and the command does not go."""
    async with relay() as (joined, peer, backend):
        await backend.say(stray)
        await peer.say(b"NOOP\r\n")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BackendUnavailable, match=why):
            await (joined.replay(parse(b"NOOP")) if replayed else joined.run())
        assert await hears_nothing(backend)
        assert await peer.hear() == shown if shown else await hears_nothing(peer)


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


# -- framing: what a backend gets of content


async def to_content(peer: Far, backend: Far) -> None:
    """Come as far as 354."""
    await begin(peer, backend, *TO_DATA)


async def test_bare_newlines_are_mended(autojump_clock: MockClock) -> None:
    """EOD-02, EOD-21: a smuggled end is content to the backend; the session goes on behind the real one."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await to_content(peer, backend)
        await peer.say(b"Subject: x\r\n\r\n.x\r\none\n.\n")
        assert await backend.hear(b"..") == b"Subject: x\r\n\r\n.x\r\none\r\n.."
        await peer.say(b"MAIL FROM:<s@x.example>\r\n.\r\nQUIT\r\n")
        assert await backend.hear(b"\r\n.\r\n") == b"\r\nMAIL FROM:<s@x.example>\r\n.\r\n"
        await backend.say(b"250 2.0.0 queued\r\n")
        assert await backend.hear() == b"QUIT\r\n"
        await backend.say(b"221 Bye\r\n")
        assert await peer.hear(b"Bye\r\n") == b"250 2.0.0 queued\r\n221 Bye\r\n"


async def refused(body: bytes, *more: bytes, refuse_bare: bool = True) -> tuple[bytes, bytes, float]:
    """Return what backend and peer hear when *body*, and *more* of it, is refused, and after how long."""
    async with (
        relay(guard=partial(Guard, refuse_bare=refuse_bare)) as (joined, peer, backend),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(joined.run)
        await to_content(peer, backend)
        began = trio.current_time()
        await peer.say(body)
        got = await backend.hear_all()
        for block in more:
            await peer.say(block)
        return got, await peer.hear(), trio.current_time() - began


async def hears_nothing(far: Far) -> bool:
    """Whether nothing comes within a minute."""
    with trio.move_on_after(60) as waited:
        await far.hear()
    return waited.cancelled_caught


@pytest.mark.parametrize(
    ("body", "refuse_bare"), [(b"a\nb\r\n", True), (b"a\r\n.\0\r\n", True), (b"a\r\n.\0\r\n", False)]
)
async def test_a_refused_message(body: bytes, refuse_bare: bool, autojump_clock: MockClock) -> None:
    """EOD-11, EOD-22: no end reaches the backend, 550 comes at the real one, nothing behind it is heard."""
    more = (b"RSET\r\nMAIL FROM:<s@x.example>\r\n", b".\r\nMAIL FROM:<s@x.example>\r\n")
    got, said, _ = await refused(body, *more, refuse_bare=refuse_bare)
    assert b"MAIL" not in got
    assert END not in b"\r\n" + got
    assert said.startswith(b"550 5.6.11 ")


async def test_a_refused_message_that_never_ends(autojump_clock: MockClock) -> None:
    """It is read on for five minutes, or for 64 MiB, and then refused all the same."""
    _, said, seconds = await refused(b"a\nb")
    assert said.startswith(b"550 5.6.11 ")
    assert 300 <= seconds <= 301


async def test_a_refused_message_without_measure(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... and no longer than that."""
    monkeypatch.setattr("tarpit.relay.REFUSED_BYTES", 100_000)
    _, said, seconds = await refused(b"a\nb", b"x" * 60_000, b"x" * 60_000)
    assert said.startswith(b"550 5.6.11 ")
    assert seconds < 1


async def test_leaving_a_refused_message(autojump_clock: MockClock) -> None:
    """A peer that leaves in the middle of it is gone."""
    async with relay(guard=partial(Guard, refuse_bare=True)) as (joined, peer, backend):

        async def leave() -> None:
            await to_content(peer, backend)
            await peer.say(b"a\nb")
            await backend.hear_all()
            await peer.stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.raises(PeerGone, match="middle of a message"):
                await joined.run()


async def test_an_answer_before_the_end_is_none(autojump_clock: MockClock) -> None:
    """BE-16: what a backend says in the middle of content is not taken for its word on the message."""
    async with relay() as (joined, peer, backend):

        async def talk() -> None:
            await to_content(peer, backend)
            await backend.say(b"250 2.0.0 queued\r\n")
            await peer.say(b"a\r\n.\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            with pytest.raises(BackendUnavailable, match="spoke unasked"):
                await joined.run()
        assert not joined.committing


# -- pipelining and sequence


@pytest.mark.parametrize("hello", [b"EHLO c.example\r\n", b""], ids=["PIP-01", "PIP-02 without EHLO"])
async def test_pipelined_commands(hello: bytes, autojump_clock: MockClock) -> None:
    """All are answered in order, one after the other, and content goes on only after the 354."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        said = (
            hello + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n"
        )
        await peer.say(said + b"Subject: PIP-03\r\n.\r\nNOOP\r\n")
        answers = [b"250 %d\r\n" % number for number in range(said.count(b"\r\n") - 1)]
        for line, answer in zip(said.splitlines(keepends=True), [*answers, b"354 go\r\n"], strict=True):
            assert await backend.hear() == line  # and not a byte more before it has answered
            await trio.sleep(1)
            await backend.say(answer)
        assert await backend.hear(b"\r\n.\r\n") == b"Subject: PIP-03\r\n.\r\n"
        await backend.say(b"250 queued\r\n")
        assert await backend.hear() == b"NOOP\r\n"
        await backend.say(b"250 done\r\n")
        assert await peer.hear(b"done\r\n") == b"".join(answers) + b"354 go\r\n250 queued\r\n250 done\r\n"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("data", [b"DATA", b"DATA foo", b" DATA", b"DATA\0"])
async def test_content_behind_what_we_refuse(data: bytes, autojump_clock: MockClock) -> None:
    """PIP-03: nor is content read as commands where it was us who refused the DATA before it."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA[:2])
        await peer.say(data + b"\r\nRSET\r\n")
        assert (await peer.hear()).startswith(b"554 5.5.0 ")


async def test_data_for_nobody(autojump_clock: MockClock) -> None:
    """PIP-04: where every recipient was refused, DATA is too, and the backend is not asked."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(peer, backend, *TO_DATA[:2])
        await peer.say(b"RCPT TO:<x@d.example>\r\nDATA\r\n")
        assert await backend.hear() == b"RCPT TO:<x@d.example>\r\n"
        await backend.say(b"550 5.1.1 nobody\r\n")
        assert (await peer.hear(b"recipients\r\n")).startswith(b"550 5.1.1 nobody\r\n554 5.5.1 ")
        await begin(peer, backend, (b"RSET\r\n", b"250 Ok\r\n"), (b"QUIT\r\n", b"221 Bye\r\n"))


async def test_the_next_transaction_waits(autojump_clock: MockClock) -> None:
    """PIP-05: what comes right behind the end is a command again, once the message has been answered."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await to_content(peer, backend)
        await peer.say(b"a\r\n.\r\nMAIL FROM:<a@b.example>\r\n")
        assert await backend.hear() == b"a\r\n.\r\n"
        assert await hears_nothing(backend)
        await backend.say(b"250 queued\r\n")
        assert await peer.hear() == b"250 queued\r\n"
        assert await backend.hear() == b"MAIL FROM:<a@b.example>\r\n"
        nursery.cancel_scope.cancel()


async def test_nothing_is_heard_behind_quit(autojump_clock: MockClock) -> None:
    """PIP-06: QUIT is answered, and the rest goes to nobody."""
    async with relay() as (joined, peer, backend):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joined.run)
            await peer.say(b"QUIT\r\nMAIL FROM:<a@b.example>\r\n")
            assert await backend.hear() == b"QUIT\r\n"
            await backend.say(b"221 Bye\r\n")
        assert await peer.hear() == b"221 Bye\r\n"
        assert await hears_nothing(backend)


WRONG = [
    pytest.param(b"NOOP", b"250 ok\r\n250 ok\r\n", id="PIP-07 one reply too many"),
    pytest.param(b"NOOP", b"250 ok\r\n354 go\r\n", id="BE-15 354 behind a reply"),
    pytest.param(b"NOOP", b"354 go\r\n", id="CMD-09 354 to NOOP"),
    pytest.param(b"RCPT TO:<c@d.example>", b"354 go\r\n", id="BE-15 354 to RCPT"),
    pytest.param(b"MAIL FROM:<a@b.example>", b"334 \r\n", id="CMD-09 334 to MAIL"),
    pytest.param(b"QUIT", b"354 go\r\n", id="CMD-09 354 to QUIT"),
]


@pytest.mark.parametrize(("line", "replies"), WRONG)
async def test_replies_that_do_not_fit(line: bytes, replies: bytes, autojump_clock: MockClock) -> None:
    """A backend that answers what was not asked is cut off; the peer hears nothing of it."""
    async with relay() as (joined, peer, backend):

        async def answer() -> None:
            assert await backend.hear() == line + b"\r\n"
            await backend.say(replies)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await peer.say(line + b"\r\nRSET\r\n")
            with pytest.raises(BackendUnavailable):
                await joined.run()
        assert await hears_nothing(backend)
        assert await hears_nothing(peer)
        assert joined.last_reply in {b"", replies}


async def test_a_354_too_many(autojump_clock: MockClock) -> None:
    """BE-15: 354 to the end of data is no answer; whether the message was taken is in doubt."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:

        async def fails() -> None:
            with pytest.raises(BackendUnavailable, match="354 to the end of data"):
                await joined.run()

        nursery.start_soon(fails)
        await to_content(peer, backend)
        await peer.say(b"a\r\n.\r\n")
        await backend.hear(b"\r\n.\r\n")
        await backend.say(b"354 go\r\n")
    assert joined.committing


async def test_a_reply_too_few(autojump_clock: MockClock) -> None:
    """PIP-07: a command without a reply is waited for, not answered with the next one's."""
    async with relay() as (joined, peer, backend):
        await peer.say(b"NOOP\r\nNOOP\r\n")
        with pytest.raises(BackendUnavailable, match="no answer in time"):
            await joined.run()
        assert await backend.hear() == b"NOOP\r\n"


async def test_a_peer_that_never_reads(autojump_clock: MockClock) -> None:
    """PIP-08: who says much and hears nothing is read no further than the answers go, and given up."""
    async with relay() as (joined, peer, backend):

        async def answer() -> None:
            while line := await backend.hear():
                await backend.say(b"250-%s\r\n" % line[:4] + b"250-x\r\n" * 500 + b"250 x\r\n")

        async def flood() -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await peer.say(b"MAIL FROM:<a@b.example>\r\n" * 10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            nursery.start_soon(flood)
            with pytest.raises(PeerSilent):
                await joined.run()
            nursery.cancel_scope.cancel()
        assert joined._peer.bytes_in < 100_000
        assert len(joined._dialogue.lines) <= COMMANDS


# -- SIZE and BDAT


async def test_size_is_not_where_a_message_ends(autojump_clock: MockClock) -> None:
    """BD-03, BD-04: a size is the backend's to judge; content goes on to its end, whatever was declared."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await begin(
            peer,
            backend,
            (b"MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\n", b"552 5.3.4 too large\r\n"),
            (b"MAIL FROM:<a@b.example> SIZE=1\r\n", b"250 2.1.0 Ok\r\n"),
            *TO_DATA[2:],
        )
        await peer.say(CONTENT)
        assert await backend.hear(b"\r\n.\r\n") == CONTENT
        nursery.cancel_scope.cancel()


BDAT = [
    pytest.param(b"BDAT 18 LAST", id="BD-06"),
    *(
        pytest.param(b"BDAT " + size, id=f"BD-07 {size!r}")
        for size in (
            b"+18", b"-18", b"0x12", b"18.0 LAST", b"18,0 LAST", b"1_8 LAST", b"18LAST", b"18 LASTX",
            b"18 LAST x", "١٨".encode(),
        )
    ),
    pytest.param(b"BDAT\t18", id="BD-07 tab"),
    pytest.param(b" BDAT 18", id="BD-07 space"),
    pytest.param(b"BDAT 4294967314 LAST", id="BD-08 32 bits"),
    pytest.param(b"BDAT 18446744073709551634 LAST", id="BD-08 64 bits"),
    pytest.param(b"BDAT 18\0 LAST", id="BD-09"),
    pytest.param(b"BDAT 18 LAST\0", id="BD-09 behind"),
    pytest.param(b"BDAT 0", id="BD-10"),
    pytest.param(b"BDAT 0 LAST", id="BD-10 LAST"),
    pytest.param(b"bdat 1", id="BD-11 the first of a million"),
    pytest.param(b"BDAT", id="no size"),
]  # fmt: skip


@pytest.mark.parametrize("line", BDAT)
async def test_bdat_ends_the_session(line: bytes, autojump_clock: MockClock) -> None:
    """It is refused here, the backend hears of neither it nor its bytes, and nothing more is read."""
    async with relay() as (joined, peer, backend):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joined.run)
            await begin(peer, backend, *TO_DATA[:3])
            await peer.say(line + b"\r\nMAIL FROM:<s@x>\r\nDATA\r\n")
        assert await peer.hear() in {
            b"503 5.5.1 CHUNKING was not offered\r\n",
            b"500 5.5.2 Control character in command\r\n",
            b"501 5.5.2 8-bit text not allowed here\r\n",
        }
        assert await hears_nothing(peer)
        assert await hears_nothing(backend)


async def test_bdat_and_data(autojump_clock: MockClock) -> None:
    """BD-12: no chunk is ever begun, so nothing comes between two; within DATA, BDAT is content."""
    async with relay() as (joined, peer, backend), trio.open_nursery() as nursery:
        nursery.start_soon(joined.run)
        await to_content(peer, backend)
        await peer.say(b"BDAT 3 LAST\r\n.\r\nBDAT 3\r\n")
        assert await backend.hear(b"\r\n.\r\n") == b"BDAT 3 LAST\r\n.\r\n"
        await backend.say(b"250 queued\r\n")
        assert (await peer.hear(b"offered\r\n")).startswith(b"250 queued\r\n503 5.5.1 ")
