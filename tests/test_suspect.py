"""A suspect's session: slow for it, a moment for the backend, and never a message lost or made twice."""

import select
from ipaddress import ip_address

import pytest
import trio
from trio.testing import MockClock

from tarpit.backend.slots import Purpose
from tarpit.policy import Treatment
from tests.support.backend import Connection, Does
from tests.support.sessions import session
from tests.support.wires import PEER, Far

MESSAGE = b"Subject: x\r\n\r\n..dots\r\nand more\r\n.\r\n"
LAST = b"never refused\r\n"  # the end of what a hold says


async def begin(far: Far, *lines: bytes) -> None:
    """Hear the banner and say *lines*, each of which is accepted."""
    assert (await far.hear()).startswith(b"220")
    for line in lines:
        assert (await far.ask(line)).startswith(b"250"), line


async def deliver(far: Far) -> bytes:
    """Send the message, and return the last word on it."""
    assert (await far.ask(b"DATA")).startswith(b"354")
    await far.say(MESSAGE)
    return await far.hear()


HELLO = b"HELO peer.example"
MAIL = b"MAIL FROM:<a@good.example>"
RCPT = b"RCPT TO:<you@there.example>"


async def test_a_patient_suspect_is_delivered(autojump_clock: MockClock) -> None:
    """It waits, its message arrives whole on a connection of its own, and the answer is the backend's."""
    async with session(listed=True) as (far, backend, around, _):
        began = trio.current_time()
        await begin(far, HELLO, MAIL, RCPT)
        assert await deliver(far) == b"250 2.0.0 Ok: queued as 1\r\n"
        assert trio.current_time() - began > 20
        await far.ask(b"QUIT")
        await far.hear_all()
        check, commit = backend.connections
        assert check.commands == [HELLO, MAIL, RCPT, b"QUIT"]
        assert commit.commands[:4] == [HELLO, MAIL, RCPT, b"DATA"]
        assert commit.contents == [MESSAGE.removesuffix(b".\r\n")]
    closed = around.closed()
    assert (closed["treatment"], closed["messages_accepted"], closed["ended"]) == ("slow", 1, "quit")
    assert closed["backend_seconds"] == 0  # under a clock that stands still while there is work


async def test_the_backend_sees_nothing_before_the_first_recipient(autojump_clock: MockClock) -> None:
    """Who gives up before RCPT has cost no backend anything."""
    async with session(listed=True) as (far, backend, _, _one):
        await begin(far, HELLO, MAIL)
        assert not backend.connections
        await far.stream.aclose()


async def test_a_refused_recipient_hears_the_backend(autojump_clock: MockClock) -> None:
    """The backend's own words reach the peer; others stand."""
    refusal = b"550 5.1.1 no such user here\r\n"
    async with session({"RCPT TO:<nobody@there.example>": refusal}, listed=True) as (far, _, around, _one):
        await begin(far, HELLO, MAIL, RCPT)
        assert await far.ask(b"RCPT TO:<nobody@there.example>") == refusal
        assert (await deliver(far)).startswith(b"250")
        await far.ask(b"QUIT")
        await far.hear_all()
    assert (around.closed()["recipients_accepted"], around.closed()["recipients_refused"]) == (1, 1)


async def test_the_wait_comes_before_the_commit(autojump_clock: MockClock) -> None:
    """What slow reading has left of TARPIT_PACE_DATA is waited; then nothing more."""
    async with session(listed=True, PACE_DATA="30s", PACE_READ="8") as (far, backend, _, _one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await far.ask(b"DATA")).startswith(b"354")
        began = trio.current_time()
        await far.say(MESSAGE)
        await trio.sleep(14)
        assert len(backend.connections) == 1
        assert (await far.hear()).startswith(b"250")
        assert 14 < trio.current_time() - began <= 30.1


async def test_a_peer_that_leaves_before_the_commit_commits_nothing(autojump_clock: MockClock) -> None:
    """It hangs up while it is waited: no message is handed over."""
    async with session(listed=True) as (far, backend, around, _):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await far.ask(b"DATA")).startswith(b"354")
        await far.say(MESSAGE)
        await far.stream.aclose()
        await around.services.wait_empty()
        assert not any(connection.contents for connection in backend.connections)
    assert around.closed()["ended"] == "peer-left"
    assert "conduct:no-quit" in str(around.closed()["findings"])


async def test_quit_behind_the_dot_is_no_leaving(autojump_clock: MockClock) -> None:
    """A peer that has pipelined QUIT and closed its side is delivered and hears every reply."""
    async with session(listed=True) as (far, backend, _, _one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await far.ask(b"DATA")).startswith(b"354")
        await far.say(MESSAGE + b"QUIT\r\n")
        await far.stream.send_eof()
        assert (await far.hear_all()).endswith(b"221 2.0.0 Bye\r\n")
        assert backend.connections[-1].contents


