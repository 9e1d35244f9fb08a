"""Models and presets: read whole or not at all; who is drawn from them is drawn from the seed alone."""

import pytest
from trio.testing import MockClock

from bench.fleet.models import PopulationError, models_in, read_models
from bench.fleet.names import BLOCKLIST
from bench.fleet.population import populate, presets, read_preset

GOOD = {"what": "it", "source": "assumed"}


def test_every_model_says_what_it_is_and_where_that_is_from() -> None:
    """A number without a source is an opinion."""
    for model in read_models().values():
        assert model.what
        assert model.source


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({**GOOD, "patiense": 3}, "patiense"),
        ({**GOOD, "conduct": "rude"}, "conduct"),
        ({**GOOD, "conduct": "bench.fleet.conducts:Rude"}, "conduct"),
        ({**GOOD, "clients": ["Netscape"]}, "Netscape"),
        ({"what": "it"}, "source"),
    ],
)
def test_a_model_that_is_not_understood_is_refused(table: dict[str, object], why: str) -> None:
    """By name: nothing is guessed."""
    with pytest.raises(PopulationError, match=why):
        models_in({"it": table})


@pytest.mark.parametrize("name", presets())
def test_presets_can_be_read(name: str) -> None:
    """And compare at least our defaults."""
    assert read_preset(name).ours["ours"] == {}


def test_an_unknown_preset_is_refused() -> None:
    """With the names of those there are."""
    with pytest.raises(PopulationError, match="busy-day"):
        read_preset("lazy-day")


def test_same_seed_same_day() -> None:
    """Another seed, another day; all models in both, in the order of their coming."""
    preset = read_preset("busy-day")
    first, again, other = (populate(preset, seed, 100) for seed in (1, 1, 2))
    assert first.senders == again.senders
    assert first.names.answers == again.names.answers
    assert first.senders != other.senders
    for population in (first, other):
        assert {sender.model.name for sender in population.senders} == set(preset.shares)
        assert sorted(population.senders, key=lambda sender: sender.at) == population.senders


async def test_dns_says_of_hosts_what_their_model_says(autojump_clock: MockClock) -> None:
    """Who is listed by mistake is listed; a site has a name that leads back, and SPF for its address."""
    population = populate(read_preset("busy-day"), 1, 500)
    names = population.names
    for sender in population.senders:
        reverse = ".".join(reversed(sender.address(1).split(".")))
        listed = (await names.query(f"{reverse}.{BLOCKLIST}", "A", until=1e9)).addresses
        if sender.model.name == "listed-by-mistake":
            assert listed
        if sender.model.name == "site":
            assert not listed
            (host,) = (await names.query(f"{reverse}.in-addr.arpa", "PTR", until=1e9)).names
            assert (await names.query(host, "A", until=1e9)).addresses == (sender.address(1),)
            assert (await names.query(sender.host.domain, "TXT", until=1e9)).texts


def test_a_pool_comes_again_from_another_address() -> None:
    """That is what greylisting has its exceptions for."""
    senders = populate(read_preset("busy-day"), 1, 1000).senders
    provider = next(sender for sender in senders if sender.model.name == "provider")
    networks = {provider.address(attempt).rpartition(".")[0] for attempt in range(1, 7)}
    assert len(networks) > 1
