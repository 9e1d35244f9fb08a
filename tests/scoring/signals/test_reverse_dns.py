"""The peer's name is one that leads back to it, and looks like somebody's."""

import math
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.signals.reverse_dns import HOST_NAME, check_host, judge_host
from scoring.verdict import Address, Finding, HostName, HostState, Result
from tests.support.dns_zone import FakeResolver, found

PEER = ip_address("192.0.2.1")
POINTER = ("1.2.0.192.in-addr.arpa", "PTR")
UNKNOWN = Answer(Status.UNKNOWN, "SERVFAIL")
CONFIRMED = HostName("mail.example", HostState.CONFIRMED)
NO_NAME = HostName(None, HostState.NONE)
NOT_KNOWN = HostName(None, HostState.UNKNOWN)


def claims(name: str) -> HostName:
    return HostName(None, HostState.NONE, name)


async def find_host(resolver: FakeResolver, peer: Address, *, until: float = math.inf) -> HostName:
    host, _ = await check_host(resolver, peer, Config(), until=until)
    return host


@pytest.mark.parametrize(
    ("answers", "host"),
    [
        pytest.param({}, NO_NAME, id="no name"),
        pytest.param({POINTER: UNKNOWN}, NOT_KNOWN, id="no answer"),
        pytest.param(
            {POINTER: found("Mail.Example"), ("Mail.Example", "A"): found("192.0.2.9", "192.0.2.1")},
            CONFIRMED,
            id="confirmed",
        ),
        pytest.param(
            {POINTER: found("Google.example"), ("Google.example", "A"): found("192.0.2.9")},
            claims("google.example"),
            id="claimed",
        ),
        pytest.param({POINTER: found("gone.example")}, claims("gone.example"), id="leads nowhere"),
        pytest.param(
            {POINTER: found("sick.example"), ("sick.example", "A"): UNKNOWN}, NOT_KNOWN, id="unsure"
        ),
        pytest.param(
            {
                POINTER: found("sick.example", "mail.example"),
                ("sick.example", "A"): UNKNOWN,
                ("mail.example", "A"): found("192.0.2.1"),
            },
            CONFIRMED,
            id="one of several",
        ),
        pytest.param(
            {POINTER: found(r"a\013b.example"), (r"a\013b.example", "A"): found("192.0.2.1")},
            NO_NAME,
            id="not a host name",
        ),
        pytest.param(
            {POINTER: found(*(f"{n}.example" for n in range(6))), ("5.example", "A"): found("192.0.2.1")},
            claims("0.example"),
            id="beyond the names tried",
        ),
    ],
)
async def test_host(answers: dict[tuple[str, str], Answer], host: HostName) -> None:
    """Only a name that leads back is a name, and a failure is not the absence of one."""
    assert await find_host(FakeResolver(answers), PEER) == host


async def test_ipv6() -> None:
    """An IPv6 peer is looked up by nibbles and confirmed by AAAA."""
    peer = ip_address("2001:db8::1")
    pointer = "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa"
    answers = {(pointer, "PTR"): found("mail.example"), ("mail.example", "AAAA"): found("2001:DB8:0::1")}
    assert await find_host(FakeResolver(answers), peer) == CONFIRMED


async def test_deadline(autojump_clock: MockClock) -> None:
    """Forward look-ups run at once, and end when the deadline does."""
    answers = {POINTER: found("slow.example", "slower.example"), ("slow.example", "A"): found("192.0.2.1")}
    resolver = FakeResolver(answers, seconds={POINTER[0]: 1, "slow.example": 5, "slower.example": 5})
    start = trio.current_time()
    assert await find_host(resolver, PEER, until=start + 3) == NOT_KNOWN
    assert trio.current_time() - start == 3


async def test_life_and_age() -> None:
    """A finding holds as long as the shortest-lived answer it rests on."""
    answers = {
        POINTER: replace(found("mail.example"), life=900.0, age=3.0),
        ("mail.example", "A"): replace(found("192.0.2.1"), life=120.0, age=1.0),
    }
    _, finding = await check_host(FakeResolver(answers), PEER, Config(), until=math.inf)
    assert finding == Finding("rdns", Result.PASS, 0, "mail.example", life=120.0, age=3.0)


