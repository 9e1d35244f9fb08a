"""One suspect's message, kept until it is handed over: memory first, then a file that has no name.

Nothing here has been acknowledged: this is a buffer, not a queue, and a process that dies leaves nothing
behind. Two budgets bound it, counted to the byte: a message's own, and the `Room` that all share. What
does not fit is a value, for the peer to hear; so is a full disk.

The file is written and read in pieces, off the event loop, by at most as many threads as the limiter
allows. Rejected: `tempfile.SpooledTemporaryFile` moves its content to disk in one write on the caller's
thread; `trio.wrap_file` cannot be given a limiter of ours. Rejected: keeping room for a declared SIZE:
twenty liars would fill the whole of it and send nothing.

Not here: what the bytes are (`smtp.content`), and where they go (`deliver`).
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar

import trio

T = TypeVar("T")

IN_MEMORY: Final = (
    131072  # bytes of a message kept in memory: most spam is smaller, and 500 of them are 64 MiB
)
PIECE: Final = 262144  # bytes a read; a hop to a thread costs 70 µs, a tenth of what the copy of that takes
THREADS: Final = 4  # disks do not get faster with more


class Overflow(Enum):
    """Why a message cannot be kept."""

    MESSAGE = "larger than a message may be"  # TARPIT_SPOOL_MESSAGE
    ROOM = "no room left for all messages"  # TARPIT_SPOOL_TOTAL
    DISK = "the disk is full or broken"


class Room:
    """Bytes that all messages together may take. Nobody waits for it: a peer can come again later."""

    __slots__ = ("taken", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0

    @property
    def free(self) -> int:
        """Bytes that can still be taken."""
        return self.total - self.taken

    def take(self, size: int) -> None:
        """Take *size* bytes, which must be free: `Shelf.refusal` says whether they are."""
        assert 0 <= size <= self.free
        self.taken += size

    def give_back(self, size: int) -> None:
        """Give back bytes that were taken."""
        assert 0 <= size <= self.taken
        self.taken -= size


def _few_threads() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(THREADS)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What all messages of a worker share: room, the bound of each, the directory, and the threads."""

    room: Room
    message: int  # bytes
    directory: Path | None = None  # None: the system's own
    threads: trio.CapacityLimiter = field(default_factory=_few_threads)

    def refusal(self, size: int, *, kept: int = 0) -> Overflow | None:
        """Return why a message of *size* bytes does not fit; *kept* bytes of it have their room already."""
        if size > self.message:
            return Overflow.MESSAGE
        return Overflow.ROOM if size - kept > self.room.free else None


class Spool:
    """One message. `async with`, or `close`, gives everything back."""

    __slots__ = ("_file", "_shelf", "_stored", "_tail", "overflow", "size")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._tail = bytearray()  # what is not in the file, all of a small message
        self._file: IO[bytes] | None = None
        self._stored = 0  # bytes in the file
        self.size = 0
        self.overflow: Overflow | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write(self, data: bytes) -> Overflow | None:
        """Add *data*. After an overflow everything is forgotten, and more of the same is not taken."""
        if self.overflow is None:
            self.overflow = self._shelf.refusal(self.size + len(data), kept=self.size)
        if self.overflow is None:
            self._shelf.room.take(len(data))
            self.size += len(data)
            self._tail += data
            if len(self._tail) > IN_MEMORY:
                self.overflow = await self._move_to_file()
        if self.overflow is not None:
            await self.close()
        return self.overflow

    async def read(self, at: int) -> bytes:
        """Return the piece that begins at byte *at*; b"" at the end. Raises OSError if the disk fails."""
        if at >= self._stored:
            start = at - self._stored
            return bytes(self._tail[start : start + PIECE])
        assert self._file is not None
        number, size = self._file.fileno(), min(PIECE, self._stored - at)
        piece = await self._off_loop(lambda: os.pread(number, size, at))
        if not piece:
            raise OSError("the spool file is shorter than what was written to it")
        return piece

    async def close(self) -> None:
        """Forget the message and give its room back. May be called again."""
        file, self._file = self._file, None
        # Not only once the file is closed: of 500 messages growing together, the first that does not fit
        # would then take nearly all others along (2 delivered; so it is 103). Whoever gets the room cannot
        # write into it before the close, because both wait for the same threads in turn.
        self._shelf.room.give_back(self.size)
        self._tail, self.size, self._stored = bytearray(), 0, 0
        if file is not None:
            # shielded, and off the loop too: freeing the blocks of a large file takes its time
            with trio.CancelScope(shield=True), contextlib.suppress(OSError):
                await self._off_loop(file.close)

    async def _move_to_file(self) -> Overflow | None:
        try:
            if self._file is None:
                self._file = await self._off_loop(self._open)
            number, at, data = self._file.fileno(), self._stored, self._tail
            await self._off_loop(lambda: _write_all(number, data, at))
        except OSError:
            return Overflow.DISK
        self._stored += len(data)
        self._tail = bytearray()
        return None

    def _open(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._shelf.directory, buffering=0)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._shelf.threads)


def _write_all(file: int, data: bytearray, at: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, at)
        rest, at = rest[written:], at + written
