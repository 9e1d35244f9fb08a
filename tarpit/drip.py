"""The wheel: bytes at a pace, and any other wait on a peer, for thousands of sessions, by one task.

Every drip in progress stands in the bucket of the tick at which its next piece is due. The wheel
sleeps to the next non-empty bucket, sends what is due of each drip in it with one plain non-blocking
send, and puts each into a later bucket. The session's own task sleeps until its reply is out, the
peer has gone, or it is told to hurry. Nothing is allocated per byte but the bucket's list, and a
waiting session has one coroutine here (`say` itself is a function and leaves no frame behind).

Rejected: a sleeping task a session, woken for each byte. At 5,000 sessions bytes came 100 to 190 ms
late, at 15,000 more than half were missing (docs/design.md). Rejected as well: no task at all while a
peer is held. It saves 2 KB a session, and the path could no longer be read as one function.

What the pace is and why is not known here; where a reply is cut is `pace`.
"""

import heapq
import random
from collections.abc import Callable, Container, Coroutine
from math import ceil
from typing import Final, Protocol

import trio

from tarpit.errors import PeerGone, PeerSilent
from tarpit.pace import Pace, piece_end
from tarpit.parked import FOREVER
from tarpit.wire import Wire

TICK: Final = 0.01  # seconds; nothing is sent early, and at most one tick late
PER_SECOND: Final = 100


class Account(Protocol):
    """Where it is written down what the slowness of a session came to."""

    held_seconds: float
    dripped_bytes: int