async def test_no_answer_to_the_end_of_data_is_told(autojump_clock: MockClock) -> None:
    """The backend dies after our dot: 451, never 250, and an event says that nobody knows."""
    async with session({"DOT": Does.CLOSE}, listed=True) as (far, _, around, _one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await deliver(far)).startswith(b"451 4.4.2 ")
        await far.ask(b"QUIT")
    assert "message.ambiguous" in [entry["event"] for entry in around.events.entries]


async def test_a_header_tells_the_filter_behind(autojump_clock: MockClock) -> None:
    """With TARPIT_HEADER a slowed message says what was found, above all else."""
    async with session(listed=True, HEADER="X-Tarpit") as (far, backend, _, _one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await deliver(far)).startswith(b"250")
        await far.ask(b"QUIT")
    (content,) = backend.connections[-1].contents
    assert content.startswith(b"X-Tarpit: score=3; held=")
    assert b"dnsbl:bl.example=3" in content.partition(b"\r\n")[0]


async def test_a_hostile_peer_reaches_postmaster_alone(autojump_clock: MockClock) -> None:
    """TARPIT_EXEMPT_RCPT is never held; everybody else is refused, with the reason, in any order."""
    async with session(DENY=PEER[0], PACE_BYTE="1ms") as (far, backend, _, _one):
        await begin(far, HELLO, MAIL)
        await far.say(RCPT + b"\r\n")
        assert (await far.hear(LAST)).startswith(b"450-4.7.1 denylist: ")
        assert not backend.connections
        assert (await far.ask(b"RCPT TO:<postmaster@there.example>")).startswith(b"250")
        assert (await deliver(far)).startswith(b"250")
        await far.ask(b"QUIT")
        await far.hear_all()
    assert all(RCPT not in connection.commands for connection in backend.connections)


async def test_a_trap_makes_hostile(autojump_clock: MockClock) -> None:
    """Who asks a suspect's way for recipients that only harvesters know is held from then on."""
    async with session(listed=True, TRAP_RCPT="trap") as (far, _, around, _one):
        await begin(far, HELLO, MAIL)
        await far.say(b"RCPT TO:<trap@there.example>\r\n")
        assert (await far.hear(LAST)).startswith(b"450-4.7.1 conduct:trap: ")
        await far.stream.aclose()
        await around.services.wait_empty()
    assert around.closed()["treatment"] == "hold"
    assert not (await around.services.store.recall(ip_address(PEER[0]))).peer.blameless


async def test_a_recipient_that_turns_its_peer_suspect_is_counted_once(autojump_clock: MockClock) -> None:
    """A clean peer asks for a trap: one trap, however often the command is looked at."""
    async with session(TRAP_RCPT="trap", WEIGHTS="trap=4") as (far, _, _around, one):
        await begin(far, HELLO, MAIL)
        assert (await far.ask(b"RCPT TO:<trap@there.example>")).startswith(b"250")
        assert one.slowed
        assert one.judgement.traps == 1


async def test_a_clean_peer_turns_suspect_at_mail(autojump_clock: MockClock) -> None:
    """An SPF fail slows the very message it speaks of: the backend hears QUIT, the front goes on."""
    async with session(GREET_WAIT="0", PACE_DATA="0") as (far, backend, around, _):
        await begin(far)
        await far.say(b"EHLO peer.example\r\n")
        assert b"PIPELINING" in await far.hear(b"8BITMIME\r\n")
        assert (await far.ask(b"MAIL FROM:<a@bad.example>")).startswith(b"250")
        assert (await far.ask(RCPT)).startswith(b"250")
        joined = backend.connections[0]
        assert joined.commands == [b"EHLO peer.example", b"MAIL FROM:<a@bad.example>", b"QUIT"]
        assert (await deliver(far)).startswith(b"250")
        await far.ask(b"QUIT")
        await far.hear_all()
    assert len(backend.connections) == 3
    assert around.closed()["treatment"] == "slow"


async def test_an_accepted_recipient_is_finished_first(autojump_clock: MockClock) -> None:
    """Conduct that turns a clean peer suspect in mid-transaction waits for the end of that transaction."""
    async with session(WEIGHTS="junk=4") as (far, backend, _, _one):
        await begin(far, HELLO, MAIL, RCPT)
        for _ in range(3):
            assert (await far.ask(b"NONSENSE")).startswith(b"500")
        assert (await deliver(far)).startswith(b"250")
        assert len(backend.connections) == 1
        assert (await far.ask(MAIL)).startswith(b"250")
        assert (await far.ask(RCPT)).startswith(b"250")
        assert backend.connections[0].commands[-1] == b"QUIT"
        assert len(backend.connections) == 2


