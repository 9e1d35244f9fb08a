"""Who may come in, by address and network, and what is kept for mail when we are nearly full."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarpit.caps import FROM_ADDRESS, FROM_NETWORK, WIDE, Caps, Refusal, Standing, keys_of
from tarpit.smtp.server import BUSY

PLENTY = 1_000_000


def caps(
    *,
    sessions: int = PLENTY,
    peer: int = PLENTY,
    network: int = PLENTY,
    held: int = PLENTY,
    standing: Standing = Standing.STRANGER,
) -> Caps:
    """Return caps that are far away but for those given; everybody has the same *standing*."""
    return Caps(sessions=sessions, peer=peer, network=network, held=held, standing=lambda _: standing)


def enter(counted: Caps, address: str, times: int = 1) -> None:
    for _ in range(times):
        counted.entered(address)


def limit_of(refusal: Refusal | None) -> str:
    return "" if refusal is None else refusal.limit.removeprefix("TARPIT_MAX_SESSIONS")


@pytest.mark.parametrize(
    ("address", "same_network", "same_wide", "elsewhere"),
    [
        pytest.param("192.0.2.1", "192.0.2.254", "192.0.15.1", "192.0.16.1", id="/24 in /20"),
        pytest.param("192.0.242.1", "192.0.242.9", "192.0.255.1", "192.1.240.1", id="the last /20"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "2001:db8:1::1", id="/64 in /48"),
    ],
)
def test_what_counts_as_one(address: str, same_network: str, same_wide: str, elsewhere: str) -> None:
    """Whoever has one address of a network, or of a wide one, is counted with it (RES-02)."""
    mine = keys_of(address)
    shared = [
        [a == b for a, b in zip(mine, keys_of(other), strict=True)]
        for other in (address, same_network, same_wide, elsewhere)
    ]
    assert shared == [[True, True, True], [False, True, True], [False, False, True], [False, False, False]]


def test_the_same_peer_by_other_ways() -> None:
    """An IPv4 address is itself on an IPv6 socket too, and a scope is no part of an address."""
    assert keys_of("::ffff:192.0.2.1") == keys_of("192.0.2.1")
    assert keys_of("fe80::1%eth0") == keys_of("fe80::1")


def test_a_peer_over_its_own_cap() -> None:
    """The 51st connection of an address hears 421 4.7.0, its neighbour does not (RES-01)."""
    counted = caps(peer=50)
    enter(counted, "192.0.2.1", 50)
    assert counted.admit("192.0.2.1") == Refusal(FROM_ADDRESS, "TARPIT_MAX_SESSIONS_PEER", 50)
    assert FROM_ADDRESS.enhanced == "4.7.0"
    assert counted.admit("192.0.2.2") is None
    counted.left("192.0.2.1")
    assert counted.admit("192.0.2.1") is None


def test_a_network_over_its_cap() -> None:
    """Many addresses of one /64 count as one network; the next /64 is let in (RES-02)."""
    counted = caps(peer=1, network=200)
    for number in range(200):
        enter(counted, f"2001:db8::{number:x}")
    assert counted.admit("2001:db8::ffff") == Refusal(FROM_NETWORK, "TARPIT_MAX_SESSIONS_NETWORK", 200)
    assert counted.admit("2001:db8:0:1::") is None


def test_a_wide_network_over_its_cap() -> None:
    """Who has many networks side by side gets four times the cap of one (RES-02)."""
    counted = caps(network=10)
    for number in range(WIDE):
        enter(counted, f"192.0.{number}.1", 10)
    assert counted.admit("192.0.9.1") == Refusal(FROM_NETWORK, "TARPIT_MAX_SESSIONS_NETWORK", WIDE * 10)
    assert counted.admit("192.0.16.1") is None


@pytest.mark.parametrize(("workers", "most"), [(1, 40), (2, 20), (4, 10), (16, 10)])
def test_a_wide_network_among_workers(workers: int, most: int) -> None:
    """Each counts its part of the wide one's cap, but never less than what one network may have."""
    counted = Caps(sessions=1000, peer=10, network=10, held=0, workers=workers)
    for number in range(most):
        assert counted.admit(f"192.0.{number % 16}.1") is None
        counted.entered(f"192.0.{number % 16}.1")
    refusal = counted.admit("192.0.15.2")
    assert refusal == Refusal(FROM_NETWORK, "TARPIT_MAX_SESSIONS_NETWORK", most)