class Drip:
    """One reply on its way out, or one wait (nothing to send)."""

    __slots__ = (
        "account",
        "after_fin",
        "began",
        "by",
        "by_line",
        "data",
        "due",
        "gap",
        "gone",
        "jitter",
        "patience",
        "position",
        "stuck",
        "task",
        "wire",
    )

    def __init__(self, wire: Wire, data: bytes, *, now: float, patience: float) -> None:
        self.wire = wire
        self.data = data
        self.began = now
        self.patience = patience  # seconds that the peer may take to read what it was sent
        self.position = 0
        self.gap = self.jitter = 0.0
        self.by_line = False
        self.after_fin = True
        self.due = self.by = now
        self.stuck = FOREVER  # when the peer is given up, while the kernel takes nothing for it
        self.account: Account | None = None
        self.task: trio.lowlevel.Task | None = None
        self.gone: PeerGone | PeerSilent | None = None

    def finish(self, gone: PeerGone | PeerSilent | None) -> None:
        """End the wait: the reply is out, or has to be finished at once, or the peer has *gone*."""
        self.gone = gone
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def hung_up(self) -> None:
        """End the wait if the peer has left."""
        if self.wire.has_left(after_fin=self.after_fin):
            self.finish(PeerGone("left while waiting"))

    def abort(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        """Forget the task: it was cancelled."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Wheel:
    """All drips in progress. `run` must be running while `say` or `rest` is used."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._buckets: dict[int, list[Drip]] = {}
        self._ticks: list[int] = []
        self._count = 0
        self._next = FOREVER
        self._turning = -1  # the tick whose bucket is being emptied
        self._sleeper: trio.CancelScope | None = None
        self.lateness: Callable[[float], None] | None = None  # a listener for benchmarks: seconds, per send

    def __len__(self) -> int:
        return self._count

    def say(
        self,
        wire: Wire,
        data: bytes,
        pace: Pace,
        *,
        patience: float,
        account: Account | None = None,
        left_after_fin: bool = True,
    ) -> Coroutine[None, None, None]:
        """Send *data* at *pace*; what is left when `pace.within` has passed goes out at once.

        The time begins now, and is put on the *account*. The wait ends with `PeerGone` as soon as the peer
        resets, or closes with nothing unread; with *left_after_fin* false only a reset counts (it said QUIT
        and merely finished sending). `PeerSilent` when it takes nothing for *patience* seconds.
        """
        now = trio.current_time()
        drip = Drip(wire, data, now=now, patience=patience)
        drip.gap, drip.by_line = pace.shape(data)
        drip.jitter = pace.jitter
        drip.by = now + pace.within
        drip.due = now + self._around(pace.before_reply, pace.jitter)
        drip.account = account
        drip.after_fin = left_after_fin
        return self._see_out(drip)

    def rest(
        self, wire: Wire, seconds: float, *, account: Account | None = None, left_after_fin: bool = True
    ) -> Coroutine[None, None, None]:
        """Wait and say nothing. Ends early when told to hurry, and with `PeerGone` as `say` does."""
        now = trio.current_time()
        drip = Drip(wire, b"", now=now, patience=0)
        drip.due = drip.by = now + seconds
        drip.account = account
        drip.after_fin = left_after_fin
        return self._see_out(drip)

    def hurry(self, among: Container[Wire] | None = None) -> None:
        """Let every reply in progress be finished at once, and every rest end: all, or those of *among*."""
        for drip in [drip for bucket in self._buckets.values() for drip in bucket]:
            # who has left in this very moment has left
            if drip.task is not None and (among is None or drip.wire in among):
                drip.finish(None)

    async def run(self) -> None:
        """Turn, until cancelled."""
        while True:
            with trio.CancelScope() as self._sleeper:
                self._next = self._ticks[0] * TICK if self._ticks else FOREVER
                await trio.sleep_until(self._next)
            self._turn(trio.current_time())

    async def _see_out(self, drip: Drip) -> None:
        wire = drip.wire
        wire.on_hangup = drip
        self._count += 1
        try:
            if wire.hung_up:
                drip.hung_up()  # before anybody was listening
            if drip.gone is None and not wire.stopping:  # who was told to hurry is not told again
                drip.task = trio.lowlevel.current_task()
                self._place(drip)
                await trio.lowlevel.wait_task_rescheduled(drip.abort)
            gone, drip.gone = drip.gone, None
            if gone is not None:
                wire.half_said = drip.position > 0
                try:
                    raise gone
                finally:
                    del gone  # a frame that keeps its own exception is garbage for the collector alone
            if drip.position < len(drip.data):
                # told to hurry, or out of time
                await wire.send_all(drip.data[drip.position :], trio.current_time() + drip.patience)
        finally:
            self._count -= 1
            wire.on_hangup = None
            if drip.account is not None:
                drip.account.held_seconds += trio.current_time() - drip.began
                drip.account.dripped_bytes += drip.position

    def _turn(self, now: float) -> None:
        """Send what is due."""
        buckets = self._buckets
        while self._ticks and self._ticks[0] * TICK <= now:
            self._turning = heapq.heappop(self._ticks)
            for drip in buckets.pop(self._turning):
                if drip.task is None or not self._goes_on(drip, now):
                    continue
                # `_place`, written out for those whose bucket is there already
                bucket = buckets.get(ceil((drip.due if drip.due < drip.by else drip.by) * PER_SECOND))  # noqa: FURB136
                if bucket is None:
                    self._place(drip)
                else:
                    bucket.append(drip)
        self._turning = -1

    def _goes_on(self, drip: Drip, now: float) -> bool:
        """Send what is due of one reply, and return whether more of it is to come.

        Done fifteen thousand times a second, and so in one piece: a call more costs a percent of a core.
        """
        gap, due = drip.gap, drip.due
        if now >= drip.by or gap <= 0:
            drip.finish(None)
            return False
        if self.lateness is not None:
            self.lateness(now - due)
        # each gap is counted from when the last piece was due, so that lateness does not add up
        drip.due = due = due + (self._around(gap, drip.jitter) if drip.jitter else gap)
        data, start = drip.data, drip.position
        end = start + 1 if due > now and not drip.by_line else self._due_end(drip, now)
        try:
            sent = drip.wire.send_now(data[start:end])
        except PeerGone as gone:
            drip.finish(gone)
            return False
        drip.position = start = start + sent
        if start == len(data):
            drip.finish(None)
            return False
        if start < end:
            return self._bears_with(drip, now, sent)
        drip.stuck = FOREVER
        return True

    def _due_end(self, drip: Drip, now: float) -> int:
        """Return up to where all is due: a line, or several pieces where the gaps are finer than a tick."""
        end = piece_end(drip.data, drip.position, by_line=drip.by_line)
        while drip.due <= now and end < len(drip.data):
            end = piece_end(drip.data, end, by_line=drip.by_line)
            drip.due += self._around(drip.gap, drip.jitter)
        return end

    @staticmethod
    def _bears_with(drip: Drip, now: float, sent: int) -> bool:
        """Whether a peer is kept for which the kernel has not taken everything: for as long as `patience`."""
        if sent or drip.stuck == FOREVER:
            drip.stuck = now + drip.patience
        if now >= drip.stuck:
            drip.finish(PeerSilent("took nothing in time"))
            return False
        return True

    def _place(self, drip: Drip) -> None:
        due = drip.due if drip.due < drip.by else drip.by  # noqa: FURB136 - half the time of min()
        tick = max(ceil(due * PER_SECOND), self._turning + 1)  # never early, nor where it is emptied now
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.append(drip)
            return
        self._buckets[tick] = [drip]
        heapq.heappush(self._ticks, tick)
        if tick * TICK < self._next and self._sleeper is not None:
            self._sleeper.cancel()

    def _around(self, seconds: float, jitter: float) -> float:
        return seconds * (1 + jitter * (2 * self._chance() - 1)) if jitter else seconds
