"""For whom a connection to a backend is: where it comes from, who it is, and whether it still waits.

A peer may leave while its turn has not come, or while a backend is dialled and greeted. So whoever waits for
it says what ends that wait, each time it waits for something else; a cancel scope around all of it, which
does nothing in nearly all sessions, was 57 of the 804 calls of a clean one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tarpit.backend.introduce import Introduction
from tarpit.caps import keys_of

GivesUpBy = Callable[[Callable[[], None]], None]  # a guest's own, or another that does as well


def never(_: Callable[[], None]) -> None:
    """Take note of nothing: somebody else ends the wait."""


class Guest(Protocol):
    """Whom a connection is for. Who is not introduced is asked for no more than the network."""

    @property
    def network(self) -> bytes:
        """Where the peer comes from, as `caps` counts."""

    @property
    def ours(self) -> tuple[str, int]:
        """Address and port that the peer has connected to."""

    def introduction(self) -> Introduction:
        """Return who the peer is."""

    def gives_up_by(self, end: Callable[[], None]) -> None:
        """Have *end*, which ends the wait that begins now, called if the peer leaves.

        Raises `PeerGone` if it has.
        """

    def check_there(self) -> None:
        """Raise `PeerGone` if the peer has left."""


@dataclass(frozen=True, slots=True)
class Known:
    """A guest of whom all has been asked, and who is waited for to the end: or somebody else ends it."""

    who: Introduction
    ours: tuple[str, int]

    @property
    def network(self) -> bytes:
        """Where the peer comes from."""
        return keys_of(str(self.who.address))[1]

    def introduction(self) -> Introduction:
        """Return who the peer is."""
        return self.who

    def gives_up_by(self, end: Callable[[], None]) -> None:
        """Do nothing: *end* will not be called."""

    def check_there(self) -> None:
        """Do nothing: it is taken to be there."""
