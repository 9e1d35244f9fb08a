"""PIP-*: many commands at once, content that comes too early, and what is said behind the end."""

import contextlib

import pytest
import trio
from trio.testing import MockClock

from tests.support.cases import CLEAN, EHLO, ENVELOPE, MAIL, PATHS, RCPT, SLOWED, case, shorn

on_both_paths = pytest.mark.parametrize("path", PATHS)
TWO = (b"RCPT TO:<a@there.example>", b"RCPT TO:<b@there.example>")
ALL_AT_ONCE = b"\r\n".join([MAIL, *TWO, b"DATA", b""])


def codes(heard: bytes) -> list[bytes]:
    """Return the code of each reply in *heard*."""
    return [line[:3] for line in heard.split(b"\r\n") if line[3:4] == b" "]


@on_both_paths
@pytest.mark.parametrize("hello", [EHLO, b"HELO peer.example"], ids=["PIP-01 EHLO", "PIP-02 HELO"])
async def test_an_envelope_in_one_segment(path: str, hello: bytes, autojump_clock: MockClock) -> None:
    """Each is answered in order; content is asked for at the end, and goes where it should.

    Without PIPELINING it works all the same, and is noted.
    """
    async with case(path, hello) as here:
        await here.far.say(ALL_AT_ONCE)
        heard = await here.far.hear(b"354 Go ahead\r\n" if path == CLEAN else b"<CR><LF>.<CR><LF>\r\n")
        assert codes(heard) == [b"250", b"250", b"250", b"354"]
        assert here.contents() == []
        assert (await here.answer(b"Subject: x\r\n\r\nx\r\n.\r\n")).startswith(b"250 ")
        assert here.contents() == [b"Subject: x\r\n\r\nx\r\n"]
        shown = path == CLEAN and hello is EHLO  # a suspect is not shown it, HELO shows nothing
        assert here.session.dialogue.offences.early is not shown


@pytest.mark.parametrize("refused", [b"451 4.3.0 not now\r\n", b"554 5.5.1 no\r\n"])
async def test_content_behind_a_refused_data(refused: bytes, autojump_clock: MockClock) -> None:
    """PIP-03 Where DATA is refused, not one byte of the content that came along is read as a command."""
    async with case(CLEAN, *ENVELOPE, answers={"DATA": refused}) as here:
        before = here.reached()
        await here.far.say(b"DATA\r\nRSET\r\nMAIL FROM:<evil@here.example>\r\n.\r\nQUIT\r\n")
        assert codes(await here.closes()) == [b"554"]
        assert shorn(here.reached()) == shorn([*before, b"DATA"])
        assert here.session.dialogue.transactions == 1


async def test_content_for_nobody(autojump_clock: MockClock) -> None:
    """PIP-03 PIP-04 All recipients refused, DATA and content in one segment: ours to refuse, and the end."""
    for path in PATHS:
        async with case(path, EHLO, MAIL, answers={"RCPT": b"550 5.1.1 nobody\r\n"}) as here:
            await here.far.say(RCPT + b"\r\nDATA\r\nNOOP\r\nMAIL FROM:<evil@here.example>\r\n.\r\n")
            heard = codes(await here.closes())
            assert heard[:2] == [b"550", b"554"] or heard[:2] == [b"550", b"503"]
            assert len(heard) == 2
            assert b"DATA" not in here.reached()
            assert here.session.dialogue.transactions == 1


@on_both_paths
async def test_content_before_354(path: str, autojump_clock: MockClock) -> None:
    """PIP-03 Content that came too early waits for the 354, and is whole."""
    async with case(path, *ENVELOPE) as here:
        await here.far.say(b"DATA\r\nRSET\r\n..x\r\n.\r\nQUIT\r\n")
        assert codes(await here.closes()) == [b"354", b"250", b"221"]
        (content,) = here.contents()
        assert content in {b"RSET\r\n..x\r\n", b"RSET\r\n.x\r\n"}
        assert here.reached().count(b"RSET") <= 1  # a content line is none; we may say one ourselves


@on_both_paths
async def test_the_next_transaction_in_the_same_segment(path: str, autojump_clock: MockClock) -> None:
    """PIP-05 It begins when the reply to the first message has been said, and both arrive."""
    async with case(path, *ENVELOPE) as here:
        assert (await here.goes(b"DATA"))[0].startswith(b"354 ")
        await here.far.say(b"one\r\n.\r\n" + ALL_AT_ONCE + b"two\r\n.\r\nQUIT\r\n")
        heard = codes(await here.closes())
        assert heard == [b"250", b"250", b"250", b"250", b"354", b"250", b"221"]
        assert here.contents() == [b"one\r\n", b"two\r\n"]
        order = [line for line in here.reached() if line in {b"DATA", MAIL}]
        assert order.index(b"DATA") < len(order) - 1 - order[::-1].index(MAIL)


