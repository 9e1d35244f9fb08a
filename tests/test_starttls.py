"""STARTTLS that ends with us: refused, failed, or a new dialogue; for clean peers and for suspects."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tarpit.handshake import SHARE, Handshakes
from tests.support.backend import Answer
from tests.support.certificates import Authority, inside
from tests.support.sessions import Run, session
from tests.support.wires import Far

EHLO = b"EHLO peer.example"
MAIL = b"MAIL FROM:<a@good.example>"
RCPT = b"RCPT TO:<you@there.example>"
OFFERS = b"250-backend.example\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
MESSAGE = b"Subject: x\r\n\r\n..dots\r\nand more\r\n.\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs the proxy's certificate."""
    return Authority(tmp_path)


@asynccontextmanager
async def terminating(
    authority: Authority, answers: dict[str, Answer] | None = None, *, listed: bool = False, **variables: str
) -> AsyncIterator[Run]:
    """Yield a session, greeted, of a proxy that ends TLS itself."""
    pair = authority.issue()
    offers = {"EHLO": OFFERS, **(answers or {})}
    async with session(offers, listed=listed, **pair.variables, **variables) as run:
        far, _, around, _ = run
        around.services.pool.backends[0].keywords = (b"STARTTLS", b"8BITMIME")
        around.services.pool.backends[0].marks.good()
        assert (await far.hear()).startswith(b"220 ")
        yield run


async def shown(far: Far) -> list[bytes]:
    """Say EHLO, and return the keywords that are shown."""
    await far.say(EHLO + b"\r\n")
    data = b""
    while not re.search(rb"(?:\A|\n)250 [^\n]*\n\Z", data):
        data += await far.receive()
    return [line[4:] for line in data.splitlines()][1:]


async def last_words(far: Far) -> bytes:
    """Return what comes until the other side ends, in whatever way."""
    heard = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while data := await far.receive():
            heard += data
    return heard


async def test_a_clean_peer_inside_tls(authority: Authority, autojump_clock: MockClock) -> None:
    """It is relayed byte for byte; the backend hears one EHLO before, one after, and never STARTTLS."""
    async with terminating(authority) as (far, backend, around, _):
        assert await shown(far) == [b"8BITMIME", b"STARTTLS"]
        peer = await inside(far, authority.client())
        assert await shown(peer) == [b"8BITMIME"]
        for line in (MAIL, RCPT):
            assert (await peer.ask(line)).startswith(b"250 ")
        assert (await peer.ask(b"DATA")).startswith(b"354 ")
        await peer.say(MESSAGE)
        assert await peer.hear() == b"250 2.0.0 Ok: queued as 1\r\n"
        assert (await peer.ask(b"QUIT")).startswith(b"221 ")
        assert await peer.hear_all() == b""  # an orderly end
        (connection,) = backend.connections
        assert connection.commands == [EHLO, EHLO, MAIL, RCPT, b"DATA", b"QUIT"]
        assert connection.contents == [MESSAGE.removesuffix(b".\r\n")]
    closed = around.closed()
    assert (closed["tls"], closed["tls_failure"], closed["ended"]) == ("TLSv1.3", "", "quit")
    assert str(closed["cipher"]).startswith("TLS_")
    assert closed["blind"] is False


async def test_a_suspect_inside_tls(authority: Authority, autojump_clock: MockClock) -> None:
    """It is dripped to, its message read slowly and handed over whole: as outside TLS."""
    async with terminating(authority, listed=True) as (far, backend, around, _):
        assert await shown(far) == [b"8BITMIME", b"STARTTLS"]
        peer = await inside(far, authority.client())
        before = trio.current_time()
        assert await shown(peer) == [b"8BITMIME"]
        assert trio.current_time() - before > 10
        for line in (MAIL, RCPT):
            assert (await peer.ask(line)).startswith(b"250 ")
        assert (await peer.ask(b"DATA")).startswith(b"354 ")
        before = trio.current_time()
        await peer.say(MESSAGE)
        assert await peer.hear() == b"250 2.0.0 Ok: queued as 1\r\n"
        assert trio.current_time() - before >= 5
        assert (await peer.ask(b"QUIT")).startswith(b"221 ")
        assert await peer.hear_all() == b""
        assert backend.connections[-1].contents == [MESSAGE.removesuffix(b".\r\n")]
    closed = around.closed()
    assert (closed["treatment"], closed["tls"], closed["messages_accepted"]) == ("slow", "TLSv1.3", 1)
    assert int(str(closed["dripped_bytes"])) > 20


