"""The backends, and connections lent from them: never one more than a backend's cap.

A slot is taken before dialling and given back when the connection is closed. Whoever finds none waits
its turn, at most `queue` seconds, and then hears 421 or 451; where no backend is up it hears so at once. A
backend that cannot be reached is noted for it, and the next one is tried before the peer hears of it.

There is one pool, whatever TARPIT_ROUTES says: a group (`routes`) is only a choice of its backends. So one
that is in several groups has one cap, one queue, and is up or down for all of them.

A connection is always fresh: rejected was a stock of used ones that are cleaned with RSET (Postfix looks up
the right to XCLIENT again after the first, and counts errors over all of a connection).

Who waits for what is `slots`, for what nobody may wait who holds others `order`, which backend is taken
`balance`; probing is `health`, the connection `dial`.
"""

from collections.abc import Callable, Collection, Coroutine, Sequence

import trio

from tarpit.backend.balance import balancer
from tarpit.backend.dial import Dialling, Line, NoTls, Unwelcome, dial, greet
from tarpit.backend.guest import GivesUpBy, Guest, Known, never
from tarpit.backend.idle import Sitter
from tarpit.backend.introduce import Introduction
from tarpit.backend.order import after
from tarpit.backend.routes import Group
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose, Queue, Slots
from tarpit.choices import BackendTls, Balance
from tarpit.destinations import BackendAddress
from tarpit.errors import DESERTED, BackendUnavailable, PeerGone
from tarpit.poller import Poller
from tarpit.smtp.keywords import common


class NoSlot(BackendUnavailable):
    """Nobody's fault: all connections were in use for as long as anyone may wait for one."""


class Unreached(BackendUnavailable):
    """A backend could not be connected to, or did not take the introduction."""

    def __init__(self, backend: Backend, why: str) -> None:
        self.backend = backend
        super().__init__(why)


class Loan:
    """A fresh, introduced connection, and its slot until it is over. End it by `quit`, `close` or `abort`."""

    __slots__ = ("_network", "_purpose", "_queue", "_returned", "backend", "began", "line", "sitter")

    def __init__(
        self, backend: Backend, line: Line, queue: Queue, purpose: Purpose, network: bytes, *, began: float
    ) -> None:
        self.backend = backend
        self.line = line
        self.began = began
        self._queue = queue
        self._purpose = purpose
        self._network = network
        self.sitter = Sitter(backend.slots.idlers, network)
        self._returned = False

    async def quit(self) -> None:
        """End in order: the backend is told, and given a second to answer. Nothing, if it is over."""
        try:
            if not self._returned:
                await self.line.quit()
        finally:
            self.close()

    def close(self, now: float | None = None) -> None:
        """End at once, *now* if somebody has just looked at the clock. May be called again."""
        self.line.wire.close()
        self._give_back(now)

    def abort(self) -> None:
        """End with a reset: what was begun can not be mistaken for something whole."""
        self.line.wire.abort()
        self._give_back()

    def _give_back(self, now: float | None = None) -> None:
        if not self._returned:
            self._returned = True
            self.backend.held_seconds += (trio.current_time() if now is None else now) - self.began
            self.sitter.gone()
            self._queue.give_back(self.backend.slots, self._purpose, self._network)