@pytest.mark.parametrize("hold", [pytest.param(False, id="slow"), pytest.param(True, id="hold")])
async def test_starttls(autojump_clock: MockClock, hold: bool) -> None:
    """A suspect that waited is joined for TLS, unheard from there on; a hostile one is not."""
    answers = {"EHLO": b"250-backend.example\r\n250 STARTTLS\r\n", "STARTTLS": b"220 2.0.0 ready\r\n"}
    deny = {"DENY": PEER[0]} if hold else {}
    async with session(dict(answers), listed=True, PACE_BYTE="1ms", **deny) as (far, backend, around, _):
        for one in around.services.pool.backends:
            one.keywords = (b"STARTTLS",)
            one.marks.good()
        await begin(far)
        await far.say(b"EHLO peer.example\r\n")
        if hold:
            assert await far.hear() == b"250 mx.example\r\n"
            assert (await far.ask(b"STARTTLS")).startswith(b"502")
            return
        assert await far.hear(b"STARTTLS\r\n") == b"250-mx.example\r\n250 STARTTLS\r\n"
        assert (await far.ask(b"STARTTLS")).startswith(b"220")
        await far.say(b"\x16\x03\x01 not for us\r\n")
        await trio.sleep(1)
        assert b"not for us" in backend.connections[0].received
        await far.stream.aclose()
        await around.services.wait_empty()
        assert around.closed()["blind"] is True


async def test_who_hangs_up_in_the_queue(autojump_clock: MockClock) -> None:
    """A suspect that waits to be joined for TLS gives up its place when it leaves."""
    async with session(listed=True, BACKEND_MAX="1", PACE_BYTE="1ms") as (far, _, around, one):
        pool = around.services.pool
        for server in pool.backends:
            server.keywords = (b"STARTTLS",)
            server.marks.good()
        await begin(far)
        await far.say(b"EHLO peer.example\r\n")
        await far.hear(b"STARTTLS\r\n")
        pool.backends[0].slots.take(Purpose.JOIN)
        await far.say(b"STARTTLS\r\n")
        await trio.sleep(2)
        assert len(pool.queue) == 1
        await far.stream.send_eof()
        await trio.sleep(1)
        assert len(pool.queue) == 0
        await around.services.wait_empty()
    assert one.ended == "peer-left"


async def test_no_room_for_the_hostile(autojump_clock: MockClock) -> None:
    """Above TARPIT_MAX_HELD a hostile peer hears 421 at once and is no burden."""
    async with session(DENY=PEER[0], MAX_HELD="1") as (far, _, around, _one):
        assert around.services.caps.hold()  # by another session
        assert (await far.hear_all()).startswith(b"421 4.7.0 ")
        await around.services.wait_empty()
    assert (around.closed()["ended"], around.closed()["treatment"]) == ("refused", "hold")


async def test_no_room_to_be_slowed(autojump_clock: MockClock) -> None:
    """Above TARPIT_MAX_HELD a suspect is served at full speed, by the same way."""
    async with session(listed=True, MAX_HELD="1") as (far, _, around, _one):
        assert around.services.caps.hold()  # by another session
        began = trio.current_time()
        await far.hear()
        assert trio.current_time() - began < 1
        await far.stream.aclose()


async def test_a_joined_peer_that_turned_is_not_slowed(autojump_clock: MockClock) -> None:
    """Its transaction is finished first, at full speed: a backend is joined to it and would wait as well."""
    async with session(WEIGHTS="junk=9 out-of-turn=9") as (far, backend, _, one):
        await begin(far, HELLO, MAIL, RCPT)
        began = trio.current_time()
        for _ in range(3):
            assert (await far.ask(b"NONSENSE")).startswith(b"500")
        assert one.judgement.treatment is Treatment.HOLD
        assert (await deliver(far)).startswith(b"250")
        assert trio.current_time() - began < 1
        assert len(backend.connections) == 1
        await far.say(MAIL + b"\r\n")
        await far.hear()
        assert trio.current_time() - began > 1
        assert backend.connections[0].commands[-1] == b"QUIT"


async def test_a_peer_without_a_name_turns_too(autojump_clock: MockClock) -> None:
    """Who says no HELO, where the backend lets it, is slowed like others, and served as it began."""
    async with session(PACE_DATA="0") as (far, backend, around, _):
        await begin(far, b"MAIL FROM:<a@bad.example>")
        began = trio.current_time()
        assert (await far.ask(RCPT)).startswith(b"250")
        assert trio.current_time() - began > 2
        assert backend.connections[0].commands == [b"MAIL FROM:<a@bad.example>", b"QUIT"]
        assert (await deliver(far)).startswith(b"250")
        assert backend.connections[-1].commands[:3] == [b"MAIL FROM:<a@bad.example>", RCPT, b"DATA"]
        await far.ask(b"QUIT")
        await far.hear_all()
    assert around.closed()["treatment"] == "slow"


