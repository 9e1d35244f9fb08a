"""Who can be read or written, for all connections of a worker.

One edge-triggered epoll holds every socket, and one task sleeps on that epoll. A session parks with nothing
but itself: no registration per wait, no cancel scope per time-out. Deadlines are looked at once a second,
which is fine enough for time-outs of minutes; what needs finer time is the business of `drip`. For the same
reason they may be reckoned from `now`, which is as coarse, and not from a clock that would be read fifty
times a session.

Whether a socket takes bytes is told only where somebody waits for that: a new one always does, and an event
to say so would be a turn of the scheduler for each connection.

The task does not wake the others itself: what it reschedules would run a turn of the scheduler later, and at
a moderate load each event would cost two turns. An instrument of trio's, called between its wait and the
tasks that are due, does it in the turn in which the task is woken, which only goes back to sleep.

Rejected: `trio.lowlevel.wait_readable` with a cancel scope a read. It costs 0.50 to 0.66 ms of CPU
for a short relayed session against 0.30 ms this way (docs/design.md).

What is read or written, and what a hang-up means, is in `wire`.
"""

import contextlib
import select
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import trio

SWEEP_EVERY: Final = 1.0  # seconds between two looks at the deadlines
SLICE: Final = 1000  # connections that are looked at before others get their turn
AT_ONCE: Final = 1024  # of those that have stirred, how many are told in one turn
HUNG_UP: Final = select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR
_WATCHED: Final = select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLET


class Watched(Protocol):
    """What the poller tells about a socket."""

    deadline: float  # infinite while nobody waits

    def stirred(self, events: int) -> None:
        """Something happened on the socket: a mask of EPOLL flags."""

    def overdue(self) -> bool:
        """`deadline` has passed. Returns whether somebody waited, and was not being woken already."""


class _Herald(trio.abc.Instrument):
    """Wakes whoever's socket has stirred, whenever *sleeper*, who waits for *epoll*, has been woken."""

    def __init__(
        self, sleeper: trio.lowlevel.Task, epoll: select.epoll, watched: Mapping[int, Watched]
    ) -> None:
        self._sleeper, self._epoll, self._watched = sleeper, epoll, watched
        self.bug: BaseException | None = None  # that ended this: the sleeper, awake, has to raise it

    def after_io_wait(self, _: float) -> None:
        """Be called by trio once it has seen what happened, before those who are due have their turn."""
        if self._sleeper.custom_sleep_data is not None:
            return
        try:
            for descriptor, events in self._epoll.poll(0, AT_ONCE):
                # one woken earlier in this round may have closed it: tasks run only after the round
                self._watched[descriptor].stirred(events)
        except BaseException as bug:  # trio writes a line of log, and goes on without us
            self.bug = bug
            raise


class Poller:
    """The readiness of many sockets. `run` must run for as long as any of them is in use.

    Made, as it is used, inside trio: `now` is its time.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self.now = trio.current_time() + SWEEP_EVERY  # the next sweep: no deadline may come too early

    def add(self, descriptor: int, watched: Watched) -> None:
        """Begin to watch an open, non-blocking socket."""
        self._watched[descriptor] = watched
        self._epoll.register(descriptor, _WATCHED)

    def tell_of_room(self, descriptor: int) -> None:
        """From now on tell of a watched socket when it takes bytes (again); at once, if it does now.

        May come after `run` has ended: somebody may still be saying QUIT.
        """
        if not self._epoll.closed:
            self._epoll.modify(descriptor, _WATCHED | select.EPOLLOUT)

    def remove(self, descriptor: int) -> None:
        """Stop watching. Must be called before the descriptor is closed; may come after `run` has ended."""
        self._watched.pop(descriptor, None)
        if not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def __len__(self) -> int:
        return len(self._watched)

    async def run(self) -> None:
        """Wake whoever is due, until cancelled; then close the epoll."""
        sleeper, descriptor = trio.lowlevel.current_task(), self._epoll.fileno()
        herald = _Herald(sleeper, self._epoll, self._watched)
        trio.lowlevel.add_instrument(herald)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                while herald.bug is None:
                    sleeper.custom_sleep_data = herald  # trio takes it away when it wakes us
                    await trio.lowlevel.wait_readable(descriptor)
                raise herald.bug
        finally:
            with contextlib.suppress(KeyError):  # not one that failed
                trio.lowlevel.remove_instrument(herald)
            trio.lowlevel.notify_closing(self._epoll)
            self._epoll.close()

    async def _sweep(self) -> None:
        everybody, deadlines = list[Watched](), list[float]()
        while True:
            await trio.sleep(SWEEP_EVERY)
            last = everybody, deadlines
            everybody, deadlines = list(self._watched.values()), []
            for start in range(0, len(everybody) or 1, SLICE):
                if trio.current_time() - self.now > SWEEP_EVERY:
                    await self._catch_up(*last)
                now = trio.current_time()
                self.now = now + SWEEP_EVERY  # again in each slice: a sweep may take its time
                for watched in everybody[start : start + SLICE]:
                    if watched.deadline <= now:
                        watched.overdue()
                    deadlines.append(watched.deadline)
                await trio.lowlevel.checkpoint()

    async def _catch_up(self, everybody: Iterable[Watched], deadlines: Iterable[float]) -> None:
        """Be fair after the process stood still, perhaps for longer than a time-out: the sweep is that late.

        Who has begun to wait since the last sweep, which found *everybody* with these *deadlines*, may have
        reckoned from a time long past: it gets what it was given. Who waited before had the stall to speak
        in, and is ended; but not before all that was said meanwhile has been seen.
        """
        now = trio.current_time()
        lost, self.now = now + SWEEP_EVERY - self.now, now + SWEEP_EVERY
        before = dict(zip(everybody, deadlines, strict=True))
        for watched in self._watched.values():
            if watched.deadline != before.get(watched):
                watched.deadline += lost
        for _ in range(0, len(self._watched) or 1, AT_ONCE):
            await trio.lowlevel.checkpoint()
