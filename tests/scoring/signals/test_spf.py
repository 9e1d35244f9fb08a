"""SPF by replay gives what pyspf gives, without its blocking look-ups."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
import spf
import trio
from trio.testing import MockClock

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.resolve import Resolver
from scoring.signals.spf import (
    LONGEST_NAME,
    LONGEST_RECORD,
    LONGEST_TERM,
    LONGEST_TEXT,
    MOST_OCTETS,
    Replay,
    check_spf,
    check_spf_helo,
    identify,
)
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
    ("line end in an address", policy(d="v=spf1 ip4:192.0.2.9\n -all"), "permerror"),
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


def replaying(resolver: FakeResolver, sender: str = "a@d.example") -> Replay:
    return Replay(resolver, ip_address(PEER), identify(sender, "mail.example"), until=math.inf)


async def replay(table: Mapping[tuple[str, str], Answer], sender: str = "a@d.example") -> tuple[str, str]:
    result, explanation = await replaying(FakeResolver(table), sender).run()
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
    assert await check(FakeResolver({})) == Finding("spf", Result.NONE, 0, "d.example", life=3600)


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
    check = replaying(resolver)
    check._rules.t = "1700000000"
    assert await check.run() == (Result.FAIL, "not at 1700000000")


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
    terms = " ".join(f"a:h{n}.example" for n in range(250))
    resolver = FakeResolver(policy(d=f"v=spf1 ip4:192.0.2.1 {terms} -all"))
    async with trio.open_nursery() as nursery:
        await replaying(resolver)._fetch(("d.example", "TXT"), nursery)
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


HOSTILE = {
    "a term of dots": "v=spf1 a:{} -all".format("a." * 30_000 + "%{d}"),
    "a modifier of dots": "v=spf1 x={} -all".format("a." * 30_000 + "%{d}"),
    "a number of 4,400 digits": "v=spf1 a:d.example/1" + "0" * 4_400,
    "a macro of 4,400 digits": "v=spf1 a:%{d1" + "0" * 4_400 + "}.d.example",
    "a long last label": "v=spf1 a:x." + "a" * 60_000 + "!",
    "thousands of terms": "v=spf1" + " a:%{d}" * 9_000,
    "thousands of macros": "v=spf1 exists:" + "%{S}" * 15_000 + ".example",
}


@pytest.mark.parametrize("record", HOSTILE.values(), ids=HOSTILE)
async def test_records_that_are_too_long(record: str) -> None:
    """SPF-06: what is longer than anybody's record is broken; pyspf worked 72 s on the first of these."""
    began = time.process_time()
    assert (await check(FakeResolver(policy(d=record)))).result is Result.PERMERROR
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1 a:" + "a" * (LONGEST_TERM - 2), Result.PERMERROR),
        ("v=spf1 x=" + "a" * (LONGEST_TERM - 2), Result.FAIL),
        ("v=spf1 x=" + "a" * (LONGEST_TERM - 1), Result.PERMERROR),
        ("v=spf1" + " " * (LONGEST_RECORD - 11), Result.FAIL),
        ("v=spf1" + " " * (LONGEST_RECORD - 10), Result.PERMERROR),
    ],
)
async def test_the_longest_record(record: str, result: Result) -> None:
    """A term may have 255 octets, a record 4,096."""
    assert (await check(FakeResolver(policy(d=record + " -all")))).result is result


