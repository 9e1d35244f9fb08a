"""Something that one task at a time may wait for: a socket, until it stirs or its deadline has passed.

A task parks here with nothing but itself. Who wakes it is `poller`.
"""

from collections.abc import AsyncGenerator, Awaitable, Generator
from dataclasses import dataclass
from typing import Final, TypeVar

import outcome
import trio

FOREVER: Final = float("inf")
T = TypeVar("T")


class _Nothing(outcome.Outcome[None]):
    """What a wait returns that is over: nothing, any number of times.

    A new `outcome.Value` for each, good for one use, would add a quarter to what it takes to wake a task.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """Return nothing."""

    def send(self, gen: Generator[T, None, object]) -> T:
        """Let *gen* go on."""
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[T, None]) -> T:
        """Let *agen* go on."""
        return await agen.asend(None)


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """Seconds for a joined session. RFC 5321 section 4.5.3.2 asks for no less than the defaults."""

    command: float  # the peer's next command, the whole line
    block: float  # a block of content, either way
    reply: float  # the backend's reply to a command
    dot: float  # the backend's reply to the end of data


class Parked:
    """Where a task waits."""

    __slots__ = ("_task", "deadline", "wakes")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self.wakes: Parked | None = None  # whose waiter is woken when this stirs while nobody waits here
        self.deadline = FOREVER  # infinite while nobody waits

    def stir(self, until: float) -> Awaitable[object]:
        """Wait, once awaited, until something happens here, at most until the time *until*.

        No coroutine of its own: a session waits fourteen times.
        """
        self.deadline = until
        self._task = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._abandon)  # noqa: ASYNC105 - by whoever called

    def _abandon(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        """Forget the task: it was cancelled."""
        self._task = None
        self.deadline = FOREVER
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Let whoever waits here go on; or else for the partner (`wakes`), so that one wait does for both."""
        task = self._task
        if task is not None:
            self._task = None
            self.deadline = FOREVER
            trio.lowlevel.reschedule(task, NOTHING)
        elif self.wakes is not None:
            self.wakes.wake()

    def fail(self, error: Exception) -> bool:
        """Have whoever waits here raise *error*, and return whether anybody did wait."""
        task, self._task = self._task, None
        if task is None:
            return False
        self.deadline = FOREVER
        trio.lowlevel.reschedule(task, outcome.Error(error))
        return True

    def overdue(self) -> bool:
        """The deadline has passed: whoever waits goes on, and finds nothing. Returns whether anybody did."""
        waits = self._task is not None
        self.wake()
        return waits
