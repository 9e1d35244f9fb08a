"""From verdict, stage and load to a pace: the table."""

from typing import Final

import pytest

from scoring.verdict import Finding, Result, Verdict
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.policy import NEVER_SLOWED, Patience, Treatment, choose_pace, choose_treatment

PATIENCE: Final = Patience(byte=1, delay=4, banner=15, reply=25, session=240, hold=400, jitter=0.2)
SLOWED: Final = [stage for stage in Stage if stage not in NEVER_SLOWED]
REPLIES: Final = [stage for stage in SLOWED if stage is not Stage.BANNER]


def scored(points: float, *, conduct: bool = False) -> Verdict:
    """Return a verdict; suspect from 3 points, held from 8."""
    return Verdict((Finding("x", Result.LISTED, points, "why", conduct=conduct),), suspect_at=3, hold_at=8)


CLEAN: Final = scored(2.9)
SUSPECT: Final = scored(6)
HOSTILE: Final = scored(8, conduct=True)


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
def test_clean_is_full_speed(stage: Stage) -> None:
    """A clean peer never waits."""
    assert choose_pace(CLEAN, stage, PATIENCE) is FULL_SPEED


@pytest.mark.parametrize("verdict", [SUSPECT, HOSTILE])
@pytest.mark.parametrize("stage", [Stage.PROMPT, Stage.END])
def test_never_slowed(verdict: Verdict, stage: Stage) -> None:
    """RSET, NOOP, QUIT, STARTTLS and the end of data are answered at once, whoever asks."""
    assert choose_pace(verdict, stage, PATIENCE) is FULL_SPEED


@pytest.mark.parametrize(("points", "share"), [(3, 0.5), (4.5, 0.75), (6, 1.0), (7, 1.0)])
def test_share_of_a_suspect(points: float, share: float) -> None:
    """Half the pace at the threshold, all of it at twice the threshold, and no more beyond."""
    assert choose_pace(scored(points), Stage.RCPT, PATIENCE) == Pace(4 * share, share, 25, 0.2)


@pytest.mark.parametrize("stage", REPLIES)
@pytest.mark.parametrize(("spent", "within"), [(0, 25), (215, 25), (230, 10), (240, 0), (300, 0)])
def test_budget_of_a_reply(stage: Stage, spent: float, within: float) -> None:
    """A reply has its own budget, or what is left of the session's."""
    pace = choose_pace(SUSPECT, stage, PATIENCE, spent=spent)
    assert pace.within == within
    assert pace.slow is (within > 0)


@pytest.mark.parametrize(("spent", "within"), [(0, 15), (3, 12), (15, 0), (20, 0)])
def test_budget_of_the_banner(spent: float, within: float) -> None:
    """The banner's budget counts from the connection."""
    assert choose_pace(SUSPECT, Stage.BANNER, PATIENCE, spent=spent).within == within


@pytest.mark.parametrize("stage", SLOWED)
@pytest.mark.parametrize("spent", [0, 300])
def test_hold(stage: Stage, spent: float) -> None:
    """Who is held has the hold's budget, whatever was spent, at full pace."""
    assert choose_pace(HOSTILE, stage, PATIENCE, spent=spent) == Pace(4, 1, 400, 0.2)


@pytest.mark.parametrize("verdict", [SUSPECT, HOSTILE])
@pytest.mark.parametrize(("load", "share"), [(0.0, 1.0), (0.7, 1.0), (0.8, 0.5), (0.9, 0.0), (1.0, 0.0)])
def test_water_marks(verdict: Verdict, load: float, share: float) -> None:
    """Above the first mark delays shrink; from the second on there are none."""
    pace = choose_pace(verdict, Stage.RCPT, PATIENCE, load=load)
    assert (pace.before_reply, pace.per_byte) == pytest.approx((4 * share, share))
    assert pace.slow is (share > 0)
