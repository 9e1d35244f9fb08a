"""The list of signals."""

from scoring.config import DEFAULT_WEIGHTS
from scoring.signals import SIGNALS


def test_every_weight_has_a_signal() -> None:
    """Each weight belongs to exactly one signal, and each signal's weights are known."""
    listed = [key for signal in SIGNALS for key in signal.weights]
    assert sorted(listed) == sorted(DEFAULT_WEIGHTS)
