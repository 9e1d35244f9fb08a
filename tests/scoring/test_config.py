"""The whole configuration."""

import math

import pytest

from scoring.config import Config


def test_config_weight_falls_back() -> None:
    """Weights given in part leave the rest at their defaults."""
    config = Config(weights={"no-rdns": 2})
    assert (config.weight("no-rdns"), config.weight("pregreet")) == (2, 4)


def test_config_thresholds() -> None:
    """The hold threshold leaves room for listed peers to be suspects."""
    with pytest.raises(ValueError, match="at least 1 above"):
        Config(suspect_at=3, hold_at=3.5)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [({"pregret": 4.0}, "did you mean pregreet?"), ({"pregreet": math.nan}, "nan is not a number of points")],
)
def test_config_refuses_weights(weights: dict[str, float], complaint: str) -> None:
    """A weight that nothing has, or that cannot be added, is the caller's mistake."""
    with pytest.raises(ValueError, match=complaint):
        Config(weights=weights)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("example.org", True),
        ("Mail.Example.ORG.", True),
        ("notexample.org", False),
        ("org", False),
        ("", False),
    ],
)
def test_allows(name: str, allowed: bool) -> None:
    """A name is allowed if it is in the list, or below a name in it."""
    assert Config(allow_names=("Example.org", "example.net")).allows(name) is allowed
