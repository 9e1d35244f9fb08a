"""A DNSBL's answer is a listing only if it is one that was asked for."""

import math
from ipaddress import IPv4Address, ip_address

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring.resolve import Answer, Resolver, Status
from scoring.signals.dnsbl import ask_zone, judge_answer, question_name, set_aside, signal_of
from scoring.verdict import Finding, Result
from scoring.zones import Zone, complaint, parse_zones
from tests.support.dns_zone import FakeResolver, found, serving

PEER = ip_address("192.0.2.1")
ZEN = parse_zones("zen.example=127.0.0.[2..9]*3 zen.example=127.0.0.[10;11]*2")
SECRET = (Zone("secret.zen.example", mask="zen.example"),)
QUESTION = "1.2.0.192.zen.example"
SIGNAL = "dnsbl:zen.example"


@pytest.mark.parametrize(
    ("codes", "result", "points", "why"),
    [
        ("127.0.0.2", Result.LISTED, 3, "127.0.0.2"),
        ("127.0.0.2 127.0.0.4", Result.LISTED, 3, "127.0.0.2, 127.0.0.4"),
        ("127.0.0.2 127.0.0.10", Result.LISTED, 5, "127.0.0.2, 127.0.0.10"),
        ("127.0.0.2 127.0.0.12", Result.LISTED, 3, "127.0.0.2, 127.0.0.12"),
        ("127.0.0.12", Result.ERROR, 0, "127.0.0.12: not a code that was asked for"),
        ("127.0.0.1", Result.ERROR, 0, "127.0.0.1: no listing"),
        ("127.255.255.252", Result.ERROR, 0, "127.255.255.252: the zone refuses to answer this resolver"),
        ("127.255.255.254", Result.ERROR, 0, "127.255.255.254: the zone refuses to answer this resolver"),
        ("127.0.0.2 127.255.255.255", Result.ERROR, 0, "127.0.0.2, 127.255.255.255: the zone refuses"),
        ("203.0.113.7", Result.ERROR, 0, "203.0.113.7: outside 127.0.0.0/8"),
    ],
)
def test_codes(codes: str, result: Result, points: float, why: str) -> None:
    """DNS-03 to DNS-06: each filter that fits adds its points once; error codes never list anybody."""
    finding = judge_answer(found(*codes.split()), ZEN, SIGNAL)
    assert (finding.signal, finding.result, finding.points) == (SIGNAL, result, points)
    assert finding.why.startswith(why)


@pytest.mark.parametrize("code", ["127.255.255.254", "127.0.0.255", "127.0.0.1"])
@pytest.mark.parametrize("zone", ["zen.example", "zen.example*-3"])
def test_refusal_of_an_unfiltered_zone(zone: str, code: str) -> None:
    """DNS-05, DNS-06: a zone without a filter neither lists nor welcomes by an error code."""
    finding = judge_answer(found(code), parse_zones(zone), SIGNAL)
    assert (finding.result, finding.points) == (Result.ERROR, 0)


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=5))
def test_no_answer_lists_by_mistake(codes: list[IPv4Address]) -> None:
    """Whatever a zone answers is a listing by a code that was asked for, or an error."""
    finding = judge_answer(found(*map(str, codes)), ZEN, SIGNAL)
    fits = any(zone.counts(code) for zone in ZEN for code in codes) and not any(map(complaint, codes))
    assert (finding.result, finding.points > 0) == (Result.LISTED if fits else Result.ERROR, fits)


def test_not_listed() -> None:
    """No such name means not listed; the finding is as old, and lasts as long, as the answer."""
    answer = Answer(Status.NOTHING, "no such name", life=250.0, age=50.0)
    assert judge_answer(answer, ZEN, SIGNAL) == Finding(
        SIGNAL, Result.NONE, 0, "not listed", age=50.0, life=250.0
    )


