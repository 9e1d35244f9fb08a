"""The wheel: bytes at a pace, for thousands of sessions, by one task.

Every drip in progress stands in the bucket of the tick at which its next byte is due. The wheel
sleeps to the next non-empty bucket, sends one byte for each drip in it with a plain non-blocking
send, and puts each into a later bucket. The session's own task sleeps until its reply is out, the
peer has gone, or it is told to hurry. Nothing is allocated per byte but the bucket's list.

Rejected: a sleeping task a session, woken for each byte. At 5,000 sessions bytes came 100 to 190 ms
late, at 15,000 more than half were missing (docs/design.md).

What the pace is and why is not known here.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from tarpit.errors import PeerGone
from tarpit.pace import Pace
from tarpit.wire import Wire

TICK: Final = 0.01  # seconds; a byte is never sent early, and at most one tick late


@dataclass(frozen=True, slots=True)
class Dripped:
    """What a drip did: seconds it added, and bytes that left one at a time."""

    seconds: float
    bytes: int


class Drip:
    """One reply on its way out."""

    __slots__ = ("by", "data", "due", "gone", "jitter", "per_byte", "position", "task", "wire")

    def __init__(self, wire: Wire, data: bytes, *, pace: Pace, now: float, wait: float) -> None:
        self.wire = wire
        self.data = data
        self.position = 0
        self.per_byte = pace.per_byte
        self.jitter = pace.jitter
        self.by = now + pace.within
        self.due = now + wait
        self.task: trio.lowlevel.Task | None = None
        self.gone: PeerGone | None = None


class Wheel:
    """All drips in progress. `run` must be running while `say` is used."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._buckets: dict[int, list[Drip]] = {}
        self._ticks: list[int] = []
        self._drips: set[Drip] = set()
        self._next = float("inf")
        self._sleeper: trio.CancelScope | None = None
        self.lateness: Callable[[float], None] | None = (
            None  # a listener for benchmarks: seconds late, per byte
        )

    def __len__(self) -> int:
        return len(self._drips)

    async def say(self, wire: Wire, data: bytes, pace: Pace, *, left_after_fin: bool = True) -> Dripped:
        """Send *data* at *pace*; what is left when `pace.within` has passed goes out at once.

        A wait ends with `PeerGone` as soon as the peer resets, or closes with nothing unread. With
        *left_after_fin* false only a reset counts: the peer said QUIT and merely finished sending.
        """
        began = trio.current_time()
        drip = Drip(wire, data, pace=pace, now=began, wait=self._around(pace.before_reply, pace.jitter))

        def hung_up() -> None:
            if left_after_fin and wire.has_left():
                self._finish(drip, PeerGone("left while waiting for a reply"))

        wire.on_hangup = hung_up
        self._drips.add(drip)
        try:
            hung_up()  # it may have left before anybody was listening
            if drip.gone is None:
                self._place(drip)
                await self._sleep_until_done(drip)
        finally:
            self._drips.discard(drip)
            wire.on_hangup = None
        if drip.gone is not None:
            raise drip.gone
        dripped = drip.position
        if drip.position < len(data):
            # told to hurry, or out of time
            await wire.send_all(data[drip.position :], trio.current_time() + 30)
        return Dripped(trio.current_time() - began, dripped)

    def hurry(self) -> None:
        """Let every reply in progress be finished at once."""
        for drip in tuple(self._drips):
            self._finish(drip, None)

    async def run(self) -> None:
        """Turn, until cancelled."""
        while True:
            with trio.CancelScope() as self._sleeper:
                self._next = self._ticks[0] * TICK if self._ticks else float("inf")
                await trio.sleep_until(self._next)
            self._turn(trio.current_time())

    def _turn(self, now: float) -> None:
        """Send what is due."""
        while self._ticks and self._ticks[0] * TICK <= now:
            for drip in self._buckets.pop(heapq.heappop(self._ticks)):
                if drip in self._drips:
                    self._advance(drip, now)

    def _advance(self, drip: Drip, now: float) -> None:
        if now >= drip.by or drip.per_byte <= 0:
            self._finish(drip, None)
            return
        if self.lateness is not None:
            self.lateness(now - drip.due)
        try:
            drip.position += drip.wire.send_now(drip.data[drip.position : drip.position + 1])
        except PeerGone as gone:
            self._finish(drip, gone)
            return
        if drip.position == len(drip.data):
            self._finish(drip, None)
            return
        # counted from when it was due, so that lateness does not add up
        drip.due = max(drip.due + self._around(drip.per_byte, drip.jitter), now)
        self._place(drip)

    def _place(self, drip: Drip) -> None:
        due = min(drip.due, drip.by)
        tick = -int(-due // TICK)  # rounded up: never early
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.append(drip)
            return
        self._buckets[tick] = [drip]
        heapq.heappush(self._ticks, tick)
        if tick * TICK < self._next and self._sleeper is not None:
            self._sleeper.cancel()

    def _finish(self, drip: Drip, gone: PeerGone | None) -> None:
        self._drips.discard(drip)
        drip.gone = gone
        if drip.task is not None:
            task, drip.task = drip.task, None
            trio.lowlevel.reschedule(task)

    async def _sleep_until_done(self, drip: Drip) -> None:
        drip.task = trio.lowlevel.current_task()

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            drip.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _around(self, seconds: float, jitter: float) -> float:
        return seconds * (1 + jitter * (2 * self._chance() - 1)) if jitter else seconds
