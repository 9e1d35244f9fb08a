"""The settings that are tried."""

from tarpit.services import patience_of
from tarpit.tuning.candidates import candidate_of, candidates
from tests.support.wires import load


def test_none_is_slower_than_honest_senders_bear() -> None:
    """What is tried beside the settings in force stays within the budgets of docs/policy.md."""
    settings = load(PACE_BANNER="60s", PACE_REPLY="100s")
    current, *others = candidates(candidate_of(settings, patience_of(settings)))
    assert current.current
    assert current.patience.reply == 100
    assert all(one.patience.banner <= 15 and one.patience.reply <= 25 for one in others)
    assert not any(one.current for one in others)


def test_each_is_tried_once() -> None:
    """What is in force is not tried a second time, and no threshold reaches that of `hold`."""
    settings = load(SCORE_HOLD="5")
    tried = list(candidates(candidate_of(settings, patience_of(settings))))
    texts = [tuple(one.variables().values()) for one in tried]
    assert len(set(texts)) == len(texts)
    assert {one.suspect_at for one in tried} == {2, 3, 4}


def test_as_settings() -> None:
    """They are printed as an operator writes them."""
    settings = load()
    assert candidate_of(settings, patience_of(settings)).variables() == {
        "TARPIT_SCORE_SUSPECT": "3",
        "TARPIT_PACE_BANNER": "15s",
        "TARPIT_PACE_REPLY": "25s",
        "TARPIT_PACE_DATA": "10s",
    }
