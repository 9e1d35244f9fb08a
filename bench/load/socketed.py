"""A client's connection over a socket, and what is noted of it: bytes, waits, errors."""

import errno
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

import trio

from bench.clients import Client, Step
from bench.fleet.caller import Answer, Caller
from bench.fleet.memory import Stream
from bench.fleet.records import Record

CONNECT: Final = (
    60.0  # seconds for a connection to stand; a full queue at the server costs 1, 3, 7 ... of them
)
ERRORS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "no connection in time",
    errno.EMFILE: "no descriptors left here",
    errno.EADDRNOTAVAIL: "no address or port left here",
}


@dataclass(slots=True)
class Notes:
    """What was noted; of one process, or of all together. Seconds and bytes."""

    records: list[Record] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by step: whole replies
    connects: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)  # of ourselves: from the moment due to the start
    codes: Counter[int] = field(default_factory=Counter)  # of all replies heard
    errors: Counter[str] = field(default_factory=Counter)
    received: int = 0  # bytes
    pieces: int = 0
    drips: int = 0  # bytes that came alone
    cut: int = 0  # senders still there, or between two attempts, when the time was over
    open: int = 0  # connections now
    opened: list[int] = field(default_factory=list)  # connections at each full second
    cpu: float = 0.0

    def add(self, other: "Notes") -> None:
        """Add what another process noted."""
        self.records += other.records
        for step, waits in other.waits.items():
            self.waits[step] += waits
        self.connects += other.connects
        self.lateness += other.lateness
        self.codes += other.codes
        self.errors += other.errors
        self.received += other.received
        self.pieces += other.pieces
        self.drips += other.drips
        self.cut += other.cut
        self.cpu += other.cpu
        longer, shorter = sorted((self.opened, other.opened), key=len, reverse=True)
        self.opened = [*map(sum, zip(longer, shorter, strict=False)), *longer[len(shorter) :]]

    def failed(self, error: OSError) -> None:
        """Note what went wrong."""
        self.errors[ERRORS.get(error.errno or 0, f"unexpected: {error}")] += 1


class Connection:
    """A stream over a socket that stands."""

    def __init__(self, socket: trio.socket.SocketType, notes: Notes) -> None:
        self._socket = socket
        self._notes = notes
        notes.open += 1

    async def send_all(self, data: bytes) -> None:
        """Send *data*. Raises `trio.BrokenResourceError` when the connection is gone."""
        try:
            while data:
                data = data[await self._socket.send(data) :]
        except OSError as error:
            raise self._gone(error) from None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what comes next, b"" at the end. Raises `trio.BrokenResourceError` after a reset."""
        try:
            data = await self._socket.recv(max_bytes or 65536)
        except OSError as error:
            raise self._gone(error) from None
        notes = self._notes
        notes.received += len(data)
        notes.pieces += bool(data)
        notes.drips += len(data) == 1
        return data

    async def aclose(self) -> None:
        """Hang up."""
        if self._socket.fileno() >= 0:
            self._notes.open -= 1
            self._socket.close()

    def _gone(self, error: OSError) -> trio.BrokenResourceError:
        self._notes.failed(error)
        return trio.BrokenResourceError()


class Unconnected:
    """The stream of a client that got no connection."""

    async def send_all(self, data: bytes) -> None:  # noqa: ARG002 - a stream's
        """Raise."""
        raise trio.BrokenResourceError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - a stream's
        """Raise."""
        raise trio.BrokenResourceError

    async def aclose(self) -> None:
        """Do nothing."""


async def connect(target: tuple[str, int], source: str | None, notes: Notes) -> Stream:
    """Return a connection from the address *source*; if there is none, one that is gone, and note why."""
    began, socket = trio.current_time(), trio.socket.socket()
    try:
        if source is not None:
            # a port is chosen when the target is known: one per pair of addresses, instead of one per source
            socket.setsockopt(trio.socket.IPPROTO_IP, trio.socket.IP_BIND_ADDRESS_NO_PORT, 1)
            await socket.bind((source, 0))
        with trio.fail_after(CONNECT):
            await socket.connect(target)
    except trio.TooSlowError:
        notes.failed(TimeoutError(errno.ETIMEDOUT, ""))
    except OSError as error:
        notes.failed(error)
    except trio.Cancelled:
        socket.close()
        raise
    else:
        notes.connects.append(trio.current_time() - began)
        return Connection(socket, notes)
    socket.close()
    return Unconnected()


class TimedCaller(Caller):
    """A caller that notes how long each whole reply took: the banner from *due* on, others from the command.

    A wait that was cut short is none of these: it is a hang-up.
    """

    __slots__ = ("_notes", "_since")

    def __init__(self, stream: Stream, client: Client, notes: Notes, due: float) -> None:
        super().__init__(stream, client)
        self._notes = notes
        self._since = due

    async def say(self, data: bytes) -> None:
        """Send *data*. Raises `Closed`."""
        if self.step is not Step.BANNER:
            self._since = trio.current_time()
        await super().say(data)

    async def hear(self, step: Step) -> Answer:
        """Return the next reply. Raises `Closed`."""
        answer = await super().hear(step)
        now = trio.current_time()
        self._notes.waits[step.value].append(now - self._since)
        self._notes.codes[answer.code] += 1
        if step is Step.BANNER:
            self._since = now
        return answer
