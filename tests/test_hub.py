"""A clean peer before several groups of backends: at the front, joined at its first recipient, and back."""

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from tarpit.backend.slots import Purpose, Slots
from tarpit.control.errands import carry_out
from tests.support.backend import Answer, Does, FakeBackend
from tests.support.sessions import hub_session
from tests.support.wires import Far, Surroundings

TWO = "a.example={0} b.example={1}"
THREE = "a.example={0} b.example={1} *=refuse"
HELLO = b"EHLO peer.example"
MAIL = b"MAIL FROM:<x@good.example>"
TO_A, TO_A2 = b"RCPT TO:<a@a.example>", b"RCPT TO:<a2@a.example>"
TO_B, TO_C = b"RCPT TO:<b@b.example>", b"RCPT TO:<c@c.example>"
OK = b"250 2.1.5 Ok\r\n"
DEFERRED = b"452 4.5.3 Recipients of one server at a time, try again for this one\r\n"
REFUSED = b"550 5.7.1 No mail for this domain is taken here\r\n"
MESSAGE = b"Subject: x\r\n\r\n..text \xff\r\n"
TAKEN = b"250 2.0.0 Ok: queued as 1\r\n"
EACH: tuple[Mapping[str, Answer], ...] = ({}, {}, {})


async def greeted(far: Far, *lines: bytes) -> None:
    """Hear the banner, and say *lines*, which are all taken."""
    await far.hear()
    await far.say(HELLO + b"\r\n")
    assert (await far.hear(b"8BITMIME\r\n")).startswith(b"250-")
    for line in lines:
        assert (await far.ask(line)).startswith(b"250 "), line


async def sent(far: Far, message: bytes = MESSAGE) -> bytes:
    """Send a message, and return the reply to its end."""
    assert (await far.ask(b"DATA")).startswith(b"354 ")
    await far.say(message + b".\r\n")
    return await far.hear()


def commands(backend: FakeBackend) -> list[list[bytes]]:
    """Return what each connection to *backend* was told."""
    return [connection.commands for connection in backend.connections]


def contents(backend: FakeBackend) -> list[bytes]:
    """Return the messages that *backend* was sent whole."""
    return [text for connection in backend.connections for text in connection.contents]


async def bye(far: Far) -> None:
    """Part in order."""
    assert await far.ask(b"QUIT") == b"221 2.0.0 Bye\r\n"
    await far.hear_all()


async def test_nobody_is_joined_before_a_recipient(autojump_clock: MockClock) -> None:
    """Banner, EHLO and MAIL are ours, without delay; the keywords are those that all groups share."""
    small = b"250-backend.example\r\n250-SIZE 1000\r\n250-DSN\r\n250 8BITMIME\r\n"
    async with hub_session(TWO, {}, {"EHLO": small}) as (far, backends, around):
        began = trio.current_time()
        assert await far.hear() == b"220 mx.example ESMTP\r\n"
        await far.say(HELLO + b"\r\n")
        shown = b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"
        assert await far.hear(b"8BITMIME\r\n") == shown
        assert await far.ask(MAIL) == b"250 2.1.0 Ok\r\n"
        assert not any(backend.connections for backend in backends)
        await bye(far)
        assert trio.current_time() - began < 0.1
    closed = around.closed()
    assert (closed["ended"], closed["treatment"], closed["held_seconds"]) == ("quit", "pass", 0)


async def test_the_first_recipient_names_the_backend(autojump_clock: MockClock) -> None:
    """It hears EHLO and MAIL as we did, then everything of that message live, and its bytes unchanged."""
    async with hub_session(TWO, *EACH) as (far, (a, b, _), around):
        await greeted(far, MAIL)
        assert await far.ask(TO_B) == OK
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(b) == [[HELLO, MAIL, TO_B, b"DATA", b"QUIT"]]
    assert contents(b) == [MESSAGE]
    assert not a.connections
    closed = around.closed()
    assert (closed["ended"], closed["messages_accepted"]) == ("quit", 1)
    assert closed["backend"] == "{}:{}".format(*b.address)