async def test_a_peer_without_a_name_is_held_too(autojump_clock: MockClock) -> None:
    """Conduct that makes hostile ends the backend's part in it before any HELO."""
    async with session(WEIGHTS="junk=9") as (far, backend, _, _one):
        await begin(far)
        for _ in range(3):
            await far.ask(b"NONSENSE")
        began = trio.current_time()
        assert (await far.ask(MAIL)).startswith(b"503")
        assert trio.current_time() - began > 2
        assert backend.connections[0].commands == [b"QUIT"]


async def test_a_suspect_that_turns_hostile_hands_nothing_over(autojump_clock: MockClock) -> None:
    """A recipient stood before it did; DATA hears the hold, for now, and no backend has the message."""
    async with session(listed=True, TRAP_RCPT="trap", WEIGHTS="trap=9", PACE_BYTE="1ms") as (
        far,
        backend,
        _,
        _o,
    ):
        await begin(far, HELLO, MAIL, RCPT)
        await far.say(b"RCPT TO:<trap@there.example>\r\n")
        assert (await far.hear(LAST)).startswith(b"450-4.7.1 conduct:trap: ")
        await far.say(b"DATA\r\n")
        assert (await far.hear(LAST)).startswith(b"450-4.7.1 conduct:trap: ")
        await far.ask(b"QUIT")
        await far.hear_all()
        assert len(backend.connections) == 1


async def test_a_hostile_peer_may_write_to_postmaster_after_all(autojump_clock: MockClock) -> None:
    """Where all that stand are exempt, the message goes on as ever."""
    async with session(listed=True, TRAP_RCPT="trap", WEIGHTS="trap=9", PACE_BYTE="1ms") as (
        far,
        backend,
        _,
        _o,
    ):
        await begin(far, HELLO, MAIL, b"RCPT TO:<postmaster@there.example>")
        await far.say(b"RCPT TO:<trap@there.example>\r\n")
        await far.hear(LAST)
        assert (await deliver(far)).startswith(b"250")
        assert backend.connections[-1].contents


async def test_a_reset_during_the_commit_commits_nothing(autojump_clock: MockClock) -> None:
    """A peer that had pipelined QUIT and is gone with a reset is not waiting for an answer: no dot."""
    async with session(listed=True) as (far, backend, around, one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await far.ask(b"DATA")).startswith(b"354")

        def reset(_: Connection) -> bytes:
            one.wire.stirred(select.EPOLLERR)
            return b"354 Go ahead\r\n"

        backend.answers["DATA"] = reset
        await far.say(MESSAGE + b"QUIT\r\n")
        await around.services.wait_empty()
        assert not backend.connections[-1].contents
    assert around.closed()["ended"] == "peer-left"


async def test_the_pregreet_wait_is_time_that_was_spent(autojump_clock: MockClock) -> None:
    """It counts against TARPIT_PACE_SESSION like any other, and is told."""
    async with session(listed=True, PACE_DELAY="0", PACE_BYTE="0", PACE_READ="0") as (far, _, around, _one):
        await far.hear()
        await far.ask(b"QUIT")
        await far.hear_all()
        await around.services.wait_empty()
    assert around.closed()["held_seconds"] == pytest.approx(6, abs=0.02)


async def test_stopping_cuts_the_wait_before_a_commit(autojump_clock: MockClock) -> None:
    """A message that is here when the server stops is handed over at once."""
    async with session(listed=True, PACE_DATA="30s") as (far, backend, around, one):
        await begin(far, HELLO, MAIL, RCPT)
        assert (await far.ask(b"DATA")).startswith(b"354")
        one.wire.stop()
        around.services.wheel.hurry()
        stopped = trio.current_time()
        await far.say(MESSAGE)
        assert (await far.hear_all()).startswith(b"250 2.0.0 Ok")
        assert trio.current_time() - stopped < 2
        assert backend.connections[-1].contents


async def test_the_seconds_of_all_connections_are_told(autojump_clock: MockClock) -> None:
    """Those of a peer that was joined at first, and then those of its recipients."""

    def slow(_: Connection) -> bytes:
        autojump_clock.jump(1)
        return b"250 backend.example\r\n"

    async with session({"HELO": slow}) as (far, _, around, _one):
        await begin(far, HELLO, b"MAIL FROM:<a@bad.example>", RCPT)
        await far.ask(b"QUIT")
        await far.hear_all()
    assert around.closed()["backend_seconds"] == pytest.approx(2, abs=0.1)
