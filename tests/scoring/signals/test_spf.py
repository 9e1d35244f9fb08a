"""SPF by replay gives what pyspf gives, without its blocking look-ups."""

import math
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
import spf
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring.config import Config
from scoring.resolve import Answer, Resolver, Status
from scoring.signals.spf import Replay, check_spf
from scoring.verdict import Finding, Result
from tests.support.dns_zone import FakeResolver, found, serving

PEER = "192.0.2.1"
Table = dict[tuple[str, str], Answer]


def texts(*records: str) -> Answer:
    return Answer(Status.FOUND, texts=tuple(record.encode("latin-1") for record in records))


def policy(**records: str) -> Table:
    """Return the TXT records of `name.example`, given by name."""
    return {(f"{name}.example", "TXT"): texts(record) for name, record in records.items()}


def exchanges(*names: str) -> Answer:
    return Answer(Status.FOUND, exchanges=tuple((10 * n, name) for n, name in enumerate(names)))


SERVFAIL = Answer(Status.UNKNOWN, "SERVFAIL")
PTR = ("1.2.0.192.in-addr.arpa", "PTR")
CHAIN = {f"c{n}": f"v=spf1 include:c{n + 1}.example -all" for n in range(12)}

# (id, records, the result); the sender is a@d.example, the peer 192.0.2.1
CASES: Sequence[tuple[str, Mapping[tuple[str, str], Answer], str]] = [
    ("pass by ip4", policy(d="v=spf1 ip4:192.0.2.0/24 -all"), "pass"),
    ("fail", policy(d="v=spf1 -all"), "fail"),
    ("softfail", policy(d="v=spf1 ~all"), "softfail"),
    ("neutral", policy(d="v=spf1 ?all"), "neutral"),
    ("no record", {}, "none"),
    ("record that is not SPF", {("d.example", "TXT"): texts("v=spf10 -all", "hello")}, "none"),
    ("a", policy(d="v=spf1 a -all") | {("d.example", "A"): found("192.0.2.1")}, "pass"),
    (
        "a with prefix",
        policy(d="v=spf1 a:x.example/24 -all") | {("x.example", "A"): found("192.0.2.9")},
        "pass",
    ),
    ("all is not a:ll", policy(d="v=spf1 all"), "pass"),
    (
        "mx",
        policy(d="v=spf1 mx -all")
        | {
            ("d.example", "MX"): exchanges("m1.example", "M2.example"),
            ("m2.example", "A"): found("192.0.2.1"),
        },
        "pass",
    ),
    (
        "mx of 11 hosts",  # SPF-03
        policy(d="v=spf1 mx -all") | {("d.example", "MX"): exchanges(*(f"m{n}.example" for n in range(11)))},
        "permerror",
    ),
    ("include pass", policy(d="v=spf1 include:e.example -all", e="v=spf1 ip4:192.0.2.1 -all"), "pass"),
    ("include fail goes on", policy(d="v=spf1 include:e.example ~all", e="v=spf1 -all"), "softfail"),
    ("include of nothing", policy(d="v=spf1 include:e.example -all"), "permerror"),
    ("redirect", policy(d="v=spf1 redirect=e.example", e="v=spf1 -all"), "fail"),
    ("redirect to nothing", policy(d="v=spf1 redirect=e.example"), "permerror"),
    (
        "include loop",
        policy(d="v=spf1 include:e.example -all", e="v=spf1 include:d.example -all"),
        "permerror",
    ),
    ("eleven look-ups", policy(d="v=spf1 include:c0.example -all", **CHAIN), "permerror"),  # SPF-01
    ("two void look-ups", policy(d="v=spf1 a:n1.example a:n2.example -all"), "fail"),
    (
        "three void look-ups",
        policy(d="v=spf1 a:n1.example a:n2.example a:n3.example -all"),
        "permerror",
    ),  # SPF-02
    (
        "exists with macro",
        policy(d="v=spf1 exists:%{ir}.%{l}.d.example -all")
        | {("1.2.0.192.a.d.example", "A"): found("127.0.0.2")},
        "pass",
    ),
    (
        "ptr",
        policy(d="v=spf1 ptr -all")
        | {PTR: found("n.example", "mail.d.example"), ("mail.d.example", "A"): found(PEER)},
        "pass",
    ),
    ("bare except in ptr", policy(d="v=spf1 ptr ?all") | {PTR: SERVFAIL}, "temperror"),
    ("two records", {("d.example", "TXT"): texts("v=spf1 -all", "v=spf1 +all")}, "permerror"),  # SPF-06
    ("junk record", policy(d="v=spf1 moo -all"), "permerror"),
    ("macro that is none", policy(d="v=spf1 a:%x.example -all"), "permerror"),
    ("bytes that are not ASCII", policy(d="v=spf1 a:\xe9.example -all"), "permerror"),
    ("server fails", {("d.example", "TXT"): SERVFAIL}, "temperror"),
    (
        "server fails in an include",
        policy(d="v=spf1 include:e.example -all") | {("e.example", "TXT"): SERVFAIL},
        "temperror",
    ),
    (
        "match before the server that fails",
        policy(d="v=spf1 ip4:192.0.2.1 include:e.example -all") | {("e.example", "TXT"): SERVFAIL},
        "pass",
    ),
    ("explanation", policy(d="v=spf1 -all exp=why.example", why="not %{i}, please"), "fail"),
]