@on_both_paths
async def test_bytes_behind_quit(path: str, autojump_clock: MockClock) -> None:
    """PIP-06 221, and nothing more: what stands behind QUIT is read and forgotten."""
    async with case(path, EHLO) as here:
        await here.far.say(b"QUIT\r\nMAIL FROM:<late@here.example>\r\n" + b"NOOP\r\n" * 1000)
        assert codes(await here.closes()) == [b"221"]
        assert b"MAIL FROM:<late@here.example>" not in here.reached()
        assert here.session.ended == "quit"


@pytest.mark.parametrize("verb", ["NOOP", "MAIL", "RCPT"])
async def test_a_reply_too_many(verb: str, autojump_clock: MockClock) -> None:
    """PIP-07 Two replies to one command: neither is believed, the peer hears 421."""
    lines = {"NOOP": (EHLO, b"NOOP"), "MAIL": (EHLO, MAIL), "RCPT": (EHLO, MAIL, RCPT)}[verb]
    async with case(CLEAN, *lines[:-1], answers={verb: b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"}) as here:
        (reply,) = await here.goes(lines[-1])
        assert reply.startswith(b"421 ")
        assert await here.closes() == b""
        assert here.session.ended == "backend"


async def test_a_reply_too_few(autojump_clock: MockClock) -> None:
    """PIP-07 No reply to a command is waited for as long as may be, and then it is 421."""
    async with case(CLEAN, EHLO, answers={"MAIL": b"250-2.1.0 and then\r\n"}) as here:
        began = trio.current_time()
        (reply,) = await here.goes(MAIL)
        assert reply.startswith(b"421 ")
        assert 300 <= trio.current_time() - began <= 301


@on_both_paths
async def test_a_peer_that_never_listens(path: str, autojump_clock: MockClock) -> None:
    """PIP-08 NET-03 10,000 NOOPs, and nothing is read: little is kept, and at the deadline it is over."""
    async with case(path, EHLO, variables={"TIMEOUT_SEND": "60s"}) as here:
        lines, most = b"NOOP " + b"x" * 400 + b"\r\n", 0
        with trio.move_on_after(5000), contextlib.suppress(trio.BrokenResourceError):
            for _ in range(10_000):
                await here.far.say(lines)
                most = max(most, len(here.session.dialogue.lines))
                if here.session.dialogue.closed:
                    break
        assert most <= 3 * 4096
        await here.far.stream.aclose()
        await here.around.services.wait_empty()
        assert here.session.wire.bytes_in < 600_000


@on_both_paths
async def test_commands_while_a_reply_is_on_its_way(path: str, autojump_clock: MockClock) -> None:
    """PIP-09 What a peer says meanwhile waits, little of it with us, and is answered in order."""
    async with case(path) as here:
        await here.far.say(EHLO + b"\r\n")
        if path == SLOWED:
            await here.far.receive()
            assert here.session.wire.bytes_out < 60  # in the middle of a reply, byte by byte
        await here.far.say(MAIL + b"\r\n" + b"NOOP\r\n" * 8 + b"JUNK\r\n" + RCPT + b"\r\nQUIT\r\n")
        await trio.sleep(1)
        assert len(here.session.dialogue.lines) <= 4096
        heard = codes(await here.closes())
        assert heard[-12:] == [b"250"] * 9 + [b"500", b"250", b"221"]
        assert len(heard) == 12 + (path == CLEAN)  # a slowed peer has heard the beginning of it before
        assert [line for line in here.reached() if line in {MAIL, RCPT}] == [MAIL, RCPT]


@on_both_paths
async def test_a_flood_while_a_reply_is_on_its_way(path: str, autojump_clock: MockClock) -> None:
    """PIP-09 Beyond what the kernel keeps nothing is taken, and the limits end it: 421."""
    async with case(path) as here, trio.open_nursery() as nursery:
        await here.far.say(EHLO + b"\r\n")
        most, heard = 0, b""

        async def flood() -> None:
            nonlocal most
            with contextlib.suppress(trio.BrokenResourceError):
                for _ in range(1000):
                    await here.far.say(b"NOOP " + b"x" * 400 + b"\r\n")
                    most = max(most, len(here.session.dialogue.lines))

        nursery.start_soon(flood)
        heard = await here.far.hear_all()
        nursery.cancel_scope.cancel()
        assert b"\r\n421 4.7.0 " in heard
        assert codes(heard)[1:-1] == [b"250"] * (len(codes(heard)) - 2)
        assert most <= 3 * 4096
        assert here.session.wire.bytes_in < 150_000  # of 407,000