async def test_the_next_message_may_be_for_another(autojump_clock: MockClock) -> None:
    """After the dot, and after RSET, the backend is left; each transaction has a connection of its own."""
    async with hub_session(TWO, *EACH) as (far, (a, b, c), _):
        await greeted(far, MAIL, TO_A)
        assert await sent(far) == TAKEN
        for line in (MAIL, TO_B, b"RSET", MAIL, TO_C):
            assert (await far.ask(line)).startswith(b"250 ")
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, TO_A, b"DATA", b"QUIT"]]
    assert commands(b) == [[HELLO, MAIL, TO_B, b"RSET", b"QUIT"]]
    assert commands(c) == [[HELLO, MAIL, TO_C, b"DATA", b"QUIT"]]


async def test_another_group_is_deferred(autojump_clock: MockClock) -> None:
    """The transaction is the first group's; recipients of others hear 452, refused ones 550."""
    async with hub_session(THREE, *EACH) as (far, (a, b, c), around):
        await greeted(far, MAIL)
        heard = [await far.ask(line) for line in (TO_A, TO_B, TO_A2, TO_C)]
        assert heard == [OK, DEFERRED, OK, REFUSED]
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, TO_A, TO_A2, b"DATA", b"QUIT"]]
    assert not b.connections
    assert not c.connections
    closed = around.closed()
    assert (closed["recipients_accepted"], closed["recipients_refused"]) == (2, 2)


async def test_pipelined(autojump_clock: MockClock) -> None:
    """All in one go is answered in order, whoever answers."""
    async with hub_session(THREE, *EACH) as (far, (a, _, _c), _):
        await greeted(far)
        await far.say(b"\r\n".join((MAIL, TO_C, TO_A, TO_B, b"DATA", b"")))
        expected = b"250 2.1.0 Ok\r\n" + REFUSED + OK + DEFERRED + b"354 Go ahead\r\n"
        assert await far.hear(b"ahead\r\n") == expected
        await far.say(MESSAGE + b".\r\nQUIT\r\n")
        assert await far.hear_all() == TAKEN + b"221 2.0.0 Bye\r\n"
    assert contents(a) == [MESSAGE]


async def test_a_refused_recipient_names_nobody(autojump_clock: MockClock) -> None:
    """While none stands, the peer hears the backend's own refusal, and another group may be the first."""
    refusal = b"550 5.1.1 nobody of that name\r\n"
    async with hub_session(TWO, {"RCPT": refusal}, {}) as (far, (a, b), _):
        await greeted(far, MAIL)
        assert [await far.ask(line) for line in (TO_A, TO_A2, TO_B)] == [refusal, refusal, OK]
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, TO_A, TO_A2, b"QUIT"]]
    assert commands(b) == [[HELLO, MAIL, TO_B, b"DATA", b"QUIT"]]


async def test_a_refused_sender_shows_at_each_recipient(autojump_clock: MockClock) -> None:
    """What a group said to MAIL is what its recipients hear; it is asked once, and others not at all."""
    refusal = b"550 5.7.1 not from there\r\n"
    async with hub_session(TWO, {"MAIL": refusal}, {}) as (far, (a, b), _):
        await greeted(far, MAIL)
        assert [await far.ask(line) for line in (TO_A, TO_A2, TO_B)] == [refusal, refusal, OK]
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, b"QUIT"]]
    assert commands(b) == [[HELLO, MAIL, TO_B, b"QUIT"]]


async def test_a_group_that_is_down_defers_its_own(autojump_clock: MockClock) -> None:
    """Its recipients hear 451; those of the other are served."""
    async with hub_session(TWO, {}, {}) as (far, (a, _b), around):
        a.answers["BANNER"] = Does.CLOSE
        await greeted(far, MAIL)
        assert (await far.ask(TO_A)).startswith(b"451 4.3.0 ")
        assert await far.ask(TO_B) == OK
        assert await sent(far) == TAKEN
        await bye(far)
    assert [event["event"] for event in around.events.entries].count("backend.lost") == 1


async def test_all_down_is_said_at_once(autojump_clock: MockClock) -> None:
    """Where no backend of any group is up, nobody is greeted."""
    async with hub_session(TWO, {"BANNER": Does.CLOSE}, {"BANNER": Does.CLOSE}, HEALTH_FALL="1") as run:
        assert (await run[0].hear_all()).startswith(b"421 4.3.0 ")


