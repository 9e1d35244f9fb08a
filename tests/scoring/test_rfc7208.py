"""The test suite of RFC 7208 (rfc7208/, 203 cases in 16 scenarios) through our own seam, beside pyspf itself.

`Zone` serves the records of a scenario as a resolver does: a CNAME is followed, a TIMEOUT is UNKNOWN. The
reference is plain pyspf in a thread of its own, its blocking look-ups answered by the same zone.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
import spf
import trio
import yaml

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.signals.spf import Replay, check_spf, identify

SUITE: Final = Path(__file__).parent / "rfc7208" / "rfc7208-tests.yml"
DEFAULT: Final = "SPF fail - not authorized"  # what we say where a domain has no explanation of its own
LONGEST_CHAIN: Final = 8
Question = tuple[str, str]

# Cases that do not come out as the suite wants, by name, each with its reason. There are none.
EXCEPTIONS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Case:
    """One case of the suite: who asks, and the results that are right, the preferred one first."""

    name: str
    host: str
    helo: str
    mail_from: str
    results: tuple[str, ...]
    explanation: str | None
    records: Mapping[str, tuple[Any, ...]]


@dataclass
class Zone:
    """The look-ups of a scenario; keeps what it was asked."""

    records: Mapping[str, tuple[Any, ...]]
    asked: set[Question] = field(default_factory=set)

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what the scenario has."""
        self.asked.add((name, kind))
        return self.find(name.lower(), kind)

    def find(self, name: str, kind: str, hops: int = 0) -> Answer:
        records = self.records.get(name, ())
        held = [value for record in records if record != "TIMEOUT" for key, value in record if key == kind]
        alias = [
            value for record in records if record != "TIMEOUT" for key, value in record if key == "CNAME"
        ]
        if held:
            return answer(kind, held)
        if "TIMEOUT" in records or hops == LONGEST_CHAIN:
            return Answer(Status.UNKNOWN, "DNS timeout")
        return self.find(alias[0].lower(), kind, hops + 1) if alias else Answer(Status.NOTHING)


def answer(kind: str, values: list[Any]) -> Answer:
    match kind:
        case "TXT":
            return Answer(Status.FOUND, texts=tuple("".join(value).encode() for value in values))
        case "MX":
            return Answer(Status.FOUND, exchanges=tuple((value[0], value[1]) for value in values))
        case "PTR":
            return Answer(Status.FOUND, names=tuple(values))
        case _:
            return Answer(Status.FOUND, addresses=tuple(values))


def as_records(held: list[Any]) -> tuple[Any, ...]:
    """Return the records of one name. The suite writes SPF where it means TXT, unless it has TXT as well."""
    pairs = [record if record == "TIMEOUT" else tuple(record.items()) for record in held]
    has_text = any(record != "TIMEOUT" and record[0][0] == "TXT" for record in pairs)
    if not has_text:
        pairs = [record if record == "TIMEOUT" else (as_text(*record[0]),) for record in pairs]
    return tuple(record for record in pairs if record == "TIMEOUT" or record[0][1] != "NONE")


def as_text(kind: str, value: Any) -> tuple[str, Any]:
    return ("TXT" if kind == "SPF" else kind, value)


def read() -> Iterator[Case]:
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        records = {name.lower(): as_records(held) for name, held in scenario["zonedata"].items()}
        for name, test in scenario["tests"].items():
            wanted = test["result"]
            results = (wanted,) if isinstance(wanted, str) else tuple(wanted)
            said = test.get("explanation")
            yield Case(name, test["host"], test["helo"], test["mailfrom"], results, said, records)


CASES: Final = tuple(read())


def test_all_of_it_is_here() -> None:
    """SPF-07: the suite has 203 cases, and no two of one name."""
    assert len(CASES) == len({case.name for case in CASES}) == 203


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_suite(case: Case) -> None:
    """SPF-07: each case has the result that the suite prefers, and its explanation."""
    check = Replay(
        Zone(case.records), ip_address(case.host), identify(case.mail_from, case.helo), until=math.inf
    )
    result, explanation = await check.run()
    assert (result == case.results[0]) is (case.name not in EXCEPTIONS)
    if case.explanation is not None:
        assert explanation == (DEFAULT if case.explanation == "DEFAULT" else case.explanation)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_finding(case: Case) -> None:
    """SPF-07: what a caller is told is the same result, with the points that are its weight."""
    finding = await check_spf(
        Zone(case.records),
        ip_address(case.host),
        Config(),
        helo=case.helo,
        mail_from=case.mail_from,
        until=math.inf,
    )
    assert (finding.signal, finding.result.value) == ("spf", case.results[0])
    assert finding.points == Config().weight(f"spf-{finding.result}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_equals_the_threaded_reference(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, explanation, matched term and counts are those of pyspf with look-ups that block, and nothing
    that it asks is left unasked, except about a name that cannot have a record.
    """
    zone = Zone(case.records)
    check = Replay(zone, ip_address(case.host), identify(case.mail_from, case.helo), until=math.inf)
    said = await check.run()
    reference, asked = await in_a_thread(case, monkeypatch)
    assert said == (reference[0], reference[1])
    rules = check._rules
    if check.who.domain:
        assert (rules.lookups, rules.void_lookups, rules.mechanism) == reference[2:]
        assert asked <= zone.asked


async def in_a_thread(case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[Any, ...], set[Question]]:
    """Return what pyspf says and counts, and what it asked."""
    zone = Zone(case.records)

    def look_up(name: str, kind: str, *_: object) -> list[tuple[Question, Any]]:
        found: Answer = trio.from_thread.run(partial(zone.query, name, kind, until=math.inf))
        if found.status is Status.UNKNOWN:
            raise spf.TempError(f"DNS: {found.why}")
        values = (*found.addresses, *found.names, *found.exchanges, *((text,) for text in found.texts))
        return [((name, kind), value) for value in values]

    def run() -> tuple[Any, ...]:
        query = spf.query(i=case.host, s=case.mail_from, h=case.helo)
        result, _, explanation = query.check()
        return result, explanation, query.lookups, query.void_lookups, query.mechanism

    with monkeypatch.context() as patch:
        patch.setattr(spf, "DNSLookup", look_up)
        return await trio.to_thread.run_sync(run), zone.asked