def test_no_opinion() -> None:
    """DNS-01: a zone that fails has no opinion, and the finding says why, without a key."""
    finding = judge_answer(Answer(Status.UNKNOWN, "SERVFAIL"), ZEN, SIGNAL)
    assert (finding.result, finding.points, finding.why) == (Result.NO_OPINION, 0, "SERVFAIL")
    finding = judge_answer(Answer(Status.UNKNOWN, "1.2.0.192.secret.zen.example: no"), SECRET, SIGNAL)
    assert finding.why == "1.2.0.192.zen.example: no"


@pytest.mark.parametrize(
    ("zones", "signal"),
    [
        ("zen.example", "dnsbl:zen.example"),
        ("wl.example*-2", "dnswl:wl.example"),
        ("mixed.example=127.0.0.2*-2 mixed.example=127.0.0.3", "dnsbl:mixed.example"),
    ],
)
def test_signal_of(zones: str, signal: str) -> None:
    """A zone that only welcomes is called so."""
    assert signal_of(parse_zones(zones)) == signal


def test_set_aside() -> None:
    """A zone that is out of order has no opinion, and says so; that is soon asked again."""
    finding = set_aside(SECRET, signal_of(SECRET), "secret.zen.example lists the world")
    assert (finding.signal, finding.result, finding.points) == (SIGNAL, Result.NO_OPINION, 0)
    assert (finding.why, finding.life) == ("set aside: zen.example lists the world", 0)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "1.2.0.192.zen.example"),
        ("2001:db8::1", "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.zen.example"),
    ],
)
def test_question_name(address: str, name: str) -> None:
    """IPv4 by octets, IPv6 by nibbles, backwards (RFC 5782, sections 2.1 and 2.4)."""
    assert question_name(ip_address(address), "zen.example") == name


async def test_reason() -> None:
    """DNS-14: a listing carries the list's own text, made harmless."""
    records = {(QUESTION, "A"): ["127.0.0.2"], (QUESTION, "TXT"): [r'"spam source\013\010250 ok \195\169"']}
    async with serving(records) as zone:
        resolver, until = Resolver([zone.address]), trio.current_time() + 5
        finding = await ask_zone(resolver, PEER, "zen.example", ZEN, until=until)
    assert (finding.result, finding.points) == (Result.LISTED, 3)
    assert finding.why == "127.0.0.2: spam source??250 ok ??"


async def test_reason_without_the_key() -> None:
    """A list's text that quotes what it was asked does not give away the key."""
    question = "1.2.0.192.secret.zen.example"
    text = Answer(Status.FOUND, texts=(f"https://zen.example/?q={question}".encode(),))
    resolver = FakeResolver({(question, "A"): found("127.0.0.2"), (question, "TXT"): text})
    finding = await ask_zone(resolver, PEER, "secret.zen.example", SECRET, until=math.inf)
    assert finding.signal == SIGNAL
    assert finding.why == "127.0.0.2: https://zen.example/?q=1.2.0.192.zen.example"


@pytest.mark.parametrize(("patience", "seconds"), [(3.0, 1.0), (0.5, 0.5)])
async def test_listing_without_reason(patience: float, seconds: float, autojump_clock: MockClock) -> None:
    """A listing stands without its text, which is waited for a second, within the deadline."""

    class Mute(FakeResolver):
        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            if kind == "TXT":
                await trio.sleep_until(until)
            return await super().query(name, kind, until=until)

    start = trio.current_time()
    resolver = Mute({(QUESTION, "A"): found("127.0.0.2")})
    finding = await ask_zone(resolver, PEER, "zen.example", ZEN, until=start + patience)
    assert (finding.result, finding.why) == (Result.LISTED, "127.0.0.2")
    assert trio.current_time() - start == pytest.approx(seconds)


@pytest.mark.parametrize(("zones", "code"), [("zen.example", "127.0.0.1"), ("zen.example*-2", "127.0.0.2")])
async def test_no_reason_asked(zones: str, code: str) -> None:
    """Neither an error nor a welcome is worth a second look-up."""
    resolver = FakeResolver({(QUESTION, "A"): found(code)})
    await ask_zone(resolver, PEER, "zen.example", parse_zones(zones), until=math.inf)
    assert resolver.asked == [(QUESTION, "A")]
