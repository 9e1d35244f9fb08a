"""Work on a borrowed connection, and once more on another one."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
import trio

from tarpit.backend.borrower import Borrower
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Loan, Pool
from tarpit.backend.routes import Group
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.backend.transaction import ParameterLost
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tests.support.backend import FakeBackend, fake_backend
from tests.support.wires import DIALLING, running

STRANGER = Introduction(ip_address("192.0.2.7"), 4025)


def borrower(
    poller: Poller, nursery: trio.Nursery, backends: Sequence[FakeBackend], doubted: list[Backend]
) -> Borrower:
    """Return somebody who borrows from *backends*."""
    addresses = tuple(BackendAddress(*backend.address, max=1) for backend in backends)
    return Borrower(
        Pool(addresses, poller, DIALLING, queue=0.1),
        introduction=lambda: STRANGER,
        ours=("192.0.2.2", 25),
        spawn=nursery.start_soon,
        probe_again=doubted.append,
    )


async def test_twice() -> None:
    """What fails on one backend is done on another; both are given back, and the seconds counted."""
    poller, doubted, tried = Poller(), list[Backend](), list[str]()

    async def work(loan: Loan) -> str:
        tried.append(loan.backend.name)
        if len(tried) == 1:
            raise ParameterLost("does not offer what SIZE needs")
        return "done"

    async with running(poller.run), fake_backend() as a, fake_backend() as b, trio.open_nursery() as nursery:
        one = borrower(poller, nursery, (a, b), doubted)
        assert await one.twice(Purpose.CHECK, work) == "done"
        assert len(set(tried)) == 2
        assert one.last is not None
        assert one.last.name == tried[1]
        assert one.trouble == "does not offer what SIZE needs"
        assert [backend.name for backend in doubted] == tried[:1]
        assert one.seconds > 0
        await a.wait_closed(1)
        await b.wait_closed(1)


async def test_no_third_time() -> None:
    """Two failures are enough; there is no more to say than the last one's reason."""
    poller, tried = Poller(), list[str]()

    async def work(loan: Loan) -> str:
        tried.append(loan.backend.name)
        raise BackendUnavailable("said 421")

    async with running(poller.run), fake_backend() as a, trio.open_nursery() as nursery:
        one = borrower(poller, nursery, (a,), [])
        assert await one.twice(Purpose.CHECK, work) is None
        assert (len(tried), one.trouble) == (2, "said 421")


async def test_a_group() -> None:
    """Only a group's backends are tried, a second time too."""
    poller = Poller()
    async with running(poller.run), fake_backend() as a, fake_backend() as b, trio.open_nursery() as nursery:
        one = borrower(poller, nursery, (a, b), [])
        only = Group(("{}:{}".format(*b.address),))

        async def work(_: Loan) -> str:
            raise BackendUnavailable("said 421")

        assert await one.twice(Purpose.CHECK, work, group=only) is None
        assert (len(a.connections), len(b.connections)) == (0, 2)


async def test_kept() -> None:
    """A connection that is kept is there until it is ended; nothing else gets its slot."""
    poller = Poller()

    async def work(loan: Loan) -> Loan:
        return loan

    async with running(poller.run), fake_backend() as a, trio.open_nursery() as nursery:
        one = borrower(poller, nursery, (a,), [])
        loan = await one.twice(Purpose.COMMIT, work, keep=True)
        assert loan is not None
        assert await one.twice(Purpose.COMMIT, work) is None
        assert one.trouble.startswith("all its connections are in use")
        one.quit(loan)
        await a.wait_closed(1)
        assert await one.twice(Purpose.COMMIT, work) is not None


async def test_a_bug_gives_the_connection_back() -> None:
    """Whatever ends the work ends the connection."""
    poller = Poller()

    async def work(_: Loan) -> None:
        raise ZeroDivisionError

    async with running(poller.run), fake_backend() as a, trio.open_nursery() as nursery:
        one = borrower(poller, nursery, (a,), [])
        with pytest.raises(ZeroDivisionError):
            await one.twice(Purpose.COMMIT, work)
        assert one.last is not None
        assert one.last.slots.taken == 0
