"""What a candidate would have done to one session, by table."""

from dataclasses import replace

import pytest

from tarpit.services import patience_of
from tarpit.tuning.candidates import candidate_of
from tarpit.tuning.past import Past
from tarpit.tuning.replay import GONE, THERE, chance_to_stay, delay_of, replay
from tarpit.tuning.survival import Band, estimate
from tests.support.wires import load

SETTINGS = load(PACE_JITTER="0")
CURRENT = candidate_of(SETTINGS, patience_of(SETTINGS))
LEFT = Past(5, ("dnsbl:bl.example",), 8.0, slowed=True, left=True, delivered=False)
STAYED = Past(5, ("dnsbl:bl.example",), 30.0, slowed=True, left=False, delivered=True)
FRESH = Past(2, ("no-rdns",), 0.0, slowed=False, left=False, delivered=True)
# Of ten, five leave after 10, 20, ... 50 s, and five are still there after 60 s.
CURVE = estimate([*((10.0 * n, True) for n in range(1, 6)), *[(60.0, False)] * 5])


@pytest.mark.parametrize(
    ("past", "delay", "chance"),
    [
        pytest.param(LEFT, 7.9, THERE, id="it left later than that"),
        pytest.param(LEFT, 8.0, GONE, id="it left by then"),
        pytest.param(LEFT, 0.0, THERE, id="nobody leaves for no delay"),
        pytest.param(replace(LEFT, held=0.0), 1.0, GONE, id="it left at once"),
        pytest.param(STAYED, 30.0, THERE, id="it has waited as long"),
        pytest.param(STAYED, 70.0, None, id="longer than anybody was watched"),
        pytest.param(FRESH, 0.0, THERE, id="not slowed, now as then"),
    ],
)
def test_chance_to_stay(past: Past, delay: float, chance: Band | None) -> None:
    """What the log shows of a peer goes before what others of its kind do."""
    assert chance_to_stay(past, delay, CURVE) == chance


def test_a_longer_delay_than_it_had() -> None:
    """Of those that waited 30 s, seven of ten, five still wait after 50 s."""
    chance = chance_to_stay(STAYED, 50.0, CURVE)
    assert chance is not None
    assert chance.value == pytest.approx(5 / 7)
    assert chance.low < chance.value < chance.high <= 1


def test_a_kind_of_which_too_little_is_known() -> None:
    """Without a curve there is no answer."""
    assert chance_to_stay(FRESH, 1.0, None) is None


def test_the_delay_is_that_of_the_policy() -> None:
    """The worst of suspects wait for the banner, for EHLO, half of that for the other three, and the dot."""
    assert delay_of(replace(LEFT, score=7), CURRENT) == pytest.approx(15 + 25 + 3 * 12.5 + 10)
    assert delay_of(replace(LEFT, score=2), CURRENT) == 0


def test_who_has_proofs_of_honesty_waits_for_less() -> None:
    """SPF, or a list that vouches, halves every delay, as it does in a session."""
    one = delay_of(replace(STAYED, spf_passed=True), CURRENT)
    two = delay_of(replace(STAYED, spf_passed=True, vouched=-1.0), CURRENT)
    assert delay_of(STAYED, CURRENT) > one > two > 0


def test_effect() -> None:
    """Counts are expected ones; delay is that of mail that was delivered."""
    harsher = replace(CURRENT, suspect_at=2.0)
    effect = replay([LEFT, STAYED, FRESH], harsher, {})
    assert effect.gave_up == Band(1, 1, 1)
    assert effect.unknown == 2  # would wait longer than they did, and nothing is known of their kinds
    assert len(effect.delays) == 2
    assert effect.mean_delay == pytest.approx(sum(effect.delays) / 2)
    assert effect.delay_at(0.5) == effect.delay_at(0.95) == effect.delays[1]
