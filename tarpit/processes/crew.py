"""The supervisor's children, and what they have to say: made, heard, buried.

What follows from it is the `supervisor`'s.
"""

import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from structlog.typing import FilteringBoundLogger as Log

from tarpit.control import office
from tarpit.processes import lead, underling
from tarpit.processes.lead import Report, Word
from tarpit.processes.listeners import Door
from tarpit.processes.offspring import Child, Slot, fork
from tarpit.processes.sheet import Sheet
from tarpit.processes.vigil import Vigil
from tarpit.settings import Settings

LOOK: Final = 5.0  # seconds between two looks at whether all of them move on
STILL: Final = 6  # looks in a row after which one that serves has hung
TRIAL: Final = 12  # ... and one that was to get ready


@dataclass(frozen=True, slots=True)
class Died:
    """A child has ended."""

    how: str  # "exit code 1", "SIGKILL"


class Crew:
    """A slot for each worker, and one for the office."""

    def __init__(self, count: int, doors: Sequence[Door], vigil: Vigil) -> None:
        self.slots = [Slot(number) for number in range(count)]
        self.office = Slot(-1)
        self._doors = doors
        self._vigil = vigil
        self.look_due = 0.0

    @property
    def workers(self) -> list[Child]:
        """All workers that are alive."""
        return [child for slot in self.slots for child in slot.children]

    @property
    def sessions(self) -> int:
        """The sessions that are open, in all of them."""
        return sum(child.sheet.sessions for child in self.workers)

    @property
    def trying(self) -> bool:
        """Whether any worker is not in its place yet."""
        return any(slot.trying is not None for slot in self.slots)

    def tell(self, word: Word) -> None:
        """Tell all workers."""
        for child in self.workers:
            lead.tell(child.lead, word)

    def make(self, slot: Slot, settings: Settings, log: Log, *, starting: bool = False) -> None:
        """Make a worker, which is tried from now on; with *starting*, under settings not used before."""
        sheet = Sheet(backend.name for backend in settings.all_backends)
        (ours, theirs), (end, line) = lead.pair(), lead.pair()
        before = [child.sheet for child in slot.children]
        post = underling.Post(slot.number, theirs, line, sheet, before, starting=starting)
        listeners = [door.of(slot.number) for door in self._doors]
        work = partial(underling.run, settings, listeners, log, post)
        pid = self._fork(work, ours, end, keeping=listeners)
        slot.trying = Child(slot.number, pid, ours, end, sheet)
        self._made(slot, ours, theirs, line)

    def make_office(self, settings: Settings, log: Log) -> None:
        """Make the office, and have it speak with all workers."""
        (ours, theirs), sheet = lead.pair(), Sheet(())
        work = partial(office.run, settings.state_dir, log, theirs, sheet)
        self.office.serving = Child(-1, self._fork(work, ours), ours, sheet=sheet, ready=True)
        self._made(self.office, ours, theirs)
        for slot in self.slots:
            for child in (*slot.leaving, slot.serving):  # in the order in which they came
                self._introduce(child)

    def promote(self, slot: Slot, *, within: float = inf) -> None:
        """Have the worker that is tried serve, and the one before it leave, *within* so many seconds."""
        if slot.serving is not None:
            slot.leaving.append(slot.serving)
            slot.serving.until = time.monotonic() + within
            lead.tell(slot.serving.lead, Word.LEAVE)
        slot.serving, slot.trying = slot.trying, None
        slot.rest()  # whoever died here while this one was tried has its successor
        assert slot.serving is not None
        lead.tell(slot.serving.lead, Word.GO)
        self._introduce(slot.serving)

    def dismiss(self) -> None:
        """Have nobody tried any more."""
        for slot in self.slots:
            if slot.trying is not None:
                slot.trying.dismissed = True
                slot.trying.kill()

    def news(self) -> Iterator[tuple[Slot, Child, Report | Died]]:
        """Yield what has happened since the last time; of a child that has ended, that is the last."""
        for slot in (*self.slots, self.office):
            for child in slot.children:
                how = child.ended()  # first: what it has said before is there then
                while (said := lead.hear(child.lead)) is not None:
                    yield slot, child, said
                if how is not None:
                    yield slot, child, Died(how)

    @property
    def until(self) -> float:
        """When the first of those that leave has to be gone."""
        return min((child.until for child in self.workers), default=inf)

    def kill_late(self) -> None:
        """Kill those that should have left by now."""
        for child in self.workers:
            if child.until <= time.monotonic():
                child.until = inf
                child.kill()

    def hung(self) -> Iterator[Child]:
        """Look at all when it is time to, and yield whoever has hung, and is killed at the next look.

        Looks are counted, not seconds: where all of us were stopped for a while, nobody has hung.
        """
        if (now := time.monotonic()) < self.look_due:
            return
        self.look_due = now + LOOK
        for child in (*self.workers, *self.office.children):
            most = STILL if child.ready else TRIAL
            match child.look() - most:
                case 0:
                    child.have_traced()
                    yield child
                case late if late > 0:
                    child.kill()

    def bury(self, slot: Slot, child: Child) -> None:
        """Forget a child that has ended."""
        self._vigil.forget(child.lead)
        child.close()
        if child is slot.serving:
            slot.serving = None
        elif child is slot.trying:
            slot.trying = None
        else:
            slot.leaving.remove(child)

    def end_office(self, patience: float) -> None:
        """Have the office end, which removes its socket, and wait for it so many seconds at most."""
        if (child := self.office.serving) is None:
            return
        self._vigil.forget(child.lead)
        child.lead.close()
        until = time.monotonic() + patience
        while child.ended() is None:
            if time.monotonic() > until:
                child.kill()
            time.sleep(0.01)
        self.office.serving = None

    def close(self) -> None:
        """Let go of all children."""
        for child in (*self.workers, *self.office.children):
            child.close_sockets()

    def _fork(
        self, work: Callable[[], int], *ours: socket.socket, keeping: Collection[socket.socket] = ()
    ) -> int:
        def let_go() -> None:
            self._vigil.close()
            self.close()
            for sock in (*ours, *(sock for door in self._doors for sock in door.sockets)):
                if sock not in keeping:
                    sock.close()

        return fork(work, let_go)

    def _made(self, slot: Slot, ours: socket.socket, *theirs: socket.socket) -> None:
        for sock in theirs:
            sock.close()
        slot.rest()
        self._vigil.watch(ours)

    def _introduce(self, child: Child | None) -> None:
        if child is not None and child.line is not None and self.office.serving is not None:
            office.introduce(self.office.serving.lead, child.slot, child.line)
