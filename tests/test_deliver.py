"""A suspect's way to the backend: recipients checked, a message kept, then handed over at full speed."""

from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address

import pytest
import trio

from tarpit.backend.introduce import Introduction
from tarpit.backend.slots import Purpose
from tarpit.commit import UNCERTAIN, Ending, Outcome
from tarpit.errors import PeerGone
from tarpit.smtp.commands import Hello, Mail
from tarpit.smtp.server import NO_BACKEND
from tests.support.backend import Answer, Connection, Does
from tests.support.delivery import HELLO, MAIL, OFFERS, STORED, A, B, C, command, scene

CHECKED = [b"EHLO peer.example", MAIL.line, A.line]


async def test_a_message_is_delivered() -> None:
    """Recipients on one connection, the message on another; each introduced anew, and ended by QUIT."""
    async with scene() as here:
        outcome = await here.deliver(A, B)
        assert outcome.ending is Ending.ACCEPTED
        assert outcome.reply is not None
        assert outcome.reply.encode() == b"250 2.0.0 Ok: queued as 1\r\n"
        assert outcome.backend == here.means.pool.backends[0].name
        assert outcome.trouble == ""
        check, commit = await here.heard(2)
        assert check == [*CHECKED, B.line, b"QUIT"]
        assert commit == [*CHECKED, B.line, b"DATA", b"QUIT"]
        assert here.stored == [STORED]
        assert 0 < here.delivery.borrower.seconds < 1


async def test_a_header_field_is_put_on_top() -> None:
    """What the filter behind is to know stands above the message, which is otherwise as it was."""
    async with scene() as here:
        await here.open(A)
        await here.send(b"..\r\n")
        await here.delivery.commit(b"X-Tarpit: score=4\r\n")
        assert here.stored == [b"X-Tarpit: score=4\r\n..\r\n"]


async def test_the_backends_own_words() -> None:
    """A recipient that the backend refuses is refused with its text, to the byte; others stand."""
    refusal = b"550-5.1.1 no such user\r\n550 5.1.1 here\r\n"
    async with scene({B.line.decode(): refusal}) as here:
        await here.delivery.begin(HELLO, MAIL)
        replies = await here.delivery.check([A, B, C])
        assert [reply.encode() for reply in replies] == [b"250 2.1.5 Ok\r\n", refusal, b"250 2.1.5 Ok\r\n"]
        assert here.delivery.standing == [A, C]


@pytest.mark.parametrize("verb", ["EHLO", "MAIL"])
async def test_a_refused_mail_shows_at_rcpt(verb: str) -> None:
    """Each recipient hears what the backend said to MAIL, or to the peer's name."""
    async with scene({verb: b"550 5.7.1 not you\r\n"}) as here:
        assert await here.open(A, B) == [550, 550]
        assert here.delivery.standing == []


async def test_more_recipients_later() -> None:
    """Each round is a connection of its own; all that stood are in the message."""
    async with scene() as here:
        await here.open(A)
        assert [reply.code for reply in await here.delivery.check([C])] == [250]
        await here.send()
        assert (await here.delivery.commit()).ending is Ending.ACCEPTED
        assert await here.heard(3) == [
            [*CHECKED, b"QUIT"],
            [*CHECKED[:2], C.line, b"QUIT"],
            [*CHECKED, C.line, b"DATA", b"QUIT"],
        ]


async def test_several_transactions() -> None:
    """One after the other, with a reset between; nothing of one is in the next."""
    async with scene() as here:
        assert (await here.deliver(A)).ending is Ending.ACCEPTED
        await here.open(B)
        await here.delivery.reset()
        assert (await here.deliver(C)).ending is Ending.ACCEPTED
        assert len(here.stored) == 2
        connections = await here.heard(5)
        assert [words for words in connections if b"DATA" in words][1] == [
            *CHECKED[:2],
            C.line,
            b"DATA",
            b"QUIT",
        ]


