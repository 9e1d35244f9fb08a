"""The descriptor that lines of the log go to, and nobody waits for whoever reads it.

A pipe or socket that is read by nobody (a hung collector, a terminal that was stopped with Ctrl-S, a journal
that is busy with itself) is full after 64 KiB. A write that waits for room there would stand still with all
sessions of the worker, and the supervisor would take the worker for hung, and kill it. So what cannot be
written now is kept, in its order, and written before the next line; what is more than `BEHIND` bytes is lost,
and counted. A full disk is the same to us.

It is written in as many lines as a pipe takes whole or not at all (PIPE_BUF, 4 KiB), for other processes of
ours write to the same one: where a line was cut, theirs would begin. Only a longer line may be cut so.

That a write must not wait is a property of an open file that all who share it would see, a shell among them.
So a pipe or terminal is opened once more; a socket is told so with each send. Where the system does not let
us open it again, as a pipe that was made by another user, it is asked for room first, which another process
may have taken when we write.

That there is room again is no event: so each process of ours looks once a second (`catch_up`), and waits a
moment at its end for a reader that is only slow (`finish`). One that needs longer loses the last lines.

Not here: what a line looks like (`log`).
"""

import io
import os
import select
import socket
import stat
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

BEHIND: Final = 2**20  # bytes that are kept, or one line; some thousand sessions
LAST: Final = 1.5  # seconds for a slow reader at the end of a process; its supervisor waits 2 at least
PAUSE: Final = 0.01  # seconds between two tries of these
_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Closes(Protocol):
    """What was opened."""

    def close(self) -> None:
        """Close it."""


def _nobody(_: int) -> None:
    pass


class Outlet:
    """Writes whole lines to an open *descriptor*, which must stay open."""

    def __init__(self, descriptor: int) -> None:
        self._own, self._write = _writer(descriptor)
        self._terminal = os.isatty(descriptor)
        self._behind = bytearray()  # it may begin in the middle of a line
        self._lost = 0  # lines, since room was last found
        self.on_loss: Callable[[int], None] = _nobody  # called with how many, once there is room again
        _ours.add(self)

    def isatty(self) -> bool:
        """Whether somebody watches."""
        return self._terminal

    def msg(self, message: bytes | str) -> None:
        """Write a line, now or before a later one."""
        line = (message if isinstance(message, bytes) else message.encode("ascii", "replace")) + b"\n"
        if self._behind and not self.catch_up():
            self._keep(line)
            return
        try:
            written = self._write(line)
        except OSError:
            written = 0
        if written < len(line):
            self._behind += line[written:]

    debug = info = warning = error = critical = msg

    def close(self) -> None:
        """Write no more; *descriptor* itself stays open."""
        self._write = len
        if self._own is not None:
            self._own.close()

    def forget(self) -> None:
        """Keep nothing, for a process that was forked: its parent will write what is behind."""
        self._behind.clear()
        self._lost = 0

    def _keep(self, line: bytes) -> None:
        if self._lost or len(self._behind) + len(line) > BEHIND:
            self._lost += 1  # no later line instead, even if it is shorter: there is one gap, and it is told
        else:
            self._behind += line

    def catch_up(self) -> bool:
        """Write what is behind, as far as there is room; return whether all of it was."""
        try:
            while self._behind:
                self._write_some()
        except OSError:
            return False
        if lost := self._lost:
            self._lost = 0
            self.on_loss(lost)
        return not self._behind

    def finish(self, until: float) -> None:
        """Write what is behind, waiting for a reader until the time *until* of the monotonic clock."""
        while not self.catch_up() and time.monotonic() < until:
            try:
                self._write_some()
            except BlockingIOError:
                time.sleep(PAUSE)
            except OSError:
                return  # nobody reads any more, or a disk is full

    def _write_some(self) -> None:
        first = self._behind.rfind(b"\n", 0, select.PIPE_BUF) + 1 or self._behind.index(b"\n") + 1
        del self._behind[: self._write(self._behind[:first])]


_ours: Final = weakref.WeakSet[Outlet]()  # as files are, they are the process's


def catch_up() -> bool:
    """Write what is behind in this process, as far as there is room; return whether all of it was."""
    done = True
    for outlet in _ours:
        done = outlet.catch_up() and done
    return done


def finish() -> None:
    """Do so at the end of the process, for which it is worth waiting a moment."""
    until = time.monotonic() + LAST
    for outlet in _ours:
        outlet.finish(until)


def _forget() -> None:
    for outlet in _ours:
        outlet.forget()


os.register_at_fork(after_in_child=_forget)


def _writer(descriptor: int) -> tuple[Closes | None, Callable[[bytes | bytearray], int]]:
    """Return what writes to *descriptor* without waiting, and before that what it has opened for it."""
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(kind):
        sock = socket.socket(fileno=os.dup(descriptor))
        return sock, partial(_sent, sock)
    if not (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)):
        return None, partial(os.write, descriptor)
    try:
        file = io.FileIO(os.open(f"/proc/self/fd/{descriptor}", _FLAGS), "wb")
    except OSError:
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        return None, partial(_written_if_room, room, descriptor)
    return file, partial(os.write, file.fileno())


def _sent(sock: socket.socket, data: bytes | bytearray) -> int:
    return sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _written_if_room(room: select.poll, descriptor: int, data: bytes | bytearray) -> int:
    if not room.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data[: select.PIPE_BUF])
