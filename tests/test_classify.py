"""Whose word counts, and who is heard before the banner."""

from ipaddress import ip_address

import pytest
import trio
from trio.testing import MockClock

from scoring import Result, Scorer
from tarpit.classify import Classifier, scoring_config
from tarpit.errors import PeerGone
from tarpit.poller import Poller
from tarpit.smtp.lines import Lines
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import PEER, load, running, wire_pair

NAMED = {
    ("25.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found(PEER[0]),
}


def classifier(resolver: FakeResolver, **variables: str) -> Classifier:
    settings = load(**variables)
    return Classifier(settings, Scorer(scoring_config(settings), resolver))


def test_the_allowlist_comes_first() -> None:
    """An address in both lists is allowed, and nobody is asked."""
    judge = classifier(FakeResolver({}), ALLOW="192.0.2.0/24", DENY="192.0.0.0/16")
    known = judge.known(ip_address(PEER[0]))
    assert known is not None
    assert known.findings[0].result is Result.PASS
    assert judge.known(ip_address("198.51.100.1")) is None


def test_the_denylist_is_hostile() -> None:
    """An address in TARPIT_DENY is hostile whatever it weighs elsewhere."""
    known = classifier(FakeResolver({}), DENY="192.0.2.0/24").known(ip_address(PEER[0]))
    assert known is not None
    assert known.hostile


async def test_mode_off_asks_nobody(autojump_clock: MockClock) -> None:
    """A pure proxy does not look anything up."""
    poller, resolver = Poller(), FakeResolver(NAMED)
    async with running(poller.run), wire_pair(poller) as (wire, _):
        verdict, scored = await classifier(resolver, MODE="off").classify(wire, Lines())
    assert (scored, verdict.findings, resolver.asked) == (False, (), [])


async def test_dns_that_hangs_holds_nobody_longer_than_the_wait(autojump_clock: MockClock) -> None:
    """What has not answered within TARPIT_SCORE_WAIT has no opinion."""
    poller, resolver = Poller(), FakeResolver({}, seconds={"25.2.0.192.in-addr.arpa": 60})
    async with running(poller.run), wire_pair(poller) as (wire, _):
        began = trio.current_time()
        verdict, scored = await classifier(resolver, SCORE_WAIT="3s").classify(wire, Lines())
        assert trio.current_time() - began == pytest.approx(3)
    assert scored
    assert not verdict.suspect


async def test_an_early_speaker_is_found_out(autojump_clock: MockClock) -> None:
    """Who speaks before the banner is marked, and what it said is kept."""
    poller, lines = Poller(), Lines()
    async with running(poller.run), wire_pair(poller) as (wire, far):
        await far.say(b"EHLO x\r\n")
        judge = classifier(FakeResolver(NAMED, seconds={"mail.example": 1}), SCORE_WAIT="3s")
        verdict, _ = await judge.classify(wire, lines)
    assert len(lines) == 8
    assert "pregreet" in {finding.signal for finding in verdict.findings}


async def test_one_that_leaves_meanwhile(autojump_clock: MockClock) -> None:
    """A peer that hangs up while it is looked up is gone."""
    poller = Poller()
    async with running(poller.run), wire_pair(poller) as (wire, far):
        await far.stream.aclose()
        with pytest.raises(PeerGone):
            await classifier(FakeResolver(NAMED), GREET_WAIT="2s").classify(wire, Lines())
