"""Who can be read or written, for all connections of a worker.

One edge-triggered epoll holds every socket, and one task sleeps on that epoll and wakes the tasks
whose sockets stirred. A session parks with nothing but itself: no registration per wait, no cancel
scope per time-out. Deadlines are looked at once a second, which is fine enough for time-outs of
minutes; what needs finer time is the business of `drip`. For the same reason they may be reckoned from
`now`, which is as coarse, and not from a clock that would be read fifty times a session.

Rejected: `trio.lowlevel.wait_readable` with a cancel scope a read. It costs 0.50 to 0.66 ms of CPU
for a short relayed session against 0.30 ms this way (docs/design.md).

What is read or written, and what a hang-up means, is in `wire`.
"""

import select
from typing import Final, Protocol

import trio

SWEEP_EVERY: Final = 1.0  # seconds between two looks at the deadlines
SLICE: Final = 1000  # connections that are looked at before others get their turn
HUNG_UP: Final = select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR
_WATCHED: Final = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Watched(Protocol):
    """What the poller tells about a socket."""

    deadline: float  # infinite while nobody waits

    def stirred(self, events: int) -> None:
        """Something happened on the socket: a mask of EPOLL flags."""

    def overdue(self) -> None:
        """`deadline` has passed."""


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

    def remove(self, descriptor: int) -> None:
        """Stop watching. Must be called before the descriptor is closed; may come after `run` has ended."""
        self._watched.pop(descriptor, None)
        if not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def __len__(self) -> int:
        return len(self._watched)

    async def run(self) -> None:
        """Wake whoever is due, until cancelled; then close the epoll."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                while True:
                    await trio.lowlevel.wait_readable(self._epoll)
                    for descriptor, events in self._epoll.poll(0, 1024):
                        # one woken earlier in this round may have closed it: tasks run only after the round
                        self._watched[descriptor].stirred(events)
        finally:
            trio.lowlevel.notify_closing(self._epoll)
            self._epoll.close()

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_EVERY)
            everybody = list(self._watched.values())
            for start in range(0, len(everybody) or 1, SLICE):
                now = trio.current_time()
                self.now = now + SWEEP_EVERY  # again in each slice: a sweep may take its time
                for watched in everybody[start : start + SLICE]:
                    if watched.deadline <= now:
                        watched.overdue()
                await trio.lowlevel.checkpoint()
