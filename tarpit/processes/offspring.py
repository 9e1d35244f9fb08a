"""Child processes of the supervisor: how one is made, what is known of it, and when the next one is due.

A child is a fork that never returns into the caller: it does its work and ends. It inherits everything, so it
first lets go of what is the supervisor's alone, and of what other children are to have: a lead that somebody
else holds too would not say that its owner has died, and a port would be taken as long as anybody lives.
"""

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from tarpit.observe.outlet import finish
from tarpit.processes.sheet import Sheet

QUICK: Final = 3.0  # seconds; what died sooner would do so again
FIRST_PAUSE: Final = 0.5  # seconds before the next try then; each time twice as long
LONGEST_PAUSE: Final = 30.0
STDERR: Final = 2
BUG: Final = 70  # exit code of a child that ended with a traceback; EX_SOFTWARE
OURS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(eq=False)
class Child:
    """A process, and what we share with it."""

    slot: int
    pid: int
    lead: socket.socket
    line: socket.socket | None = None  # the office's end of the line between it and the office
    sheet: Sheet = field(default_factory=lambda: Sheet(()))
    born: float = field(default_factory=time.monotonic)
    until: float = inf  # when it is killed
    ready: bool = False
    beats: int = 0  # of its sheet, when it was last looked at
    missed: int = 0  # looks in a row at which it had not moved on
    refused: bool = False  # it has said so
    stopped: bool = False  # it has said so, in order
    dismissed: bool = False  # by us
    how: str | None = None  # it has ended, and the system has forgotten its process id

    def kill(self) -> None:
        """End it, whatever it does. It is not dead yet afterwards."""
        self._signal(signal.SIGKILL)

    def have_traced(self) -> None:
        """Have it write on the standard error where it stands."""
        self._signal(signal.SIGQUIT)

    def look(self) -> int:
        """Look whether it has moved on, and return at how many looks in a row it had not."""
        moved = self.ready and self.sheet.beats != self.beats
        self.beats, self.missed = self.sheet.beats, 0 if moved else self.missed + 1
        return self.missed

    def _signal(self, number: signal.Signals) -> None:
        if self.how is None:  # or else the process id may be another one's by now
            os.kill(self.pid, number)

    def ended(self) -> str | None:
        """Return how it has ended, if it has: "exit code 1", "SIGKILL"."""
        if self.how is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return self.how

    def close(self) -> None:
        """Let go of what was shared; the sheet says that it holds nothing any more."""
        self.close_sockets()
        self.sheet.clear()

    def close_sockets(self) -> None:
        """Let go of the lead and the line."""
        self.lead.close()
        if self.line is not None:
            self.line.close()


@dataclass
class Slot:
    """A place that there is always one process for: who serves, who is tried, who is on the way out."""

    number: int
    serving: Child | None = None
    trying: Child | None = None
    leaving: list[Child] = field(default_factory=list)
    due: float = inf  # when the next one is made
    deaths: int = 0  # in a row, each soon after birth

    @property
    def children(self) -> list[Child]:
        """All that are alive."""
        return [child for child in (self.serving, self.trying, *self.leaving) if child is not None]

    def rest(self) -> None:
        """Have none made for now."""
        self.due = inf

    def pause_after(self, child: Child) -> float:
        """Have another one made, and return in how many seconds."""
        now = time.monotonic()
        self.deaths = self.deaths + 1 if now - child.born < QUICK else 0
        pause = min(FIRST_PAUSE * 2 ** (self.deaths - 1), LONGEST_PAUSE) if self.deaths else 0.0
        self.due = now + pause
        return pause


def fork(work: Callable[[], int], let_go: Callable[[], None]) -> int:
    """Have a child do *work* and end with the exit code it returns; return the child's process id.

    Only for a process without threads in which no event loop has run: locks and the loop's own descriptors
    would be inherited in whatever state they are.
    """
    _flush()
    # A signal to the child must not be written to the pipe by which the supervisor hears of its own.
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        if pid := os.fork():
            return pid
        _be_child(work, let_go, usual)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)
    raise AssertionError("a child has returned")


def _be_child(work: Callable[[], int], let_go: Callable[[], None], mask: set[int | signal.Signals]) -> None:
    code = BUG
    try:
        signal.set_wakeup_fd(-1)
        faulthandler.register(signal.SIGQUIT, STDERR)
        for number in OURS:
            signal.signal(number, signal.SIG_DFL)
        let_go()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = work()
    finally:  # nothing may climb into the supervisor's own stack
        if sys.exc_info()[0] is not None:
            with contextlib.suppress(OSError):
                traceback.print_exc()
        try:
            _flush()
            finish()
        finally:
            os._exit(code)


def _flush() -> None:
    """Write what waits to be written, where that is still possible."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            if stream is not None:  # as where it was closed when we began
                stream.flush()
