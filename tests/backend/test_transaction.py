"""One transaction, word by word: what is an answer to the peer, and what is a fault of the backend."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tarpit.backend.dial import Line
from tarpit.backend.transaction import ParameterLost, Transaction
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tarpit.smtp.commands import Hello, Mail, Rcpt, parse
from tests.support.wires import DIALLING, Far, running, wire_pair


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Transaction, Far]]:
    """Yield a transaction, and the backend's end of its connection."""
    poller = Poller()
    async with running(poller.run), wire_pair(poller, backend=True) as (wire, far):
        yield Transaction(Line(wire, DIALLING), block=30.0, dot=600.0), far


async def answer(far: Far, *exchange: tuple[bytes, bytes]) -> None:
    """Be the backend: hear exactly these lines, and say what stands beside each."""
    for expected, reply in exchange:
        assert await far.hear(expected[-3:]) == expected
        await far.say(reply)


def reading(content: bytes) -> Callable[[int], Awaitable[bytes]]:
    """Return a way to read *content*, two bytes at a time."""

    async def read(at: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return content[at : at + 2]

    return read


def mail(line: bytes = b"MAIL FROM:<> BODY=8BITMIME") -> Mail:
    parsed = parse(line)
    assert isinstance(parsed, Mail)
    return parsed


def rcpt(line: bytes = b"RCPT TO:<a@b.example>") -> Rcpt:
    parsed = parse(line)
    assert isinstance(parsed, Rcpt)
    return parsed


def hello(line: bytes = b"EHLO peer.example") -> Hello:
    parsed = parse(line)
    assert isinstance(parsed, Hello)
    return parsed


async def test_a_whole_transaction() -> None:
    """The peer's own lines, content with its dots stuffed anew, one end."""
    async with talking() as (transaction, far), trio.open_nursery() as nursery:
        nursery.start_soon(
            answer,
            far,
            (b"EHLO peer.example\r\n", b"250-b\r\n250 8bitmime\r\n"),
            (b"MAIL FROM:<> BODY=8BITMIME\r\n", b"250 ok\r\n"),
            (b"RCPT TO:<a@b.example>\r\n", b"251 will forward\r\n"),
            (b"DATA\r\n", b"354 go\r\n"),
            (b"X: y\r\n..a\r\n.\r\n", b"250 ok\r\n"),
        )
        assert (await transaction.greet(hello(), mail())).positive
        assert (await transaction.mail(mail())).positive
        assert (await transaction.rcpt(rcpt())).code == 251
        assert (await transaction.data()).intermediate
        await transaction.send(b"X: y\r\n", reading(b".a\r\n"))
        assert (await transaction.end()).positive


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"421 4.3.2 going\r\n", "said 421 to RCPT"),
        (b"354 go\r\n", "said 354 to RCPT"),
        (b"2500 ok\r\n", "does not speak SMTP"),
    ],
)
async def test_no_answer(said: bytes, why: str) -> None:
    """BE-05, BE-11, BE-15: this is not for the peer."""
    async with talking() as (transaction, far):
        await far.say(b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, far, (b"RCPT TO:<a@b.example>\r\n", said))
            with pytest.raises(BackendUnavailable, match=why):
                await transaction.rcpt(rcpt())


async def test_a_positive_reply_to_data() -> None:
    """BE-15: only 354 opens content, and only a refusal closes it."""
    async with talking() as (transaction, far), trio.open_nursery() as nursery:
        nursery.start_soon(answer, far, (b"DATA\r\n", b"250 ok\r\n"))
        with pytest.raises(BackendUnavailable, match="said 250 to DATA"):
            await transaction.data()


@pytest.mark.parametrize(("unasked", "why"), [(b"250 ok\r\n", "spoke unasked"), (b"421 bye\r\n", "said 421")])
async def test_nothing_is_heard_unasked(unasked: bytes, why: str) -> None:
    """PIP-07: a reply too many is not taken for the next one."""
    async with talking() as (transaction, far):
        await far.say(unasked)
        with pytest.raises(BackendUnavailable, match=why):
            await transaction.mail(mail(b"MAIL FROM:<>"))


async def test_what_was_promised_must_be_offered() -> None:
    """A parameter whose keyword this backend did not show never reaches it."""
    async with talking() as (transaction, far), trio.open_nursery() as nursery:
        nursery.start_soon(answer, far, (b"EHLO peer.example\r\n", b"250-b\r\n250 SIZE 10\r\n"))
        await transaction.greet(hello(), mail())
        with pytest.raises(ParameterLost, match="BODY"):
            await transaction.mail(mail())
        with pytest.raises(ParameterLost, match="NOTIFY"):
            await transaction.rcpt(rcpt(b"RCPT TO:<a@b.example> NOTIFY=NEVER"))


async def test_parameters_want_ehlo() -> None:
    """Who used parameters after HELO is announced with EHLO: a backend may insist on that."""
    async with talking() as (transaction, far), trio.open_nursery() as nursery:
        nursery.start_soon(answer, far, (b"EHLO peer.example\r\n", b"250-b\r\n250 8BITMIME\r\n"))
        assert (await transaction.greet(hello(b"HELO peer.example"), mail())).positive


async def test_what_cannot_be_read_is_not_ended() -> None:
    """A disk that fails before the end is our fault, and leaves the backend without one."""

    async def broken(_: int) -> bytes:
        raise OSError(5, "Input/output error")

    async with talking() as (transaction, _):
        with pytest.raises(BackendUnavailable, match="Input/output error"):
            await transaction.send(b"", broken)


async def test_an_intermediate_reply_to_the_end() -> None:
    """It says nothing about whether the message was taken."""
    async with talking() as (transaction, far), trio.open_nursery() as nursery:
        nursery.start_soon(answer, far, (b".\r\n", b"354 more\r\n"))
        with pytest.raises(BackendUnavailable, match="354 to the end"):
            await transaction.end()
