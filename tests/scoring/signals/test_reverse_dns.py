"""The peer's name is one that leads back to it."""

import math
from ipaddress import ip_address

import pytest
import trio
from trio.testing import MockClock

from scoring.config import Config
from scoring.resolve import Answer, Status
from scoring.signals.reverse_dns import find_host, judge_host
from scoring.verdict import Finding, HostName, HostState, Result
from tests.support.dns_zone import FakeResolver, found

PEER = ip_address("192.0.2.1")
POINTER = ("1.2.0.192.in-addr.arpa", "PTR")
UNKNOWN = Answer(Status.UNKNOWN, "SERVFAIL")
CONFIRMED = HostName("mail.example", HostState.CONFIRMED)
NO_NAME = HostName(None, HostState.NONE)
NOT_KNOWN = HostName(None, HostState.UNKNOWN)


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
            {POINTER: found("google.example"), ("google.example", "A"): found("192.0.2.9")},
            NO_NAME,
            id="claimed",
        ),
        pytest.param({POINTER: found("gone.example")}, NO_NAME, id="leads nowhere"),
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
            NO_NAME,
            id="beyond the names tried",
        ),
    ],
)
async def test_find_host(answers: dict[tuple[str, str], Answer], host: HostName) -> None:
    """Only a name that leads back is a name, and a failure is not the absence of one."""
    assert await find_host(FakeResolver(answers), PEER, until=math.inf) == host


async def test_find_host_ipv6() -> None:
    """An IPv6 peer is looked up by nibbles and confirmed by AAAA."""
    peer = ip_address("2001:db8::1")
    pointer = "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa"
    answers = {(pointer, "PTR"): found("mail.example"), ("mail.example", "AAAA"): found("2001:DB8:0::1")}
    assert await find_host(FakeResolver(answers), peer, until=math.inf) == CONFIRMED


async def test_deadline(autojump_clock: MockClock) -> None:
    """Forward look-ups run at once, and end when the deadline does."""
    answers = {POINTER: found("slow.example", "slower.example"), ("slow.example", "A"): found("192.0.2.1")}
    resolver = FakeResolver(answers, seconds={POINTER[0]: 1, "slow.example": 5, "slower.example": 5})
    start = trio.current_time()
    assert await find_host(resolver, PEER, until=start + 3) == NOT_KNOWN
    assert trio.current_time() - start == 3


@pytest.mark.parametrize(
    ("host", "finding"),
    [
        (CONFIRMED, Finding("rdns", Result.PASS, 0, "mail.example")),
        (NO_NAME, Finding("rdns", Result.FAIL, 1, "no name leads back to the address")),
        (NOT_KNOWN, Finding("rdns", Result.NO_OPINION, 0, "the name could not be looked up in time")),
    ],
)
def test_judge_host(host: HostName, finding: Finding) -> None:
    """Having no name weighs a little; not knowing weighs nothing."""
    assert judge_host(host, Config()) == finding
