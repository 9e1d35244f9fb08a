"""Joined sessions that wait for their peer's next command, outside a transaction; the longest silent first.

The one idea: a silent session is harmless as long as nobody else wants its slot. While somebody does, whoever
has been silent for `LONGEST` hears 421 4.4.2 and may come again, and no more of them than there are who wait.
For a minute its network is remembered: those who come again at once are no less silent.
RFC 5321 (section 4.5.3.2.7) gives a peer 5 minutes for a command, and so do we as long as there is room.

A session inside a transaction is never ended so: what it has begun is mail. Of one inside TLS that we do not
end it is not known; it is silent when the backend has spoken last, and what is cut then is no message whose
end was sent.

Who waits, and who asks for the end of the others, is `slots`.
"""

from collections.abc import Callable
from typing import Final

import trio

LONGEST: Final = 10.0  # seconds
REMEMBERED: Final = 60.0  # seconds for which a network is known for sessions that had to be ended
SOON: Final = 1.0  # from here on a session is silent, and not between two commands


def _nothing() -> bool:
    return False


class Sitter:
    """A session that holds a slot of one backend, and sometimes waits for its peer."""

    __slots__ = ("_ending", "_resting", "end", "network", "since")

    def __init__(self, idlers: "Idlers", network: bytes) -> None:
        self._resting = idlers.resting
        self._ending = idlers.ending
        self.network = network
        self.since = 0.0
        self.end: Callable[[], bool] = _nothing

    def waiting(self, end: Callable[[], bool]) -> "Sitter":
        """`with`: let it be known that the peer is waited for; *end* ends that, with 421 4.4.2.

        It returns whether it did: somebody who has just been woken hears what the peer said.
        """
        self.end = end
        return self

    def __enter__(self) -> None:
        self.rests(self.end, trio.current_time())

    def __exit__(self, *_: object) -> None:
        self.stirs()

    def rests(self, end: Callable[[], bool], now: float) -> None:
        """Begin what `waiting` stands around, for whoever knows the time: three waits a session come here."""
        self.end, self.since = end, now
        self._ending.discard(self)  # told to end before, it has got over that
        self._resting[self] = None

    def stirs(self) -> None:
        """Take note that the peer is waited for no more."""
        self._resting.pop(self, None)

    def gone(self) -> None:
        """Take note that the slot has been given back."""
        self._ending.discard(self)


class Idlers:
    """The silent sessions of one backend."""

    __slots__ = ("_ended", "ending", "resting")

    def __init__(self) -> None:
        self._ended: dict[
            bytes, float
        ] = {}  # networks whose sessions were, and when last; the latest is last
        self.resting: dict[Sitter, None] = {}  # in the order in which they fell silent
        self.ending: set[Sitter] = set()  # told to end; the slot has not come back yet

    def silent(self, network: bytes) -> bool:
        """Whether a session of *network* holds a slot in silence, or had to be ended in the last minute."""
        if network in self._ended and self._ended[network] > trio.current_time() - REMEMBERED:
            return True
        before = trio.current_time() - SOON
        return any(sitter.since <= before and sitter.network == network for sitter in self.resting)

    def end(self, wanted: int) -> None:
        """End those who have been silent for too long, until *wanted* of them are on their way out."""
        now = trio.current_time()
        while len(self.ending) < wanted and self.next_end() <= now:
            longest = next(iter(self.resting))
            if not longest.end():
                break  # it is just being woken: it takes itself out if it has heard enough, or is met again
            del self.resting[longest]
            self.ending.add(longest)
            self._remember(longest.network, now)

    def _remember(self, network: bytes, now: float) -> None:
        self._ended.pop(network, None)
        self._ended[network] = now
        while self._ended[oldest := next(iter(self._ended))] <= now - REMEMBERED:
            del self._ended[oldest]

    def next_end(self) -> float:
        """Return when the next one will have been silent for too long: a time, or never."""
        return next(iter(self.resting)).since + LONGEST if self.resting else float("inf")
