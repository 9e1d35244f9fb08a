"""Who stirred, and who is overdue."""

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tarpit.parked import FOREVER, Parked
from tarpit.poller import HUNG_UP, SWEEP_EVERY, Poller

Pair = tuple[socket.socket, socket.socket]
A_WHILE: Final = 0.1
STALL: Final = 3600.0  # for which the process stands still


class Seen:
    """Writes down what it is told."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        self.events = 0
        self.times_overdue: list[float] = []

    def stirred(self, events: int) -> None:
        self.events |= events

    def overdue(self) -> bool:
        self.times_overdue.append(trio.current_time())
        return True


class Sleeper(Parked):
    """Somebody may sleep here until the socket stirs."""

    def stirred(self, _: int) -> None:
        self.wake()


class Waiting(Sleeper):
    """Waits as a session does, by the poller's time, and again whenever it is woken."""

    def __init__(self, poller: Poller, patience: float) -> None:
        super().__init__()
        self.poller = poller
        self.patience = patience
        self.ended = FOREVER  # when

    async def run(self) -> None:
        while self.ended == FOREVER:
            await self.stir(self.poller.now + self.patience)

    def overdue(self) -> bool:
        self.ended = trio.current_time()
        return super().overdue()


class Turns(trio.abc.Instrument):
    """Counts the turns of the scheduler."""

    count = 0

    def before_io_wait(self, _: float) -> None:
        self.count += 1


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


