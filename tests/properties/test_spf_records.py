"""Laws of SPF: whatever strangers publish and say, a check ends in a documented result, the one of pyspf."""

import time
from ipaddress import IPv4Address, IPv6Address

import pytest
import spf
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.signals.spf import Identity, Rules
from scoring.verdict import Finding, Result
from tests.scoring.signals.test_spf import (
    PTR,
    SERVFAIL,
    check,
    check_helo,
    exchanges,
    plain,
    policy,
    replaying,
    texts,
)
from tests.support.dns_zone import FakeResolver, found


@settings(max_examples=300, deadline=None)
@given(
    peer=st.ip_addresses(),
    near=st.integers(0, 31),
    bits=st.integers(0, 32),
    others=st.lists(st.ip_addresses(v=4)),
)
def test_law_networks_are_pyspfs(
    peer: IPv4Address | IPv6Address, near: int, bits: int, others: list[IPv4Address]
) -> None:
    """Our arithmetic says what pyspf's objects say."""
    rules = Rules(peer, Identity("a", "d.example", "mail.example", ""))
    kind = IPv4Address if isinstance(rules.ipaddr, IPv4Address) else IPv6Address
    found = [str(kind(int(rules.ipaddr) ^ (1 << near))), *(str(kind(int(other))) for other in others)]
    assert rules.cidrmatch(found, bits) is spf.query.cidrmatch(rules, found, bits)


TERM = st.sampled_from(
    [
        *("a", "mx", "ptr", "exists", "include", "ip4", "ip6", "all", "redirect", "exp", "EXP", "x", ""),
        *(":", "=", "/", "//", "+", "-", "~", "?", " ", "  ", ".", "%", "%%", "%_", "%-", "_", "@"),
        *("%{d}", "%{h}", "%{s}", "%{L}", "%{o}", "%{p}", "%{i}", "%{ir}", "%{v}", "%{t}", "%{H2r}", "%{z}"),
        *(
            "%{d0}",
            "%{s1r+-}",
            "{",
            "}",
            "d.example",
            "e.example",
            "192.0.2.0",
            "2001:db8::",
            "24",
            "0",
            "33",
        ),
        *("129", "9" * 30, "\n", "\0", "\xe9", "localhost", "example."),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    one=st.lists(TERM, max_size=30).map("".join),
    two=st.lists(TERM, max_size=12).map("".join),
    text=st.lists(TERM, max_size=12).map("".join),
    mail_from=st.sampled_from(["a@d.example", "", '"@"@d.example', "\u00e9@d.example", "<%{d}@d.example>"]),
    helo=st.sampled_from(["d.example", "%{h}", "a b", "\udc80", ""]),
    failing=st.booleans(),
)
def test_law_no_record_does_harm(
    one: str, two: str, text: str, mail_from: str, helo: str, *, failing: bool
) -> None:
    """Whatever records are made of, a check ends in a documented result, soon, and as pyspf itself would."""
    table = policy(d="v=spf1 " + one, e="v=spf1 " + two) | {
        ("e.example", "MX"): exchanges("e.example", ""),
        ("e.example", "A"): found("192.0.2.9") if not failing else SERVFAIL,
        PTR: found("e.example", ".", "x..y"),
        ("localhost", "TXT"): texts(text),
    }
    began = time.process_time()

    async def run() -> tuple[Finding, Finding]:
        resolver = FakeResolver(table)
        return await check(resolver, mail_from=mail_from, helo=helo), await check_helo(resolver, helo)

    for finding in trio.run(run):
        assert finding.result in SPF_WORDS
    assert time.process_time() - began < 2


SPF_WORDS = {
    *(
        Result.NONE,
        Result.NEUTRAL,
        Result.PASS,
        Result.FAIL,
        Result.SOFTFAIL,
        Result.TEMPERROR,
        Result.PERMERROR,
    )
}


@settings(max_examples=300, deadline=None)
@given(
    one=st.lists(TERM, max_size=20).map("".join),
    two=st.lists(TERM, max_size=12).map("".join),
    failing=st.booleans(),
)
def test_law_equals_pyspf(one: str, two: str, *, failing: bool) -> None:
    """Whatever the record, result and explanation are pyspf's own."""
    table = policy(d="v=spf1 " + one, e="v=spf1 " + two) | {
        ("e.example", "MX"): exchanges("e.example"),
        ("e.example", "A"): found("192.0.2.9") if not failing else SERVFAIL,
        PTR: found("e.example"),
    }
    check = replaying(FakeResolver(table))
    replayed = trio.run(check.run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: float(check._rules.t))
        assert replayed == plain(table, patch, "a@d.example")


@settings(max_examples=200, deadline=None)
@given(
    record=st.text(st.characters(max_codepoint=255)), sender=st.text(max_size=80), helo=st.text(max_size=80)
)
def test_law_strangers_never_raise(record: str, sender: str, helo: str) -> None:
    """Whatever a stranger publishes and says, a check ends in a finding."""
    table = {("d.example", "TXT"): texts("v=spf1 exists:%{h}.%{s}.d.example " + record)}

    async def run() -> Finding:
        return await check(FakeResolver(table), helo=helo, mail_from=f"{sender}@d.example")

    assert trio.run(run).signal == "spf"
