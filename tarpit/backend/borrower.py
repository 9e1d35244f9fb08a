"""One peer's borrowing: work done on a connection, and once more on another where the first one fails us.

The sum of what it took and the last thing that went wrong are kept here, for whoever tells of it. Which
backend a connection goes to, and who waits for one, is `pool`; what is said over it, `transaction`.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

import trio

from tarpit.backend.introduce import Introduction
from tarpit.backend.order import taking
from tarpit.backend.pool import Loan, Pool, Unreached
from tarpit.backend.routes import Group
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.backend.transaction import ParameterLost
from tarpit.errors import BackendUnavailable

TRIES: Final = 2

T = TypeVar("T")


class Borrower:
    """Borrows for one peer."""

    __slots__ = ("_ours", "_pool", "_probe_again", "_spawn", "introduction", "last", "seconds", "trouble")

    def __init__(
        self,
        pool: Pool,
        *,
        introduction: Callable[[], Introduction],
        ours: tuple[str, int],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        probe_again: Callable[[Backend], None],
    ) -> None:
        self._pool = pool
        self._ours = ours
        self._spawn = spawn
        self._probe_again = probe_again
        self.introduction = introduction
        self.last: Backend | None = None  # that was tried
        self.trouble = ""  # the last thing that a backend did wrong
        self.seconds = 0.0  # for which connections were kept

    async def twice(
        self,
        purpose: Purpose,
        work: Callable[[Loan], Awaitable[T]],
        *,
        group: Group | None = None,
        keep: bool = False,
        held: Collection[Backend] = (),
    ) -> T | None:
        """Do *work* on a connection; where that one fails us, on another. None when that failed too.

        The connection is ended afterwards. With *keep* it is not, unless it failed: that is for *work* then.
        *held* are the backends of those that were kept so and have not ended.
        """
        avoid: Backend | None = None
        self.trouble = ""
        for _ in range(TRIES):
            try:
                loan = await self._pool.borrow(
                    self.introduction(),
                    ours=self._ours,
                    purpose=purpose,
                    group=group,
                    avoid=avoid,
                    held=held,
                )
            except Unreached as lost:
                avoid, self.trouble = lost.backend, str(lost)
                continue
            except BackendUnavailable as none:
                self.trouble = str(none)
                return None
            avoid = self.last = loan.backend
            try:
                done = await work(loan)
            except BackendUnavailable as lost:
                self.trouble = str(lost)
                self.abort(loan)
                if isinstance(lost, ParameterLost):
                    self._probe_again(loan.backend)
            except BaseException:
                self.abort(loan)
                raise
            else:
                if not keep:
                    self.quit(loan)
                return done
        return None

    def taking(self, group: Group | None) -> frozenset[int]:
        """Return the places of those backends of *group* that take mail now."""
        return taking(self._pool.backends, self._pool.members(group))

    def quit(self, loan: Loan) -> None:
        """End a connection in order; nobody waits for it."""
        self.seconds += trio.current_time() - loan.began
        self._spawn(loan.quit)

    def abort(self, loan: Loan) -> None:
        """End a connection with a reset."""
        self.seconds += trio.current_time() - loan.began
        loan.abort()
