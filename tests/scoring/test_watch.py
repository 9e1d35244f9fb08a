"""Zones set aside and taken back, in exact seconds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from scoring.answer import NO_ROOM
from scoring.resolve import TOO_LATE, Answer, Status
from scoring.testpoints import Form
from scoring.verdict import Finding, Result
from scoring.watch import PATIENCE, Watch, ZoneChange
from scoring.zones import masked, parse_zones
from tests.support.dns_zone import found

Mood = Literal["good", "good, IPv6 too", "world", "world in IPv6", "silent", "refuses", "empty"]

NOTHING = Answer(Status.NOTHING, "no such name")
POINT4, POINT6 = "2.0.0.127.", "2.0.0.0.0.0.f.7.f.f.f.f."
HALF_HOUR = 1800


@dataclass(slots=True)
class Zones:
    """Zones whose mood changes in the course of a test, as a resolver."""

    moods: dict[str, Mood]
    tests: dict[str, list[float]] = field(default_factory=dict)  # when each zone was tested

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        zone = next(zone for zone in self.moods if name.endswith(f".{zone}"))
        point = name.startswith((POINT4, "test."))
        if point:
            self.tests.setdefault(zone, []).append(trio.current_time())
        match self.moods[zone]:
            case "silent":
                await trio.sleep_until(until)
                return TOO_LATE
            case "world":
                return found("127.0.0.2")
            case "world in IPv6":
                return found("127.0.0.2") if point or len(name) > 60 else NOTHING
            case "refuses":
                return found("127.255.255.254") if point else NOTHING
            case "good, IPv6 too":
                return found("127.0.0.2") if point or name.startswith(POINT6) else NOTHING
            case "good":
                return found("127.0.0.2") if point else NOTHING
            case "empty":
                return NOTHING


@dataclass(slots=True)
class Told:
    """A running watch, and what it has told when."""

    watch: Watch
    start: float = field(default_factory=trio.current_time)
    changes: list[tuple[float, ZoneChange]] = field(default_factory=list)

    def hear(self, change: ZoneChange) -> None:
        self.changes.append((trio.current_time() - self.start, change))

    @property
    def news(self) -> list[tuple[float, str, bool]]:
        return [(when, change.zone, change.usable) for when, change in self.changes]


@asynccontextmanager
async def watching(zones: Zones, lists: str, names: str = "") -> AsyncIterator[Told]:
    async with trio.open_nursery() as nursery:
        told = Told(Watch(parse_zones(lists), parse_zones(names), zones))
        nursery.start_soon(told.watch.run, told.hear)
        yield told
        nursery.cancel_scope.cancel()


def since(told: Told, times: Sequence[float]) -> list[float]:
    return [time - told.start for time in times]


async def test_in_order(autojump_clock: MockClock) -> None:
    """Zones in order are tested at start and every half hour, and nothing is told of them."""
    zones = Zones({"zen.example": "good", "six.example": "good, IPv6 too", "dbl.example": "good"})
    async with watching(zones, "zen.example six.example", "dbl.example") as told:
        assert not told.watch.usable("zen.example")
        await trio.sleep(2 * HALF_HOUR + 1)
        assert since(told, zones.tests["zen.example"]) == [0, HALF_HOUR, 2 * HALF_HOUR]
        assert told.watch.usable("zen.example")
        assert not told.watch.usable("zen.example", Form.IPV6)
        assert told.watch.usable("six.example", Form.IPV6)
        assert told.watch.usable("dbl.example", Form.NAMES)
        assert told.changes == []


async def test_lists_the_world(autojump_clock: MockClock) -> None:
    """DNS-07: a zone that lists the world is set aside by one test, tested ever more rarely, taken back."""
    zones = Zones({"zen.example": "good", "gone.example": "world"})
    async with watching(zones, "zen.example gone.example") as told:
        await trio.sleep(1)
        assert (told.watch.usable("zen.example"), told.watch.usable("gone.example")) == (True, False)
        assert "lists the world" in told.watch.checkup("gone.example").why
        await trio.sleep(7200)
        zones.moods["gone.example"] = "good"
        await trio.sleep(HALF_HOUR)
        assert since(told, zones.tests["gone.example"])[:6] == [0, 5, 15, 35, 75, 155]
        assert since(told, zones.tests["gone.example"])[-1] < 7201 + HALF_HOUR
        assert told.watch.usable("gone.example")
    assert [news[1:] for news in told.news] == [("gone.example", False), ("gone.example", True)]
    assert told.changes[0][1].forms == (Form.IPV4,)
    assert "world" in told.changes[0][1].reason


@pytest.mark.parametrize("mood", ["world", "refuses", "empty", "silent"])
async def test_goes_wrong_later(mood: Mood, autojump_clock: MockClock) -> None:
    """DNS-05, DNS-07, DNS-08: a zone that goes wrong is set aside by the next test."""
    zones = Zones({"zen.example": "good"})
    async with watching(zones, "zen.example") as told:
        await trio.sleep(1)
        zones.moods["zen.example"] = mood
        await trio.sleep(HALF_HOUR + PATIENCE)
        assert not told.watch.usable("zen.example")
    assert told.news == [(HALF_HOUR + (PATIENCE if mood == "silent" else 0), "zen.example", False)]


async def test_three_silences(autojump_clock: MockClock) -> None:
    """DNS-08: three sessions wait for a silent zone; the rest do not, until a test has passed."""
    zones = Zones({"zen.example": "good"})
    async with watching(zones, "zen.example") as told:
        await trio.sleep(10)
        zones.moods["zen.example"] = "silent"
        for _ in range(2):
            told.watch.heard("zen.example", answered=False)
        told.watch.heard("zen.example", answered=True)
        for _ in range(3):
            assert told.watch.usable("zen.example")
            told.watch.heard("zen.example", answered=False)
        assert not told.watch.usable("zen.example")
        told.watch.heard("zen.example", answered=False)
        await trio.sleep(600)
        zones.moods["zen.example"] = "good"
        await trio.sleep(300 + PATIENCE)
        assert told.watch.usable("zen.example")
    tests = since(told, zones.tests["zen.example"])
    assert tests[:5] == [0, 15, 30, 55, 100]  # each silent one takes 5 seconds, then 10, 20, 40
    assert max(later - sooner for sooner, later in pairwise(tests)) <= 300 + PATIENCE
    assert [(usable, when) for when, _, usable in told.news] == [(False, 10), (True, tests[-1])]
    assert told.changes[0][1].reason == "3 questions in a row without an answer"


async def test_a_zone_that_comes_and_goes(autojump_clock: MockClock) -> None:
    """Who falls silent again soon waits longer for the next test; half an hour in order mends that."""
    zones = Zones({"zen.example": "good"})
    async with watching(zones, "zen.example") as told:
        for pause in (5, 10, 20):
            await trio.sleep(1)
            for _ in range(3):
                told.watch.heard("zen.example", answered=False)
            assert not told.watch.usable("zen.example")
            await trio.sleep(pause)
            await wait_all_tasks_blocked()
            assert told.watch.usable("zen.example")
        await trio.sleep(HALF_HOUR + 1)
        for _ in range(3):
            told.watch.heard("zen.example", answered=False)
        await trio.sleep(5.5)
        assert told.watch.usable("zen.example")


@pytest.mark.parametrize(
    ("finding", "usable"),
    [
        (Finding("dnsbl:x", Result.NO_OPINION, 0, "", seconds=3), False),
        (Finding("dnsbl:x", Result.NO_OPINION, 0, "SERVFAIL", seconds=0.01), True),
        (Finding("dnsbl:x", Result.NO_OPINION, 0, NO_ROOM.why, seconds=3), True),
        (Finding("dnsbl:x", Result.LISTED, 1, "", seconds=2.9), True),
    ],
)
async def test_learn_silence(finding: Finding, usable: bool, autojump_clock: MockClock) -> None:
    """What sessions hear counts; a failure that cost nobody any time does not."""
    zones = Zones({"zen.example": "good"})
    async with watching(zones, "zen.example") as told:
        await trio.sleep(1)
        for _ in range(3):
            told.watch.learn("zen.example", finding)
        assert told.watch.usable("zen.example") is usable


@pytest.mark.parametrize(("age", "usable"), [(0.0, True), (30.0, False)])
async def test_learn_answers(age: float, usable: bool, autojump_clock: MockClock) -> None:
    """An answer proves that a zone is there, but not if it was remembered."""
    zones = Zones({"zen.example": "good"})
    async with watching(zones, "zen.example") as told:
        await trio.sleep(1)
        for result in (Result.NO_OPINION, Result.NO_OPINION, Result.NONE, Result.NO_OPINION):
            seconds, old = (3.0, 0.0) if result is Result.NO_OPINION else (0.0, age)
            told.watch.learn("zen.example", Finding("dnsbl:x", result, 0, "", seconds=seconds, age=old))
        assert told.watch.usable("zen.example") is usable


async def test_doubt(autojump_clock: MockClock) -> None:
    """DNS-05: an error code has the zone tested soon, at most once a minute; the test decides."""
    zones = Zones({"zen.example": "good"})
    error = Finding("dnsbl:x", Result.ERROR, 0, "127.255.255.254")
    async with watching(zones, "zen.example") as told:
        await trio.sleep(30)
        told.watch.learn("zen.example", error)
        await trio.sleep(90)
        told.watch.learn("zen.example", error)
        told.watch.learn("zen.example", error)
        await trio.sleep(1)
        assert told.watch.usable("zen.example")
        zones.moods["zen.example"] = "refuses"
        told.watch.learn("zen.example", error)
        await trio.sleep(60)
        assert not told.watch.usable("zen.example")
        told.watch.learn("zen.example", error)  # its next test is nearer than a minute
    assert since(told, zones.tests["zen.example"]) == [0, 60, 120, 180]
    assert told.news == [(180, "zen.example", False)]


async def test_wait_usable(autojump_clock: MockClock) -> None:
    """An untested zone is waited for until it is tested, or until the deadline; then nobody waits."""
    zones = Zones({"zen.example": "good", "dead.example": "silent"})
    async with watching(zones, "zen.example dead.example") as told:
        until = told.start + 3
        assert await told.watch.wait_usable("zen.example", until=until)
        assert trio.current_time() == told.start
        assert not await told.watch.wait_usable("dead.example", until=until)
        assert trio.current_time() == until
        await trio.sleep(PATIENCE)
        before = trio.current_time()
        assert not await told.watch.wait_usable("dead.example", until=before + 3)
        assert trio.current_time() == before


async def test_ipv6_apart(autojump_clock: MockClock) -> None:
    """A zone that lists the world in IPv6 only is asked about IPv4 as before; that is told."""
    zones = Zones({"zen.example": "world in IPv6"})
    async with watching(zones, "zen.example") as told:
        await trio.sleep(1)
        assert told.watch.usable("zen.example")
        assert not told.watch.usable("zen.example", Form.IPV6)
        zones.moods["zen.example"] = "good, IPv6 too"
        await trio.sleep(10)
        assert told.watch.usable("zen.example", Form.IPV6)
    assert [change.forms for _, change in told.changes] == [(Form.IPV6,), (Form.IPV6,)]
    assert told.changes[0][1].reason.startswith("IPv6: 127.0.0.2 for what no list may have")


async def test_ipv6_comes_and_goes(autojump_clock: MockClock) -> None:
    """That a zone serves IPv6 no longer, or again, is no fault and not told."""
    zones = Zones({"zen.example": "good, IPv6 too"})
    async with watching(zones, "zen.example") as told:
        for mood, usable in (("good", False), ("good, IPv6 too", True)):
            zones.moods["zen.example"] = "good" if mood == "good" else "good, IPv6 too"
            await trio.sleep(HALF_HOUR + 1)
            assert told.watch.usable("zen.example", Form.IPV6) is usable
    assert told.changes == []


async def test_welcome_lists(autojump_clock: MockClock) -> None:
    """A welcome list without test points is in order, one that welcomes the world is not."""
    zones = Zones({"wl.example": "empty", "all.example": "world"})
    async with watching(zones, "wl.example*-2 all.example*-2") as told:
        await trio.sleep(1)
        assert told.watch.usable("wl.example")
        assert told.watch.usable("wl.example", Form.IPV6)
        assert not told.watch.usable("all.example")
    assert told.news == [(0, "all.example", False)]


async def test_both_kinds_in_one(autojump_clock: MockClock) -> None:
    """A zone that lists addresses and names is tested in all forms, and judged apart."""
    zones = Zones({"hk.example": "good"})
    async with watching(zones, "hk.example", "hk.example*2") as told:
        await trio.sleep(1)
        assert told.watch.usable("hk.example")
        assert told.watch.usable("hk.example", Form.NAMES)


async def test_keys_are_not_told(autojump_clock: MockClock) -> None:
    """What is told of a zone has its mask, whatever the reason says."""

    class Chatty(Zones):
        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            return Answer(Status.UNKNOWN, f"no answer for {name}")

    lists = masked(parse_zones("secret.zen.example"), {"secret.zen.example": "zen.example"})
    told = Told(Watch(lists, (), Chatty({})))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.watch.run, told.hear)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert told.news == [(0, "zen.example", False)]
    assert "secret" not in str(told.changes)


async def test_nothing_to_watch() -> None:
    """Without zones there is nothing to do."""
    await Watch((), (), Zones({})).run(lambda change: None)
