"""Who stirred, and who is overdue."""

import select
import socket
from collections.abc import Iterator
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tarpit.poller import HUNG_UP, SWEEP_EVERY, Poller

Pair = tuple[socket.socket, socket.socket]
A_WHILE: Final = 0.1


class Seen:
    """Writes down what it is told."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        self.events = 0
        self.times_overdue: list[float] = []

    def stirred(self, events: int) -> None:
        self.events |= events

    def overdue(self) -> None:
        self.times_overdue.append(trio.current_time())


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


async def test_tells_of_bytes(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Bytes of the far end stir the socket's own watcher, and no other."""
    poller, seen, other = Poller(), Seen(), Seen()
    poller.add(pair[0].fileno(), seen)
    nursery.start_soon(poller.run)
    poller.add(pair[1].fileno(), other)
    pair[1].send(b"x")
    await trio.sleep(A_WHILE)
    assert seen.events & select.EPOLLIN
    assert not other.events & select.EPOLLIN


async def test_tells_of_a_hang_up(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """The end of the far side's stream is told with nobody waiting for it."""
    poller, seen = Poller(), Seen()
    poller.add(pair[0].fileno(), seen)
    nursery.start_soon(poller.run)
    pair[1].shutdown(socket.SHUT_WR)
    await trio.sleep(A_WHILE)
    assert seen.events & HUNG_UP


async def test_removed_is_forgotten(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who is removed is told nothing more: neither bytes nor time-outs."""
    poller, seen = Poller(), Seen(deadline=0)
    poller.add(pair[0].fileno(), seen)
    poller.waits(seen)
    nursery.start_soon(poller.run)
    assert len(poller) == 1
    poller.remove(pair[0].fileno())
    assert len(poller) == 0
    pair[1].send(b"x")
    await trio.sleep(5)
    assert (seen.events, seen.times_overdue) == (0, [])


@pytest.mark.parametrize("deadline", [0.5, 1.0, 7.25, 300.0])
async def test_overdue(deadline: float, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A deadline is never told early, and at most one sweep late."""
    poller, seen = Poller(), Seen(deadline)
    poller.waits(seen)
    nursery.start_soon(poller.run)
    await trio.sleep(deadline + SWEEP_EVERY)
    assert deadline <= seen.times_overdue[0] <= deadline + SWEEP_EVERY


async def test_nobody_waits(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who waits no more is not overdue."""
    poller, seen = Poller(), Seen(1)
    poller.waits(seen)
    poller.waits_no_more(seen)
    nursery.start_soon(poller.run)
    await trio.sleep(5)
    assert seen.times_overdue == []


async def test_cancelled_closes_the_epoll(autojump_clock: MockClock) -> None:
    """No descriptor is left behind."""
    poller = Poller()
    with trio.move_on_after(3):
        await poller.run()
    assert poller._epoll.closed
