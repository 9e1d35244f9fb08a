"""From verdict, stage, load and what a peer has shown to a pace: the table."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

import pytest

from scoring.verdict import Basis, Finding, Result, Verdict
from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.policy import (
    EARNED,
    NEVER_SLOWED,
    OFFENCES,
    PART_OF_REPLY,
    READ_AT_ONCE,
    Patience,
    ReadPace,
    Shown,
    Treatment,
    choose_pace,
    choose_read_pace,
    choose_treatment,
    explain_pace,
    proofs_of_honesty,
    refused_at_once,
)
from tarpit.variables import Variables
from tests.support.zoo import BUDGETS, Budget, budgets_table, clients_table

PAGE: Final = Path(__file__).parent.parent / "docs/policy.md"
PATIENCE: Final = Patience(
    byte=1, delay=4, banner=15, reply=24, session=240, hold=400, jitter=0.2, data=10, read=1000
)
SLOWED: Final = [stage for stage in Stage if stage not in NEVER_SLOWED]
REPLIES: Final = [stage for stage in SLOWED if stage is not Stage.BANNER]
LATER: Final = [Stage.MAIL, Stage.RCPT, Stage.DATA]
PASSED: Final = Finding("spf", Result.PASS, 0.0, "it is from there")
VOUCHED: Final = Finding("dnswl:w.example", Result.LISTED, -1.0, "well known")


def scored(points: float, *more: Finding, basis: Basis = Basis.HEARSAY) -> Verdict:
    """Return a verdict; suspect from 3 points, held from 8."""
    return Verdict((Finding("x", Result.LISTED, points, "why", basis=basis), *more), suspect_at=3, hold_at=8)


CLEAN: Final = scored(2.9)
SUSPECT: Final = scored(6)
HOSTILE: Final = scored(8, basis=Basis.CONDUCT)


@pytest.mark.parametrize(
    ("verdict", "treatment"),
    [
        (scored(0), Treatment.PASS),
        (CLEAN, Treatment.PASS),
        (scored(3), Treatment.SLOW),
        (scored(99), Treatment.SLOW),  # who is merely listed is slow, never held
        (HOSTILE, Treatment.HOLD),
    ],
)
def test_treatment(verdict: Verdict, treatment: Treatment) -> None:
    """The thresholds belong to the treatment above them."""
    assert choose_treatment(verdict) is treatment


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("load", [0.0, 0.8, 1.0])
def test_clean_is_full_speed(stage: Stage, load: float) -> None:
    """A clean peer never waits, however full it is and whatever it did."""
    assert choose_pace(CLEAN, stage, PATIENCE, load=load, shown=Shown(offences=99)) is FULL_SPEED


@pytest.mark.parametrize("verdict", [SUSPECT, HOSTILE])
@pytest.mark.parametrize("stage", [Stage.PROMPT, Stage.END])
def test_never_slowed(verdict: Verdict, stage: Stage) -> None:
    """NET-10 RSET, NOOP, QUIT, STARTTLS and the end of data are answered at once, whoever asks."""
    assert choose_pace(verdict, stage, PATIENCE) is FULL_SPEED


@pytest.mark.parametrize(("points", "share"), [(3, 0.5), (4.5, 0.75), (6, 1.0), (7, 1.0)])
def test_share_of_a_suspect(points: float, share: float) -> None:
    """Half the pace at the threshold, all of it at twice the threshold, and no more beyond."""
    assert choose_pace(scored(points), Stage.HELLO, PATIENCE) == Pace(4 * share, share, 24, 0.2)


def test_a_threshold_of_nothing() -> None:
    """Where everybody is to be a suspect, everybody has the full pace."""
    verdict = replace(scored(1), suspect_at=0)
    assert choose_pace(verdict, Stage.HELLO, PATIENCE) == Pace(4, 1, 24, 0.2)


@pytest.mark.parametrize("stage", REPLIES)
def test_front_loaded(stage: Stage) -> None:
    """EHLO has the whole budget of a reply, what comes after it half; junk is spared nothing."""
    assert choose_pace(SUSPECT, stage, PATIENCE).within == (12 if stage in LATER else 24)


@pytest.mark.parametrize("stage", LATER)
@pytest.mark.parametrize(("offences", "within"), [(0, 12), (OFFENCES - 1, 12), (OFFENCES, 24), (99, 24)])
def test_offences_end_the_favour(stage: Stage, offences: int, within: float) -> None:
    """Who guesses recipients or speaks out of turn waits the whole budget at every reply."""
    assert choose_pace(SUSPECT, stage, PATIENCE, shown=Shown(offences=offences)).within == within


@pytest.mark.parametrize("stage", REPLIES)
@pytest.mark.parametrize(("spent", "left"), [(0, 240), (230, 10), (240, 0), (300, 0)])
def test_budget_of_a_session(stage: Stage, spent: float, left: float) -> None:
    """A reply has its own budget, or what is left of the session's."""
    pace = choose_pace(SUSPECT, stage, PATIENCE, spent=spent)
    assert pace.within == min(left, 24 * PART_OF_REPLY.get(stage, 1))
    assert pace.slow is (left > 0)


