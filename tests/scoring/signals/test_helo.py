"""A HELO name is a lie when it cannot be true, and only then."""

import math
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.signals.helo import check_helo
from scoring.verdict import UNKNOWN_HOST, Finding, HostName, HostState, Result
from scoring.weights import DEFAULT_WEIGHTS
from tests.support.dns_zone import FakeResolver, found

PEER = "192.0.2.1"
PEER6 = "2001:db8::1"
OURS = frozenset({"mx.our.example", "our.example", "198.51.100.5", "2001:db8:5::5"})
SERVFAIL = Answer(Status.UNKNOWN, "SERVFAIL")
MX = Answer(Status.FOUND, exchanges=((10, "mx.example"),))


async def check(
    helo: str,
    peer: str = PEER,
    *,
    answers: dict[tuple[str, str], Answer] | None = None,
    host: HostName = UNKNOWN_HOST,
    until: float = math.inf,
    seconds: dict[str, float] | None = None,
) -> tuple[Finding, list[tuple[str, str]]]:
    resolver = FakeResolver(answers or {}, seconds=seconds)
    finding = await check_helo(
        resolver, ip_address(peer), Config(our_names=OURS), helo=helo, host=host, until=until
    )
    return finding, resolver.asked


@pytest.mark.parametrize(
    ("helo", "peer", "weight", "why"),
    [
        ("mx.our.example", PEER, "helo-ours", "mx.our.example is our own"),
        ("MX.Our.Example.", PEER, "helo-ours", "mx.our.example is our own"),
        ("our.example", PEER6, "helo-ours", "our.example is our own"),
        ("198.51.100.5", PEER, "helo-ours", "198.51.100.5 is our own"),
        ("[198.51.100.5]", PEER, "helo-ours", "[198.51.100.5] is our own"),
        ("[IPv6:2001:DB8:5:0::5]", PEER, "helo-ours", "[ipv6:2001:db8:5:0::5] is our own"),
        ("[192.0.2.9]", PEER, "helo-literal", "[192.0.2.9] is not the peer's address"),
        ("[192.168.1.5]", PEER, "helo-literal", "[192.168.1.5] is not the peer's address"),
        ("[127.0.0.1]", PEER, "helo-literal", "[127.0.0.1] is not the peer's address"),
        ("[IPv6:2001:db8::2]", PEER6, "helo-literal", "[ipv6:2001:db8::2] is not the peer's address"),
        ("[example.com]", PEER, "helo-literal", "[example.com] is not the peer's address"),
        ("[]", PEER, "helo-literal", "[] is not the peer's address"),
        ("192.0.2.1", PEER, "helo-address", "192.0.2.1 is an address without brackets"),
        ("203.0.113.9", PEER, "helo-address", "203.0.113.9 is an address without brackets"),
        ("2001:db8::1", PEER6, "helo-address", "2001:db8::1 is an address without brackets"),
        ("localhost", PEER, "helo-localhost", "localhost is not this host"),
        ("LOCALHOST", PEER6, "helo-localhost", "localhost is not this host"),
        ("localhost.localdomain", PEER, "helo-localhost", "localhost.localdomain is not this host"),
        ("localdomain", PEER, "helo-localhost", "localdomain is not this host"),
        ("pc7.localdomain", PEER, "helo-localhost", "pc7.localdomain is not this host"),
        ("a.localhost", PEER, "helo-localhost", "a.localhost is not this host"),
        ("localhost.example.com", PEER, "helo-localhost", "localhost.example.com is not this host"),
        ("WIN-7QK2", PEER, "helo-no-dot", "win-7qk2 has no dot"),
        ("User", PEER, "helo-no-dot", "user has no dot"),
        ("com.", PEER, "helo-no-dot", "com has no dot"),
        ("localhoster", PEER, "helo-no-dot", "localhoster has no dot"),
        ("", PEER, "helo-no-dot", "an empty name has no dot"),
        (".", PEER, "helo-no-dot", "an empty name has no dot"),
        ("mail example.com", PEER, "helo-unresolvable", "mail example.com is no host name"),
        ("a..example", PEER, "helo-unresolvable", "a..example is no host name"),
        ("-x-.example", PEER, "helo-unresolvable", "-x-.example is no host name"),
        ("m\u00fcll.example", PEER, "helo-unresolvable", "m?ll.example is no host name"),
        ("a" * 64 + ".example", PEER, "helo-unresolvable", "a" * 64 + ".example is no host name"),
    ],
)
async def test_lies(helo: str, peer: str, weight: str, why: str) -> None:
    """What cannot be true is told without a look-up, and weighs what its kind of lie weighs."""
    finding, asked = await check(helo, peer)
    assert finding == Finding("helo", Result.FAIL, DEFAULT_WEIGHTS[weight], why)
    assert asked == []