async def test_tells_of_room_where_it_is_asked_for(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """That a socket takes bytes stirs nobody who has not asked; who asks is told at once."""
    poller, seen = Poller(), Seen()
    nursery.start_soon(poller.run)
    poller.add(pair[0].fileno(), seen)
    await trio.sleep(A_WHILE)
    assert seen.events == 0
    poller.tell_of_room(pair[0].fileno())
    await trio.sleep(A_WHILE)
    assert seen.events == select.EPOLLOUT


async def test_removed_is_forgotten(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who is removed is told nothing more: neither bytes nor time-outs."""
    poller, seen = Poller(), Seen(deadline=0)
    poller.add(pair[0].fileno(), seen)
    nursery.start_soon(poller.run)
    assert len(poller) == 1
    poller.remove(pair[0].fileno())
    assert len(poller) == 0
    pair[1].send(b"x")
    await trio.sleep(5)
    assert (seen.events, seen.times_overdue) == (0, [])


@pytest.mark.parametrize("deadline", [0.5, 1.0, 7.25, 300.0])
async def test_overdue(deadline: float, pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A deadline is never told early, and at most one sweep late."""
    poller, seen = Poller(), Seen(deadline)
    poller.add(pair[0].fileno(), seen)
    nursery.start_soon(poller.run)
    await trio.sleep(deadline + SWEEP_EVERY)
    assert deadline <= seen.times_overdue[0] <= deadline + SWEEP_EVERY


async def test_nobody_waits(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who waits for nothing is not overdue."""
    poller, seen = Poller(), Seen()
    poller.add(pair[0].fileno(), seen)
    nursery.start_soon(poller.run)
    await trio.sleep(5)
    assert seen.times_overdue == []


async def test_the_time_by_sweeps(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """It is never behind the clock, and at most a sweep ahead."""
    poller = Poller()
    nursery.start_soon(poller.run)
    for _ in range(20):
        await trio.sleep(0.3)
        assert 0 <= poller.now - trio.current_time() <= SWEEP_EVERY


async def test_the_time_in_a_long_sweep(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it behind the clock while a sweep takes its time: no deadline may come too early."""
    monkeypatch.setattr("tarpit.poller.SLICE", 1)
    poller, behind = Poller(), list[float]()

    class Slow(Seen):
        def overdue(self) -> bool:
            autojump_clock.jump(0.3)
            return super().overdue()

    async def look() -> None:
        await trio.sleep(SWEEP_EVERY)
        for _ in range(40):
            behind.append(trio.current_time() - poller.now)
            await trio.lowlevel.checkpoint()

    with contextlib.ExitStack() as stack:
        for _ in range(12):
            near, far = socket.socketpair()
            stack.enter_context(near)
            stack.enter_context(far)
            poller.add(near.fileno(), Slow(deadline=0))
        nursery.start_soon(look)
        nursery.start_soon(poller.run)
        await trio.sleep(3 * SWEEP_EVERY)
    assert trio.current_time() >= 3
    assert max(behind) <= 0


async def test_a_sweep_lets_others_by(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many connections some are looked at, then others get their turn."""
    monkeypatch.setattr("tarpit.poller.SLICE", 2)
    poller, between = Poller(), list[int]()
    dozen = [Seen(deadline=0) for _ in range(12)]
    with contextlib.ExitStack() as stack:
        for seen in dozen:
            near, far = socket.socketpair()
            stack.enter_context(near)
            stack.enter_context(far)
            poller.add(near.fileno(), seen)

        async def other() -> None:
            await trio.sleep(SWEEP_EVERY)
            for _ in range(20):
                between.append(sum(len(seen.times_overdue) for seen in dozen))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        nursery.start_soon(poller.run)
        await trio.sleep(2 * SWEEP_EVERY)
    assert len(set(between)) > 3
    assert all(len(seen.times_overdue) >= 1 for seen in dozen)


@pytest.mark.parametrize("stall", [pytest.param(9.0, id="shorter than its time"), STALL])
async def test_begins_to_wait_after_a_stall(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock, stall: float
) -> None:
    """Who begins to wait before the first sweep after it has all its time, and no more."""
    poller = Poller()
    waiting = Waiting(poller, 10.0)
    poller.add(pair[0].fileno(), waiting)
    nursery.start_soon(poller.run)
    await trio.sleep(2.5)

    async def go_on() -> None:
        autojump_clock.jump(stall)
        await waiting.run()  # in the same turn: the sweep is due, and comes in the next one

    nursery.start_soon(go_on)
    await trio.sleep(stall + 9.5)
    assert waiting.ended == FOREVER
    await trio.sleep(2 * SWEEP_EVERY)
    assert stall + 12.5 <= waiting.ended <= stall + 12.5 + 2 * SWEEP_EVERY


async def test_silent_through_a_stall(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Who waited before, and whose time is over, is ended by the first sweep; nobody else is."""
    poller, silent, patient = Poller(), Seen(deadline=10.0), Seen(deadline=STALL + 60)
    poller.add(pair[0].fileno(), silent)
    poller.add(pair[1].fileno(), patient)
    nursery.start_soon(poller.run)
    await trio.sleep(2.5)
    autojump_clock.jump(STALL)
    await trio.sleep(SWEEP_EVERY)
    assert silent.times_overdue[:1] == [STALL + 2.5]
    assert patient.times_overdue == []


async def test_what_came_in_a_stall_is_heard(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is ended who has spoken, though more have than are told in one turn."""
    monkeypatch.setattr("tarpit.poller.AT_ONCE", 2)
    poller = Poller()
    crowd = [Waiting(poller, 10.0) for _ in range(12)]
    with contextlib.ExitStack() as stack:
        ends = [tuple(map(stack.enter_context, socket.socketpair())) for _ in crowd]
        for (near, _), waiting in zip(ends, crowd, strict=True):
            poller.add(near.fileno(), waiting)
            nursery.start_soon(waiting.run)
        nursery.start_soon(poller.run)
        await trio.sleep(2.5)
        for _, far in ends:
            far.send(b"x")
        autojump_clock.jump(STALL)
        await trio.sleep(9.5)
        assert [waiting.ended for waiting in crowd] == [FOREVER] * 12
        await trio.sleep(2 * SWEEP_EVERY)
        assert FOREVER not in [waiting.ended for waiting in crowd]


async def test_always_late(pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A worker that is behind at each sweep ends who is silent all the same."""
    poller = Poller()
    waiting = Waiting(poller, 10.0)
    poller.add(pair[0].fileno(), waiting)
    nursery.start_soon(poller.run)
    nursery.start_soon(waiting.run)
    for _ in range(8):
        autojump_clock.jump(3.0)
        await trio.sleep(A_WHILE)
    assert 10.0 <= waiting.ended <= 10.0 + 3 * 3.0


async def test_cancelled_closes_the_epoll(autojump_clock: MockClock) -> None:
    """No descriptor is left behind."""
    poller = Poller()
    with trio.move_on_after(3):
        await poller.run()
    assert poller._epoll.closed


async def test_wakes_in_the_same_turn(pair: Pair, nursery: trio.Nursery) -> None:
    """Who is woken runs in the turn of the scheduler in which trio has seen the event, each time."""
    poller, sleeper, turns = Poller(), Sleeper(), Turns()
    poller.add(pair[0].fileno(), sleeper)
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    trio.lowlevel.add_instrument(turns)
    for times in range(1, 4):
        pair[1].send(b"x")
        await sleeper.stir(FOREVER)
        assert turns.count == times


async def test_more_than_one_poller(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Each tells of its own sockets; the end of one leaves the other to its work."""
    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair(), socket.socketpair()
        for sock in (*ours, *theirs):
            stack.enter_context(sock)
        staying, leaving, seen, other = Poller(), Poller(), Seen(), Seen()
        staying.add(ours[0].fileno(), seen)
        leaving.add(theirs[0].fileno(), other)
        nursery.start_soon(staying.run)
        with trio.move_on_after(A_WHILE):
            await leaving.run()
        ours[1].send(b"x")
        theirs[1].send(b"x")
        await trio.sleep(A_WHILE)
    assert seen.events & select.EPOLLIN
    assert not other.events & select.EPOLLIN


async def test_a_bug_ends_it(pair: Pair) -> None:
    """What is raised by who is told comes out where the poller runs: nobody waits on for what has ended."""

    class Broken(Seen):
        def stirred(self, _: int) -> None:
            raise LookupError

    poller = Poller()
    poller.add(pair[0].fileno(), Broken())
    pair[1].send(b"x")
    with trio.fail_after(5), pytest.RaisesGroup(LookupError):
        await poller.run()
    assert poller._epoll.closed