@pytest.mark.parametrize(("waited", "within"), [(0, 12), (5, 7), (12, 0), (99, 0)])
def test_what_a_reply_has_waited_already_counts(waited: float, within: float) -> None:
    """Look-ups and the backend's own time come out of the budget, not on top of it."""
    assert choose_pace(SUSPECT, Stage.RCPT, PATIENCE, waited=waited).within == within


@pytest.mark.parametrize(("spent", "within"), [(0, 15), (3, 12), (15, 0), (20, 0)])
def test_budget_of_the_banner(spent: float, within: float) -> None:
    """The banner's budget counts from the connection."""
    assert choose_pace(SUSPECT, Stage.BANNER, PATIENCE, spent=spent).within == within


def test_the_banner_is_within_the_session() -> None:
    """A session's budget that is smaller than the banner's holds for the banner too."""
    assert choose_pace(SUSPECT, Stage.BANNER, replace(PATIENCE, session=5)).within == 5


@pytest.mark.parametrize("stage", SLOWED)
@pytest.mark.parametrize("spent", [0, 300])
def test_hold(stage: Stage, spent: float) -> None:
    """Who is held has the hold's budget, whatever was spent, at full pace; nothing speaks for it."""
    verdict, shown = scored(12, PASSED, VOUCHED, basis=Basis.CONDUCT), Shown(messages=1, good_before=1)
    assert choose_pace(verdict, stage, PATIENCE, spent=spent, shown=shown) == Pace(4, 1, 400, 0.2)


@pytest.mark.parametrize("verdict", [SUSPECT, HOSTILE])
@pytest.mark.parametrize(("load", "share"), [(0.0, 1.0), (0.7, 1.0), (0.8, 0.5), (0.9, 0.0), (1.0, 0.0)])
def test_water_marks(verdict: Verdict, load: float, share: float) -> None:
    """Above the first mark delays and ceilings shrink; from the second on there are none."""
    pace = choose_pace(verdict, Stage.HELLO, PATIENCE, load=load)
    assert (pace.before_reply, pace.per_byte) == pytest.approx((4 * share, share))
    if share:
        assert pace.within == pytest.approx(share * (400 if verdict.hostile else 24))
    assert pace.slow is (share > 0)


@pytest.mark.parametrize(
    ("verdict", "load", "refused"),
    [(HOSTILE, 0.9, False), (HOSTILE, 0.91, True), (SUSPECT, 1.0, False), (CLEAN, 1.0, False)],
)
def test_refused_at_once(verdict: Verdict, load: float, refused: bool) -> None:
    """Above the second mark a hostile peer is refused at once; nobody else ever is."""
    assert refused_at_once(verdict, load) is refused


@pytest.mark.parametrize(
    ("more", "shown", "left"),
    [
        ((), Shown(), 1.0),
        ((PASSED,), Shown(), 0.5),
        ((VOUCHED,), Shown(), 0.5),
        ((), Shown(good_before=3), 0.5),
        ((), Shown(messages=1), 0.5),
        ((PASSED,), Shown(messages=1), 0.25),
        ((PASSED, VOUCHED), Shown(messages=2, good_before=9), 0.25),
        ((replace(PASSED, result=Result.FAIL),), Shown(), 1.0),
        ((replace(PASSED, signal="spf-helo"),), Shown(), 1.0),
    ],
)
def test_honesty_earns_speed(more: tuple[Finding, ...], shown: Shown, left: float) -> None:
    """Each proof halves delay, byte, ceiling and reading; two are as good as four."""
    verdict = scored(7, *more)
    assert choose_pace(verdict, Stage.HELLO, PATIENCE, shown=shown) == Pace(4 * left, left, 24 * left, 0.2)
    assert choose_read_pace(verdict, PATIENCE, shown=shown) == ReadPace(1000 / left, 10 * left)


def test_proofs_in_words() -> None:
    """What speaks for a peer is said, and nothing that does not."""
    assert proofs_of_honesty(SUSPECT, Shown(offences=9)) == ()
    assert len(proofs_of_honesty(scored(7, PASSED, VOUCHED), Shown(messages=1, good_before=1))) == 4