async def test_helo() -> None:
    """Who said HELO is introduced by HELO; a backend that knows no EHLO is told HELO."""
    async with scene() as here:
        await here.open(A, hello=command(Hello, b"HELO peer.example"), mail=command(Mail, b"MAIL FROM:<>"))
        assert (await here.heard(1))[0][0] == b"HELO peer.example"
    async with scene({"EHLO": b"500 what?\r\n"}) as here:
        assert await here.open(A, mail=command(Mail, b"MAIL FROM:<>")) == [250]
        assert (await here.heard(1))[0][:2] == [b"EHLO peer.example", b"HELO peer.example"]


FAULTS: list[tuple[str, Answer]] = [
    *((verb, fault) for verb in ("BANNER", "EHLO", "MAIL", "RCPT") for fault in (Does.CLOSE, Does.RESET)),
    *((verb, b"421 4.3.2 going\r\n") for verb in ("BANNER", "EHLO", "MAIL", "RCPT")),
    *((verb, b"354 what\r\n") for verb in ("MAIL", "RCPT")),
    ("MAIL", b"250 ok\r\n250 more\r\n"),
    ("RCPT", b"2500 ok\r\n"),
]


@pytest.mark.parametrize(("verb", "fault"), FAULTS, ids=str)
async def test_a_check_that_fails_us_is_made_elsewhere(verb: str, fault: Answer) -> None:
    """BE-05, BE-11, BE-15: what is no answer is not the peer's fault; another backend is asked."""
    async with scene({verb: fault}, {}) as here:
        assert await here.open(A) == [250]
        assert len(here.backends[0].connections) == len(here.backends[1].connections) == 1


@pytest.mark.parametrize(("verb", "fault"), FAULTS, ids=str)
async def test_a_check_is_made_twice_at_most(verb: str, fault: Answer) -> None:
    """Then the peer hears 451, never a 5xx of our making (BE-01)."""
    async with scene({verb: fault}) as here:
        assert await here.open(A, B) == [451, 451]
        assert here.delivery.borrower.trouble
        assert len(here.backends[0].connections) == 2
        assert here.delivery.standing == []


async def test_what_was_answered_stays_answered() -> None:
    """A connection that is lost at the second recipient costs the first one nothing."""
    async with scene({B.line.decode(): b"421 4.7.0 too many\r\n"}, {}) as here:
        assert await here.open(A, B) == [250, 250]
        assert here.backends[1].connections[0].commands[:3] == [*CHECKED[:2], B.line]