async def test_postmaster_is_ours(autojump_clock: MockClock) -> None:
    """Without a domain it goes to TARPIT_BACKENDS, whatever else is refused."""
    async with hub_session(THREE, *EACH) as (far, (_, _b, c), _around):
        await greeted(far, MAIL)
        assert await far.ask(b"RCPT TO:<postmaster>") == OK
        await bye(far)
    assert commands(c) == [[HELLO, MAIL, b"RCPT TO:<postmaster>", b"QUIT"]]


async def test_ehlo_in_the_middle(autojump_clock: MockClock) -> None:
    """It begins anew: what it shows is not one backend's, and the transaction is forgotten."""
    async with hub_session(TWO, {}, {}) as (far, (a, b), _):
        await greeted(far, MAIL, TO_A)
        await far.say(HELLO + b"\r\n")
        assert (await far.hear(b"8BITMIME\r\n")).startswith(b"250-mx.example\r\n")
        assert (await far.ask(b"DATA")).startswith(b"503 ")
        for line in (MAIL, TO_B):
            assert (await far.ask(line)).startswith(b"250 ")
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, TO_A, b"QUIT"]]
    assert commands(b) == [[HELLO, MAIL, TO_B, b"QUIT"]]


async def test_a_peer_that_turns_suspect(autojump_clock: MockClock) -> None:
    """SPF fails at MAIL: from the first recipient on the session is slowed, and a backend is only asked."""
    async with hub_session(TWO, {}, {}, SCORE_SUSPECT="2", SCORE_HOLD="9") as (far, (a, _), around):
        await greeted(far, b"MAIL FROM:<x@bad.example>")
        began = trio.current_time()
        assert await far.ask(TO_A) == OK
        assert trio.current_time() - began > 5
        assert (await sent(far)) == TAKEN
        await bye(far)
    assert len(a.connections) == 2
    assert around.closed()["treatment"] == "slow"


async def test_all_backends_are_one_list(autojump_clock: MockClock) -> None:
    """Whoever looks at backends sees those of all groups, each once, however often it is named."""
    routes = "a.example={0},{1} b.example={1},{0} c.example={1}"
    async with hub_session(routes, *EACH) as (_, backends, around):
        answer = carry_out(around.services, {"do": "backends"}, 0)
        listed = answer["backends"]
        assert isinstance(listed, list)
        assert sorted(one["name"] for one in listed) == sorted("{}:{}".format(*b.address) for b in backends)
        assert len(around.services.routes.groups) == 3


async def test_one_group_is_joined_as_ever(autojump_clock: MockClock) -> None:
    """Where all routes lead to one group the peer sees its backend at once; refusals are ours."""
    refusing = "a.example={0} nowhere.example=refuse"
    async with hub_session(refusing, {}) as (far, (a,), _):
        assert await far.hear() == a.answers["BANNER"]
        for line in (b"HELO peer.example", MAIL):
            assert (await far.ask(line)).startswith(b"250 ")
        assert await far.ask(b"RCPT TO:<x@Nowhere.example>") == REFUSED
        assert await far.ask(TO_A) == OK
        await far.ask(b"QUIT")
    assert commands(a) == [[b"HELO peer.example", MAIL, TO_A, b"QUIT"]]


async def test_lost_in_the_middle(autojump_clock: MockClock) -> None:
    """A backend that goes behind an accepted recipient ends the session with 421, as everywhere."""
    async with hub_session(TWO, {"DATA": Does.CLOSE}, {}) as (far, _, around):
        await greeted(far, MAIL, TO_A)
        assert (await far.ask(b"DATA")).startswith(b"421 4.3.0 ")
    assert around.closed()["ended"] == "backend"
    assert all(one.slots.taken == 0 for one in around.services.pool.backends)


# -- fanout