POOL = HostName("dyn-192-0-2-1.isp.example.net", HostState.CONFIRMED)
OCTETS = "it has the address in it, by octets"


@pytest.mark.parametrize(
    ("host", "finding"),
    [
        (CONFIRMED, Finding("rdns", Result.PASS, 0, "mail.example")),
        (POOL, Finding("rdns", Result.NEUTRAL, 1, f"{POOL.name}; {OCTETS}")),
        (NO_NAME, Finding("rdns", Result.NONE, 1, "the address has no name")),
        (
            claims("mail.example"),
            Finding("rdns", Result.FAIL, 1, "mail.example does not lead back to the address"),
        ),
        (
            claims("192-0-2-1.isp.example.net"),
            Finding(
                "rdns",
                Result.FAIL,
                2,
                f"192-0-2-1.isp.example.net does not lead back to the address; {OCTETS}",
            ),
        ),
        (NOT_KNOWN, Finding("rdns", Result.NO_OPINION, 0, "the name could not be looked up")),
    ],
)
def test_judge_host(host: HostName, finding: Finding) -> None:
    """No name, a claimed one and a generic one weigh a little each; not knowing weighs nothing."""
    assert judge_host(host, PEER, Config()) == finding


TWO_NAMES = {
    POINTER: found("dyn-192-0-2-1.isp.example", "mail.example"),
    ("dyn-192-0-2-1.isp.example", "A"): found("192.0.2.1"),
    ("mail.example", "A"): found("192.0.2.1"),
}


@pytest.mark.parametrize(
    ("allowed", "name"), [((), "mail.example"), (("isp.example",), "dyn-192-0-2-1.isp.example")]
)
async def test_the_best_of_its_names(allowed: tuple[str, ...], name: str) -> None:
    """Of several confirmed names the one counts that is allowed, else one that does not look generic."""
    config = Config(allow_names=allowed)
    host, finding = await check_host(FakeResolver(TWO_NAMES), PEER, config, until=math.inf)
    assert (host.name, finding.result, finding.points) == (name, Result.PASS, 0)


async def test_trouble_with_the_better_name() -> None:
    """A generic name weighs nothing while it is unknown whether the peer has a better one."""
    answers = TWO_NAMES | {("mail.example", "A"): Answer(Status.UNKNOWN, "SERVFAIL")}
    host, finding = await check_host(FakeResolver(answers), PEER, Config(), until=math.inf)
    assert (host.name, finding.result, finding.points) == ("dyn-192-0-2-1.isp.example", Result.NEUTRAL, 0)


def test_weights() -> None:
    """Each of the three has a weight of its own."""
    config = Config(weights={"no-rdns": 1.5, "unconfirmed-rdns": 0.5, "generic-rdns": 0.25})
    assert judge_host(NO_NAME, PEER, config).points == 1.5
    assert judge_host(claims("mail.example"), PEER, config).points == 0.5
    assert judge_host(claims("192-0-2-1.isp.example.net"), PEER, config).points == 0.75
    assert judge_host(POOL, PEER, config).points == 0.25


def test_allowed_names_may_look_generic() -> None:
    """A name that the operator allows passes, whatever it looks like."""
    config = Config(allow_names=("isp.example.net",))
    assert judge_host(POOL, PEER, config) == Finding("rdns", Result.PASS, 0, str(POOL.name))


@pytest.mark.parametrize(
    "name", ["a" * 60 + "!", "a." * 126 + "!", "a-" * 120, "_" * 253, "a" * 63 + "." + "b" * 64]
)
def test_hostile_names_cost_nothing(name: str) -> None:
    """What is no host name is seen to be none at once; the pattern once took 2^n steps for n characters."""
    began = time.process_time()
    assert HOST_NAME.fullmatch(name) is None
    assert time.process_time() - began < 0.01


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.text(st.characters(max_codepoint=255), max_size=80), max_size=8))
def test_law_any_name(names: list[str]) -> None:
    """Whatever a PTR record holds, there is a documented result."""
    answers = {POINTER: Answer(Status.FOUND, names=tuple(names))}

    async def run() -> Finding:
        return (await check_host(FakeResolver(answers), PEER, Config(), until=math.inf))[1]

    assert trio.run(run).result in {Result.NONE, Result.FAIL}
