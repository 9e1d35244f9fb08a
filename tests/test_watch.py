"""What is watched while we serve: backends that come and go, lists that change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import MockClock

from tarpit.bell import Bell
from tarpit.watch import check_backend, read_lists_again, watch_backends, watch_lists
from tests.support.backend import Does, FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.wires import Surroundings, load, stage


@asynccontextmanager
async def scene(**variables: str) -> AsyncIterator[tuple[Surroundings, FakeBackend]]:
    """Yield what sessions share, and the backend that is watched."""
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **variables)
        async with stage(settings, FakeResolver({})) as around:
            yield around, backend


def told(around: Surroundings, event: str) -> list[object]:
    """Return the events of one name."""
    return [entry for entry in around.events.entries if entry["event"] == event]


async def test_a_backend_that_comes_back_is_tested_again(autojump_clock: MockClock) -> None:
    """ID-09: a relay test is made at the start and whenever a backend comes up; no mail flows before."""
    async with scene(RELAY_TEST="refuse") as (around, fake):
        fake.answers["RCPT"] = b"554 5.7.1 no relaying\r\n"
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        assert backend.usable
        banner, fake.answers["BANNER"] = fake.answers["BANNER"], Does.CLOSE
        await check_backend(around.services, backend)
        assert not backend.usable
        fake.answers["BANNER"], fake.answers["RCPT"] = banner, b"250 2.1.5 Ok\r\n"
        await check_backend(around.services, backend)
        assert backend.open_relay
    assert len(told(around, "backend.relay-tested")) == 2
    assert len(told(around, "backend.probed")) == 3


async def test_a_probe_can_be_wanted_before_its_time(autojump_clock: MockClock) -> None:
    """Whoever finds that a backend has changed has it probed at once."""
    async with scene(HEALTH_EVERY="0") as (around, fake):
        around.services.nursery.start_soon(watch_backends, around.services)
        await trio.sleep(1000)
        assert not fake.connections
        around.services.probe_wanted.ring()
        await fake.wait_closed(1)


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