async def test_a_held_peer_inside_tls(authority: Authority, autojump_clock: MockClock) -> None:
    """A hostile peer gets its TLS, and its refusal inside, drop by drop."""
    async with terminating(authority, listed=True, DENY="192.0.2.0/24") as (far, backend, around, _):
        assert b"STARTTLS" in await shown(far)
        peer = await inside(far, authority.client())
        await shown(peer)
        assert (await peer.ask(MAIL)).startswith(b"250 ")
        assert (await peer.ask(RCPT)).startswith(b"450")
        assert not backend.connections
        await peer.secure.aclose()
    assert around.closed()["treatment"] == "hold"


async def test_a_clean_peer_that_turns_suspect_inside(
    authority: Authority, autojump_clock: MockClock
) -> None:
    """It goes on with us where it was, inside TLS, and is shown nothing else than before."""
    async with terminating(authority) as (far, backend, around, _):
        await shown(far)
        peer = await inside(far, authority.client())
        await shown(peer)
        assert (await peer.ask(b"MAIL FROM:<a@bad.example>")).startswith(b"250 ")
        assert (await peer.ask(RCPT)).startswith(b"250 ")
        assert (await peer.ask(b"RSET")).startswith(b"250 ")
        assert (await peer.ask(b"STARTTLS")).startswith(b"503 ")
        assert (await peer.ask(b"QUIT")).startswith(b"221 ")
        assert b"STARTTLS" not in b"".join(bytes(one.received) for one in backend.connections)
    assert (around.closed()["treatment"], around.closed()["tls"]) == ("slow", "TLSv1.3")


# -- refused


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_01_what_came_along_ends_the_session(
    listed: bool, authority: Authority, autojump_clock: MockClock
) -> None:
    """TLS-01: bytes behind STARTTLS are executed nowhere, before TLS or in it."""
    async with terminating(authority, listed=listed) as (far, backend, around, _):
        await shown(far)
        await far.say(b"STARTTLS\r\nMAIL FROM:<evil@good.example>\r\n")
        assert (await far.hear()).startswith(b"554 ")
        assert await far.hear_all() == b""
        assert not any(b"evil" in one.received for one in backend.connections)
    assert around.closed()["tls"] == ""


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_01_what_comes_late_is_a_bad_handshake(
    listed: bool, authority: Authority, autojump_clock: MockClock
) -> None:
    """TLS-01: plain bytes behind the 220 are no commands either."""
    async with terminating(authority, listed=listed) as (far, backend, around, _):
        await shown(far)
        assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
        await far.say(b"MAIL FROM:<evil@good.example>\r\n")
        assert b"250" not in await last_words(far)
        assert not any(b"evil" in one.received for one in backend.connections)
    assert (around.closed()["ended"], around.closed()["tls"]) == ("peer-left", "")
    assert around.closed()["tls_failure"] in {"TLS: wrong version number", "TLS: http request"}


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_03_nothing_from_before_counts(
    listed: bool, authority: Authority, autojump_clock: MockClock
) -> None:
    """TLS-03: MAIL needs a new EHLO inside, whatever the backend would take; the name from before is gone."""
    async with terminating(authority, listed=listed) as (far, backend, _, one):
        await shown(far)
        peer = await inside(far, authority.client())
        for line in (MAIL, RCPT, b"DATA"):
            assert (await peer.ask(line)).startswith(b"503 ")
        assert (await peer.ask(b"NOOP")).startswith(b"250 ")
        assert (await peer.ask(b"HELO other.example")).startswith(b"250 ")
        assert (await peer.ask(MAIL)).startswith(b"250 ")
        assert (one.dialogue.helo, one.dialogue.transactions) == ("other.example", 1)
        assert not any(b"DATA" in each.commands for each in backend.connections)


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_04_out_of_place(listed: bool, authority: Authority, autojump_clock: MockClock) -> None:
    """TLS-04: before EHLO, with an argument, in a transaction, and a second time, STARTTLS is refused."""
    async with terminating(authority, listed=listed) as (far, backend, _, _one):
        assert (await far.ask(b"STARTTLS")).startswith(b"503 ")
        await shown(far)
        assert (await far.ask(b"STARTTLS now")).startswith(b"501 ")
        assert (await far.ask(MAIL)).startswith(b"250 ")
        assert (await far.ask(b"STARTTLS")).startswith(b"503 ")
        assert (await far.ask(b"RSET")).startswith(b"250 ")
        peer = await inside(far, authority.client())
        assert (await peer.ask(b"STARTTLS")).startswith(b"503 ")
        await shown(peer)
        assert (await peer.ask(b"STARTTLS")).startswith(b"503 ")
        assert not any(b"STARTTLS" in each.commands for each in backend.connections)


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_no_place(listed: bool, authority: Authority, autojump_clock: MockClock) -> None:
    """TLS-07: while as many handshakes go on as may, STARTTLS is 454, and the session goes on without."""
    async with terminating(authority, listed=listed) as (far, _, around, _one), trio.open_nursery() as others:
        await shown(far)
        terminator = around.services.terminator
        assert terminator is not None
        for number in range(SHARE):
            others.start_soon(_hold, terminator.handshakes, f"192.0.2.{number}")
        await trio.sleep(1)
        assert (await far.ask(b"STARTTLS")).startswith(b"454 4.7.0 ")
        others.cancel_scope.cancel()
        assert (await far.ask(MAIL)).startswith(b"250 ")


