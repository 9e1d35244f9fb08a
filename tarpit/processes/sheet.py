"""What a worker lets the supervisor and its own successor know at any time: a few numbers in shared memory.

One process writes them and others read, so there is nothing to lock, and they outlive the writer: how many
sessions went down with a worker that was killed is known exactly, and that one stands still is seen from
outside. A successor leaves to the worker it follows what that one may hold of each backend still, so that a
backend's cap holds for both together. That number only ever falls until the worker has ended: what is read
late is on the safe side.
"""

import mmap
from collections.abc import Iterable
from typing import Final

FIRST_PLACE: Final = 2  # of the backends: sessions and beats come before


class Sheet:
    """The numbers of one process; made before the process that writes them."""

    def __init__(self, backends: Iterable[str]) -> None:
        self._places = {name: number for number, name in enumerate(dict.fromkeys(backends), FIRST_PLACE)}
        # memory that a fork shares; it is gone with the last process that has it
        self._cells = memoryview(mmap.mmap(-1, 8 * (FIRST_PLACE + len(self._places)))).cast("Q")

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return self._cells[0]

    def count(self, sessions: int) -> None:
        """Write how many sessions are open."""
        self._cells[0] = sessions

    @property
    def beats(self) -> int:
        """How often the process has shown that it does not stand still."""
        return self._cells[1]

    def beat(self) -> None:
        """Show that we do not stand still."""
        self._cells[1] += 1

    def claim(self, backend: str, connections: int) -> None:
        """Write how many connections to a backend this worker may hold at most from now on."""
        if place := self._places.get(backend):
            self._cells[place] = connections

    def claimed(self, backend: str) -> int:
        """Return that number; 0 for a backend it does not know."""
        place = self._places.get(backend)
        return self._cells[place] if place else 0

    @property
    def claims(self) -> bool:
        """Whether there is a backend of which anything is claimed."""
        return any(self._cells[FIRST_PLACE:])

    def clear(self) -> None:
        """Write that nothing is held any more: the worker has ended."""
        for place in range(len(self._cells)):
            self._cells[place] = 0
