"""The store in memory: what it recalls, for how long, and what a crowd of strangers can make it forget."""

from ipaddress import ip_address

import pytest
import trio
from trio.testing import MockClock

from scoring.verdict import Finding, Result, Verdict
from tarpit.store import DAY, NOTHING, Deed, Store
from tarpit.store.memory import HISTORIES, MemoryStore

GOOD = ip_address("192.0.2.1")
OTHER = ip_address("2001:db8::1")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def verdict(life: float) -> Verdict:
    return Verdict((Finding("dnsbl:zen.test", Result.LISTED, 4.0, "listed", life=life),), 3.0, 8.0)


async def make_known(store: Store, clock: Hand, domain: str | None = None) -> None:
    for _ in range(3):
        await store.note(Deed.ACCEPTED, GOOD, domain)
        clock.now += DAY / 2


async def test_strangers() -> None:
    """Of whom nothing was noted, nothing is known."""
    store: Store = MemoryStore()
    assert await store.recall(GOOD, "x.example") == NOTHING
    assert not store.knows(GOOD)


async def test_a_verdict_and_its_age(autojump_clock: MockClock) -> None:
    """A verdict is there for its lifetime, by trio's clock, and says how old it is."""
    store = MemoryStore()
    await store.remember(GOOD, verdict(600.0))
    await trio.sleep(599)
    remembered = await store.recall(GOOD)
    assert remembered.verdict == verdict(600.0)
    assert remembered.age == pytest.approx(599)
    assert await store.recall(OTHER) == NOTHING
    await trio.sleep(2)
    assert await store.recall(GOOD) == NOTHING


async def test_histories_by_address_and_domain() -> None:
    """A domain is another's history than the address, and its name has no case."""
    clock = Hand()
    store = MemoryStore(clock=clock)
    await make_known(store, clock, "News.Example")
    assert store.knows(GOOD)
    assert not store.knows(OTHER)
    assert (await store.recall(GOOD)).known_good
    assert (await store.recall(OTHER, "news.example")).known_good
    assert not (await store.recall(OTHER, "other.example")).known_good
    assert not (await store.recall(OTHER)).known_good
    assert store.recall_domain_now("NEWS.example") == (await store.recall(OTHER, "news.example")).domain


async def test_trust_is_lost_and_fades() -> None:
    """One trap, or months of silence: neither is known as good any more."""
    clock = Hand()
    store = MemoryStore(clock=clock)
    await make_known(store, clock)
    await store.note(Deed.TRAP, GOOD)
    assert not store.knows(GOOD)
    store = MemoryStore(clock=clock)
    await make_known(store, clock)
    clock.now += 90 * DAY
    assert not store.knows(GOOD)
    assert len(store.peers) == 1


async def test_strangers_push_out_only_strangers() -> None:
    """Whoever is known as good is so after any number of strangers, good or bad (RES-08)."""
    clock = Hand()
    store = MemoryStore(histories=100, clock=clock)
    await make_known(store, clock, "news.example")
    for number in range(1000):
        deed = Deed.ACCEPTED if number % 2 else Deed.HARVEST
        await store.note(deed, ip_address(number), f"d{number}.example")
    assert store.knows(GOOD)
    assert (await store.recall(OTHER, "news.example")).known_good
    assert (len(store.peers), len(store.domains)) == (101, 101)
    assert (await store.recall(ip_address(0))).peer.bad == 0
    assert (await store.recall(ip_address(998))).peer.bad == 10


async def test_memory_is_flat() -> None:
    """A hundred times as many strangers as there is room for leave it full, and no fuller (RES-08)."""
    clock = Hand()
    store = MemoryStore(verdicts=200, histories=200, clock=clock)
    last = verdict(600.0)
    for number in range(20_000):
        await store.remember(ip_address(number), last)
        await store.note(Deed.ACCEPTED, ip_address(number))
    assert len(store.peers) == len(store._verdicts) == 200
    assert HISTORIES * 4 * 400 < 50e6  # bytes, at 0.4 KB each
