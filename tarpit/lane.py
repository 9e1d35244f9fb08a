"""One direction of a conversation that nobody looks into: after a STARTTLS that was passed through.

All that is left to do there is to carry bytes. Carried through Python, 25 MiB cost 10 to 13 ms of CPU in
blocks of 64 KiB; spliced from socket to socket through a pipe in the kernel 6 to 8 ms (splice(2);
docs/performance.md). A pipe takes two descriptors, so a lane has one only from its first full block on, when
much is carried; where none can be had it goes on as before.

When that begins is `relay`; what a socket does, `wire`.
"""

import contextlib
import fcntl
import os
from contextlib import nullcontext
from typing import Final

import trio

from tarpit.backend.idle import Sitter
from tarpit.wire import Wire

BLOCK: Final = 65536  # bytes
TURNS: Final = 8  # blocks before the other direction, and then other sessions, get their turn
PIPE: Final = 256 * 1024  # bytes; 1 MiB is a third cheaper, and a user may have no more than 64 of those


async def carry(peer: Wire, backend: Wire, *, block: float, silence: float, sitter: Sitter | None) -> None:
    """Carry bytes both ways until one side ends. The backend wakes who waits for the peer (`Wire.wakes`).

    Either takes what it is sent within *block* seconds, and the peer says something in *silence*. While it is
    the peer's turn, *sitter* lets others end the wait. Raises `PeerGone`, `PeerSilent`,
    `BackendUnavailable`.
    """
    lanes = Lane(peer, backend, block), Lane(backend, peer, block)
    spoke = backend
    try:
        while True:
            for lane in lanes:
                turns = TURNS
                while turns and lane.source.readable and (moved := await lane.move()) is not None:
                    if not moved:
                        return
                    spoke, turns = lane.source, turns - 1
            if peer.readable or backend.readable:
                await trio.lowlevel.checkpoint()
                continue
            # what the peer has sent may be the end of a message, so only its own silence counts
            with nullcontext() if sitter is None or spoke is peer else sitter.waiting(peer.overdue):
                await peer.stir(trio.current_time() + silence)
    finally:
        for lane in lanes:
            lane.close()


class Lane:
    """From *source* to *target*, which has to take what it is sent within *patience* seconds. `close` it."""

    __slots__ = ("_patience", "_pipe", "source", "target")

    def __init__(self, source: Wire, target: Wire, patience: float) -> None:
        self.source = source
        self.target = target
        self._patience = patience
        self._pipe: tuple[int, int] | None = None  # to read from, to write into

    async def move(self) -> int | None:
        """Carry what is there; return how many bytes, 0 at the end, None when nothing is there yet."""
        if self._pipe is not None:
            return await self._splice(*self._pipe)
        data = self.source.receive_now(BLOCK)
        if data:
            await self.target.send_all(data, trio.current_time() + self._patience)
            if len(data) == BLOCK:
                self._pipe = _pipe_between(self.source, self.target)
        return None if data is None else len(data)

    async def _splice(self, out: int, into: int) -> int | None:
        size = self.source.splice(into, PIPE, reads=True)
        left, until = size or 0, trio.current_time() + self._patience
        while left:
            sent = self.target.splice(out, left, reads=False)
            if sent is None:
                await self.target.stir(until)
            else:
                left -= sent
        return size

    def close(self) -> None:
        """Give back what it has."""
        pipe, self._pipe = self._pipe, None
        for end in pipe or ():
            os.close(end)


def _pipe_between(source: Wire, target: Wire) -> tuple[int, int] | None:
    """Return the ends of a pipe, or None where there can be none."""
    if source.sealed is not None or target.sealed is not None:
        return None
    try:
        out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no descriptor is left
        return None
    with contextlib.suppress(OSError):  # the user's share of pipes is used up: this one stays small
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE)
    return out, into
