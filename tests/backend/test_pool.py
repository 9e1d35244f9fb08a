"""Slots are never exceeded, are given back, and the least busy usable backend is taken."""

import pytest
import trio

from tarpit.backend.health import STRANGER
from tarpit.backend.pool import NoSlot, Pool, Unreached
from tarpit.backend.slots import Purpose
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tests.support.backend import Does, FakeBackend, fake_backend
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


async def test_borrowing_elsewhere() -> None:
    """A second try goes to another backend where there is one, and one that fails says which it was."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, most=3)
        first, second = pool.backends
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=first)
        assert loan.backend is second
        await loan.quit()
        loan.close()
        assert second.slots.taken == 0
        assert second.held_seconds > 0
        other.answers["BANNER"] = b"554 no\r\n"
        with pytest.raises(Unreached) as lost:
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=first)
        assert lost.value.backend is second
        first.up = False
        other.answers["BANNER"] = b"220 yes\r\n"
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=second)
        assert loan.backend is second
        loan.abort()
        assert second.slots.taken == 0


async def test_checks_never_take_all() -> None:
    """A flood of checks leaves the other slots to clean peers."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend, most=10)
        check = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.CHECK)
        with pytest.raises(NoSlot):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.CHECK)
        async with pool.joined(STRANGER, ours=OURS):
            assert pool.backends[0].slots.taken == 2
        check.close()


async def test_an_unusable_backend_promises_nothing() -> None:
    """Keywords of a backend that gets no mail are not shown."""
    pool = Pool((BackendAddress("127.0.0.1", 9),), Poller(), DIALLING, queue=1.0, largest=5)
    pool.backends[0].up, pool.backends[0].keywords = True, (b"SIZE 9",)
    assert list(pool.keywords) == [b"SIZE 5"]
    pool.backends[0].untested = True
    assert not pool.keywords


async def test_cancelled_while_dialling() -> None:
    """A session that ends while its backend is being introduced leaves the slot free."""
    poller = Poller()
    async with running(poller.run), fake_backend({"BANNER": Does.SILENT}) as backend:
        pool = pool_of(poller, backend)
        with trio.move_on_after(0.05) as scope:
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT)
        assert scope.cancelled_caught
        assert pool.backends[0].slots.taken == 0