def padded(head: str, tail: str = " -all", filler: str = " ip4:192.0.2.9") -> str:
    """Return a record as long as one may be."""
    return head + filler * ((LONGEST_RECORD - len(head) - len(tail)) // len(filler)) + tail


FULL = {f"c{n}": padded(f"v=spf1 include:c{n + 1}.example") for n in range(9)} | {"c9": padded("v=spf1")}
WORK = {
    "ten full records": padded("v=spf1 include:c0.example"),
    "ten full records by macro": padded("v=spf1 include:%{l}0.example"),
    "names of 2,000 octets": "v=spf1 " + " ".join(["exists:" + "%{S}" * 60 + ".example"] * 10),
    "as many explanations as there are records": padded("v=spf1 exp=why.%{d} include:c0.example"),
    "labels without end": padded("v=spf1 mx", filler=" x=" + "a." * 120 + "%{d}"),
    "top labels that are none": padded("v=spf1 mx", filler=" x=." + "a-" * 120),
    "peer's name in each term": padded("v=spf1 mx", filler=" x=" + "%{P}" * 60),
}


@pytest.mark.parametrize("record", WORK.values(), ids=WORK)
async def test_work_is_bounded(record: str) -> None:
    """No record keeps the others waiting: it gets half a second of CPU at the very most."""
    names = [f"m{n}.example" for n in range(10)]
    table = policy(d=record, **FULL) | {(name, "A"): found("192.0.2.9") for name in names}
    table |= {PTR: found(*names), ("d.example", "MX"): exchanges(*names)}
    table |= {(f"why.{name}.example", "TXT"): texts("%{S}" * 9_000) for name in ("d", *FULL)}
    began = time.process_time()
    finding = await check(FakeResolver(table), mail_from="c@d.example", helo="%{i}" * 60)
    assert finding.result in {Result.FAIL, Result.PERMERROR, Result.NEUTRAL}
    assert time.process_time() - began < 0.5


async def test_octets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read over all runs is bounded, whatever the records are made of."""
    includes = {f"c{n}": padded(f"v=spf1 include:%{{l}}{n + 1}.example mx") for n in range(9)}
    table = policy(d=padded("v=spf1 include:%{l}0.example"), c9=padded("v=spf1 mx"), **includes)
    check = replaying(FakeResolver(table), "c@d.example")
    check._octets = MOST_OCTETS - 3 * LONGEST_RECORD
    result, explanation = await check.run()
    assert (result, explanation) == (
        Result.PERMERROR,
        "SPF Permanent Error: the records are too much work",
    )


async def test_explanation_is_cut() -> None:
    """A text that is no record is read so far."""
    check = replaying(FakeResolver(policy(d="v=spf1 -all exp=why.example", why="no. " * 400)))
    assert await check.run() == (Result.FAIL, ("no. " * 400)[:LONGEST_TEXT])


async def test_ptr_of_eleven_names() -> None:
    """SPF-03: the eleventh name of an address is not looked up."""
    names = [f"n{n}.example" for n in range(10)] + ["mail.d.example"]
    table = policy(d="v=spf1 ptr -all") | {PTR: found(*names), ("mail.d.example", "A"): found(PEER)}
    table |= {(name, "A"): found("192.0.2.9") for name in names[:10]}
    resolver = FakeResolver(table)
    assert (await check(resolver)).result is Result.FAIL
    assert ("mail.d.example", "A") not in resolver.asked


async def test_names_are_cut_from_the_left() -> None:
    """SPF-06: a name of more than 253 octets loses labels from the left until it fits (section 7.3)."""
    label = "x" * 60
    resolver = FakeResolver(policy(d="v=spf1 exists:%{h}.%{h}.d.example -all"))
    assert (await check(resolver, helo=".".join([label] * 3))).result is Result.FAIL
    assert [name for name, kind in resolver.asked if kind == "A"] == [".".join([label] * 4) + ".d.example"]
    assert all(len(name) <= LONGEST_NAME for name, _ in resolver.asked)


@pytest.mark.parametrize(
    "helo",
    [
        "%{d}.example",
        "a b\r\nRCPT TO:<x>",
        "\x00",
        "..",
        "x" * 70,
        "[192.0.2.1]",
        "",
        "é.example",
        "\udcff\udc80",
    ],
)
@pytest.mark.parametrize("macro", ["%{h}", "%{H}", "%{hr}", "%{h1}", "%{h/x}"])
async def test_hostile_helo_name(helo: str, macro: str) -> None:
    """SPF-06: a HELO name is put in as it is and never read as a macro; what is no name is nowhere."""
    resolver = FakeResolver(policy(d=f"v=spf1 exists:{macro}.d.example -all"))
    finding = await check(resolver, helo=helo)
    assert finding.result is Result.FAIL
    assert all(name.isascii() and not name.startswith("d.example.example") for name, _ in resolver.asked)


async def test_local_part_beyond_ascii_matches_nothing() -> None:
    """No name in DNS has it (RFC 8616, section 4)."""
    resolver = FakeResolver(policy(d="v=spf1 exists:%{l}.d.example -all"))
    assert (await check(resolver, mail_from="jos\u00e9@d.example")).result is Result.FAIL
    assert resolver.asked == [("d.example", "TXT")]


@pytest.mark.parametrize(
    ("mail_from", "local", "domain"),
    [
        ("a@d.example", "a", "d.example"),
        ("<a@d.example>", "a", "d.example"),
        ("<a@d.example.>", "a", "d.example"),
        ('"x@evil.example"@d.example', '"x@evil.example"', "d.example"),
        ("<@relay.example,@b.example:a@d.example>", "a", "d.example"),
        ("@d.example", "postmaster", "d.example"),
        ("a@m\u00fcnchen.example", "a", "xn--mnchen-3ya.example"),
        ("a@xn--mnchen-3ya.example", "a", "xn--mnchen-3ya.example"),
        ("a@\u00fc..example", "a", ""),
        ("a@" + "d." * 130 + "example", "a", ""),
        ("a@[192.0.2.1]", "a", ""),
        ("a@localhost", "a", ""),
        ("<>", "postmaster", "mail.example"),
    ],
)
def test_identify(mail_from: str, local: str, domain: str) -> None:
    """No way to write an address hides its domain's record."""
    who = identify(mail_from, "mail.example")
    assert (who.local, who.domain, who.helo) == (local, domain, "mail.example")


async def test_quoted_at_sign() -> None:
    """The domain is behind the last `@`, also in `%{o}` and `%{d}`."""
    table = policy(d="v=spf1 exists:%{o}.%{l}.d.example -all")
    resolver = FakeResolver(table)
    assert (await check(resolver, mail_from='"x@y"@d.example')).result is Result.FAIL
    assert ('d.example."x@y".d.example', "A") in resolver.asked


@pytest.mark.parametrize(
    ("record", "result", "points"),
    [("-all", Result.FAIL, 2), ("~all", Result.SOFTFAIL, 0.5), ("+all", Result.PASS, 0)],
)
async def test_helo(record: str, result: Result, points: float) -> None:
    """The HELO name has a finding, and weights, of its own (section 2.3)."""
    finding = await check_helo(FakeResolver(policy(mail=f"v=spf1 {record}")), "mail.example")
    assert (finding.signal, finding.result, finding.points) == ("spf-helo", result, points)
    assert finding.why.startswith("mail.example: ")


async def check_helo(resolver: FakeResolver, helo: str) -> Finding:
    return await check_spf_helo(resolver, ip_address(PEER), Config(), helo=helo, until=math.inf)


@pytest.mark.parametrize("helo", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", ""])
async def test_helo_without_a_domain(helo: str) -> None:
    """An address literal or a bare word has no record, and is not asked about."""
    resolver = FakeResolver({})
    finding = await check_helo(resolver, helo)
    assert (finding.signal, finding.result, finding.why) == (
        "spf-helo",
        Result.NONE,
        f"no domain to ask in {helo or 'an empty name'}",
    )
    assert resolver.asked == []


async def test_life_and_age() -> None:
    """A finding holds as long as the shortest-lived answer it rests on; what was only likely has no say."""
    table = {
        ("d.example", "TXT"): replace(texts("v=spf1 a -include:never.example -all"), life=900.0, age=30.0),
        ("d.example", "A"): replace(found(PEER), life=300.0, age=7.0),
        ("never.example", "TXT"): replace(texts("v=spf1 -all"), life=60.0, age=999.0),
    }
    finding = await check(FakeResolver(table))
    assert (finding.result, finding.life, finding.age) == (Result.PASS, 300.0, 30.0)


async def test_peers_name_is_counted_in_each_run() -> None:
    """A term with `%{p}` costs what it costs pyspf, however many runs there are."""
    table = policy(d="v=spf1 exists:%{p}.a.example exists:%{p}.%{i}.example a:x.example a:y.example -all")
    table |= {PTR: found("n1.example")}
    check = replaying(FakeResolver(table))
    assert (await check.run())[0] is Result.PERMERROR
    assert check._rules.void_lookups == 3