async def test_fanout(autojump_clock: MockClock) -> None:
    """Each recipient hears its own server; the message goes to all groups; 250 when all have taken it."""
    refusal = b"550 5.1.1 nobody\r\n"
    async with hub_session(
        THREE, {}, {TO_B.decode(): OK, "RCPT": refusal}, {}, ROUTES_MIXED="fanout", HEADER="X-Tarpit"
    ) as (far, (a, b, c), around):
        began = trio.current_time()
        await greeted(far, MAIL)
        lines = (TO_A, TO_B, b"RCPT TO:<no@b.example>", TO_A2, TO_C)
        assert [await far.ask(line) for line in lines] == [OK, OK, refusal, OK, REFUSED]
        assert await sent(far) == TAKEN
        await bye(far)
        assert trio.current_time() - began < 0.1
    assert [contents(one) for one in (a, b, c)] == [[MESSAGE], [MESSAGE], []]
    assert commands(a)[-1] == [HELLO, MAIL, TO_A, TO_A2, b"DATA", b"QUIT"]
    assert commands(b)[-1] == [HELLO, MAIL, TO_B, b"DATA", b"QUIT"]
    closed = around.closed()
    assert (closed["messages_accepted"], closed["treatment"], closed["held_seconds"]) == (1, "pass", 0)


async def test_fanout_to_one_group_is_joined(autojump_clock: MockClock) -> None:
    """A message that all of one group get is relayed, and the next one may be for several."""
    async with hub_session(TWO, {}, {}, ROUTES_MIXED="fanout") as (far, (a, b), _):
        await greeted(far, MAIL, TO_A, TO_A2)
        assert await sent(far) == TAKEN
        for line in (MAIL, TO_B, TO_A):
            assert (await far.ask(line)).startswith(b"250 ")
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a)[0] == [HELLO, MAIL, TO_A, TO_A2, b"DATA", b"QUIT"]
    assert (contents(a), contents(b)) == ([MESSAGE, MESSAGE], [MESSAGE])


async def test_fanout_to_groups_that_share_a_server(autojump_clock: MockClock) -> None:
    """It gets the message once, for the recipients of both, even if it has but one connection for us."""
    routes = "a.example={0} c.example={0},{1} b.example={1}"
    async with hub_session(routes, {}, {}, ROUTES_MIXED="fanout", BACKEND_MAX="1") as (far, (a, b), around):
        (gone,) = (one for one in around.services.pool.backends if one.name == "{}:{}".format(*b.address))
        await greeted(far, MAIL, TO_A, TO_C)
        gone.marks.bad("gone")
        assert await sent(far) == TAKEN
        await bye(far)
    assert (contents(a), contents(b)) == ([MESSAGE], [])
    assert commands(a)[-1] == [HELLO, MAIL, TO_A, TO_C, b"DATA", b"QUIT"]


@pytest.mark.parametrize("where", ["DATA", "MAIL"])
async def test_a_refusal_before_the_first_dot_stops_all(autojump_clock: MockClock, where: str) -> None:
    """Nobody has the message then: 451; and for an hour its sender has one group at a time."""
    async with hub_session(TWO, {}, {}, ROUTES_MIXED="fanout") as (far, (a, b), _):
        await greeted(far, MAIL, TO_A, TO_B)
        b.answers[where] = b"550 5.7.1 no\r\n"
        assert (await sent(far)).startswith(b"451 4.3.0 ")
        assert (contents(a), contents(b)) == ([], [])
        b.answers[where] = b"354 Go ahead\r\n" if where == "DATA" else b"250 2.1.0 Ok\r\n"
        assert [await far.ask(line) for line in (MAIL, TO_A, TO_B)] == [b"250 2.1.0 Ok\r\n", OK, DEFERRED]
        assert await sent(far) == TAKEN
        await bye(far)
    assert (contents(a), contents(b)) == ([MESSAGE], [])


async def test_a_refusal_after_the_first_dot_is_passed_on(autojump_clock: MockClock) -> None:
    """The peer hears it in that server's own words, and an event says who has the message."""
    refusal = b"452 4.3.1 full\r\n"
    async with hub_session(TWO, {}, {"DOT": refusal}, ROUTES_MIXED="fanout") as (far, (a, b), around):
        await greeted(far, MAIL, TO_B, TO_A)
        assert await sent(far) == refusal
        assert await far.ask(MAIL) == b"250 2.1.0 Ok\r\n"
        assert [await far.ask(line) for line in (TO_B, TO_A)] == [OK, DEFERRED]
        await bye(far)
    assert contents(a) == [MESSAGE]
    (divided,) = [one for one in around.events.entries if one["event"] == "message.divided"]
    assert divided["taken_by"] == ["{}:{}".format(*a.address)]
    assert divided["refused_by"] == "{}:{}".format(*b.address)