class Pool:
    """All backends of this server, each once. *tell* is called with each that has gone up or down."""

    def __init__(
        self,
        backends: tuple[BackendAddress, ...],
        poller: Poller,
        dialling: Dialling,
        *,
        queue: float,
        checks: int | None = None,
        largest: int | None = None,
        balance: Balance = Balance.LEAST,
        rise: int = 1,
        fall: int = 1,
        tell: Callable[[Backend], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        # What those choose among who avoid none, until a backend is altered: a tenth of a loan was this.
        self._remembered: dict[Group | None, Sequence[Slots]] = {}
        self.backends = tuple(
            Backend(
                address,
                checks=checks,
                rise=rise,
                fall=fall,
                tell=self._changed,
                altered=self._remembered.clear,
            )
            for address in backends
        )
        self._by_name = {backend.name: backend for backend in self.backends}
        self._by_slots = {backend.slots: backend for backend in self.backends}
        self.poller = poller
        self.dialling = dialling
        self.queue = Queue(balancer(balance))
        self._patience = queue  # seconds in line
        self._largest = largest  # bytes of a suspect's message that we could keep

    @property
    def keywords(self) -> tuple[bytes, ...]:
        """The EHLO keywords that a suspect may be shown: those of every usable backend, and our own SIZE."""
        return self.shown(largest=self._largest)

    def shown(self, *, largest: int | None = None) -> tuple[bytes, ...]:
        """Return the EHLO keywords that every usable backend showed; none before a probe succeeded."""
        showed = [backend.keywords for backend in self.backends if backend.up and backend.usable]
        return common(showed, largest=largest)

    def check_alive(self) -> None:
        """Raise `BackendUnavailable` where no backend may be used, or is up: nobody need wait to hear so."""
        self._candidates(None, None)

    def drain(self, backend: Backend, *, drained: bool) -> None:
        """Give *backend* no more mail, or give it mail again."""
        backend.drained = drained
        self.reconsider(backend)

    def reconsider(self, backend: Backend) -> None:
        """Serve those who wait by *backend*, if it takes mail now; or let nobody wait for it in vain."""
        if backend.takes_mail():
            self.queue.serve(backend.slots)
        else:
            self.queue.dismiss(backend.slots)

    def _changed(self, backend: Backend) -> None:
        self._tell(backend)
        self.reconsider(backend)

    async def end_idle(self) -> None:
        """End joined sessions that are silent for too long while others wait for their slots. For ever."""
        await self.queue.end_idle([backend.slots for backend in self.backends])

    def borrow(
        self,
        introduction: Introduction,
        *,
        ours: tuple[str, int],
        purpose: Purpose,
        group: Group | None = None,
        avoid: Backend | None = None,
        held: Collection[Backend] = (),
    ) -> Coroutine[object, object, Loan]:
        """Do as `borrow_for` does, for whom all is known of."""
        return self.borrow_for(Known(introduction, ours), purpose, group=group, avoid=avoid, held=held)

    async def borrow_for(
        self,
        guest: Guest,
        purpose: Purpose,
        *,
        group: Group | None = None,
        avoid: Backend | None = None,
        held: Collection[Backend] = (),
    ) -> Loan:
        """Return a fresh, introduced connection to a backend of *group*, not to *avoid* if there is another.

        One that cannot be used is passed over, as long as there is another. Connections of *held* are kept
        meanwhile. Raises `NoSlot` when none came free in time, or is free and none may be waited for,
        `Unreached` when none that is up can be used, a plain `BackendUnavailable` when none may be, or is up,
        and `PeerGone` once the *guest* has left.
        """
        network, now = guest.network, trio.current_time()
        until = now + self._patience
        candidates, failed = self._candidates(group, avoid), [avoid]
        while True:
            slots = self.queue.take_now(candidates, purpose, network)
            if slots is None:
                among = after(self.backends, held, candidates) if held else candidates
                slots, now = await self._turn(among, purpose, guest, until), trio.current_time()
            if slots is None:  # none of them is up any more, and that is said
                candidates = self._candidates(group, avoid)
                continue
            backend = self._by_slots[slots]
            try:
                line = await connect(self, backend, guest, now)
            except BackendUnavailable as lost:
                self._lost(backend, lost)
                self.queue.give_back(slots, purpose, network)
                failed.append(backend)
                candidates, now = self._others(group, failed), trio.current_time()
                if not candidates:
                    raise Unreached(backend, str(lost)) from None
            except BaseException:
                self.queue.give_back(slots, purpose, network)
                raise
            else:
                if backend.marks.up:  # only probes raise one that is down: it may relay for everybody by now
                    backend.marks.good()
                return Loan(backend, line, self.queue, purpose, network, began=now)

    async def _turn(
        self, candidates: Sequence[Slots], purpose: Purpose, guest: Guest, until: float
    ) -> Slots | None:
        """Wait for a slot of one of *candidates*, and return it; None when none takes mail any more."""
        if not candidates:
            raise NoSlot("none is free, and with others held none may be waited for (TARPIT_BACKEND_MAX)")
        slots = None
        with trio.move_on_at(until) as scope:
            guest.gives_up_by(scope.cancel)
            slots = await self.queue.take(candidates, purpose, guest.network)
        if scope.cancelled_caught:
            guest.check_there()
            raise NoSlot("all its connections are in use (TARPIT_BACKEND_MAX)")
        return slots

    def members(self, group: Group | None) -> Sequence[Backend]:
        """Return the backends of *group*, in its order; all there are, if there are no groups."""
        return self.backends if group is None else [self._by_name[name] for name in group.names]

    def _candidates(self, group: Group | None, avoid: Backend | None) -> Sequence[Slots]:
        """Return what may be taken of *group*, not *avoid* if there is another. Raises as `borrow_for`."""
        if avoid is not None:
            return self._chosen(group, avoid)
        if (candidates := self._remembered.get(group)) is None:
            candidates = self._remembered[group] = self._chosen(group, None)
        return candidates

    def _chosen(self, group: Group | None, avoid: Backend | None) -> Sequence[Slots]:
        members = self.members(group)
        usable = [backend for backend in members if backend.usable]
        if not usable and any(backend.drained for backend in members):
            raise BackendUnavailable("drained (tarpit backend enable)")
        if not usable:
            raise BackendUnavailable("relays for everybody, or was not tested yet (TARPIT_RELAY_TEST)")
        if not any(backend.up is not False for backend in usable):
            raise BackendUnavailable(f"no backend is up: {usable[0].marks.reason}")
        others = [backend.slots for backend in members if backend is not avoid]
        return others if any(one.takes_mail for one in others) else [backend.slots for backend in members]

    def _others(self, group: Group | None, failed: Collection[Backend | None]) -> Sequence[Slots]:
        others = [backend.slots for backend in self.members(group) if backend not in failed]
        return others if any(one.takes_mail for one in others) else ()

    def _lost(self, backend: Backend, lost: BackendUnavailable) -> None:
        """Note that *backend* could not be used, unless it may have meant the peer; have it probed soon."""
        if backend.up and not isinstance(lost, Unwelcome):
            backend.marks.bad(str(lost))
            backend.probe_wanted.ring()


def connect(pool: Pool, backend: Backend, guest: Guest, now: float) -> Coroutine[object, object, Line]:
    """Dial *backend* and introduce the peer. No slot is taken here.

    Where TLS is wanted and need not be, and cannot be had, the connection is plain, and the backend says why.
    """
    tls = backend.address.tls
    if tls is BackendTls.OFF:
        return _connect(pool, backend, guest, now, tls, gives_up_by=guest.gives_up_by)
    return _connect_within(pool, backend, guest, now, tls)


async def _connect_within(pool: Pool, backend: Backend, guest: Guest, now: float, tls: BackendTls) -> Line:
    with trio.CancelScope() as scope:  # a handshake stands in line, where no wire is waited for
        guest.gives_up_by(scope.cancel)
        try:
            line = await _connect(pool, backend, guest, now, tls, gives_up_by=never)
        except NoTls as failed:
            if tls is not BackendTls.MAY:
                raise
            line = await _connect(
                pool, backend, guest, trio.current_time(), BackendTls.OFF, gives_up_by=never
            )
            line.plain_because = str(failed)
        backend.plain_because = line.plain_because
        return line
    raise PeerGone(DESERTED)


async def _connect(
    pool: Pool, backend: Backend, guest: Guest, now: float, tls: BackendTls, *, gives_up_by: GivesUpBy
) -> Line:
    address = backend.address
    line = await dial(pool.poller, backend.places, pool.dialling, now, gives_up_by)
    try:
        gives_up_by(line.wire.desert)
        await greet(line, guest, address.introduce, host=address.host, tls=tls)
        line.wire.check_wanted()  # it may have left with the last reply
    except BaseException:
        line.wire.close()
        raise
    return line