@pytest.mark.parametrize(
    ("standing", "peer", "network", "wide"),
    [
        pytest.param(Standing.STRANGER, "_PEER", "_NETWORK", "_NETWORK", id="a stranger"),
        pytest.param(Standing.GOOD, "_PEER", "", "", id="a good history: its neighbours do not matter"),
        pytest.param(Standing.ALLOWED, "", "", "", id="TARPIT_ALLOW: a relay or a monitor"),
    ],
)
def test_who_is_exempt(standing: Standing, peer: str, network: str, wide: str) -> None:
    """What is known of a peer decides which caps hold for it; a full server is full for all."""
    counted = caps(peer=5, network=10, standing=standing)
    enter(counted, "192.0.2.1", 5)
    assert limit_of(counted.admit("192.0.2.1")) == peer
    enter(counted, "192.0.2.2", 5)
    assert limit_of(counted.admit("192.0.2.3")) == network
    enter(counted, "192.0.3.2", 30)
    assert limit_of(counted.admit("192.0.4.1")) == wide
    enter(full_up := caps(sessions=10, standing=standing), "192.0.2.1", 10)
    assert full_up.admit("198.51.100.1") == Refusal(BUSY, "TARPIT_MAX_SESSIONS", 10)


@pytest.mark.parametrize(
    ("taken", "flooder", "stranger", "good"),
    [
        pytest.param(89, True, True, True, id="up to nine tenths: everybody"),
        pytest.param(90, False, True, True, id="from there on: who takes little"),
        pytest.param(94, False, True, True, id="the last place for strangers"),
        pytest.param(95, False, False, True, id="from there on: who is known"),
        pytest.param(99, False, False, True, id="the last place"),
        pytest.param(100, False, False, False, id="full"),
    ],
)
def test_reserved_places(taken: int, flooder: bool, stranger: bool, good: bool) -> None:
    """The last places go to networks that take little, the very last to those who are known (RES-04)."""
    strange, known = caps(sessions=100), caps(sessions=100, standing=Standing.GOOD)
    for counted in (strange, known):
        enter(counted, "192.0.2.1", taken)
    answers = (strange.admit("192.0.2.9"), strange.admit("198.51.100.1"), known.admit("192.0.2.9"))
    assert tuple(answer is None for answer in answers) == (flooder, stranger, good)
    assert {answer.reply for answer in answers if answer} <= {BUSY}


@pytest.mark.parametrize(
    ("networks", "each", "open_already", "admitted"),
    [
        pytest.param(9, 10, 0, True, id="a newcomer"),
        pytest.param(8, 11, 4, True, id="a sender with less than half of what the others have"),
        pytest.param(8, 11, 5, False, id="one with half"),
        pytest.param(90, 1, 0, True, id="a newcomer among many"),
        pytest.param(89, 1, 1, False, id="one of many that have one each"),
    ],
)
def test_taking_little(networks: int, each: int, open_already: int, admitted: bool) -> None:
    """When nearly full, it counts how much a network takes beside what an average one does."""
    counted = caps(sessions=100)
    for number in range(networks):
        enter(counted, f"10.{number}.0.1", each)
    enter(counted, "192.0.2.1", open_already)
    enter(counted, "10.0.0.1", 93 - counted.sessions)
    assert (counted.admit("192.0.2.1") is None) is admitted


