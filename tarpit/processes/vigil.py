"""What the supervisor waits for: signals, children that speak or end, and the time.

A signal only leaves a byte in a pair of sockets (`signal.set_wakeup_fd`), which is looked at with everything
else. So what follows from it is done where nothing else is being done.
"""

import contextlib
import selectors
import signal
import socket
from collections.abc import Sequence
from math import inf
from types import TracebackType
from typing import Final, Self

from tarpit.processes.offspring import OURS


class Vigil:
    """`with`: our signals are caught."""

    def __init__(self) -> None:
        self._bell, self._rung = socket.socketpair()  # the signals that have come, a byte each
        for sock in (self._bell, self._rung):
            sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._selector: Final = selectors.DefaultSelector()
        self.watch(self._rung)

    def __enter__(self) -> Self:
        self._usual = {number: signal.signal(number, lambda *_: None) for number in OURS}
        self._before = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._before)
        for number, handler in self._usual.items():
            signal.signal(number, handler)
        self.close()

    def watch(self, sock: socket.socket) -> None:
        """Wake when there is something to read, too."""
        self._selector.register(sock, selectors.EVENT_READ)

    def forget(self, sock: socket.socket) -> None:
        """Wake for that no more."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(sock)

    def wait(self, seconds: float) -> Sequence[signal.Signals]:
        """Wait so long at most, until something has happened; return the signals that have come."""
        self._selector.select(None if seconds == inf else max(seconds, 0))
        try:
            return [signal.Signals(number) for number in self._rung.recv(1024)]
        except BlockingIOError:
            return ()

    def close(self) -> None:
        """Let go of everything; a child does, too."""
        self._selector.close()
        self._bell.close()
        self._rung.close()
