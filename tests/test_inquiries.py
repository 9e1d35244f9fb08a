"""What is asked while the peer talks, and who waits for it."""

import trio
from trio.testing import MockClock

from tarpit.inquiries import Inquiries
from tarpit.policy import Treatment
from tarpit.session import Session
from tarpit.smtp.commands import Hello, Mail, Rcpt, parse
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import PEER, load, stage, wire_pair

ANSWERS = {("bad.example", "TXT"): found("v=spf1 -all"), ("peer.example", "A"): found(PEER[0])}
MAIL, HELLO = parse(b"MAIL FROM:<a@bad.example>"), parse(b"EHLO localhost")
RCPT, TRAP = parse(b"RCPT TO:<you@there.example>"), parse(b"RCPT TO:<trap@there.example>")


async def test_the_first_recipient_waits_for_spf(autojump_clock: MockClock) -> None:
    """MAIL never waits; RCPT does, for what is left of TARPIT_SCORE_WAIT since MAIL."""
    resolver = FakeResolver(ANSWERS, seconds={"bad.example": 2})
    async with stage(load(SCORE_WAIT="3s"), resolver) as around, wire_pair(around.poller) as (wire, _):
        session = Session(wire, around.services, 1)
        session.judgement.scored = True
        inquiries = Inquiries(session)
        assert isinstance(MAIL, Mail)
        assert isinstance(RCPT, Rcpt)
        began = trio.current_time()
        inquiries.begin(MAIL)
        assert trio.current_time() == began
        await inquiries.before_recipient(RCPT)
        assert trio.current_time() - began == 2
        assert "spf" in {finding.signal for finding in session.judgement.verdict.findings}
        await inquiries.before_recipient(RCPT)
        assert trio.current_time() - began == 2


async def test_nobody_waits_longer_than_score_wait(autojump_clock: MockClock) -> None:
    """A domain whose servers are silent has no opinion, and costs TARPIT_SCORE_WAIT once."""
    resolver = FakeResolver(ANSWERS, seconds={"bad.example": 60})
    async with stage(load(SCORE_WAIT="3s"), resolver) as around, wire_pair(around.poller) as (wire, _):
        session = Session(wire, around.services, 1)
        session.judgement.scored = True
        inquiries = Inquiries(session)
        assert isinstance(MAIL, Mail)
        assert isinstance(RCPT, Rcpt)
        began = trio.current_time()
        inquiries.begin(MAIL)
        await inquiries.before_recipient(RCPT)
        assert trio.current_time() - began == 3


async def test_a_helo_name_is_asked_about(autojump_clock: MockClock) -> None:
    """What the HELO name is worth is known before the first recipient."""
    async with stage(load(), FakeResolver(ANSWERS)) as around, wire_pair(around.poller) as (wire, _):
        session = Session(wire, around.services, 1)
        session.judgement.scored = True
        inquiries = Inquiries(session)
        assert isinstance(HELLO, Hello)
        assert isinstance(RCPT, Rcpt)
        inquiries.begin(HELLO)
        await inquiries.before_recipient(RCPT)
        assert "helo" in {finding.signal for finding in session.judgement.verdict.findings}


async def test_what_is_remembered_costs_no_task(autojump_clock: MockClock) -> None:
    """A sender that comes again is judged when it says its names: nothing is asked, nobody waits."""
    answers = ANSWERS | {("good.example", "TXT"): found(f"v=spf1 ip4:{PEER[0]} -all")}
    resolver = FakeResolver(answers, seconds={"good.example": 2})
    async with stage(load(SCORE_WAIT="3s"), resolver) as around, wire_pair(around.poller) as (wire, _):
        nursery, mail = around.services.nursery, parse(b"MAIL FROM:<a@good.example>")
        assert isinstance(HELLO, Hello)
        assert isinstance(mail, Mail)
        assert isinstance(RCPT, Rcpt)
        for number in range(2):
            session, began = Session(wire, around.services, number), trio.current_time()
            session.judgement.scored = True
            before = len(nursery.child_tasks)
            session.inquiries.begin(HELLO)
            session.inquiries.begin(mail)
            begun = len(nursery.child_tasks) - before
            await session.inquiries.before_recipient(RCPT)
            assert (begun, trio.current_time() - began) == ((2, 2) if number == 0 else (0, 0))
            assert {"helo", "spf"} <= {finding.signal for finding in session.judgement.verdict.findings}


async def test_who_is_held_or_was_not_scored_costs_no_dns(autojump_clock: MockClock) -> None:
    """A hostile peer is not asked about any more, nor is one in TARPIT_ALLOW."""
    resolver = FakeResolver(ANSWERS)
    async with stage(load(DENY=PEER[0]), resolver) as around, wire_pair(around.poller) as (wire, _):
        session = Session(wire, around.services, 1)
        inquiries = Inquiries(session)
        assert isinstance(MAIL, Mail)
        inquiries.begin(MAIL)
        known = around.services.classifier.known(session.address)
        assert known is not None
        session.judgement.adopt(known)
        session.judgement.scored = True
        assert session.judgement.treatment is Treatment.HOLD
        inquiries.begin(MAIL)
        await trio.sleep(1)
        assert not resolver.asked


async def test_a_trap_is_counted_once(autojump_clock: MockClock) -> None:
    """A recipient that is looked at again, by us in place of the relay, is one trap still."""
    async with (
        stage(load(TRAP_RCPT="trap"), FakeResolver({})) as around,
        wire_pair(around.poller) as (wire, _),
    ):
        session = Session(wire, around.services, 1)
        session.judgement.scored = True
        inquiries = Inquiries(session)
        assert isinstance(TRAP, Rcpt)
        for _ in range(2):
            await inquiries.before_recipient(TRAP)
        assert session.judgement.traps == 1