@pytest.mark.parametrize("sessions", [1, 2, 9, 10, 20, 999])
def test_few_sessions_are_all_of_use(sessions: int) -> None:
    """A small server reserves nothing it could not fill; strangers get at least nine tenths of any."""
    counted = caps(sessions=sessions)
    while counted.admit("192.0.2.1") is None:
        counted.entered("192.0.2.1")
    assert counted.sessions == sessions - sessions // 10


def test_nobody_is_asked_who_it_is_without_need() -> None:
    """Standing costs a look into lists and histories; that is paid only where a cap is reached."""
    asked: list[str] = []

    def standing(address: str) -> Standing:
        asked.append(address)
        return Standing.GOOD

    counted = Caps(sessions=3, peer=1, network=PLENTY, held=1, standing=standing)
    assert counted.admit("192.0.2.1") is None
    assert asked == []
    enter(counted, "192.0.2.1")
    assert counted.admit("192.0.2.1") is not None
    assert asked == ["192.0.2.1"]
    enter(counted, "192.0.2.2", 2)
    assert counted.admit("192.0.2.3") is not None
    assert asked == ["192.0.2.1"]  # full is full: nobody's standing changes that


def test_without_a_memory_everybody_is_a_stranger() -> None:
    """Caps work without anybody to ask."""
    counted = Caps(sessions=10, peer=1, network=1, held=1)
    enter(counted, "192.0.2.1")
    assert counted.admit("192.0.2.2") is not None


def test_held_places() -> None:
    """Beyond TARPIT_MAX_HELD nobody more is slowed until one of them has left (RES-03)."""
    counted = caps(held=2)
    assert [counted.hold(), counted.hold(), counted.hold()] == [True, True, False]
    assert counted.held == 2
    counted.release()
    assert counted.hold()


def test_nobody_is_released_twice() -> None:
    """A count below zero would be a bug that lets everybody be held."""
    with pytest.raises(AssertionError):
        caps().release()


def test_nobody_leaves_who_was_not_there() -> None:
    """A wrong count shows at once, not as a server that is full for ever."""
    with pytest.raises(KeyError):
        caps().left("192.0.2.1")


def test_places_for_those_without_a_name_yet() -> None:
    """Whom a trusted proxy has yet to name takes a place of the server's, and of nobody's cap."""
    counted = caps(sessions=2, peer=1)
    assert counted.expect() is None
    assert counted.expect() is None
    for refusal in (counted.expect(), counted.admit("192.0.2.1")):
        assert refusal is not None
        assert (refusal.limit, refusal.sessions) == ("TARPIT_MAX_SESSIONS", 2)
    counted.arrived()
    counted.arrived()
    assert counted.admit("192.0.2.1") is None
    with pytest.raises(AssertionError):
        counted.arrived()


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "::1"]), max_size=60))
@settings(max_examples=50, deadline=None)
def test_nothing_is_left_when_all_have_gone(addresses: list[str]) -> None:
    """Whoever came and went leaves no trace; meanwhile the counts are exact."""
    counted = caps()
    for number, address in enumerate(addresses, 1):
        counted.entered(address)
        assert counted.sessions == number
    tables = (counted._peers, counted._networks, counted._wide)
    assert [sum(table.values()) for table in tables] == [len(addresses)] * 3
    for address in reversed(addresses):
        counted.left(address)
    assert (counted.sessions, *tables) == (0, {}, {}, {})


def test_an_accept_costs_microseconds() -> None:
    """Among 10,000 sessions, to judge, count and discount one takes less than 50 us, refused or not."""
    counted = caps(peer=2)
    for number in range(10_000):
        counted.entered(f"10.{number >> 8 & 255}.{number & 255}.1")

    def come_and_go() -> None:
        if counted.admit("192.0.2.1") is None:
            counted.entered("192.0.2.1")
            counted.left("192.0.2.1")

    assert _fastest(come_and_go) < 50e-6
    enter(counted, "192.0.2.1", 2)
    assert _fastest(come_and_go) < 50e-6


def _fastest(work: Callable[[], None], times: int = 1000) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
