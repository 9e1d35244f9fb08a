"""Logs of peers whose patience is known: it is found, or it is said that there is not enough data."""

from tarpit.services import patience_of
from tarpit.tuning.candidates import candidate_of
from tarpit.tuning.outlook import Outlook, is_enough, look
from tarpit.tuning.past import read
from tests.support.logbook import fleet
from tests.support.wires import load

SETTINGS = load(PACE_JITTER="0")
CURRENT = candidate_of(SETTINGS, patience_of(SETTINGS))
MEDIANS = {"dnsbl:bl.example": 5.0, "no-rdns": 40.0}  # seconds


def outlook(sessions: int, *, seed: int = 1) -> Outlook:
    """Return what is made of a log of so many peers."""
    return look(read(fleet(CURRENT, MEDIANS, sessions=sessions, seed=seed)), CURRENT)


def test_patience_that_is_known_is_found() -> None:
    """Each signal's patience lies within its band, and the band is worth something."""
    found = outlook(2000).patience
    for signal, median in MEDIANS.items():
        band = found[signal].median()
        assert band.low <= median <= band.high
        assert band.high - band.low < median / 2


def test_fifty_sessions_are_not_enough() -> None:
    """It says so, and what it would take; no settings are proposed."""
    little = outlook(50)
    assert little.effects == ()
    assert "50 sessions were slowed" in little.missing
    assert not any(is_enough(curve) for curve in little.patience.values())


def test_no_sessions_at_all() -> None:
    """An empty log is not enough either."""
    assert "0 sessions were slowed" in outlook(0).missing


def test_the_frontier() -> None:
    """More give up where there is more delay, and what is in force is among them."""
    effects = outlook(2000).effects
    others = [effect for effect in effects if not effect.candidate.current]
    assert sorted(others, key=lambda one: one.mean_delay) == others
    assert sorted(others, key=lambda one: one.gave_up.value) == others
    assert sum(effect.candidate.current for effect in effects) == 1
    assert len(others) > 2


def test_what_is_in_force_comes_out_as_it_was() -> None:
    """Replayed under its own settings, a log has the departures that it tells of."""
    found = outlook(2000)
    (current,) = (effect for effect in found.effects if effect.candidate.current)
    assert current.gave_up.value == sum(past.left for past in found.log.sessions)
    assert current.lost.value == 0
    assert current.unknown == 0
