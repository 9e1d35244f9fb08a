"""Days of a few hundred senders: what each policy is known for shows, and ours is made of the real code."""

from collections.abc import Mapping
from typing import Final

import pytest

from bench.fleet.compare import variables_of
from bench.fleet.day import live
from bench.fleet.figures import Figures, figures
from bench.fleet.population import Preset, read_preset
from bench.fleet.records import Day
from tarpit import policy

PRESET: Final = read_preset("busy-day")
SESSIONS: Final = 300


def lived(name: str, *, sessions: int = SESSIONS, seed: int = 1, preset: Preset = PRESET) -> Day:
    variables = variables_of(preset, name) if name in preset.ours else {}
    return live(name, preset, seed=seed, sessions=sessions, variables=variables)


@pytest.fixture(scope="module")
def found() -> Mapping[str, Figures]:
    """The figures of each policy; of `models`, more than one sender each would be luck."""
    names = ("ours", "none", "greet-pause", "greylist", "postscreen-like", "spamd-like")
    return {name: figures(lived(name)) for name in names}


def delivered(figures: Figures, model: str) -> float:
    models = figures["models"]
    assert isinstance(models, Mapping)
    return float(models[model]["delivered"] / models[model]["sent"])


def test_same_seed_same_records() -> None:
    """To the last digit; another seed, another day."""
    first, again, other = lived("ours"), lived("ours"), lived("ours", seed=2)
    assert first.records == again.records
    assert first.readings == again.readings
    assert first.records != other.records
    assert not first.bugs


def test_ours_loses_nothing_and_makes_nobody_clean_wait(found: Mapping[str, Figures]) -> None:
    """python-slimta aside, and at default settings."""
    ours = found["ours"]
    assert ours["honest_lost"] == ours["codes_late"] == 0
    assert isinstance(ours["clean_delay_p99"], float)
    assert ours["clean_delay_p99"] <= 0.3
    assert ours["apart_lost"] == ours["apart_sent"]


def test_ours_delivers_less_spam_over_fewer_connections(found: Mapping[str, Figures]) -> None:
    """Than nothing does; and both count what their backend counts."""
    for name in ("spam_delivered", "backend_seconds"):
        assert float(str(found["ours"][name])) < float(str(found["none"][name])) / 2
    for one in found.values():
        models = one["models"]
        assert isinstance(models, Mapping)
        assert sum(row["delivered"] for row in models.values()) == one["backend_messages"]


def test_a_pause_stops_the_hasty_only(found: Mapping[str, Figures]) -> None:
    """3 s of patience are too few for it, 10 s are enough."""
    assert delivered(found["greet-pause"], "bot-3s") == delivered(found["greet-pause"], "pregreet") == 0
    assert delivered(found["greet-pause"], "bot-10s") == 1
    assert found["greet-pause"]["clean_delay_p99"] == pytest.approx(5.1)


def test_greylisting_makes_codes_late(found: Mapping[str, Figures]) -> None:
    """And lets in whoever comes again."""
    assert found["greylist"]["codes_late"] == found["greylist"]["codes_sent"]
    assert found["greylist"]["honest_lost"] == 0
    assert delivered(found["greylist"], "retrier") == 1
    assert delivered(found["greylist"], "bot-100s") == 0


@pytest.mark.parametrize("name", ["postscreen-like", "spamd-like"])
def test_who_believes_lists_loses_honest_mail(name: str, found: Mapping[str, Figures]) -> None:
    """Whoever is listed by mistake, all of it."""
    assert delivered(found[name], "listed-by-mistake") == 0
    assert delivered(found["ours"], "listed-by-mistake") == 1


def test_ours_stops_the_impatient(found: Mapping[str, Figures]) -> None:
    """Those with patience have it: no delay within what honest senders bear stops them."""
    assert delivered(found["ours"], "bot-3s") < 0.4
    assert delivered(found["ours"], "bot-10s") < 0.4
    assert delivered(found["ours"], "bot-patient") == 1


def test_the_table_is_made_by_the_policy_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of `tarpit.policy` is another, and so are the figures."""
    before = figures(lived("ours"))
    monkeypatch.setattr(policy, "PART_OF_REPLY", dict.fromkeys(policy.PART_OF_REPLY, 0.1))
    shorter = figures(lived("ours"))
    assert float(str(shorter["honest_delay_p99"])) < float(str(before["honest_delay_p99"])) - 10