@pytest.mark.parametrize(
    ("helo", "peer"),
    [
        ("[192.0.2.1]", PEER),
        ("[IPv6:2001:db8::1]", PEER6),
        ("[ipv6:2001:DB8:0:0::1]", PEER6),
        ("[2001:db8::1]", PEER6),
    ],
)
async def test_its_own_address(helo: str, peer: str) -> None:
    """A host without a name gives its address in brackets (RFC 5321, section 4.1.3)."""
    finding, asked = await check(helo, peer)
    assert finding == Finding("helo", Result.PASS, 0, f"{helo.lower()} is its own address")
    assert asked == []


@pytest.mark.parametrize(
    ("helo", "peer"),
    [
        ("mx.our.example", "198.51.100.5"),
        ("our.example", "2001:db8:5::5"),
        ("localhost.localdomain", "127.0.0.1"),
    ],
)
async def test_we_may_say_who_we_are(helo: str, peer: str) -> None:
    """A name of ours is no lie from an address of ours, nor localhost from this host."""
    finding, _ = await check(helo, peer, answers={(helo, "A"): found(peer), (helo, "AAAA"): found(peer)})
    assert finding.result is Result.PASS


async def test_localhost_on_this_host() -> None:
    """Loopback may call itself localhost without a dot."""
    finding, asked = await check("localhost", "127.0.0.1")
    assert (finding.result, asked) == (Result.PASS, [])


@pytest.mark.parametrize(
    ("peer", "answers", "asked"),
    [
        (PEER, {("mail.example", "A"): found("203.0.113.9")}, ["A"]),
        (PEER6, {("mail.example", "AAAA"): found("2001:db8::9")}, ["AAAA"]),
        (PEER, {("mail.example", "AAAA"): found("2001:db8::9")}, ["A", "AAAA", "MX"]),
        (PEER6, {("mail.example", "A"): found("203.0.113.9")}, ["A", "AAAA", "MX"]),
        (PEER, {("mail.example", "MX"): MX}, ["A", "AAAA", "MX"]),
        (PEER, {("mail.example", "A"): SERVFAIL, ("mail.example", "MX"): MX}, ["A", "AAAA", "MX"]),
    ],
)
async def test_a_name_that_exists(
    peer: str, answers: dict[tuple[str, str], Answer], asked: list[str]
) -> None:
    """A name that leads anywhere is no lie, even if not to the peer (RFC 5321, section 4.1.4)."""
    finding, questions = await check("Mail.Example.", peer, answers=answers)
    assert finding == Finding("helo", Result.PASS, 0, "mail.example exists", life=3600)
    assert sorted(kind for _, kind in questions) == asked


async def test_its_own_name() -> None:
    """The name that leads back to the peer is known to exist."""
    host = HostName("mail.example", HostState.CONFIRMED)
    finding, asked = await check("MAIL.example", host=host)
    assert (finding.result, finding.why, asked) == (Result.PASS, "mail.example is its own name", [])


async def test_a_name_that_does_not_exist() -> None:
    """Neither addresses nor an MX: nobody can be called so."""
    finding, asked = await check("gone.example")
    assert finding == Finding(
        "helo", Result.FAIL, DEFAULT_WEIGHTS["helo-unresolvable"], "gone.example does not exist", life=3600
    )
    assert [name for name, _ in asked] == ["gone.example"] * 3


@pytest.mark.parametrize("kind", ["A", "AAAA", "MX"])
async def test_trouble_is_no_lie(kind: str) -> None:
    """Where one answer is missing there is no opinion."""
    finding, _ = await check("mail.example", answers={("mail.example", kind): SERVFAIL})
    assert (finding.result, finding.points) == (Result.NO_OPINION, 0)


async def test_deadline(autojump_clock: MockClock) -> None:
    """It ends when its time is up."""
    start = trio.current_time()
    finding, _ = await check("slow.example", until=start + 3, seconds={"slow.example": 9})
    assert (finding.result, trio.current_time() - start) == (Result.NO_OPINION, 3)


async def test_life_and_age() -> None:
    """A finding holds as long as the shortest-lived answer it rests on."""
    nothing = Answer(Status.NOTHING, life=300.0, age=2.0)
    answers = {("gone.example", "A"): nothing, ("gone.example", "MX"): replace(nothing, life=60.0)}
    finding, _ = await check("gone.example", answers=answers)
    assert (finding.life, finding.age) == (60.0, 2.0)


@settings(max_examples=100, deadline=None)
@given(
    helo=st.one_of(st.text(max_size=300), st.ip_addresses().map(lambda address: f"[{address}]")),
    peer=st.ip_addresses(),
    status=st.sampled_from(Status),
)
def test_law_any_helo(helo: str, peer: IPv4Address | IPv6Address, status: Status) -> None:
    """Whatever a peer calls itself, the finding is a documented one."""
    answers = {(helo.strip().lower().removesuffix("."), "A"): Answer(status)}

    async def run() -> Finding:
        return (await check(helo, str(peer), answers=answers))[0]

    finding = trio.run(run)
    assert finding.signal == "helo"
    assert finding.result in {Result.PASS, Result.FAIL, Result.NO_OPINION}
    assert (finding.points > 0) is (finding.result is Result.FAIL)
