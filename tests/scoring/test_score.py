"""All signals at once, under one deadline, and what is remembered of them."""

import math
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest
import trio
from trio.testing import MockClock

from scoring import Basis, Conduct, Config, HostState, Opinion, Peer, Rate, Result, Scorer, parse_zones, score
from scoring.resolve import Answer, Resolver, Status
from scoring.verdict import UNKNOWN_HOST, aged
from scoring.watch import Watch, ZoneChange
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
    results = {finding.signal: finding.result for finding in verdict.findings}
    assert (results["dnsbl:zen.example"], results["rdns"]) == (Result.LISTED, Result.PASS)
    assert (results["spf"], results["spf-helo"]) == (Result.PASS, Result.NONE)
    assert (verdict.score, verdict.opinion) == (2, Opinion.CLEAN)


@pytest.mark.parametrize(
    ("peer", "signals"),
    [
        (Peer("192.0.2.1"), {"rdns"}),
        (Peer("192.0.2.1", conduct=Conduct(pregreet=True)), {"rdns", "pregreet"}),
        (Peer("192.0.2.1", helo="bad.example"), {"rdns", "helo", "spf-helo"}),
        (Peer("192.0.2.1", mail_from="a@bad.example"), {"rdns", "spf"}),
        (Peer("192.0.2.1", helo="bad.example", mail_from="a@b.example"), {"rdns", "helo", "spf", "spf-helo"}),
    ],
)
async def test_one_shot_asks_what_it_can(peer: Peer, signals: set[str]) -> None:
    """SPF is asked when there is a HELO name or a reverse-path to ask about."""
    verdict = await score(peer, Config(), FakeResolver(ANSWERS))
    assert {finding.signal for finding in verdict.findings} == signals


async def test_the_null_sender_is_weighed_once() -> None:
    """A bounce's SPF is that of the HELO name: it counts as spf, and no longer as spf-helo as well."""
    scorer = Scorer(Config(), FakeResolver(ANSWERS))
    verdict = await scorer.score(Peer("192.0.2.1", helo="bad.example", mail_from=""))
    weighed = {finding.signal: finding.points for finding in verdict.findings}
    assert (weighed["spf"], weighed["spf-helo"]) == (3, 0)


async def test_one_domain_is_weighed_once() -> None:
    """Who has its domain as HELO name is not told twice that SPF fails for it."""
    scorer = Scorer(Config(), FakeResolver(ANSWERS))
    verdict = await scorer.score(Peer("192.0.2.1", helo="Bad.example.", mail_from="a@bad.example"))
    weighed = {finding.signal: finding.points for finding in verdict.findings}
    assert (weighed["spf"], weighed["spf-helo"]) == (3, 0)


async def test_nothing_to_weigh_twice() -> None:
    """Where neither name is a domain, SPF of the HELO name is asked about only where there is one."""
    scorer = Scorer(Config(), FakeResolver(ANSWERS))
    verdict = await scorer.score(Peer("192.0.2.1", mail_from="nobody"))
    assert [finding.signal for finding in verdict.findings] == ["rdns", "spf"]


async def test_conduct_is_weighed_anew() -> None:
    """What the peer has made good is off its verdict; what others say of it stays."""
    scorer = Scorer(CONFIG, FakeResolver(ANSWERS))
    before = await scorer.score_connection("192.0.2.1")
    slip = scorer.with_conduct(before, Conduct(pregreet=True, recipients=3, recipients_refused=3))
    habit = scorer.with_conduct(slip, Conduct(pregreet=True, recipients=4, recipients_refused=4))
    mended = scorer.with_conduct(habit, Conduct(recipients=9, recipients_refused=4))
    assert [one.score - before.score for one in (slip, habit, mended)] == [5, 8, 0]
    assert mended == before


async def test_one_deadline(autojump_clock: MockClock) -> None:
    """DNS-02: with every resolver dead, all there is to ask about a peer takes one wait."""
    silent = dict.fromkeys(("1.2.0.192.in-addr.arpa", "h.example", "m.example"), math.inf)
    verdict = await score(
        Peer("192.0.2.1", "h.example", "a@m.example"), Config(), FakeResolver({}, seconds=silent)
    )
    assert (trio.current_time(), verdict.score, verdict.opinion) == (3, 0, Opinion.NO_OPINION)


async def test_helo_and_mail_at_once(autojump_clock: MockClock) -> None:
    """A silent HELO name leaves SPF at MAIL its own time, and all of it takes one wait."""
    scorer = Scorer(Config(), FakeResolver(ANSWERS, seconds={"slow.example": 60}))
    verdict = await scorer.score(Peer("192.0.2.1", helo="slow.example", mail_from="a@bad.example"))
    assert trio.current_time() == 3
    results = {finding.signal: finding.result for finding in verdict.findings}
    assert (results["spf"], results["spf-helo"]) == (Result.FAIL, Result.NO_OPINION)