async def _hold(handshakes: Handshakes, peer: str) -> None:
    async with handshakes.place(peer):
        await trio.sleep_forever()


# -- failed


@pytest.mark.parametrize(
    "hello",
    [
        pytest.param(b"\0\r\n garbage \xff", id="garbage"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\xff\xff", id="a record too large"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="an alert"),
    ],
)
async def test_tls_05_no_handshake(hello: bytes, authority: Authority, autojump_clock: MockClock) -> None:
    """TLS-05: what is no ClientHello ends the session at once, with its reason told, and no traceback."""
    async with terminating(authority) as (far, _, around, _one):
        await shown(far)
        assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
        before = trio.current_time()
        await far.say(hello)
        await last_words(far)
        assert trio.current_time() - before < 2
    assert str(around.closed()["tls_failure"]).startswith("TLS: ")
    assert not [entry for entry in around.events.entries if entry["event"] == "session.failed"]


@pytest.mark.parametrize("whole", [True, False], ids=["nothing more", "a byte every 10 s"])
@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_05_a_handshake_that_takes_for_ever(
    listed: bool, whole: bool, authority: Authority, autojump_clock: MockClock
) -> None:
    """TLS-05: half a ClientHello, or one in drops, is waited for as long as TARPIT_TIMEOUT_TLS in all."""
    async with terminating(authority, listed=listed, TIMEOUT_TLS="25s") as (far, _, around, _one):
        await shown(far)
        assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
        before = trio.current_time()
        record = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20)
        await far.say(record[:6])
        async with trio.open_nursery() as nursery:
            if not whole:
                nursery.start_soon(_drop, far, record[6:])
            await last_words(far)
            nursery.cancel_scope.cancel()
        assert 25 <= trio.current_time() - before <= 28
    assert (around.closed()["ended"], around.closed()["tls_failure"]) == ("peer-silent", "no answer in time")


async def _drop(far: Far, data: bytes) -> None:
    for byte in data:
        await trio.sleep(10)
        await far.say(bytes((byte,)))


async def test_who_leaves_instead(authority: Authority, autojump_clock: MockClock) -> None:
    """A peer that hangs up in the middle of the handshake has left."""
    async with terminating(authority) as (far, _, around, _one):
        await shown(far)
        assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
        await far.say(b"\x16\x03\x01")
        await far.stream.aclose()
    assert (around.closed()["ended"], around.closed()["tls"]) == ("peer-left", "")


async def test_stopping_in_the_middle(authority: Authority, autojump_clock: MockClock) -> None:
    """A server that stops waits for no handshake, and says nothing where nothing can be said."""
    async with terminating(authority) as (far, _, around, one):
        await shown(far)
        assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
        await trio.sleep(1)
        before = trio.current_time()
        one.wire.stop()
        assert b"421" not in await last_words(far)
        assert trio.current_time() - before < 2
    assert (around.closed()["ended"], around.closed()["tls"]) == ("stopped", "")


@pytest.mark.parametrize("listed", [False, True], ids=["clean", "suspect"])
async def test_tls_08_cut_off_in_a_message(
    listed: bool, authority: Authority, autojump_clock: MockClock
) -> None:
    """TLS-08: an end of the stream in DATA, orderly or not, is a lost peer and never an end of data."""
    for orderly in (True, False):
        async with terminating(authority, listed=listed) as (far, backend, around, _):
            await shown(far)
            peer = await inside(far, authority.client())
            await shown(peer)
            for line in (MAIL, RCPT):
                assert (await peer.ask(line)).startswith(b"250 ")
            assert (await peer.ask(b"DATA")).startswith(b"354 ")
            await peer.say(b"Subject: x\r\n\r\nhalf a mess")
            if orderly:
                await peer.secure.aclose()
            await far.stream.aclose()
            await trio.sleep(30)
            assert not any(one.contents for one in backend.connections)
        assert (around.closed()["ended"], around.closed()["messages_accepted"]) == ("peer-left", 0)


async def test_off_and_pass_are_as_before(authority: Authority, autojump_clock: MockClock) -> None:
    """Without a certificate, and with TARPIT_TLS=off, TLS does not end with us."""
    pair = authority.issue()
    files = {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key)}
    async with session({"EHLO": OFFERS}, listed=False, TLS="off", **files) as (far, _, around, _one):
        await far.hear()
        assert around.services.terminator is None
        assert await shown(far) == [b"8BITMIME"]
        assert (await far.ask(b"STARTTLS")).startswith(b"502 ")
