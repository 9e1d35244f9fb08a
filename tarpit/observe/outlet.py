"""The descriptor that lines of the log go to, and nobody waits for whoever reads it.

A pipe or socket that is read by nobody (a hung collector, a terminal that was stopped with Ctrl-S, a journal
that is busy with itself) is full after 64 KiB. A write that waits for room there would stand still with all
sessions of the worker, and the supervisor would take the worker for hung, and kill it. So what cannot be
written now is kept, in its order, and written before the next line; what is more than `BEHIND` bytes is lost,
and counted. A full disk is the same to us.

That a write must not wait is a property of an open file that all who share it would see, a shell among them.
So a pipe or terminal is opened once more; a socket is told so with each send. Where the system does not let
us open it again, as a pipe that was made by another user, a write waits as it always did.

Not here: what a line looks like (`log`).
"""

import io
import os
import socket
import stat
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

BEHIND: Final = 2**20  # bytes that are kept; some thousand sessions
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

    def isatty(self) -> bool:
        """Whether somebody watches."""
        return self._terminal

    def msg(self, message: bytes | str) -> None:
        """Write a line, now or before a later one."""
        line = (message if isinstance(message, bytes) else message.encode("ascii", "replace")) + b"\n"
        if self._behind and not self._caught_up():
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

    def _caught_up(self) -> bool:
        """Write what is behind, and return whether all of it was."""
        try:
            del self._behind[: self._write(self._behind)]
        except OSError:
            return False
        if self._behind:
            return False
        if lost := self._lost:
            self._lost = 0
            self.on_loss(lost)
        return not self._behind


def _writer(descriptor: int) -> tuple[Closes | None, Callable[[bytes | bytearray], int]]:
    """Return what writes to *descriptor*, without waiting where that can be had, and what that has opened."""
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(kind):
            sock = socket.socket(fileno=os.dup(descriptor))
            return sock, partial(_sent, sock)
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            file = io.FileIO(os.open(f"/proc/self/fd/{descriptor}", _FLAGS), "wb")
            return file, partial(os.write, file.fileno())
    except OSError:
        pass
    return None, partial(os.write, descriptor)


def _sent(sock: socket.socket, data: bytes | bytearray) -> int:
    return sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