NAMES = ANSWERS | {
    ("mail.example.names.example", "A"): found("127.0.1.2"),
    ("bad.example.names.example", "A"): found("127.0.1.2"),
    ("allowed.example", "TXT"): Answer(Status.FOUND, texts=(b"v=spf1 a:mail.example -all",)),
}
NAME_ZONES = Config(name_zones=parse_zones("names.example*2 helo.example;ask=helo"))


async def test_lists_of_names(autojump_clock: MockClock) -> None:
    """The reverse name is asked about at once, HELO name and reverse-path when they are known."""
    resolver = FakeResolver(NAMES)
    scorer = Scorer(NAME_ZONES, resolver)
    verdict = await scorer.score(Peer("192.0.2.1", helo="mail.example", mail_from="a@bad.example"))
    shown = {finding.signal: finding.points for finding in verdict.findings if finding.signal[0] == "r"}
    assert shown == {
        "rdns": 0,
        "rhsbl:names.example:rdns": 2,
        "rhsbl:names.example:helo": 2,
        "rhsbl:helo.example:helo": 0,
        "rhsbl:names.example:mail": 2,
    }
    assert [question for question in resolver.asked if question[0].endswith("helo.example")] == [
        ("mail.example.helo.example", "A")
    ]


@pytest.mark.parametrize(
    ("mail_from", "allowed", "signals"),
    [
        pytest.param(None, "mail.example", ["rdns"], id="a confirmed name"),
        pytest.param(None, "example", ["rdns"], id="below a domain"),
        pytest.param("a@allowed.example", "allowed.example", ["spf"], id="a domain that SPF passes"),
        pytest.param("a@bad.example", "bad.example", [], id="a domain that SPF does not"),
        pytest.param(None, "ample", [], id="no domain of it"),
    ],
)
async def test_allowed_by_name(mail_from: str | None, allowed: str, signals: list[str]) -> None:
    """The operator's word for a name ends the matter, once it is known that the peer may use it."""
    config = Config(zones=CONFIG.zones, allow_names=(allowed,))
    peer = Peer("192.0.2.1", mail_from=mail_from, conduct=Conduct(pregreet=True))
    verdict = await score(peer, config, FakeResolver(NAMES))
    trusted = [finding.signal for finding in verdict.findings if finding.basis is Basis.ALLOWED]
    assert trusted == signals
    assert (verdict.score == 0) is bool(signals)


async def test_remembered(autojump_clock: MockClock) -> None:
    """A peer is asked about once in the life of its verdict; its findings tell their age, not its conduct."""
    resolver = FakeResolver(
        {**ANSWERS, ("1.2.0.192.zen.example", "A"): replace(found("127.0.0.2"), life=300)}
    )
    scorer = Scorer(Config(zones=parse_zones("zen.example*6")), resolver)
    first = await scorer.score_connection("192.0.2.1", Conduct(pregreet=True))
    asked = len(resolver.asked)
    await trio.sleep(299)
    again = await scorer.score_connection("::ffff:192.0.2.1")
    assert len(resolver.asked) == asked
    assert [(finding.signal, finding.age) for finding in again.findings] == [
        ("dnsbl:zen.example", 299),
        ("rdns", 299),
    ]
    assert (first.score, again.score, again.host) == (10, 6, first.host)
    await trio.sleep(1)
    await scorer.score_connection("192.0.2.1")
    assert len(resolver.asked) == 2 * asked


async def test_mail_is_remembered(autojump_clock: MockClock) -> None:
    """SPF is asked once for the same address, HELO name and reverse-path; very long names are not kept."""
    resolver = FakeResolver(ANSWERS)
    scorer = Scorer(Config(), resolver)

    async def ask(helo: str = "h.example", mail_from: str = "a@bad.example") -> tuple[int, float]:
        until = trio.current_time() + 3
        (spf,) = await scorer.score_mail("192.0.2.1", helo=helo, mail_from=mail_from, until=until)
        return len(resolver.asked), spf.age

    first, _ = await ask()
    await trio.sleep(10)
    assert await ask("H.Example") == (first, 10)
    assert await ask(mail_from="b@bad.example") == (first + 1, 0)
    long, _ = await ask(mail_from="a" * 600 + "@bad.example")
    assert await ask(mail_from="a" * 600 + "@bad.example") == (long + 1, 0)


