"""A DNSBL's answer is a listing only if it is one that was asked for."""

import math
from ipaddress import ip_address

import pytest
import trio
from trio.testing import MockClock

from scoring.config import parse_zones
from scoring.resolve import Answer, Resolver, Status
from scoring.signals.dnsbl import ask_zone, by_name, judge_answer, question_name
from scoring.verdict import Finding, Result
from tests.support.dns_zone import FakeResolver, found, serving

PEER = ip_address("192.0.2.1")
ZEN = parse_zones("zen.example=127.0.0.[2..9]*3 zen.example=127.0.0.[10;11]*2")
QUESTION = "1.2.0.192.zen.example"


@pytest.mark.parametrize(
    ("codes", "result", "points", "why"),
    [
        ("127.0.0.2", Result.LISTED, 3, "127.0.0.2"),
        ("127.0.0.2 127.0.0.4", Result.LISTED, 3, "127.0.0.2, 127.0.0.4"),
        ("127.0.0.2 127.0.0.10", Result.LISTED, 5, "127.0.0.2, 127.0.0.10"),
        ("127.0.0.2 127.0.0.12", Result.LISTED, 3, "127.0.0.2, 127.0.0.12"),
        ("127.0.0.12", Result.ERROR, 0, "127.0.0.12: not a code that was asked for"),
        ("127.0.0.1", Result.ERROR, 0, "127.0.0.1: a zone that lists 127.0.0.1 lists the world"),
        ("127.255.255.252", Result.ERROR, 0, "127.255.255.252: the zone refuses to answer this resolver"),
        ("127.255.255.254", Result.ERROR, 0, "127.255.255.254: the zone refuses to answer this resolver"),
        ("127.0.0.2 127.255.255.255", Result.ERROR, 0, "127.0.0.2, 127.255.255.255: the zone refuses"),
        ("203.0.113.7", Result.ERROR, 0, "203.0.113.7: outside 127.0.0.0/8"),
    ],
)
def test_codes(codes: str, result: Result, points: float, why: str) -> None:
    """DNS-03 to DNS-06: each filter that fits adds its points; error codes never list anybody."""
    finding = judge_answer(found(*codes.split()), "zen.example", ZEN)
    assert (finding.signal, finding.result, finding.points) == ("dnsbl:zen.example", result, points)
    assert finding.why.startswith(why)


def test_refusal_of_an_unfiltered_zone() -> None:
    """DNS-05: a zone without a filter still does not list by an error code."""
    finding = judge_answer(found("127.255.255.254"), "zen.example", parse_zones("zen.example"))
    assert finding.result is Result.ERROR


def test_not_listed() -> None:
    """No such name means not listed."""
    answer = Answer(Status.NOTHING, "no such name")
    assert judge_answer(answer, "zen.example", ZEN) == Finding(
        "dnsbl:zen.example", Result.NONE, 0, "not listed"
    )


def test_no_opinion() -> None:
    """DNS-01: a zone that fails has no opinion, and the finding says why."""
    answer = Answer(Status.UNKNOWN, "SERVFAIL")
    assert judge_answer(answer, "zen.example", ZEN) == Finding(
        "dnsbl:zen.example", Result.NO_OPINION, 0, "SERVFAIL"
    )


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


def test_by_name() -> None:
    """Filters of one zone are asked with one look-up; the order of the list is kept."""
    zones = parse_zones("b.example=127.0.0.2 a.example b.example=127.0.0.3")
    assert by_name(zones) == {"b.example": (zones[0], zones[2]), "a.example": (zones[1],)}


async def test_reason() -> None:
    """DNS-14: a listing carries the list's own text, made harmless."""
    records = {(QUESTION, "A"): ["127.0.0.2"], (QUESTION, "TXT"): [r'"spam source\013\010250 ok \195\169"']}
    async with serving(records) as zone:
        resolver, until = Resolver([zone.address]), trio.current_time() + 5
        finding = await ask_zone(resolver, PEER, "zen.example", ZEN, until=until)
    assert finding == Finding("dnsbl:zen.example", Result.LISTED, 3, "127.0.0.2: spam source??250 ok ??")


async def test_listing_without_reason(autojump_clock: MockClock) -> None:
    """A listing stands even if its text does not come in time."""

    class Mute(FakeResolver):
        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            if kind == "TXT":
                await trio.sleep_until(until)
            return await super().query(name, kind, until=until)

    start = trio.current_time()
    resolver = Mute({(QUESTION, "A"): found("127.0.0.2")})
    finding = await ask_zone(resolver, PEER, "zen.example", ZEN, until=start + 3)
    assert (finding.result, finding.why, trio.current_time() - start) == (Result.LISTED, "127.0.0.2", 3)


@pytest.mark.parametrize(("zones", "code"), [("zen.example", "127.0.0.1"), ("zen.example*-2", "127.0.0.2")])
async def test_no_reason_asked(zones: str, code: str) -> None:
    """Neither an error nor a welcome is worth a second look-up."""
    resolver = FakeResolver({(QUESTION, "A"): found(code)})
    await ask_zone(resolver, PEER, "zen.example", parse_zones(zones), until=math.inf)
    assert resolver.asked == [(QUESTION, "A")]
