"""Slots are never exceeded, are given back, and the least busy usable backend is taken."""

import pytest

from tarpit.backend.health import STRANGER
from tarpit.backend.pool import Pool
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tests.support.backend import FakeBackend, fake_backend
from tests.support.wires import DIALLING, running

OURS = ("192.0.2.2", 25)


def pool_of(poller: Poller, *backends: FakeBackend, most: int = 1, queue: float = 0.1) -> Pool:
    addresses = tuple(BackendAddress(*backend.address, max=most) for backend in backends)
    return Pool(addresses, poller, DIALLING, queue=queue)


async def test_a_slot_is_waited_for_and_given_back() -> None:
    """At the cap the next one waits its time, fails, and gets in once the slot is free."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        async with pool.joined(STRANGER, ours=OURS) as (_, line):
            assert line.banner.startswith(b"220 ")
            with pytest.raises(BackendUnavailable, match="TARPIT_BACKEND_MAX"):
                async with pool.joined(STRANGER, ours=OURS):
                    pass
        async with pool.joined(STRANGER, ours=OURS) as (used, _):
            assert used.busy == 1
        assert len(backend.connections) == 2
        assert pool.backends[0].busy == 0


async def test_a_failed_dial_gives_its_slot_back() -> None:
    """A backend that is down does not use up its slots."""
    poller = Poller()
    async with running(poller.run):
        async with fake_backend() as backend:
            pool = pool_of(poller, backend)
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="refused"):
                async with pool.joined(STRANGER, ours=OURS):
                    pass
        assert pool.backends[0].busy == 0


async def test_the_least_busy_is_taken() -> None:
    """Two sessions go to two backends; one known to be down is passed over."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, most=3)
        async with pool.joined(STRANGER, ours=OURS) as (first, _):
            async with pool.joined(STRANGER, ours=OURS) as (second, _):
                assert first is not second
            second.up = False
            async with pool.joined(STRANGER, ours=OURS) as (third, _):
                assert third is first


async def test_an_open_relay_is_not_used() -> None:
    """No mail goes to a backend that would relay for everybody, even if it is the only one."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        pool.backends[0].open_relay = True
        with pytest.raises(BackendUnavailable, match="TARPIT_RELAY_TEST"):
            async with pool.joined(STRANGER, ours=OURS):
                pass
        assert not backend.connections


async def test_keywords_are_those_of_all() -> None:
    """A suspect is shown only what every usable backend offers."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other)
        assert not list(pool.keywords)
        for backend, words in zip(pool.backends, ((b"SIZE 1", b"8BITMIME"), (b"8BITMIME",)), strict=True):
            backend.up, backend.keywords = True, words
        assert list(pool.keywords) == [b"8BITMIME"]


async def test_an_untested_backend_gets_no_mail() -> None:
    """Until the relay test is over, nobody is joined: the backend might relay for everybody."""
    pool = Pool((BackendAddress("127.0.0.1", 9),), Poller(), DIALLING, queue=1.0)
    pool.backends[0].untested = True
    with pytest.raises(BackendUnavailable, match="TARPIT_RELAY_TEST"):
        async with pool.joined(STRANGER, ours=OURS):
            pass