@pytest.mark.parametrize("mail_from", ["a@bad.example", "a@h.example", ""])
async def test_what_is_remembered_is_known_at_once(mail_from: str, autojump_clock: MockClock) -> None:
    """What was asked before is known without a task; what was not is None."""
    scorer, peer, until = Scorer(Config(), FakeResolver(ANSWERS)), ip_address("192.0.2.1"), 3.0
    assert scorer.known_helo(peer, helo="h.example", host=UNKNOWN_HOST) is None
    assert scorer.known_mail(peer, helo="h.example", mail_from=mail_from) is None
    await scorer.score_helo(peer, helo="h.example", host=UNKNOWN_HOST, until=until)
    await scorer.score_mail(peer, helo="h.example", mail_from=mail_from, until=until)
    again = await scorer.score_helo(peer, helo="h.example", host=UNKNOWN_HOST, until=until)
    known = scorer.known_helo(peer, helo="H.example", host=UNKNOWN_HOST)
    assert known is not None
    assert aged(*known) == again
    mail = await scorer.score_mail(peer, helo="h.example", mail_from=mail_from, until=until)
    known = scorer.known_mail(peer, helo="h.example", mail_from=mail_from)
    assert known is not None
    assert aged(*known) == mail


async def test_silence_costs_one_wait(autojump_clock: MockClock) -> None:
    """When nobody answers, the second connection within a minute does not wait again."""
    scorer = Scorer(Config(), FakeResolver({}, seconds={"1.2.0.192.in-addr.arpa": math.inf}))
    waited = []
    for pause in (0, 0, 60):
        await trio.sleep(pause)
        started = trio.current_time()
        assert (await scorer.score_connection("192.0.2.1")).opinion is Opinion.NO_OPINION
        waited.append(trio.current_time() - started)
    assert waited == [3, 0, 3]


async def test_rates(autojump_clock: MockClock) -> None:
    """What comes too fast is part of the verdict, and gone when it has slowed down."""
    scorer = Scorer(Config(rate_peer=Rate(1, 60)), FakeResolver(ANSWERS))
    for count in (scorer.count_connection, scorer.count_recipient, scorer.count_error):
        count("192.0.2.1")
        assert scorer.rate_findings("192.0.2.1") == ()
    scorer.count_connection("::ffff:192.0.2.1")
    verdict = await scorer.score_connection("192.0.2.1")
    assert verdict.findings[-1:] == scorer.rate_findings("192.0.2.1")
    assert (verdict.score, verdict.opinion) == (2, Opinion.CLEAN)
    await trio.sleep(60)
    assert [finding.signal for finding in (await scorer.score_connection("192.0.2.1")).findings] == ["rdns"]


WORKING = {
    ("2.0.0.127.zen.example", "A"): found("127.0.0.2"),
    ("test.names.example", "A"): found("127.0.1.2"),
}


class Turning(FakeResolver):
    """A resolver whose zone begins to list the world."""

    world = False

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return a listing for any name below the zone, once it has turned."""
        if self.world and name.endswith(".zen.example"):
            return found("127.0.0.2")
        return await super().query(name, kind, until=until)


async def test_a_zone_that_lists_the_world(autojump_clock: MockClock) -> None:
    """DNS-07: it is set aside at its next test, and what it has said is forgotten."""
    resolver = Turning({**NAMES, **WORKING})
    config = Config(zones=parse_zones("zen.example*6"), name_zones=parse_zones("names.example*2"))
    scorer = Scorer(config, resolver, watch=Watch(config.zones, config.name_zones, resolver))
    changes: list[ZoneChange] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scorer.run, changes.append)
        assert (await scorer.score_connection("192.0.2.1")).score == 7
        assert (await scorer.score_connection("192.0.2.9")).score == 1
        resolver.world = True
        await trio.sleep(1799)
        assert (await scorer.score_connection("192.0.2.8")).score == 7
        await trio.sleep(2)
        listed, *_ = (await scorer.score_connection("192.0.2.8")).findings
        nursery.cancel_scope.cancel()
    assert [(change.zone, change.usable) for change in changes] == [("zen.example", False)]
    assert (listed.result, listed.points, listed.why[:10]) == (Result.NO_OPINION, 0, "set aside:")


async def test_without_a_watch(autojump_clock: MockClock) -> None:
    """Without one there is nothing to test, and nothing to report."""
    with trio.fail_after(1):
        await Scorer(CONFIG, FakeResolver({})).run(lambda change: None)


async def test_strangers_leave_memory_flat(autojump_clock: MockClock) -> None:
    """A thousand peers with a reverse-path each take the room of a hundred."""
    scorer = Scorer(Config(cache_size=100, rate_peer=Rate(1, 60)), FakeResolver({}))
    until = trio.current_time() + 3
    for stranger in range(1000):
        address = IPv4Address(0x0A000000 + stranger)
        scorer.count_connection(address)
        await scorer.score_connection(address)
        await scorer.score_mail(address, helo=f"h{stranger}", mail_from=f"{stranger}@no-dot", until=until)
    assert (len(scorer._connections), len(scorer._names)) == (100, 100)


async def test_not_an_address() -> None:
    """What is not an address is the caller's mistake."""
    with pytest.raises(ValueError, match="does not appear to be"):
        await score(Peer("mail.example"), Config())
