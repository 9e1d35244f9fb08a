"""Findings add up to a verdict."""

from ipaddress import ip_address

import pytest

from scoring.verdict import Conduct, Finding, HostState, Opinion, Result, Verdict, one_line, to_address

LISTED = Finding("dnsbl:zen.example", Result.LISTED, 6, "127.0.0.2")
SPF = Finding("spf", Result.FAIL, 3, "not from here")
PREGREET = Finding("pregreet", Result.FAIL, 4, "spoke first", conduct=True)
WELCOME = Finding("dnsbl:welcome.example", Result.LISTED, -5, "127.0.0.3")


def verdict(*findings: Finding) -> Verdict:
    return Verdict(findings, suspect_at=3, hold_at=8)


@pytest.mark.parametrize(
    ("findings", "score", "opinion"),
    [
        pytest.param([], 0, Opinion.CLEAN, id="nothing"),
        pytest.param([SPF], 3, Opinion.SUSPECT, id="at the threshold"),
        pytest.param([LISTED, SPF], 7, Opinion.SUSPECT, id="listings and SPF stay one below hold"),
        pytest.param([LISTED, SPF, PREGREET], 11, Opinion.HOSTILE, id="conduct on top"),
        pytest.param([PREGREET], 4, Opinion.SUSPECT, id="conduct alone"),
        pytest.param([LISTED, WELCOME], 1, Opinion.CLEAN, id="a welcome list takes away"),
        pytest.param([WELCOME, PREGREET], -1, Opinion.CLEAN, id="a welcome list excuses conduct"),
    ],
)
def test_score(findings: list[Finding], score: float, opinion: Opinion) -> None:
    """Hearsay is capped below the hold threshold, conduct is not."""
    assert verdict(*findings).score == score
    assert verdict(*findings).opinion is opinion
    assert verdict(*findings).suspect is (opinion is not Opinion.CLEAN)


def test_with_findings_replaces() -> None:
    """A new finding takes the place of an older one of the same signal; the old verdict is unchanged."""
    before = verdict(LISTED, SPF)
    after = before.with_findings(Finding("spf", Result.PASS, 0, "example.org"), PREGREET)
    assert [finding.signal for finding in after.findings] == ["dnsbl:zen.example", "spf", "pregreet"]
    assert (before.score, after.score) == (7, 10)


def test_with_findings_reports_errors() -> None:
    """A broken zone that comes in later is named among the errors."""
    broken = Finding("dnsbl:dead.example", Result.ERROR, 0, "192.0.2.1: gone")
    assert verdict().with_findings(broken).errors == ("dnsbl:dead.example: 192.0.2.1: gone",)


def test_defaults() -> None:
    """Who was not asked about has an unknown name and no conduct."""
    assert verdict().host.state is HostState.UNKNOWN
    assert not Conduct().pregreet


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("250 ok\r\n\x1b[2J\0é", "250 ok???[2J??"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 197 + "..."),
    ],
)
def test_one_line(text: str, line: str) -> None:
    """DNS-14: what came from a stranger's DNS is bounded printable ASCII."""
    assert one_line(text) == line
    assert Finding("spf", Result.NONE, 0, text).why == line


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_to_address(text: str, address: str) -> None:
    """An IPv4 peer on an IPv6 socket is an IPv4 peer; a scope is not part of the address."""
    assert to_address(text) == ip_address(address)
    assert to_address(ip_address(text)) == ip_address(address)
