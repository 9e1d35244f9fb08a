"""Who is next: a turn for each network, and in it the order in which they came."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.backend.lanes import Lane

HERE, THERE = "here", "there"


@dataclass(eq=False)
class Waiter:
    """Somebody who waits."""

    name: str
    network: bytes
    among: Collection[object] = (HERE,)


def everybody(_: bytes) -> bool:
    return True


def lane_of(names: str) -> tuple[Lane[Waiter], list[Waiter]]:
    """Return a lane of `a1 a2 b1`: the letter is the network."""
    lane, waiters = Lane[Waiter](), [Waiter(name, name[:1].encode()) for name in names.split()]
    for waiter in waiters:
        lane.add(waiter)
    return lane, waiters


def emptied(lane: Lane[Waiter]) -> str:
    """Serve all, and return in which order."""
    served = list[str]()
    while (waiter := lane.next_for(HERE, everybody)) is not None:
        lane.serve(waiter)
        served.append(waiter.name)
    return " ".join(served)


@pytest.mark.parametrize(
    ("came", "served"),
    [
        ("a1 b1 c1", "a1 b1 c1"),
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 a4 b1 c1", "a1 b1 c1 a2 a3 a4"),
        ("a1 a2 b1 b2 b3 c1", "a1 b1 c1 a2 b2 b3"),
        ("", ""),
    ],
)
def test_order(came: str, served: str) -> None:
    """A crowd of one network delays the others by one turn."""
    lane, _ = lane_of(came)
    assert len(lane) == len(came.split())
    assert bool(lane) == bool(came)
    assert emptied(lane) == served
    assert not lane


def test_who_has_been_served_comes_last() -> None:
    """Coming again at once wins nobody a turn."""
    lane, (first, *_) = lane_of("a1 b1 c1")
    lane.serve(first)
    lane.add(Waiter("a2", b"a"))
    assert emptied(lane) == "b1 c1 a2"


def test_who_gives_up() -> None:
    """Its network keeps its turn, if anybody is left of it."""
    lane, (one, _, other) = lane_of("a1 a2 b1")
    lane.drop(one)
    lane.drop(other)
    assert emptied(lane) == "a2"


def test_networks_that_may_not() -> None:
    """They are passed over, and keep their turn."""
    lane, _ = lane_of("a1 b1")
    found = lane.next_for(HERE, lambda network: network != b"a")
    assert found is not None
    lane.serve(found)
    assert emptied(lane) == "a1"


def test_what_would_not_do() -> None:
    """Whoever waits for another backend is passed over, within its network too."""
    lane = Lane[Waiter]()
    for waiter in (
        Waiter("a1", b"a", (THERE,)),
        Waiter("b1", b"b", (THERE,)),
        Waiter("b2", b"b", (HERE, THERE)),
    ):
        lane.add(waiter)
    assert emptied(lane) == "b2"
    assert len(lane) == 2


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_nobody_waits_for_more_than_a_round(came: list[str]) -> None:
    """Between two of one network, each other one that waits is served at most once; all are served."""
    lane, waiters = lane_of(" ".join(f"{network}{number}" for number, network in enumerate(came)))
    served = emptied(lane).split()
    assert sorted(served) == sorted(waiter.name for waiter in waiters)
    for network in set(came):
        at = [number for number, name in enumerate(served) if name.startswith(network)]
        for begin, end in itertools.pairwise(at):
            between = [name[0] for name in served[begin + 1 : end]]
            assert len(between) == len(set(between))
