"""Connections in memory: what a socket pair and the kernel are to real sessions, at a tenth of the cost.

`pair` returns two ends that are streams. `MemoryWire` is `tarpit.wire.Wire` on one of them, so that the code
of the proxy runs unchanged above it; `Deadlines` stands where its poller stands.

What the kernel would do and this does not: buffers have no end (who stops reading is never noticed by a full
one), and nothing takes time.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from tarpit.errors import PeerGone, PeerSilent
from tarpit.parked import FOREVER
from tarpit.poller import SWEEP_EVERY, Poller, Watched
from tarpit.wire import Failure, Wire

OURS: Final = ("198.18.0.1", 25)  # where all peers connect to


class Stream(Protocol):
    """What a client speaks over: one end of a pair, or any stream of trio's."""

    async def send_all(self, data: bytes) -> None:
        """Send *data*. Raises `trio.BrokenResourceError` when the connection is gone."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what comes next, b"" at the end."""

    async def aclose(self) -> None:
        """Hang up."""


class End:
    """One end of a connection."""

    __slots__ = ("_task", "closed", "inbox", "other", "told")

    def __init__(self) -> None:
        self.inbox = bytearray()
        self.closed = False
        self.other = self
        self.told: Callable[[], None] | None = None  # whoever hears of bytes and of the end, if no task waits
        self._task: trio.lowlevel.Task | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.other.closed or self.closed

    def put(self, data: bytes) -> None:
        """Send *data* now; to an end that has closed it is lost."""
        if not self.other.closed:
            self.other.inbox += data
            self.other.wake()

    def take(self, limit: int) -> bytes:
        """Return up to *limit* bytes of what is there."""
        data = bytes(self.inbox[:limit])
        del self.inbox[:limit]
        return data

    def wake(self) -> None:
        """Tell whoever waits that something has come, or has ended."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)
        elif self.told is not None:
            self.told()

    def shut(self) -> None:
        """Hang up now. May be called again."""
        if not self.closed:
            self.closed = True
            self.other.wake()

    async def send_all(self, data: bytes) -> None:
        """Send *data*. Raises `trio.BrokenResourceError` when the other end has closed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.other.closed:
            raise trio.BrokenResourceError
        self.put(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what comes next, b"" at the end."""
        if not self.inbox and not self.ended:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        return self.take(max_bytes or len(self.inbox))

    async def aclose(self) -> None:
        """Hang up."""
        self.shut()

    def _forget(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


def pair() -> tuple[End, End]:
    """Return two ends that are connected."""
    one, other = End(), End()
    one.other, other.other = other, one
    return one, other


class Deadlines(Poller):
    """A poller without sockets: wires are told by each other, and only their time-outs are left to it."""

    def __init__(self) -> None:
        self._late: dict[Watched, None] = {}  # those that have a time-out, in the order in which it was set
        self._begun = trio.Event()

    @property
    def now(self) -> float:
        """The time: there are no rounds here."""
        return trio.current_time()

    @now.setter
    def now(self, _: float) -> None:
        pass

    def add(self, descriptor: int, watched: Watched) -> None:
        """Do nothing: there is nothing to watch."""

    def remove(self, descriptor: int) -> None:
        """Do nothing: there was nothing to watch."""

    def expect(self, watched: Watched) -> None:
        """Note that a task now waits on *watched*, until `watched.deadline`."""
        if watched.deadline < FOREVER:
            self._late[watched] = None
            self._begun.set()

    async def run(self) -> None:
        """Wake whoever is overdue, as late as the real one does; asleep while nobody waits."""
        while True:
            await self._begun.wait()
            await trio.sleep(SWEEP_EVERY)
            now = trio.current_time()
            self._late = {watched: None for watched in self._late if watched.deadline < FOREVER}
            for watched in [one for one in self._late if one.deadline <= now]:
                watched.overdue()
            if not self._late:
                self._begun = trio.Event()


class MemoryWire(Wire):
    """A wire of the proxy's on one end of a pair: what the base class does with a socket is done here."""

    __slots__ = ("_end",)

    def __init__(
        self,
        poller: Poller,
        end: End,
        peer: tuple[str, int],
        *,
        gone: Failure = PeerGone,
        silent: Failure = PeerSilent,
    ) -> None:
        self._begin(poller, gone, silent)
        self._end = end
        self.readable = bool(end.inbox) or end.ended
        self.hung_up = end.ended
        self.peer = peer
        end.told = self._told

    @property
    def ours(self) -> tuple[str, int]:
        """Address and port of our end."""
        return OURS

    def stir(self, until: float) -> Awaitable[object]:
        """Wait, once awaited, until something happens here, at most until the time *until*."""
        waiting = super().stir(until)
        assert isinstance(self.poller, Deadlines)
        self.poller.expect(self)
        return waiting

    def _told(self) -> None:
        self.readable = True
        if self._end.other.closed:
            self.hung_up = True
            if self.on_hangup is not None:
                self.on_hangup.hung_up()
        self.wake()

    def receive_now(self, limit: int) -> bytes | None:
        """Return what is there, b"" at the end of the stream, or None when nothing is there yet."""
        end = self._end
        if not end.inbox:
            self.readable = end.ended
            return b"" if end.ended else None
        data = end.take(limit)
        self.readable = bool(end.inbox) or end.ended
        self.bytes_in += len(data)
        return data

    def peek_now(self, limit: int) -> bytes | None:
        """Return as `receive_now` does what is there; it stays unread."""
        return bytes(self._end.inbox[:limit]) if self._end.inbox or self._end.ended else None

    def send_now(self, data: bytes) -> int:
        """Send all of *data*; what goes to somebody who has hung up is lost, and breaks the connection."""
        if self._broken:
            raise self.gone("reset")
        self._broken = self._end.other.closed
        self._end.put(data)
        self.bytes_out += len(data)
        return len(data)

    def has_left(self, *, after_fin: bool = True) -> bool:
        """Whether the other side has reset, or (*after_fin*) closed with nothing left to read."""
        return self._broken or (after_fin and self._end.ended and not self._end.inbox)

    def hold_small(self) -> None:
        """Do nothing: there are no buffers of a kernel's."""

    def hold_usual(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close at once."""
        self._end.shut()

    def abort(self) -> None:
        """Close with a reset: whatever was sent is not to be believed, and is gone."""
        self._end.other.inbox.clear()
        self._end.shut()

    async def close_gently(self, patience: float = 1.0) -> None:  # noqa: ARG002 - as the base class
        """Close: here a close destroys nothing of what was sent."""
        self.close()
