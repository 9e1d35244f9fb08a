"""Speaking before the banner."""

from scoring.config import Config
from scoring.signals.pregreet import find_pregreet
from scoring.verdict import Conduct, Finding, Result


def test_pregreet() -> None:
    """A peer that spoke first gets the points, as conduct."""
    finding = Finding("pregreet", Result.FAIL, 4, "spoke before the banner", conduct=True)
    assert find_pregreet(Conduct(pregreet=True), Config()) == (finding,)


def test_patient_peer() -> None:
    """Of a peer that waited there is nothing to say."""
    assert find_pregreet(Conduct(), Config()) == ()
