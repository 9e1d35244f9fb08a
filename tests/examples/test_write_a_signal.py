"""The signal of docs/scoring.md, as a reader would run it."""

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from examples import write_a_signal
from examples.write_a_signal import find_home, judge
from scoring import Answer, Config, Lookup, Result, Scorer, Status
from tests.support.dns_zone import FakeResolver, found

DOMAIN = "home.example"
NULL_MX = Answer(Status.FOUND, exchanges=((0, ""),))
SICK = Answer(Status.UNKNOWN, "SERVFAIL")


@pytest.mark.parametrize(
    ("records", "result", "why"),
    [
        pytest.param({"MX": Answer(Status.FOUND, exchanges=((10, "mx.example"),))}, Result.PASS, "", id="MX"),
        pytest.param({"MX": NULL_MX}, Result.FAIL, "RFC 7505", id="null MX"),
        pytest.param({"A": found("192.0.2.1")}, Result.PASS, "", id="A"),
        pytest.param({"AAAA": found("2001:db8::1"), "A": SICK}, Result.PASS, "", id="AAAA"),
        pytest.param({}, Result.FAIL, "no MX record and no address", id="nothing"),
        pytest.param({"MX": SICK}, Result.NO_OPINION, "SERVFAIL", id="MX unknown"),
        pytest.param({"A": SICK}, Result.NO_OPINION, "SERVFAIL", id="A unknown"),
    ],
)
async def test_find_home(records: Mapping[str, Answer], result: Result, why: str) -> None:
    """What DNS says of the domain becomes one finding; what it does not say is no opinion."""
    resolver = FakeResolver({(DOMAIN, kind): answer for kind, answer in records.items()})
    finding = await find_home(resolver, DOMAIN, until=trio.current_time() + 3)
    assert (finding.result, finding.points) == (result, 2 if result is Result.FAIL else 0)
    assert why in finding.why


async def test_it_keeps_its_deadline(autojump_clock: MockClock) -> None:
    """Silent DNS costs exactly the seconds that the signal was given."""
    resolver = FakeResolver({}, seconds={DOMAIN: 60})
    finding = await find_home(resolver, DOMAIN, until=trio.current_time() + 3)
    assert (finding.result, trio.current_time()) == (Result.NO_OPINION, 3)


async def test_judge(autojump_clock: MockClock) -> None:
    """Its points are added to those of the other signals."""
    resolver = FakeResolver({})
    verdict = await judge(Scorer(Config(), resolver), resolver, "192.0.2.1", f"a@{DOMAIN}")
    assert {finding.signal for finding in verdict.findings} >= {"rdns", "spf", "mail-home"}
    assert (verdict.score, verdict.suspect) == (3, True)  # no reverse name, and nowhere to answer


def test_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As a script it prints a line a finding and the sum."""

    def nobody() -> Lookup:
        return FakeResolver({})

    monkeypatch.setattr(write_a_signal, "Resolver", nobody)
    write_a_signal.main("192.0.2.1", f"a@{DOMAIN}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "+2  mail-home: fail (nobody could answer: it has no MX record and no address)",
        "3  suspect",
    ]
