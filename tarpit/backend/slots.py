"""The connections of all backends, counted, and the line of those who wait for one.

The one idea: whoever gives a slot back hands it to the next in line, so nobody can step in between, and
who waits is asked for by purpose: clean peers and commits first, in the order they came, checks last. A
check may only ever hold its share of a backend, so that a flood of suspects leaves the rest alone.

Rejected: a semaphore a backend; whoever queued for one of them stayed there while another stood idle.

Which backends may be used at all, and the connections themselves, are `pool`.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

import trio

from tarpit.destinations import BackendAddress


class Purpose(Enum):
    """What a connection is for, in the order in which they are served; the first two are equals."""

    JOIN = "join"  # a clean peer's session
    COMMIT = "commit"  # a slowed message, handed over at full speed
    CHECK = "check"  # recipients of a slowed session
    BLIND = "blind"  # a slowed session inside TLS that we do not end
    PROBE = "probe"  # of our own, for nobody's mail


LAST: Final = frozenset({Purpose.CHECK, Purpose.BLIND, Purpose.PROBE})  # these wait behind all others


class Slots:
    """One backend's connections."""

    __slots__ = ("_held", "_shares", "_weight", "cap")

    def __init__(self, address: BackendAddress, *, share: int | None = None) -> None:
        self.cap = address.max
        self._weight = address.weight
        # a tenth, but where one connection is all there is, a suspect may have it too
        tenth = max(address.max // 10, 1)
        self._shares: Mapping[Purpose, int] = {Purpose.CHECK: share or tenth, Purpose.BLIND: tenth}
        self._held = dict.fromkeys(Purpose, 0)

    @property
    def taken(self) -> int:
        """Connections now."""
        return sum(self._held.values())

    @property
    def busy(self) -> float:
        """Connections per weight."""
        return self.taken / self._weight

    def free_for(self, purpose: Purpose) -> bool:
        """Whether one more may be taken."""
        return self.taken < self.cap and self._held[purpose] < self._shares.get(purpose, self.cap)

    def take(self, purpose: Purpose) -> None:
        """Take one."""
        assert self.free_for(purpose)
        self._held[purpose] += 1

    def give_back(self, purpose: Purpose) -> None:
        """Give one back. Whose turn it is then is for the `Queue`."""
        assert self._held[purpose] > 0
        self._held[purpose] -= 1


class _Waiter:
    __slots__ = ("among", "got", "purpose", "task")

    def __init__(self, among: Sequence[Slots], purpose: Purpose) -> None:
        self.among = among
        self.purpose = purpose
        self.task = trio.lowlevel.current_task()
        self.got: Slots | None = None


_Lane = dict[_Waiter, None]  # in the order they came; one that gives up is found at once


class Queue:
    """Who waits for a slot of which backends.

    While anybody waits, none of the slots that would do is free: so a slot that is given back has one
    taker at most, and thousands in line cost no more than one.
    """

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        first: _Lane = {}  # shared: those who come first are equals
        self._lanes = {purpose: {} if purpose in LAST else first for purpose in Purpose}

    def __len__(self) -> int:
        return sum(len(self._lanes[purpose]) for purpose in (Purpose.JOIN, *LAST))

    async def take(self, among: Sequence[Slots], purpose: Purpose) -> Slots:
        """Take a slot for *purpose*: of the least busy of *among* that has one, else when the turn comes."""
        await trio.lowlevel.checkpoint_if_cancelled()
        free = [slots for slots in among if slots.free_for(purpose)]
        if not free:
            return await self._wait(_Waiter(among, purpose))
        best = min(free, key=lambda slots: slots.busy)
        best.take(purpose)
        return best

    def give_back(self, slots: Slots, purpose: Purpose) -> None:
        """Give a slot back: to the next in line, if there is one."""
        slots.give_back(purpose)
        for lane in (self._lanes[kind] for kind in Purpose if slots.free_for(kind)):
            waiter = next((one for one in lane if slots in one.among), None)
            if waiter is not None:
                del lane[waiter]
                slots.take(waiter.purpose)
                waiter.got = slots
                trio.lowlevel.reschedule(waiter.task)
                return

    async def _wait(self, waiter: _Waiter) -> Slots:
        lane = self._lanes[waiter.purpose]
        lane[waiter] = None

        def leave(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            # never called once the slot has been handed over: that wait then ends in order, and has it
            del lane[waiter]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        assert waiter.got is not None
        return waiter.got
