"""What is watched while we serve: backends that come and go, lists that change."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from structlog.typing import EventDict
from trio.testing import MockClock

from tarpit.backend.places import AGAIN, Places
from tarpit.bell import Bell
from tarpit.watch import check_backend, read_lists_again, watch_backends, watch_lists
from tests.support.backend import Answer, Does, FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.wires import Surroundings, load, stage


@asynccontextmanager
async def scene(**variables: str) -> AsyncIterator[tuple[Surroundings, FakeBackend]]:
    """Yield what sessions share, and the backend that is watched."""
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **variables)
        async with stage(settings, FakeResolver({})) as around:
            yield around, backend


def told(around: Surroundings, event: str) -> list[EventDict]:
    """Return the events of one name."""
    return [entry for entry in around.events.entries if entry["event"] == event]


async def becomes_true(claim: Callable[[], bool]) -> float:
    """Wait until *claim* is true, and return for how long."""
    began = trio.current_time()
    while not claim():  # noqa: ASYNC110 - nobody tells of it
        await trio.sleep(0.01)
    return trio.current_time() - began


def probed(around: Surroundings) -> list[EventDict]:
    """Return what was told of backends that went up or down."""
    return [entry for entry in around.events.entries if entry["event"] == "backend.probed"]


async def test_a_backend_that_comes_back_is_tested_again(autojump_clock: MockClock) -> None:
    """ID-09: a relay test is made at the start and whenever a backend comes up; no mail flows before."""
    async with scene(RELAY_TEST="refuse", HEALTH_RISE="1", HEALTH_FALL="1") as (around, fake):
        fake.answers["RCPT"] = b"554 5.7.1 no relaying\r\n"
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        assert backend.usable
        banner, fake.answers["BANNER"] = fake.answers["BANNER"], Does.CLOSE
        await check_backend(around.services, backend)
        assert not around.services.pool.backends[0].usable
        fake.answers["BANNER"], fake.answers["RCPT"] = banner, b"250 2.1.5 Ok\r\n"
        await check_backend(around.services, backend)
        assert backend.open_relay
    assert len(told(around, "backend.relay-tested")) == 2
    assert len(told(around, "backend.probed")) == 3


@pytest.mark.parametrize("lost", [Does.CLOSE, Does.RESET, b"junk\r\n"], ids=str)
async def test_a_relay_test_that_is_cut_short(lost: Answer, autojump_clock: MockClock) -> None:
    """ID-09: nothing is known where the connection is lost: no mail goes there, and it is tried again."""
    async with scene(RELAY_TEST="refuse", HEALTH_EVERY="1h") as (around, fake):
        fake.answers["RCPT"] = lost
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        assert (backend.up, backend.usable, backend.open_relay) == (True, False, False)
        around.services.nursery.start_soon(watch_backends, around.services)
        await trio.sleep(10)
        assert not backend.usable
        fake.answers["RCPT"] = b"554 5.7.1 no relaying\r\n"
        assert await becomes_true(lambda: backend.usable) < 2
        count = len(fake.connections)
        await trio.sleep(600)
        assert len(fake.connections) == count
    assert {event["result"] for event in told(around, "backend.relay-tested")} == {"unknown", "passed"}


async def test_a_relay_test_that_is_put_off(autojump_clock: MockClock) -> None:
    """ID-09: a 4xx that says nothing of relaying is an answer: such a backend is used."""
    async with scene(RELAY_TEST="refuse", HEALTH_EVERY="1h") as (around, fake):
        fake.answers["RCPT"] = b"451 4.3.0 not now\r\n"
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        assert backend.usable


async def test_a_probe_can_be_wanted_before_its_time(autojump_clock: MockClock) -> None:
    """Whoever finds that a backend has changed has it probed at once."""
    async with scene(HEALTH_EVERY="0") as (around, fake):
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        around.services.nursery.start_soon(watch_backends, around.services)
        await trio.sleep(1000)
        assert len(fake.connections) == 1
        backend.probe_wanted.ring()
        await fake.wait_closed(2)


async def test_a_fall_is_noticed_and_a_recovery(autojump_clock: MockClock) -> None:
    """Three failures in a row, a second apart, and it is down; two answers, and it is up: within 2 s."""
    async with scene(HEALTH_EVERY="10s") as (around, fake):
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        around.services.nursery.start_soon(watch_backends, around.services)
        banner, fake.answers["BANNER"] = fake.answers["BANNER"], b"421 4.3.2 busy\r\n"
        backend.probe_wanted.ring()
        assert 1.4 < await becomes_true(lambda: not backend.up) < 3
        await trio.sleep(100)
        fake.answers["BANNER"] = banner
        assert await becomes_true(lambda: backend.up is True) < 2
        assert backend.state.weight < 1
    assert [(entry["up"], entry["reason"]) for entry in probed(around)] == [
        (True, ""),
        (False, "refused us at its banner: 421 4.3.2 busy"),
        (True, ""),
    ]


async def test_a_doubt_that_passes(autojump_clock: MockClock) -> None:
    """One failure is looked into at once, and no more than that."""
    async with scene(HEALTH_EVERY="1h") as (around, fake):
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        around.services.nursery.start_soon(watch_backends, around.services)
        backend.marks.bad("reset")
        backend.probe_wanted.ring()
        assert await becomes_true(lambda: not backend.marks.doubtful) < 2
        await trio.sleep(600)
        assert len(fake.connections) == 2


async def test_one_that_hangs_delays_no_other(autojump_clock: MockClock) -> None:
    """Each backend is probed by itself."""
    async with fake_backend({"BANNER": Does.SILENT}) as silent, fake_backend() as other:
        both = " ".join("{}:{}".format(*backend.address) for backend in (silent, other))
        async with stage(load(BACKENDS=both, HEALTH_EVERY="1s"), FakeResolver({})) as around:
            around.services.nursery.start_soon(watch_backends, around.services)
            await trio.sleep(20)
            assert [backend.up for backend in around.services.pool.backends] == [False, True]
            assert len(other.connections) > 10


async def test_names_are_looked_up_again(autojump_clock: MockClock) -> None:
    """When the time of their addresses is over; an address never is."""
    async with scene() as (around, fake):
        (backend,) = around.services.pool.backends
        backend.places = Places("localhost", fake.address[1])
        around.services.nursery.start_soon(watch_backends, around.services)
        await becomes_true(lambda: bool(backend.places.places))
        backend.places.places = ()
        await trio.sleep(AGAIN)
        await becomes_true(lambda: bool(backend.places.places))


async def test_lists_are_read_again_when_told(tmp_path: Path) -> None:
    """A good list takes effect, a bad one leaves the one before in force; both are told."""
    path = tmp_path / "deny"
    path.write_text("192.0.2.0/24\n")
    async with scene(DENY=str(path)) as (around, _), trio.open_nursery() as nursery:
        nursery.start_soon(watch_lists, around.services, Bell())
        for text in ("192.0.2.0/24\n198.51.100.0/24\n", "nonsense\n"):
            path.write_text(text)
            await read_lists_again(around.services)
        assert len(around.services.classifier.lists.deny) == 2
        nursery.cancel_scope.cancel()
    assert len(told(around, "lists.loaded")) == 2
    assert len(told(around, "lists.kept")) == 1
