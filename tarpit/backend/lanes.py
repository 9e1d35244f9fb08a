"""Who waits for one purpose, and who of them is next: a turn for each network, in the order they came.

The one idea: a network that has been served goes to the end of the round. Ten thousand who wait in one /24
delay everybody else by one turn, not by ten thousand; and where each network has one waiting, this is the
order in which they came.

What a slot is, and which purpose goes before which, is `slots`.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """Whoever waits."""

    @property
    def network(self) -> bytes:
        """Where it comes from."""

    @property
    def among(self) -> Collection[object]:
        """What would do."""


W = TypeVar("W", bound=Waiting)


class Lane(Generic[W]):
    """Those who wait for one purpose."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[bytes, dict[W, None]] = {}  # the next first; whoever gives up is found at once

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

    def __bool__(self) -> bool:
        return bool(self._turns)

    def __iter__(self) -> Iterator[W]:
        return chain.from_iterable(self._turns.values())

    def add(self, waiter: W) -> None:
        """Let *waiter* wait, behind all others of its network."""
        self._turns.setdefault(waiter.network, {})[waiter] = None

    def drop(self, waiter: W) -> None:
        """Take *waiter* out: it has given up. Its network keeps its turn."""
        line = self._turns[waiter.network]
        del line[waiter]
        if not line:
            del self._turns[waiter.network]

    def serve(self, waiter: W) -> None:
        """Take *waiter* out: it has had its turn, and its network with it."""
        line = self._turns.pop(waiter.network)
        del line[waiter]
        if line:
            self._turns[waiter.network] = line

    def next_for(self, slots: object, may: Callable[[bytes], bool]) -> W | None:
        """Return who is next for *slots*, of those networks that *may* have one."""
        for network, line in self._turns.items():
            if may(network):
                found = next((waiter for waiter in line if slots in waiter.among), None)
                if found is not None:
                    return found
        return None