async def test_no_slot_is_451(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever finds all connections in use waits TARPIT_BACKEND_QUEUE once, then hears 451."""
    async with scene(most=1, queue=10.0) as here:
        backend = here.means.pool.backends[0]
        other, ours = Introduction(ip_address("192.0.2.9"), 1), ("192.0.2.2", 25)
        with closing(await here.means.pool.borrow(other, ours=ours, purpose=Purpose.JOIN)):
            began = trio.current_time()
            assert await here.open(A) == [451]
            assert trio.current_time() - began == pytest.approx(10.0, abs=1.5)
            assert backend.slots.taken == 1


async def test_a_keyword_that_is_gone() -> None:
    """We showed DSN and this backend has it no more: 451, and it is probed again."""
    async with scene({"EHLO": b"250-backend.example\r\n250 SIZE 1000\r\n"}) as here:
        assert await here.open(B) == [451]
        assert [backend.name for backend in here.doubted] == [here.means.pool.backends[0].name] * 2


async def test_a_parameter_refused_at_the_replay() -> None:
    """It was taken at the check: the peer is told to come again, and the backend is probed."""
    once = iter([b"250 2.1.0 Ok\r\n"])
    async with scene({"MAIL": lambda _: next(once, b"555 5.5.4 SIZE?\r\n")}) as here:
        outcome = await here.deliver(A)
        assert (outcome.ending, outcome.reply) == (Ending.UNAVAILABLE, NO_BACKEND)
        assert here.doubted
        assert here.stored == []


REFUSALS = [
    ("MAIL", b"452 4.3.1 full\r\n"),
    ("RCPT", b"450 4.2.0 greylisted\r\n"),
    ("DATA", b"554 5.7.1 no\r\n"),
    ("DOT", b"550 5.7.1 spam\r\n"),
    ("DOT", b"452 4.3.1 full\r\n"),
    ("DOT", b"421 4.3.2 going\r\n"),
]


@pytest.mark.parametrize(("verb", "refusal"), REFUSALS, ids=str)
async def test_a_refusal_at_the_replay_is_passed_on(verb: str, refusal: bytes) -> None:
    """BE-22: the backend's last word is the peer's, whatever it is, and is not asked for twice."""
    async with scene() as here:
        await here.open(A)
        await here.send()
        here.backends[0].answers[verb] = refusal
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.REFUSED
        assert outcome.reply is not None
        assert outcome.reply.encode() == refusal
        assert len(here.backends[0].connections) == 2


async def test_all_refused_for_good_only_if_all_are() -> None:
    """Of different refusals the peer hears one that lets it come again."""
    async with scene() as here:
        await here.open(A, C)
        await here.send()
        here.backends[0].answers |= {A.line.decode(): b"550 gone\r\n", C.line.decode(): b"450 later\r\n"}
        outcome = await here.delivery.commit()
        assert outcome.reply is not None
        assert outcome.reply.code == 450


def at_most(count: int) -> Callable[[Connection], bytes]:
    """Return a backend's limit of recipients in one transaction."""

    def answer(connection: Connection) -> bytes:
        said = [line for line in connection.commands if line.startswith(b"RCPT")]
        return b"250 2.1.5 Ok\r\n" if len(said) <= count else b"452 4.5.3 Too many recipients\r\n"

    return answer


async def test_a_limit_that_shows_at_the_replay() -> None:
    """Nothing is accepted, the peer comes again, and for an hour it meets the limit at RCPT."""
    async with scene({"RCPT": at_most(2)}) as here:
        await here.open(A, B)
        assert [reply.code for reply in await here.delivery.check([C])] == [250]
        await here.send()
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.SPLIT
        assert outcome.reply is not None
        assert outcome.reply.code == 451
        assert here.stored == []
        assert b"DATA" not in (await here.heard(3))[2]

        await here.open(A, B)
        assert [reply.code for reply in await here.delivery.check([C])] == [452]
        assert (await here.heard(5))[4] == [*CHECKED, B.line, C.line, b"QUIT"]
        await here.send()
        assert (await here.delivery.commit()).ending is Ending.ACCEPTED


STEPS = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA")
BEFORE_THE_DOT: list[tuple[str, Answer]] = [
    *((verb, fault) for verb in STEPS for fault in (Does.CLOSE, Does.RESET)),
    ("DATA", b"250 ok\r\n"),
    ("DATA", b"421 4.3.2 going\r\n"),
    ("DATA", b"354 go\r\n250 ok\r\n"),
    ("RCPT", b"354 go\r\n"),
    ("MAIL", b"2500\r\n"),
    ("EHLO", b"250-a\r\n550 b\r\n"),
]


@pytest.mark.parametrize(("verb", "fault"), BEFORE_THE_DOT, ids=str)
async def test_before_the_dot_it_is_tried_elsewhere(verb: str, fault: Answer) -> None:
    """BE-06, BE-15, BE-16: nothing was committed, so once more on another backend is no duplicate."""
    async with scene({}, {}) as here:
        await here.open(A)
        await here.send()
        failing = {"EHLO": OFFERS, verb: fault}
        first = min(here.means.pool.backends, key=lambda backend: backend.busy)
        (bad,) = (one for one in here.backends if one.address[1] == first.address.port)
        bad.answers |= failing
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.ACCEPTED
        assert here.stored == [STORED]


@pytest.mark.parametrize(("verb", "fault"), BEFORE_THE_DOT, ids=str)
async def test_before_the_dot_it_is_tried_twice_at_most(verb: str, fault: Answer) -> None:
    """Then it is 451, and nothing was stored."""
    async with scene() as here:
        await here.open(A)
        await here.send()
        here.backends[0].answers[verb] = fault
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.UNAVAILABLE, NO_BACKEND)
        assert outcome.trouble
        assert here.stored == []
        assert len(here.backends[0].connections) == 3


