"""One connection from accept to close, as each kind of peer has it."""

import gc

import pytest
import trio
from trio.testing import MockClock

from tarpit.session import Session
from tests.support.sessions import another, session
from tests.support.wires import PEER, wire_pair

ENVELOPE = (b"EHLO peer.example", b"MAIL FROM:<>")


async def test_a_suspect_that_waits_gets_through(autojump_clock: MockClock) -> None:
    """It is slow before its first recipient, and the backend hears what we had heard."""
    async with session(listed=True) as (far, backend, around, _):
        began = trio.current_time()
        assert await far.hear() == b"220 mx.example ESMTP\r\n"
        for line in ENVELOPE:
            assert (await far.ask(line)).startswith(b"250")
        assert not backend.connections
        assert await far.ask(b"RCPT TO:<you@there.example>") == b"250 2.1.5 Ok\r\n"
        assert trio.current_time() - began > 20
        assert await far.ask(b"QUIT") == b"221 2.0.0 Bye\r\n"
        await far.hear_all()
    assert backend.connections[0].commands == [*ENVELOPE, b"RCPT TO:<you@there.example>", b"QUIT"]
    assert (around.closed()["ended"], around.closed()["treatment"]) == ("quit", "slow")


async def test_a_hostile_peer_never_reaches_the_backend(autojump_clock: MockClock) -> None:
    """It is held, and its recipient is deferred by us."""
    async with session(DENY=PEER[0]) as (far, backend, around, _):
        await far.hear()
        for line in ENVELOPE:
            await far.ask(line)
        await far.say(b"RCPT TO:<you@there.example>\r\n")
        assert (await far.hear(b"never refused\r\n")).startswith(b"450-4.7.1 denylist: ")
        await far.ask(b"QUIT")
        await far.hear_all()
    assert not backend.connections
    assert around.closed()["treatment"] == "hold"


async def test_observing_slows_nobody(autojump_clock: MockClock) -> None:
    """Under `observe` a suspect passes, and the event says what it would have had."""
    async with session(MODE="observe", DENY=PEER[0]) as (far, backend, around, _):
        assert await far.hear() == backend.answers["BANNER"]
        await far.ask(b"QUIT")
        await far.hear_all()
    assert (around.closed()["treatment"], around.closed()["would_be"]) == ("pass", "hold")


async def test_stopping(autojump_clock: MockClock) -> None:
    """A session that transfers nothing is told 421 and ends."""
    async with session() as (far, _, around, one):
        await far.hear()
        one.wire.stop()
        assert (await far.hear_all()).startswith(b"421 4.3.2 ")
    assert around.closed()["ended"] == "stopped"


async def test_a_sender_refused_for_now_is_refused_for_now_at_each_recipient(
    autojump_clock: MockClock,
) -> None:
    """The backend's 452 to MAIL shows at every RCPT of a suspect; none becomes a 503."""
    async with session({"MAIL": b"452 4.3.1 full\r\n"}, listed=True) as (far, backend, _, _one):
        await far.hear()
        for line in ENVELOPE:
            assert (await far.ask(line)).startswith(b"250")
        for recipient in (b"a", b"b"):
            assert await far.ask(b"RCPT TO:<" + recipient + b"@there.example>") == b"452 4.3.1 full\r\n"
        assert len(backend.connections) == 2
        await far.ask(b"QUIT")


@pytest.mark.parametrize(
    ("mode", "met", "seconds"),
    [("enforce", False, 2), ("enforce", True, 0), ("observe", False, 0), ("off", False, 0)],
)
async def test_the_greet_wait_is_for_strangers(
    autojump_clock: MockClock, mode: str, met: bool, seconds: float
) -> None:
    """TARPIT_GREET_WAIT is spent once on a clean peer, and by no mode that slows nobody."""
    async with session(GREET_WAIT="2s", MODE=mode) as (first, _, around, _one):
        began = trio.current_time()
        await first.hear()
        if met:
            began = trio.current_time()
            async with wire_pair(around.poller) as (wire, far):
                around.services.nursery.start_soon(another(around, wire).run)
                await far.hear()
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.02)


@pytest.mark.parametrize(
    ("listed", "sender"),
    [
        pytest.param(True, b"good", id="slowed"),
        pytest.param(False, b"good", id="joined"),
        pytest.param(False, b"bad", id="turned"),
    ],
)
async def test_nothing_is_left_for_the_collector(
    autojump_clock: MockClock, listed: bool, sender: bytes
) -> None:
    """A session that has asked a backend is gone when it is over: no circle keeps it."""
    async with session(listed=listed) as (first, _, around, _one):
        await first.stream.aclose()
        await around.services.wait_empty()
        gc.collect()
        gc.disable()
        try:
            async with wire_pair(around.poller) as (wire, far):
                around.services.nursery.start_soon(another(around, wire).run)
                await far.hear()
                for line in (
                    b"HELO x.example",
                    b"MAIL FROM:<a@" + sender + b".example>",
                    b"RCPT TO:<b@c.example>",
                ):
                    assert (await far.ask(line)).startswith(b"250")
                await far.ask(b"QUIT")
                await around.services.wait_empty()
            await trio.sleep(60)
            assert [one.number for one in gc.get_objects() if isinstance(one, Session)] == [1]
        finally:
            gc.enable()
