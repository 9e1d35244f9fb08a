"""Findings add up to a verdict."""

import math
from dataclasses import replace
from ipaddress import ip_address

import pytest

from scoring.conduct import Conduct
from scoring.verdict import Basis, Finding, HostState, Opinion, Result, Verdict, one_line, to_address

LISTED = Finding("dnsbl:zen.example", Result.LISTED, 6, "127.0.0.2")
SPF = Finding("spf", Result.FAIL, 3, "not from here")
PREGREET = Finding("pregreet", Result.FAIL, 4, "spoke first", basis=Basis.CONDUCT)
WELCOME = Finding("dnswl:welcome.example", Result.LISTED, -5, "127.0.0.3")
FAST = Finding("rate:peer", Result.FAIL, 9, "too fast", basis=Basis.VOLUME)
KNOWN = Finding("conduct:good-before", Result.PASS, -3, "12 messages", basis=Basis.CONDUCT)
TRUSTED = Finding("rdns", Result.PASS, 0, "mail.example is allowed", basis=Basis.ALLOWED)
NAMELESS = Finding("rdns", Result.FAIL, 1, "no name")
SILENT = Finding("dnsbl:dead.example", Result.NO_OPINION, 0, "no answer in time")
UNLISTED = Finding("dnsbl:zen.example", Result.NONE, 0, "not listed")


def verdict(*findings: Finding) -> Verdict:
    return Verdict(findings, suspect_at=3, hold_at=8)


@pytest.mark.parametrize(
    ("findings", "score", "opinion"),
    [
        pytest.param([], 0, Opinion.NO_OPINION, id="nobody asked"),
        pytest.param([SILENT], 0, Opinion.NO_OPINION, id="silence"),
        pytest.param([SILENT, UNLISTED], 0, Opinion.CLEAN, id="one answer is an opinion"),
        pytest.param([FAST], 2, Opinion.CLEAN, id="volume alone stays below suspect"),
        pytest.param([FAST, NAMELESS], 3, Opinion.SUSPECT, id="volume and something else"),
        pytest.param([FAST, LISTED, SPF], 7, Opinion.SUSPECT, id="volume is under the cap too"),
        pytest.param([FAST, NAMELESS, WELCOME], -4, Opinion.CLEAN, id="volume of a listed friend"),
        pytest.param([FAST, NAMELESS, KNOWN], -2, Opinion.CLEAN, id="volume of an old acquaintance"),
        pytest.param([LISTED, SPF, KNOWN], 4, Opinion.SUSPECT, id="a good history comes after the cap"),
        pytest.param([LISTED, PREGREET, FAST, TRUSTED], 0, Opinion.CLEAN, id="the operator's word ends it"),
        pytest.param([SPF], 3, Opinion.SUSPECT, id="at the threshold"),
        pytest.param([LISTED, SPF], 7, Opinion.SUSPECT, id="listings and SPF stay one below hold"),
        pytest.param([LISTED, SPF, PREGREET], 11, Opinion.HOSTILE, id="conduct on top"),
        pytest.param([PREGREET], 4, Opinion.SUSPECT, id="conduct alone"),
        pytest.param([LISTED, WELCOME], 1, Opinion.CLEAN, id="a welcome list takes away"),
        pytest.param([WELCOME, PREGREET], -1, Opinion.CLEAN, id="a welcome list excuses conduct"),
    ],
)
def test_score(findings: list[Finding], score: float, opinion: Opinion) -> None:
    """Hearsay is capped below the hold threshold, volume below the suspect threshold, conduct is not."""
    assert verdict(*findings).score == score
    assert verdict(*findings).opinion is opinion
    assert verdict(*findings).suspect is (opinion in {Opinion.SUSPECT, Opinion.HOSTILE})
    assert verdict(*findings).hostile is (opinion is Opinion.HOSTILE)


@pytest.mark.parametrize(
    ("signal", "points", "vouches"),
    [
        ("dnswl:list.example", -1, True),
        ("dnsbl:mixed.example", -1, True),
        ("conduct:good-before", -1, True),
        ("conduct:good-before", 0, False),
        ("spf", -1, False),
        ("rhsbl:list.example:helo", -1, False),
        ("rdns", -1, False),
    ],
)
def test_vouches(signal: str, points: float, vouches: bool) -> None:
    """A list of addresses or a history may speak for a peer; a name that its owner chooses may not."""
    assert verdict(Finding(signal, Result.PASS, points, "")).vouched_for is vouches