async def test_no_answer_to_a_second_dot(autojump_clock: MockClock) -> None:
    """It is 451, and told as ambiguous and as divided."""
    async with hub_session(TWO, {}, {"DOT": Does.CLOSE}, ROUTES_MIXED="fanout") as (far, _, around):
        await greeted(far, MAIL, TO_B, TO_A)
        assert (await sent(far)).startswith(b"451 4.4.2 ")
        await bye(far)
    told = [one["event"] for one in around.events.entries]
    assert told.count("message.divided") == told.count("message.ambiguous") == 1


async def test_more_than_can_be_kept_for_several(autojump_clock: MockClock) -> None:
    """A message that we have no room for is not refused for good: one group alone can have it."""
    async with hub_session(TWO, {}, {}, ROUTES_MIXED="fanout", SPOOL_MESSAGE="10", SPOOL_TOTAL="10") as run:
        far, (a, b), _ = run
        await greeted(far, MAIL, TO_A, TO_B)
        assert (await sent(far)).startswith(b"451 4.3.0 ")
        for line in (MAIL, TO_A):
            assert (await far.ask(line)).startswith(b"250 ")
        assert await far.ask(TO_B) == DEFERRED
        assert await sent(far) == TAKEN
        await bye(far)
    assert (contents(a), contents(b)) == ([MESSAGE], [])


async def test_a_declared_size_that_cannot_be_kept(autojump_clock: MockClock) -> None:
    """It is known before: the second group is deferred, and nothing has to be sent twice."""
    async with hub_session(TWO, {}, {}, ROUTES_MIXED="fanout", SPOOL_MESSAGE="10", SPOOL_TOTAL="10") as run:
        far, _, _ = run
        await greeted(far, MAIL + b" SIZE=500", TO_A)
        assert await far.ask(TO_B) == DEFERRED
        await bye(far)


async def test_who_hangs_up_in_the_queue(autojump_clock: MockClock) -> None:
    """Before the first recipient's backend is free: its place is given up at once, and nobody is asked."""
    async with hub_session(TWO, {}, {}, BACKEND_MAX="1", BACKEND_QUEUE="60s") as (far, (a, _), around):
        pool = around.services.pool
        pool.queue.take_now([slots_of(around, a)], Purpose.JOIN)
        await greeted(far, MAIL)
        began = trio.current_time()
        await far.say(TO_A + b"\r\n")
        await trio.sleep(1)
        assert len(pool.queue) == 1
        await far.stream.send_eof()
        await far.hear_all()
        assert trio.current_time() - began < 5
        assert (len(pool.queue), a.connections) == (0, [])
    assert around.closed()["ended"] == "peer-left"


def slots_of(around: Surroundings, backend: FakeBackend) -> Slots:
    """Return the connections of *backend*."""
    name = "{}:{}".format(*backend.address)
    return next(one.slots for one in around.services.pool.backends if one.name == name)


async def test_a_group_that_is_full_is_waited_for_once(autojump_clock: MockClock) -> None:
    """All recipients of one transaction hear the same, and not each after a wait of its own."""
    async with hub_session(TWO, {}, {}, BACKEND_MAX="1", BACKEND_QUEUE="10s") as (far, (a, _), around):
        pool, slots = around.services.pool, slots_of(around, a)
        pool.queue.take_now([slots], Purpose.JOIN)
        await greeted(far, MAIL)
        began = trio.current_time()
        for line in (TO_A, TO_A2, TO_A):
            assert (await far.ask(line)).startswith(b"451 ")
        assert 10 <= trio.current_time() - began < 11
        assert await far.ask(TO_B) == OK
        pool.queue.give_back(slots, Purpose.JOIN)
        for line in (b"RSET", MAIL, TO_A):
            assert (await far.ask(line)).startswith(b"250 ")
        await bye(far)