@pytest.mark.parametrize("fault", [Does.CLOSE, Does.RESET, b"garbage\r\n", b"354 again\r\n"], ids=str)
async def test_after_the_dot_it_is_never_tried_again(fault: Answer) -> None:
    """BE-07: the message may be there, so nobody claims that it is, or sends it twice."""
    async with scene({}, {}) as here:
        await here.open(A)
        await here.send()
        for backend in here.backends:
            backend.answers["DOT"] = fault
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.UNCERTAIN, UNCERTAIN)
        assert outcome.trouble
        assert here.stored == [STORED]


async def test_a_backend_that_hangs_after_the_dot(autojump_clock: trio.testing.MockClock) -> None:
    """BE-08: it has ten minutes, as a peer would give it (RFC 5321 section 4.5.3.2.6)."""
    async with scene({"DOT": Does.SILENT}) as here:
        outcome = await here.deliver(A)
        assert outcome.ending is Ending.UNCERTAIN
        assert 600 <= outcome.seconds < 603


async def test_a_peer_that_left_before() -> None:
    """No backend is asked for a peer that is not there any more."""
    async with scene() as here:
        await here.open(A)
        await here.send()
        here.left = True
        assert await here.delivery.commit() == Outcome(Ending.LEFT, None)
        assert len(here.backends[0].connections) == 1


async def test_a_peer_that_leaves_during_the_replay() -> None:
    """The replay is ended by a reset before its dot: nothing is committed."""
    async with scene() as here:
        await here.open(A)
        await here.send()

        def leave(_: Connection) -> bytes:
            here.left = True
            return b"354 go\r\n"

        here.backends[0].answers["DATA"] = leave
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.LEFT, None)
        await here.heard(2)
        assert here.stored == []


async def test_cancelled_during_the_replay() -> None:
    """SYS-02: a session that is cut off commits nothing, and gives everything back."""
    async with scene({"DATA": Does.SILENT}) as here:
        await here.open(A)
        await here.send()
        with trio.move_on_after(0.1) as scope:
            await here.delivery.commit()
        assert scope.cancelled_caught
        assert not here.delivery.committing
        await here.heard(2)
        assert here.stored == []


async def test_cancelled_after_the_dot_is_known() -> None:
    """Whoever tells the story can say that the message may be there."""
    async with scene({"DOT": Does.SILENT}) as here:
        await here.open(A)
        await here.send()
        with trio.move_on_after(0.1):
            await here.delivery.commit()
        assert here.delivery.committing


async def test_a_message_over_its_budget() -> None:
    """BD-05: it is read to its end, refused there, and what follows is commands again."""
    async with scene(message=1000) as here:
        await here.open(A)
        here.sent = [b"x" * 900 + b"\r\n", b"y" * 900 + b"\r\n.\r\nQUIT\r\n"]
        taken = await here.delivery.take(here.receive)
        assert taken.refusal is not None
        assert (taken.refusal.code, taken.rest, taken.fatal) == (552, b"QUIT\r\n", False)
        declared = command(Mail, b"MAIL FROM:<> SIZE=1001")
        early = here.means.refusal(declared)
        assert early is not None
        assert early.code == 552


async def test_a_peer_that_ends_in_the_middle() -> None:
    """NET-05: no dot, no message; what it had sent is forgotten."""
    async with scene() as here:
        await here.open(A)
        here.sent = [b"half a message\r\n"]
        with pytest.raises(PeerGone):
            await here.delivery.take(here.receive)


async def test_a_large_message_is_whole() -> None:
    """Kept in a file, handed over in pieces, to the byte."""
    body = b"Subject: large\r\n\r\n" + b"".join(b"%d.\r\n" % number for number in range(100_000))
    async with scene() as here:
        await here.open(A)
        here.sent = [body[at : at + 65536] for at in range(0, len(body), 65536)] + [b".\r\n"]
        assert (await here.delivery.take(here.receive)).refusal is None
        assert (await here.delivery.commit()).ending is Ending.ACCEPTED
        assert here.stored == [body]


async def test_the_quit_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """A backend that is slow to say goodbye does not hold up the reply."""
    async with scene({"QUIT": Does.SILENT}) as here:
        began = trio.current_time()
        outcome = await here.deliver(A)
        assert outcome.ending is Ending.ACCEPTED
        assert trio.current_time() == began
