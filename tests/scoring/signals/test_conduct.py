"""Each thing a peer may do, what it weighs, and what is excused."""

import pytest

from scoring.conduct import NO_CONDUCT, Conduct
from scoring.config import Config
from scoring.signals.conduct import find_conduct
from scoring.verdict import Basis, Finding, Result
from scoring.weights import DEFAULT_WEIGHTS, SIGNALS


@pytest.mark.parametrize(
    ("conduct", "finding"),
    [
        (Conduct(pregreet=True), "pregreet +4 spoke before the banner, 0.0 s after it connected"),
        (Conduct(early_pipelining=True), "conduct:early-pipelining +2 several commands at once where"),
        (Conduct(out_of_turn=3), "conduct:out-of-turn +2 3 commands out of turn"),
        (Conduct(junk=7), "conduct:junk +2 7 unknown or malformed commands"),
        (Conduct(not_smtp="http"), "conduct:not-smtp +5 spoke http instead of SMTP"),
        (Conduct(bare_newline=True), "conduct:bare-newline +2 a command that ended in a bare CR or LF"),
        (Conduct(recipients=7, recipients_refused=4), "conduct:bad-recipients +4 4 of 7 recipients refused"),
        (Conduct(recipients=4, recipients_refused=4), "conduct:bad-recipients +4 4 of 4 recipients refused"),
        (Conduct(recipients=1, recipients_refused=1), "conduct:refused-rcpt +1 1 of 1 recipients refused"),
        (Conduct(traps=1), "conduct:trap +5 1 trap recipients"),
        (Conduct(traps=9), "conduct:trap +10 9 trap recipients"),
        (Conduct(messages=1, messages_refused=2), "conduct:refused-data +2 2 messages refused, 1 taken"),
        (Conduct(left="rcpt", left_after=9.94), "conduct:no-quit +0 hung up at rcpt after 9.9 s"),
        (Conduct(bad_before=1), "conduct:bad-before +2 offences in 1 earlier sessions"),
        (Conduct(bad_before=5), "conduct:bad-before +4 offences in 5 earlier sessions"),
        (Conduct(good_before=3), "conduct:good-before -3 3 messages taken from it before"),
        (Conduct(good_before=9, bad_before=1), "conduct:bad-before +2 offences in 1 earlier sessions"),
    ],
    ids=str,
)
def test_offences(conduct: Conduct, finding: str) -> None:
    """Each offence is one finding with its own weight, as conduct."""
    (found,) = find_conduct(conduct, Config())
    assert f"{found.signal} {found.points:+g} {found.why}".startswith(finding)
    assert found.basis is Basis.CONDUCT


@pytest.mark.parametrize(
    "conduct",
    [
        pytest.param(NO_CONDUCT, id="nothing"),
        pytest.param(
            Conduct(pregreet=True, pregreet_hello=True, pregreet_after=20.0),
            id="E-MailRelay's EHLO after 20 s",
        ),
        pytest.param(
            Conduct(pregreet=True, pregreet_hello=True, pregreet_after=19.0), id="and a second early"
        ),
        pytest.param(Conduct(out_of_turn=2, junk=2), id="two slips"),
        pytest.param(Conduct(recipients=8, recipients_refused=4), id="half of a list"),
        pytest.param(Conduct(recipients=4, recipients_refused=3), id="three of four"),
        pytest.param(Conduct(recipients=2, recipients_refused=1), id="one of two"),
        pytest.param(Conduct(messages=1, messages_refused=1), id="as many taken as refused"),
        pytest.param(Conduct(good_before=2), id="two messages that slipped through"),
    ],
)
def test_no_offence(conduct: Conduct) -> None:
    """What an honest client does, or does now and then, is no finding."""
    assert find_conduct(conduct, Config()) == ()


@pytest.mark.parametrize(
    "conduct",
    [
        pytest.param(Conduct(pregreet=True, pregreet_hello=True, pregreet_after=18.9), id="too early"),
        pytest.param(Conduct(pregreet=True, pregreet_after=30.0), id="more than an EHLO"),
    ],
)
def test_patience_excuses_one_hello_only(conduct: Conduct) -> None:
    """A bot is not excused because it waited, nor because it began with EHLO."""
    assert [finding.signal for finding in find_conduct(conduct, Config())] == ["pregreet"]


def test_results() -> None:
    """What speaks against a peer is a fail, for it a pass, and what weighs nothing is neutral."""
    seen = Conduct(pregreet=True, left="data", good_before=5)
    results = {finding.signal: finding.result for finding in find_conduct(seen, Config())}
    assert results == {
        "pregreet": Result.FAIL,
        "conduct:no-quit": Result.NEUTRAL,
        "conduct:good-before": Result.PASS,
    }


WORST = Conduct(
    pregreet=True,
    early_pipelining=True,
    out_of_turn=9,
    junk=9,
    not_smtp="tls",
    bare_newline=True,
    recipients=9,
    recipients_refused=9,
    traps=1,
    messages_refused=1,
    left="data",
    bad_before=1,
)


def test_every_weight_is_its_own() -> None:
    """Each finding takes the weight of its own name, and each name of the table is used."""
    weights = {name: float(number) for number, name in enumerate(DEFAULT_WEIGHTS, start=1)}
    config = Config(weights=weights)
    found: dict[str, Finding] = {}
    for conduct in (WORST, Conduct(recipients=1, recipients_refused=1), Conduct(good_before=3)):
        found |= {finding.signal: finding for finding in find_conduct(conduct, config)}
    rows = {row.signal: row.name for row in SIGNALS if row.signal.startswith(("pregreet", "conduct"))}
    assert {signal: finding.points for signal, finding in found.items()} == {
        signal: weights[name] for signal, name in rows.items()
    }