@pytest.mark.parametrize(
    ("points", "load", "spent", "pace"),
    [
        (7, 0, 0, ReadPace(1000, 10)),
        (3, 0, 0, ReadPace(2000, 10)),
        (7, 0.8, 0, ReadPace(2000, 5)),
        (7, 0, 234, ReadPace(1000, 6)),
        (7, 0, 240, READ_AT_ONCE),
        (7, 0.9, 0, READ_AT_ONCE),
        (2, 0, 0, READ_AT_ONCE),
    ],
)
def test_reading_a_message(points: float, load: float, spent: float, pace: ReadPace) -> None:
    """The worse the suspect the slower, within its own budget and the session's; never a clean peer's."""
    chosen = choose_read_pace(scored(points), PATIENCE, load=load, spent=spent)
    assert (chosen.rate, chosen.within) == pytest.approx((pace.rate, pace.within))
    assert chosen.slow is (pace is not READ_AT_ONCE)


def test_reading_without_a_pace() -> None:
    """0 bytes a second and 0 seconds both mean full speed; a held peer has no message to be read."""
    assert choose_read_pace(SUSPECT, replace(PATIENCE, read=0)) is READ_AT_ONCE
    assert choose_read_pace(SUSPECT, replace(PATIENCE, data=0)) is READ_AT_ONCE
    assert choose_read_pace(HOSTILE, PATIENCE) is READ_AT_ONCE
    assert READ_AT_ONCE.rate == inf


def test_explained() -> None:
    """The words follow from the same functions: who is to blame, the pace, each stage, the sum."""
    verdict = scored(4.5, Finding("no-rdns", Result.NONE, 1.5, "no name"), PASSED)
    assert explain_pace(verdict, PATIENCE) == (
        "slowed by x (4.5), no-rdns (1.5)",
        "spared by half: SPF passed",
        "50% of full pace: 2 s before a reply, 0.5 s between bytes, ± 20%",
        "banner     7.5 s of at most 7.5 s, the rest at once",
        "hello     12.0 s of at most 12 s, the rest at once",
        "mail       6.0 s of at most 6 s, the rest at once",
        "rcpt       6.0 s of at most 6 s, the rest at once",
        "data       6.0 s of at most 6 s, the rest at once",
        "message    5.0 s at most, 2000 bytes a second",
        "in all    42.5 s until a message to one recipient is answered",
    )


def test_explained_under_load() -> None:
    """Load is named where it changes anything; without slow reading there is no line about it."""
    lines = explain_pace(HOSTILE, PATIENCE, load=0.8, sizes={Stage.BANNER: 11})
    assert lines == (
        "slowed by x (8)",
        "the server is 80% full: 50% of every delay is left",
        "50% of full pace: 2 s before a reply, 0.5 s between bytes, ± 20%",
        "banner     7.0 s of at most 200 s",
        "in all     7.0 s until a message to one recipient is answered",
    )


@pytest.mark.parametrize(
    ("verdict", "load", "words"),
    [
        (CLEAN, 0.0, "not slowed: 2.9 points are below 3"),
        (SUSPECT, 1.0, "not slowed: the server is too full"),
    ],
)
def test_explained_full_speed(verdict: Verdict, load: float, words: str) -> None:
    """Who is not slowed is told why."""
    assert explain_pace(verdict, PATIENCE, load=load) == (words,)


def default(field: str) -> float:
    """Return the default of a setting, in seconds."""
    return float(Variables.model_fields[field].default)


def test_the_page_of_budgets() -> None:
    """docs/policy.md holds the table of budgets and the zoo's, made from the code as it is."""
    page = PAGE.read_text("utf-8")
    for table in (budgets_table(default), clients_table()):
        assert table in page, f"docs/policy.md is stale; it wants\n{table}"


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.what)
def test_each_budget_stays_below_whom_it_protects(budget: Budget) -> None:
    """NET-10 There is a sixth to spare, and more, for the network and a backend's own time."""
    ((least, name),) = budget.tightest(1)
    assert sum(map(default, budget.settings)) <= least * 5 / 6, name


def test_the_page_of_parts() -> None:
    """docs/policy.md names the shares and counts that are in the code."""
    page = PAGE.read_text("utf-8")
    assert set(PART_OF_REPLY.values()) == {EARNED} == {0.5}
    assert "half of `TARPIT_PACE_REPLY`" in page
    assert f"from {OFFENCES} offences on" in page
    assert f"{SHRINK_ABOVE:.0%}" in page
    assert f"{SPARE_ABOVE:.0%}" in page
