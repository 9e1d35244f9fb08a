"""All signals at once, under one deadline."""

import math

import pytest
import trio
from trio.testing import MockClock

from scoring import Conduct, Config, HostState, Opinion, Peer, Result, Scorer, parse_zones, score
from scoring.resolve import Answer, Resolver, Status
from tests.support.dns_zone import FakeResolver, found, serving

CONFIG = Config(zones=parse_zones("zen.example*6 slow.example*3 dead.example*2"))
ANSWERS = {
    ("1.2.0.192.zen.example", "A"): found("127.0.0.2"),
    ("1.2.0.192.slow.example", "A"): found("127.0.0.2"),
    ("1.2.0.192.dead.example", "A"): found("203.0.113.1"),
    ("1.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found("192.0.2.1"),
    ("bad.example", "TXT"): Answer(Status.FOUND, texts=(b"v=spf1 -all",)),
}


async def test_score_connection(autojump_clock: MockClock) -> None:
    """Every signal answers in order; a broken zone is reported and counts nothing."""
    verdict = await Scorer(CONFIG, FakeResolver(ANSWERS)).score_connection("192.0.2.1")
    assert [(finding.signal, finding.result, finding.points) for finding in verdict.findings] == [
        ("dnsbl:zen.example", Result.LISTED, 6),
        ("dnsbl:slow.example", Result.LISTED, 3),
        ("dnsbl:dead.example", Result.ERROR, 0),
        ("rdns", Result.PASS, 0),
    ]
    assert (verdict.score, verdict.opinion) == (7, Opinion.SUSPECT)
    assert [error.partition(" ")[0] for error in verdict.errors] == ["dnsbl:dead.example:"]
    assert (verdict.host.name, verdict.host.state) == ("mail.example", HostState.CONFIRMED)


async def test_silence_is_no_opinion(autojump_clock: MockClock) -> None:
    """DNS-02, DNS-08: what has not answered by the deadline has no opinion, and nobody waits longer."""
    seconds = {
        "1.2.0.192.zen.example": 1.0,
        "1.2.0.192.slow.example": 10.0,
        "1.2.0.192.in-addr.arpa": math.inf,
    }
    start = trio.current_time()
    verdict = await Scorer(CONFIG, FakeResolver(ANSWERS, seconds=seconds)).score_connection("192.0.2.1")
    assert trio.current_time() - start == 3
    assert [(finding.result, finding.seconds) for finding in verdict.findings] == [
        (Result.LISTED, 2),  # A, then TXT
        (Result.NO_OPINION, 3),
        (Result.ERROR, 0),
        (Result.NO_OPINION, 3),
    ]
    assert verdict.host.state is HostState.UNKNOWN


async def test_conduct_takes_it_beyond_the_cap(autojump_clock: MockClock) -> None:
    """A listed peer that also spoke first is hostile."""
    scorer = Scorer(CONFIG, FakeResolver(ANSWERS))
    verdict = await scorer.score_connection("::ffff:192.0.2.1", Conduct(pregreet=True))
    assert (verdict.score, verdict.opinion) == (11, Opinion.HOSTILE)


async def test_score_mail(autojump_clock: MockClock) -> None:
    """MAIL adds the SPF finding, with its time, and the verdict takes it in."""
    scorer = Scorer(Config(), FakeResolver(ANSWERS, seconds={"bad.example": 2}))
    until = trio.current_time() + 3
    (spf,) = await scorer.score_mail("192.0.2.1", helo="mail.example", mail_from="a@bad.example", until=until)
    assert (spf.signal, spf.result, spf.points, spf.seconds) == ("spf", Result.FAIL, 3, 2)
    verdict = await scorer.score_connection("192.0.2.1")
    assert (verdict.suspect, verdict.with_findings(spf).suspect) == (False, True)


async def test_one_shot() -> None:
    """`score` asks the connection and the reverse-path, over real datagrams."""
    records = {
        ("1.2.0.192.zen.example", "A"): ["127.0.0.2"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.example."],
        ("mail.example", "A"): ["192.0.2.1"],
        ("good.example", "TXT"): ['"v=spf1 a:mail.example -all"'],
    }
    async with serving(records) as zone:
        peer = Peer("192.0.2.1", helo="mail.example", mail_from="a@good.example")
        verdict = await score(peer, Config(zones=parse_zones("zen.example*2")), Resolver([zone.address]))
    assert [finding.result for finding in verdict.findings] == [Result.LISTED, Result.PASS, Result.PASS]
    assert (verdict.score, verdict.opinion) == (2, Opinion.CLEAN)


@pytest.mark.parametrize(
    ("peer", "signals"),
    [
        (Peer("192.0.2.1"), ["rdns"]),
        (Peer("192.0.2.1", conduct=Conduct(pregreet=True)), ["rdns", "pregreet"]),
        (Peer("192.0.2.1", helo="bad.example"), ["rdns", "spf"]),
        (Peer("192.0.2.1", mail_from="a@bad.example"), ["rdns", "spf"]),
    ],
)
async def test_one_shot_asks_what_it_can(peer: Peer, signals: list[str]) -> None:
    """SPF is asked when there is a HELO name or a reverse-path to ask about."""
    verdict = await score(peer, Config(), FakeResolver(ANSWERS))
    assert [finding.signal for finding in verdict.findings] == signals


async def test_not_an_address() -> None:
    """What is not an address is the caller's mistake."""
    with pytest.raises(ValueError, match="does not appear to be"):
        await score(Peer("mail.example"), Config())
