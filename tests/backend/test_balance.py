"""Which backend is next: tables, and the law that each way keeps to the weights."""

import itertools
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.backend.balance import LEAST_SHARE, SLOW_START, First, Least, Peer, RoundRobin, balancer, ramp
from tarpit.choices import Balance

PEER = b"\xc0\x00\x02"


@dataclass
class One:
    """A backend."""

    name: str
    weight: float = 1.0
    taken: int = 0


WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def backends(*weights: float) -> list[One]:
    return [One(name, weight) for name, weight in zip("abcdef", weights, strict=False)]


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ((1, 1, 1), "abcabc"),
        ((5, 1), "aaabaa" * 2),
        ((2, 1), "aba" * 3),
        ((1, 2, 3), "cbcabc" * 2),
        ((4,), "aaa"),
    ],
)
def test_in_turn(weights: tuple[int, ...], order: str) -> None:
    """By weight, and as evenly as that allows."""
    way, free = RoundRobin(), backends(*weights)
    got = "".join(way.choose(free).name for _ in order)
    if weights == (1, 2, 3):
        assert Counter(got[:6]) == {"a": 1, "b": 2, "c": 3}
        assert "ccc" not in got
    else:
        assert got == order


@given(WEIGHTS, st.integers(1, 300))
def test_round_robin_is_never_off_by_more_than_two(weights: list[int], count: int) -> None:
    """After any number of turns each has had its share, but for one turn or two."""
    way, free = RoundRobin(), backends(*weights)
    had = Counter(way.choose(free).name for _ in range(count))
    for one in free:
        assert abs(had[one.name] - count * one.weight / sum(weights)) < 2


@given(WEIGHTS, st.integers(1, 60))
def test_least_is_never_off_by_more_than_one(weights: list[int], count: int) -> None:
    """Of any number of connections each has its share, but for less than one more for its weight."""
    way, free = Least(), backends(*weights)
    for _ in range(count):
        way.choose(free).taken += 1
    per_weight = [one.taken / one.weight for one in free]
    assert max(per_weight) - min(per_weight) <= 1
    for one in free:
        assert abs(one.taken - count * one.weight / sum(weights)) <= max(one.weight, 1)


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ((0, 0, 0), "c"),
        ((0, 0, 1), "c"),
        ((0, 0, 3), "b"),
        ((1, 0, 3), "b"),
        ((5, 4, 11), "b"),
        ((5, 9, 14), "c"),
    ],
)
def test_the_least_for_its_weight(taken: tuple[int, ...], chosen: str) -> None:
    """Counted with the connection that is to be made; weights 1, 2 and 4."""
    free = [One(name, weight, held) for name, weight, held in zip("abc", (1, 2, 4), taken, strict=True)]
    assert Least().choose(free).name == chosen


def test_equals_take_turns() -> None:
    """Where sessions come one by one, the first backend does not get them all."""
    way, free = Least(), backends(1, 1, 1)
    assert Counter(way.choose(free).name for _ in range(300)) == {"a": 100, "b": 100, "c": 100}


def test_a_peer_finds_its_backend_again() -> None:
    """Each network always gets the same one; by weight, over many of them."""
    way, free = Peer(), backends(1, 2, 3)
    networks = [bytes(network) for network in itertools.product(range(20), range(20), range(20))]
    chosen = {network: way.choose(free, network).name for network in networks}
    assert chosen == {network: way.choose(free[::-1], network).name for network in networks}
    had = Counter(chosen.values())
    for one in free:
        assert had[one.name] / len(networks) == pytest.approx(one.weight / 6, rel=0.05)


def test_only_the_peers_of_the_lost_one_move() -> None:
    """When a backend goes, nobody else's peers notice."""
    way, free = Peer(), backends(1, 2, 3)
    for number in range(2000):
        network = number.to_bytes(3, "big")
        before = way.choose(free, network).name
        after = way.choose(free[:2], network).name
        assert before in {"c", after}


def test_the_first() -> None:
    """In the order of the settings."""
    assert First().choose(backends(1, 9, 1)).name == "a"


@pytest.mark.parametrize(
    ("seconds", "part"),
    [
        (0.0, LEAST_SHARE),
        (SLOW_START / 100, LEAST_SHARE),
        (SLOW_START / 2, 0.5),
        (SLOW_START, 1.0),
        (1e9, 1.0),
    ],
)
def test_slow_start(seconds: float, part: float) -> None:
    """What has come back gets a tenth of its share at first, half of it after 15 s, all after 30 s."""
    assert ramp(seconds) == part


@given(st.floats(0.1, 1.0))
def test_a_part_of_the_weight_is_a_part_of_the_turns(part: float) -> None:
    """Weights need not be whole: a backend that starts slowly gets as much as it counts."""
    way, free = RoundRobin(), [One("a", 1.0), One("b", part)]
    had = Counter(way.choose(free).name for _ in range(1000))
    assert had["b"] == pytest.approx(1000 * part / (1 + part), abs=2)


@pytest.mark.parametrize("balance", Balance)
def test_every_choice_has_its_way(balance: Balance) -> None:
    """TARPIT_BALANCE names nothing that is not there."""
    assert balancer(balance).choose(backends(1), PEER).name == "a"


@dataclass
class Growing:
    """A backend whose weight is another whenever it is looked at."""

    name: str
    taken: int = 0
    _weight: float = 0.5

    @property
    def weight(self) -> float:
        """A little more each time."""
        self._weight *= 1.01
        return self._weight


@pytest.mark.parametrize("balance", Balance)
def test_a_weight_that_grows_meanwhile(balance: Balance) -> None:
    """A backend that starts slowly counts for more at each look; a choice is made all the same."""
    way, free = balancer(balance), [Growing("a"), Growing("b")]
    for _ in range(100):
        assert way.choose(free, PEER) in free