def plain(
    table: Mapping[tuple[str, str], Answer], monkeypatch: pytest.MonkeyPatch, sender: str
) -> tuple[str, str]:
    """Return what pyspf itself says, over look-ups that block."""

    def look_up(name: str, kind: str, *_: object) -> list[tuple[tuple[str, str], Any]]:
        answer = table.get((name.lower(), kind), Answer(Status.NOTHING))
        if answer.status is Status.UNKNOWN:
            raise spf.TempError("DNS: " + answer.why)
        values = (*answer.addresses, *answer.names, *answer.exchanges, *((text,) for text in answer.texts))
        return [((name, kind), value) for value in values]

    with monkeypatch.context() as patch:
        patch.setattr(spf, "DNSLookup", look_up)
        result, explanation = spf.check2(i=PEER, s=sender, h="mail.example")
    return result, explanation


async def replay(table: Mapping[tuple[str, str], Answer], sender: str = "a@d.example") -> tuple[str, str]:
    check = Replay(FakeResolver(table), ip_address(PEER), sender=sender, helo="mail.example", until=math.inf)
    result, explanation = await check.run()
    return result.value, explanation


@pytest.mark.parametrize(("table", "result"), [pytest.param(case[1], case[2], id=case[0]) for case in CASES])
async def test_equals_pyspf(
    table: Mapping[tuple[str, str], Answer], result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPF-01 to SPF-03, SPF-06: result and explanation are pyspf's own over the same records."""
    before = spf.DNSLookup
    replayed = await replay(table)
    assert replayed[0] == result
    assert replayed == plain(table, monkeypatch, "a@d.example")
    assert spf.DNSLookup is before


async def test_ipv6() -> None:
    """An IPv6 peer is looked for under AAAA, ahead of being asked for too."""
    table = policy(d="v=spf1 a mx -all") | {
        ("d.example", "MX"): exchanges("m.example"),
        ("m.example", "AAAA"): found("2001:db8::1"),
    }
    resolver = FakeResolver(table)
    finding = await check(resolver, "2001:db8::1")
    assert finding.result is Result.PASS
    assert ("d.example", "A") not in resolver.asked


async def check(
    resolver: FakeResolver | Resolver,
    peer: str = PEER,
    *,
    helo: str = "mail.example",
    mail_from: str = "a@d.example",
    until: float = math.inf,
    rounds: int = 150,
) -> Finding:
    return await check_spf(
        resolver, ip_address(peer), Config(), helo=helo, mail_from=mail_from, until=until, rounds=rounds
    )


@pytest.mark.parametrize(
    ("record", "result", "points"),
    [
        ("-all", Result.FAIL, 3),
        ("~all", Result.SOFTFAIL, 1),
        ("moo", Result.PERMERROR, 1),
        ("+all", Result.PASS, 0),
    ],
)
async def test_points(record: str, result: Result, points: float) -> None:
    """Each result has the points of its own weight."""
    finding = await check(FakeResolver(policy(d=f"v=spf1 {record}")))
    assert (finding.signal, finding.result, finding.points) == ("spf", result, points)
    assert finding.why.startswith("d.example: ")


async def test_no_record() -> None:
    """A domain that says nothing is named."""
    assert await check(FakeResolver({})) == Finding("spf", Result.NONE, 0, "d.example")


@pytest.mark.parametrize("null", ["", "<>"])
async def test_null_sender(null: str) -> None:
    """SPF-05: for the null sender the HELO name is asked."""
    finding = await check(FakeResolver(policy(mail="v=spf1 -all")), mail_from=null)
    assert (finding.result, finding.why.partition(":")[0]) == (Result.FAIL, "mail.example")


@pytest.mark.parametrize(
    ("helo", "mail_from"),
    [("", ""), ("localhost", ""), ("[192.0.2.1]", ""), ("mail.example", "a@localhost"), ("x", "<a>")],
)
async def test_no_domain(helo: str, mail_from: str) -> None:
    """A name that cannot have a record is not asked about (RFC 7208, section 4.3)."""
    resolver = FakeResolver({})
    finding = await check(resolver, helo=helo, mail_from=mail_from)
    assert (finding.result, resolver.asked) == (Result.NONE, [])


async def test_time_stands_still() -> None:
    """`%{t}` is the time at which the check began, in whichever run it is read."""
    resolver = FakeResolver(policy(d="v=spf1 -all exp=why.example", why="not at %{t}"))
    replay = Replay(resolver, ip_address(PEER), sender="a@d.example", helo="mail.example", until=math.inf)
    replay._now = "1700000000"
    assert await replay.run() == (Result.FAIL, "not at 1700000000")


async def test_rounds_are_bounded() -> None:
    """A check that does not come to an end is a temporary error."""
    finding = await check(FakeResolver(policy(d="v=spf1 -all")), rounds=1)
    assert finding == Finding("spf", Result.TEMPERROR, 0, "d.example: too many look-ups")


async def test_deadline(autojump_clock: MockClock) -> None:
    """SPF-04: what has not answered in time has no opinion."""
    resolver = FakeResolver(
        policy(d="v=spf1 include:e.example -all"), seconds={"d.example": 1, "e.example": 9}
    )
    start = trio.current_time()
    finding = await check(resolver, until=start + 3)
    assert (finding, trio.current_time() - start) == (
        Finding("spf", Result.NO_OPINION, 0, "no answer in time"),
        3,
    )


async def test_likely_look_ups_run_at_once(autojump_clock: MockClock) -> None:
    """Includes, and the hosts of an MX, are fetched side by side: three times 1 s, not thirteen."""
    hosts = [f"m{n}.example" for n in range(10)]
    table = policy(d="v=spf1 include:e.example mx -all", e="v=spf1 include:f.example -all", f="v=spf1 -all")
    table |= {("d.example", "MX"): exchanges(*hosts), ("m9.example", "A"): found(PEER)}
    table |= {(host, "A"): found("192.0.2.9") for host in hosts[:9]}
    names = [name for name, _ in table]
    start = trio.current_time()
    finding = await check(FakeResolver(table, seconds=dict.fromkeys(names, 1)))
    assert (finding.result, trio.current_time() - start) == (Result.PASS, 3)


async def test_nothing_waits_for_what_was_only_likely(autojump_clock: MockClock) -> None:
    """A look-up made ahead and not needed holds nobody up."""
    table = policy(d="v=spf1 ip4:192.0.2.1 include:slow.example -all")
    start = trio.current_time()
    finding = await check(FakeResolver(table, seconds={"slow.example": 100}))
    assert (finding.result, trio.current_time() - start) == (Result.PASS, 0)


async def test_looking_ahead_is_bounded() -> None:
    """A record of hundreds of terms does not buy hundreds of look-ups."""
    terms = " ".join(f"a:h{n}.example" for n in range(500))
    resolver = FakeResolver(policy(d=f"v=spf1 ip4:192.0.2.1 {terms} -all"))
    check = Replay(resolver, ip_address(PEER), sender="a@d.example", helo="mail.example", until=math.inf)
    async with trio.open_nursery() as nursery:
        await check._fetch(("d.example", "TXT"), nursery)
    assert len(resolver.asked) == 51


async def test_over_datagrams() -> None:
    """The same over a real server, long records in several strings."""
    records = {
        ("d.example", "TXT"): ['"v=spf1 a:m.exam" "ple ip4:198.51.100.0/24 -all"'],
        ("m.example", "A"): [PEER],
    }
    async with serving(records) as zone:
        finding = await check(Resolver([zone.address]), until=trio.current_time() + 5)
    assert finding.result is Result.PASS


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
