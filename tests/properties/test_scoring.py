"""Laws of scoring: whatever DNS answers and whatever the weights, a verdict stays what it may be."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring import (
    NO_CONDUCT,
    Answer,
    Basis,
    Conduct,
    Config,
    Finding,
    Lookup,
    Opinion,
    Peer,
    Result,
    Scorer,
    Status,
    Verdict,
    parse_zones,
    score,
)
from scoring.weights import DEFAULT_WEIGHTS
from tests.support.dns_zone import FakeResolver

ZONES: Final = parse_zones("a.example*9 b.example=127.0.0.[2..4]*5 b.example=127.0.0.9*-3 w.example*-2")
NAME_ZONES: Final = parse_zones("n.example*9 n.example=127.0.1.2*-1")
EVERYBODY: Final = Peer("192.0.2.1", helo="h.example", mail_from="a@m.example")

POINTS = st.floats(-1e6, 1e6)
WEIGHTS = st.dictionaries(st.sampled_from(sorted(DEFAULT_WEIGHTS)), POINTS)
NAMES = st.text(max_size=12) | st.sampled_from(
    ["h.example", "m.example", "192-0-2-1.pool.example", "x." * 126]
)
SPF = st.sampled_from(
    [b"v=spf1 -all", b"v=spf1 +all", b"v=spf1 include:m.example", b"v=spf1 exists:%{i}.x ~all"]
)
CODES = st.sampled_from(["127.0.0.2", "127.0.0.9", "127.0.1.2", "127.0.0.1", "127.255.255.254", "192.0.2.1"])


def answers(**values: st.SearchStrategy[object]) -> st.SearchStrategy[Answer]:
    """Return answers of any status that hold up to three of each of *values*."""
    lists = {name: st.lists(value, max_size=3).map(tuple) for name, value in values.items()}
    return st.builds(Answer, st.sampled_from(Status), st.text(max_size=9), life=st.floats(0, 1e5), **lists)


BY_KIND: Final = {  # a resolver gives what was asked for
    "A": answers(addresses=CODES | st.ip_addresses(v=4).map(str)),
    "AAAA": answers(addresses=st.ip_addresses(v=6).map(str)),
    "PTR": answers(names=NAMES),
    "MX": answers(exchanges=st.tuples(st.integers(0, 65535), NAMES)),
    "TXT": answers(texts=st.binary(max_size=30) | SPF),
}
CONDUCTS = st.builds(
    Conduct,
    pregreet=st.booleans(),
    out_of_turn=st.integers(0, 9),
    recipients=st.integers(0, 9),
    recipients_refused=st.integers(0, 9),
    traps=st.integers(0, 3),
    bad_before=st.integers(0, 3),
    good_before=st.integers(0, 9),
)


class AnyAnswer:
    """A resolver whose every answer is drawn anew, and stays the same for the same question."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.known: dict[tuple[str, str], Answer] = {}

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return some answer."""
        if (name, kind) not in self.known:
            self.known[name, kind] = self._data.draw(BY_KIND[kind])
        return self.known[name, kind]


def judged(config: Config, data: st.DataObject, conduct: Conduct = NO_CONDUCT) -> Verdict:
    """Return the verdict on a peer about whom DNS says anything at all."""
    return asked(config, AnyAnswer(data), conduct)


def asked(config: Config, resolver: Lookup, conduct: Conduct = NO_CONDUCT) -> Verdict:
    """Return the verdict that *resolver* leads to."""
    peer = replace(EVERYBODY, conduct=conduct)
    return trio.run(score, peer, config, resolver, clock=MockClock(autojump_threshold=0))


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.data())
def test_hearsay_never_holds(weights: dict[str, float], data: st.DataObject) -> None:
    """Listings, names and SPF together never reach the hold threshold, whatever the weights and answers."""
    config = Config(zones=ZONES, name_zones=NAME_ZONES, weights=weights, suspect_at=3, hold_at=8)
    verdict = judged(config, data)
    assert verdict.score <= 7
    assert verdict.opinion is not Opinion.HOSTILE


@settings(max_examples=60, deadline=None)
@given(CONDUCTS, st.data())
def test_every_answer_is_documented(conduct: Conduct, data: st.DataObject) -> None:
    """No answer makes anything but a documented result in one printable line, remembered within bounds."""
    verdict = judged(Config(zones=ZONES, name_zones=NAME_ZONES), data, conduct)
    for finding in verdict.findings:
        assert finding.result in Result
        assert finding.signal.split(":")[0] in {
            "dnsbl", "dnswl", "rhsbl", "spf", "spf-helo", "helo", "rdns", "pregreet", "conduct"
        }  # fmt: skip
        assert finding.why.isascii()
        assert finding.why.isprintable() or not finding.why
        assert len(finding.why) <= 200
        assert finding.points == 0 or finding.result not in {Result.NO_OPINION, Result.ERROR}
    assert 60 <= verdict.lifetime <= 3600
    assert len({finding.signal for finding in verdict.findings}) == len(verdict.findings)


class Ailing:
    """The same resolver, some of whose answers get lost; what it is asked only now is lost as well."""

    def __init__(self, well: AnyAnswer, lost: set[tuple[str, str]]) -> None:
        self._well = well
        self._lost = lost

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return the answer, or that there is none."""
        if (name, kind) in self._lost or (name, kind) not in self._well.known:
            return Answer(Status.UNKNOWN, "no answer in time")
        return self._well.known[name, kind]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_trouble_is_mild(data: st.DataObject) -> None:
    """Whatever answers get lost, no verdict is worse for it, where no list or name speaks for the peer."""
    config = Config(
        zones=parse_zones("a.example*9 b.example=127.0.0.[2..4]*5 b.example=127.0.0.9*3"),
        name_zones=parse_zones("n.example*2;ask=helo+mail m.example=127.0.1.2*1;ask=mail"),
        hold_at=100,
    )
    well = AnyAnswer(data)
    before = asked(config, well)
    lost = data.draw(st.sets(st.sampled_from(sorted(well.known))))
    assert asked(config, Ailing(well, lost)).score <= before.score