def named(identity: str, points: float, zone: str = "dbl.example") -> Finding:
    return Finding(f"rhsbl:{zone}:{identity}", Result.LISTED, points, "127.0.1.2")


@pytest.mark.parametrize(
    ("findings", "score"),
    [
        pytest.param([named("helo", 1)], 1, id="one name"),
        pytest.param([named("rdns", 1), named("helo", 1), named("mail", 1)], 1, id="one name three times"),
        pytest.param([named("rdns", 1), named("mail", 3)], 3, id="what weighs most"),
        pytest.param([named("helo", 1), named("helo", 2, "uri.example")], 3, id="two lists"),
        pytest.param([named("helo", 3), named("mail", -1), named("rdns", -1)], 2, id="for and against"),
        pytest.param([named("helo", 1), LISTED], 7, id="beside a list of addresses"),
    ],
)
def test_a_list_of_names_counts_once(findings: list[Finding], score: float) -> None:
    """A peer that uses one listed name as HELO name, reverse name and reverse-path is listed once."""
    assert verdict(*findings).score == score


def test_volume_with_a_tiny_threshold() -> None:
    """A suspect threshold below 1 does not turn volume into a reward."""
    assert Verdict((FAST,), suspect_at=0.5, hold_at=8).score == 0


@pytest.mark.parametrize(
    ("lives", "lifetime"),
    [([], 3600), ([5], 60), ([300, 900], 300), ([math.inf], 3600), ([86400], 3600), ([-1], 60)],
)
def test_lifetime(lives: list[float], lifetime: float) -> None:
    """A verdict holds as long as its shortest-lived finding, at least a minute, at most an hour."""
    findings = [Finding(f"dnsbl:{life}", Result.NONE, 0, "", life=life) for life in lives]
    assert verdict(*findings).lifetime == lifetime


@pytest.mark.parametrize("result", [Result.NO_OPINION, Result.ERROR, Result.TEMPERROR])
def test_silence_is_soon_forgotten(result: Result) -> None:
    """A zone that did not answer is asked again after a minute."""
    assert verdict(UNLISTED, Finding("dnsbl:dead.example", result, 0, "")).lifetime == 60


def test_joined() -> None:
    """It is what adding the findings gives; the same ones give the same verdict, until others are joined."""
    before, said, others = verdict(PREGREET), (KNOWN,), (KNOWN, PREGREET)
    joined = before.joined(said)
    assert joined == before.with_findings(*said)
    assert joined.score == before.with_findings(*said).score
    assert before.joined(said) is joined
    assert before.joined(others) == before.with_findings(*others)
    assert before.joined(said) == joined
    assert before == verdict(PREGREET)


def test_aged() -> None:
    """Later, findings are older and hold less long; nothing else has changed."""
    before = Finding("spf", Result.FAIL, 3, "why", seconds=0.5, basis=Basis.VOLUME, age=10, life=300)
    after = verdict(before).aged(25).findings[0]
    assert (after.age, after.life) == (35, 275)
    assert replace(after, age=10, life=300) == before
    assert before.aged(25) == after
    assert verdict(before).aged(25) == verdict(after)
    assert verdict(before, PREGREET).aged(25).score == verdict(before, PREGREET).score


def test_the_score_follows_from_the_findings() -> None:
    """A verdict that is made from another one has a score of its own."""
    before = verdict(LISTED, SPF)
    assert (replace(before, findings=(SPF,)).score, replace(before, hold_at=5).score) == (3, 4)


def test_with_findings_replaces() -> None:
    """A new finding takes the place of an older one of the same signal; the old verdict is unchanged."""
    before = verdict(LISTED, SPF)
    after = before.with_findings(Finding("spf", Result.PASS, 0, "example.org"), PREGREET)
    assert [finding.signal for finding in after.findings] == ["dnsbl:zen.example", "spf", "pregreet"]
    assert (before.score, after.score) == (7, 10)
    assert before.with_findings() is before


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
