"""The connections of all backends, counted, and those who wait for one.

The one idea: whoever gives a slot back hands it to the next who waits, so nobody can step in between. Who
waits is asked for by purpose: clean peers first, then messages to be handed over, checks last, which may only
ever hold their share of a backend, so that a flood of suspects leaves the rest alone. Of each five slots one
goes to a hand-over even while clean peers wait: what a suspect has been patient for is not lost for nothing.

Within a purpose each network has its turn (`lanes`). And while anybody waits, a network that holds a quarter
of a backend's slots gets another only if no other network wants it, and if none of its own stands there in
silence, or did lately: strangers who only came to sit there leave the rest free for whoever comes next; a
large sender that is busy may use what nobody else wants. Those who sit there for long are ended (`idle`).

Rejected: a semaphore a backend; whoever queued for one of them stayed there while another stood idle. And the
quarter as a limit that nothing lifts: a sender that is alone would get less the more it brings.

Which backends may be used at all, and the connections themselves, are `pool`; which of several, `balance`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

import trio

from tarpit.backend.balance import Balancer, Least, ramp
from tarpit.backend.idle import SOON, Idlers
from tarpit.backend.lanes import Lane
from tarpit.destinations import BackendAddress

OURS: Final = b""  # the network of those who come from nowhere: our own probes


class Purpose(Enum):
    """What a connection is for, in the order in which they are served."""

    __hash__ = object.__hash__  # by identity, in C: these are keys on the path of every session

    JOIN = "join"  # a clean peer's session
    COMMIT = "commit"  # a slowed message, handed over at full speed
    CHECK = "check"  # recipients of a slowed session
    BLIND = "blind"  # a slowed session inside TLS that we do not end
    PROBE = "probe"  # of our own, for nobody's mail


MAIL: Final = (Purpose.JOIN, Purpose.COMMIT, Purpose.CHECK, Purpose.BLIND)
IN_A_ROW: Final = 4  # clean peers that are served while a hand-over waits


class Slots:
    """One backend's connections."""

    __slots__ = (
        "_held",
        "_networks",
        "_shares",
        "_weight",
        "back",
        "cap",
        "elsewhere",
        "idlers",
        "name",
        "taken",
        "takes_mail",
        "waiting",
    )

    def __init__(self, address: BackendAddress, *, share: int | None = None) -> None:
        self.name = address.name
        self.cap = address.max
        self.elsewhere: Callable[[], int] = int  # held by a process that we follow, and that is about to end
        self.takes_mail = True  # or else none is given to anybody but our own probes
        self.taken = 0  # connections now
        self.back: float | None = None  # when it came back; None: it was never away
        self.idlers = Idlers()
        self.waiting = dict.fromkeys(Purpose, 0)  # who would take one, here or elsewhere
        self._weight = address.weight
        # a tenth, but where one connection is all there is, a suspect may have it too
        tenth = max(address.max // 10, 1)
        self._shares: Mapping[Purpose, float] = {
            **dict.fromkeys(Purpose, float("inf")),
            Purpose.CHECK: share or tenth,
            Purpose.BLIND: tenth,
        }
        self._held = dict.fromkeys(Purpose, 0)
        self._networks: dict[bytes, int] = {}

    @property
    def weight(self) -> float:
        """Its weight, less while it has only just come back."""
        return self._weight if self.back is None else self._weight * ramp(trio.current_time() - self.back)

    @property
    def busy(self) -> float:
        """Connections per weight."""
        return self.taken / self._weight

    def held_by(self, network: bytes) -> int:
        """Return how many of them a network has."""
        return self._networks.get(network, 0)

    def free_for(self, purpose: Purpose) -> bool:
        """Whether one more may be taken."""
        may = self.takes_mail or purpose is Purpose.PROBE
        free = self.taken + self.elsewhere() < self.cap
        return may and free and self._held[purpose] < self._shares[purpose]

    def shared_with(self, purpose: Purpose) -> bool:
        """Whether *purpose* has less than its share, if it has one."""
        return self._held[purpose] < self._shares[purpose]

    @property
    def wanted(self) -> int:
        """How many wait for mail's sake who would have one if it were free."""
        if not self.takes_mail:
            return 0
        return sum(self.waiting[purpose] for purpose in MAIL if self.shared_with(purpose))

    def modest(self, network: bytes) -> bool:
        """Whether a network has less than a quarter of them, or one at most."""
        return self.held_by(network) < max(self.cap // 4, 1) or network == OURS

    def take(self, purpose: Purpose, network: bytes = OURS) -> None:
        """Take one."""
        assert self.free_for(purpose)
        self.add(purpose, network)

    def add(self, purpose: Purpose, network: bytes) -> None:
        """Take one that was seen to be free."""
        self.taken += 1
        self._held[purpose] += 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def give_back(self, purpose: Purpose, network: bytes = OURS) -> None:
        """Give one back. Whose turn it is then is for the `Queue`."""
        assert self._held[purpose] > 0
        self.taken -= 1
        self._held[purpose] -= 1
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]


class _Waiter:
    __slots__ = ("among", "got", "network", "purpose", "task")

    def __init__(self, among: Sequence[Slots], purpose: Purpose, network: bytes) -> None:
        self.among = among
        self.purpose = purpose
        self.network = network
        self.task = trio.lowlevel.current_task()
        self.got: Slots | None = None


class Queue:
    """Who waits for a slot of which backends.

    While anybody waits, no slot is free that it might have: so a slot that is given back has one taker at
    most, and thousands who wait cost no more than one.
    """

    __slots__ = ("_balancer", "_count", "_lanes", "_row", "_waited")

    def __init__(self, balancer: Balancer | None = None) -> None:
        self._balancer = balancer or Least()
        self._lanes: Mapping[Purpose, Lane[_Waiter]] = {purpose: Lane() for purpose in Purpose}
        self._count = 0  # of those in all lanes
        self._row = 0  # clean peers served in a row while a hand-over waited
        self._waited = trio.Event()  # set while anybody waits

    def __len__(self) -> int:
        return self._count

    async def take(self, among: Sequence[Slots], purpose: Purpose, network: bytes = OURS) -> Slots | None:
        """Take a slot for *purpose*: of one of *among* that has one, else when the turn comes.

        None as soon as none of *among* takes mail any more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        got = self.take_now(among, purpose, network)
        return await self._wait(_Waiter(among, purpose, network)) if got is None else got

    def take_now(self, among: Sequence[Slots], purpose: Purpose, network: bytes = OURS) -> Slots | None:
        """Take a slot as `take` does, if one is free for that network; else None."""
        free = [slots for slots in among if slots.free_for(purpose)]
        if self._count:  # while nobody waits, what is free is free for all
            free = [slots for slots in free if self._open_to(slots, network)]
        if not free:
            return None
        best = free[0] if len(free) == 1 else self._balancer.choose(free, network)
        best.add(purpose, network)
        return best

    def give_back(self, slots: Slots, purpose: Purpose, network: bytes = OURS) -> None:
        """Give a slot back: to the next who waits, if there is one."""
        slots.give_back(purpose, network)
        if self._count:
            self.serve(slots)

    def serve(self, slots: Slots) -> None:
        """Hand out what is free of *slots* and wanted by somebody who may have it."""
        while self._count and (waiter := self._next(slots)) is not None:
            self._lanes[waiter.purpose].serve(waiter)
            self._counts(waiter, -1)
            if waiter.purpose is Purpose.JOIN and self._lanes[Purpose.COMMIT]:
                self._row += 1
            elif waiter.purpose is Purpose.COMMIT:
                self._row = 0
            slots.take(waiter.purpose, waiter.network)
            waiter.got = slots
            trio.lowlevel.reschedule(waiter.task)

    def dismiss(self, slots: Slots) -> None:
        """Have nobody wait any more for whom there were only *slots*, which take no mail now."""
        for purpose in MAIL:
            lane = self._lanes[purpose]
            for waiter in list(lane) if slots.waiting[purpose] else ():
                if slots in waiter.among and not any(one.takes_mail for one in waiter.among):
                    lane.drop(waiter)
                    self._counts(waiter, -1)
                    trio.lowlevel.reschedule(waiter.task)

    async def end_idle(self, backends: Sequence[Slots]) -> None:
        """End joined sessions that fall silent for too long while others wait for their slots. For ever."""
        while True:
            await self._waited.wait()
            now = trio.current_time()
            for slots in backends:
                slots.idlers.end(slots.wanted)
                self.serve(slots)  # to a network that was silent, and is not any more
            ends = [end for slots in backends if (end := slots.idlers.next_end()) > now]
            await trio.sleep_until(min([*ends, now + SOON]))
            if not self:
                self._waited = trio.Event()

    def _counts(self, waiter: _Waiter, more: int) -> None:
        """Have *waiter* counted here and by each backend that would do, or no more."""
        self._count += more
        for slots in waiter.among:
            slots.waiting[waiter.purpose] += more

    def _open_to(self, slots: Slots, network: bytes) -> bool:
        """Whether *network* may have a slot that is free while others wait."""
        return slots.modest(network) or not slots.idlers.silent(network)

    def _next(self, slots: Slots) -> _Waiter | None:
        """Return who is next for *slots*; those first whose network has less than its quarter."""
        for may in (slots.modest, lambda network: not slots.idlers.silent(network)):
            for purpose in self._order():
                if slots.waiting[purpose] and slots.free_for(purpose):
                    waiter = self._lanes[purpose].next_for(slots, may)
                    if waiter is not None:
                        return waiter
        return None

    def _order(self) -> Iterator[Purpose]:
        if self._row >= IN_A_ROW:
            yield Purpose.COMMIT
        yield from Purpose

    async def _wait(self, waiter: _Waiter) -> Slots | None:
        lane = self._lanes[waiter.purpose]
        lane.add(waiter)
        self._counts(waiter, 1)
        self._waited.set()
        for slots in waiter.among:
            slots.idlers.end(slots.wanted)

        def leave(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            # never called once the slot has been handed over: that wait then ends in order, and has it
            lane.drop(waiter)
            self._counts(waiter, -1)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        return waiter.got