FINDINGS = st.builds(
    Finding,
    st.sampled_from(["dnsbl:a", "dnswl:b", "spf", "rate:peer", "rate:network", "conduct:trap"]),
    st.sampled_from(Result),
    POINTS,
    st.text(max_size=5),
    basis=st.sampled_from([Basis.HEARSAY, Basis.VOLUME, Basis.CONDUCT]),
)


@given(st.lists(FINDINGS, max_size=6), st.floats(0.01, 100), st.floats(1, 100))
def test_volume_alone_makes_no_suspect(findings: list[Finding], suspect_at: float, more: float) -> None:
    """Volume takes nobody to a threshold that it did not have reached without, if nothing else has points."""
    volume = [finding for finding in findings if finding.basis is Basis.VOLUME]
    assert not Verdict(tuple(volume), suspect_at, suspect_at + more).suspect
    verdict = Verdict(tuple(findings), suspect_at, suspect_at + more)
    without = Verdict(tuple(one for one in findings if one not in volume), suspect_at, suspect_at + more)
    assert without.score <= verdict.score + 1e-6  # it never excuses either
    assert not without.vouched_for or verdict.score == without.score


@given(st.lists(FINDINGS, max_size=6))
def test_conduct_alone_decides_on_hostile(findings: list[Finding]) -> None:
    """Without conduct nobody is hostile; the order of findings makes no difference to anybody."""
    others = tuple(finding for finding in findings if finding.basis is not Basis.CONDUCT)
    assert not Verdict(others, 3, 8).hostile
    turned = Verdict(tuple(reversed(findings)), 3, 8)
    assert turned.score == pytest.approx(Verdict(tuple(findings), 3, 8).score)


@settings(max_examples=30, deadline=None)
@given(st.ip_addresses(), st.floats(0.1, 10), st.text(max_size=20), st.text(max_size=20))
def test_silence_is_over_in_time(
    address: IPv4Address | IPv6Address, wait: float, helo: str, domain: str
) -> None:
    """When nobody answers anything, each verdict comes exactly at the deadline, and is no opinion."""

    class Silent(FakeResolver):
        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            await trio.sleep_until(until)
            return Answer(Status.UNKNOWN, "no answer in time")

    async def ask() -> None:
        scorer = Scorer(Config(zones=ZONES, name_zones=NAME_ZONES, wait=wait), Silent({}))
        started = trio.current_time()
        verdict = await scorer.score_connection(address)
        assert trio.current_time() == started + wait
        assert (verdict.score, verdict.opinion) == (0, Opinion.NO_OPINION)
        until = trio.current_time() + wait
        await scorer.score_helo(address, helo=helo, host=verdict.host, until=until)
        await scorer.score_mail(address, helo=helo, mail_from=f"a@{domain}", until=until)
        assert trio.current_time() <= until

    trio.run(ask, clock=MockClock(autojump_threshold=0))
