"""A suspect's way to the backend, which never waits for it.

    RCPT ──► check: borrow, EHLO, MAIL, RCPT ..., QUIT ──► the backend's own replies
    DATA ──► take: read at the peer's pace, into the spool ──► no backend
    dot  ──► commit: borrow, EHLO, MAIL, RCPT ..., DATA, content, dot ──► the backend's last word, at once

*Wait first, then commit*: all delay is spent before `commit`, because a final reply that is late makes
duplicates (RFC 1047). Nothing is acknowledged that a backend has not acknowledged. What a backend does to us
is tried once more on another connection, and then is 451; after our dot it is not tried again: whether the
message was taken is then known to nobody, and the outcome says so.

One backend may take a recipient alone and refuse it in company (a limit of recipients a message, a quota). If
that shows only at the commit, the peer is told to come again, and for an hour its recipients are checked
in one growing transaction, where the limit shows at RCPT.

Not here: how slowly replies are said and content is read, and what is logged of an outcome (`session`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Final, Self, TypeVar

import trio

from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Loan, Pool, Unreached
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.backend.splits import Splits
from tarpit.backend.transaction import PARAMETER_CODES, ParameterLost, Transaction
from tarpit.errors import BackendUnavailable
from tarpit.intake import NOT_TAKEN, Receive, Taken, read_message
from tarpit.relay import TimeOuts
from tarpit.smtp.commands import Hello, Mail, Rcpt
from tarpit.smtp.replies import ReceivedReply, Reply
from tarpit.smtp.server import NO_BACKEND
from tarpit.spool import Shelf, Spool

TRIES: Final = 2

SPLIT: Final = Reply.of(451, "4.3.0 Not all recipients were taken in the end, try again later")
UNCERTAIN: Final = Reply.of(451, "4.4.2 Lost the mail server before it confirmed, try again later")

T = TypeVar("T")


class Ending(Enum):
    """How a hand-over ended. The value is what events call it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # by the backend, in its own words
    SPLIT = "split"  # some recipients were refused: nothing accepted
    UNAVAILABLE = "unavailable"  # ours to answer for: nothing accepted
    LEFT = "peer-left"  # before our dot: nothing accepted
    UNCERTAIN = "uncertain"  # no answer to our dot: it may have been accepted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. `reply` is what the peer is to hear, at once; None when it has left."""

    ending: Ending
    reply: Reply | None
    backend: str = ""  # the last one that was tried
    trouble: str = ""  # what the backend did wrong, if anything
    seconds: float = 0.0  # from borrowing to the last word


def _nothing(_: Backend) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Means:
    """What all deliveries of a worker share."""

    pool: Pool
    shelf: Shelf
    splits: Splits
    time_outs: TimeOuts
    spawn: Callable[[Callable[[], Awaitable[None]]], None]  # last words on connections that nobody waits for
    refuse_bare: bool = False
    probe_again: Callable[[Backend], None] = _nothing  # its keywords are not what they were

    def refusal(self, mail: Mail) -> Reply | None:
        """Return the answer to a MAIL that declares a size for which there is no room; None to others."""
        overflow = self.shelf.refusal(mail.size or 0)
        return NOT_TAKEN[overflow] if overflow else None


class Delivery:
    """One suspect's transactions, one after the other. `async with`: at the end everything is given back."""

    def __init__(
        self,
        means: Means,
        *,
        introduction: Callable[[], Introduction],
        ours: tuple[str, int],
        peer_left: Callable[[], bool],
    ) -> None:
        self._means = means
        self._introduction = introduction
        self._ours = ours
        self._peer_left = peer_left
        self._hello: Hello | None = None
        self._mail: Mail | None = None
        self._spool: Spool | None = None
        self._last: Backend | None = None
        self.standing: list[Rcpt] = []
        self.trouble = ""  # the last thing that a backend did wrong
        self.backend_seconds = 0.0
        self.committing = False  # from our dot until its reply: if we end now, nobody knows

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.reset()

    @property
    def backend_name(self) -> str | None:
        """The last backend that was tried."""
        return self._last.name if self._last else None

    async def begin(self, hello: Hello | None, mail: Mail) -> None:
        """Open a transaction; what was open is forgotten. *hello* is None where MAIL was taken without."""
        await self.reset()
        self._hello, self._mail = hello, mail

    async def reset(self) -> None:
        """Forget the transaction (RSET, a new EHLO, the end)."""
        self._hello, self._mail, self.standing = None, None, []
        spool, self._spool = self._spool, None
        if spool is not None:
            await spool.close()

    # -- RCPT

    async def check(self, recipients: Sequence[Rcpt]) -> tuple[Reply, ...]:
        """Ask a backend about *recipients*, and return a reply to each: its own, or 451 for our troubles."""
        replies: list[Reply] = []

        async def ask(loan: Loan) -> bool:
            await self._ask(self._on(loan), recipients, replies)
            return True

        await self._try_twice(Purpose.CHECK, ask)
        return (*replies, *[NO_BACKEND] * (len(recipients) - len(replies)))

    async def _ask(self, to: Transaction, recipients: Sequence[Rcpt], replies: list[Reply]) -> None:
        """Ask about those that have no reply yet."""
        refusal = await self._open(to)
        if refusal is not None:
            replies += [refusal] * (len(recipients) - len(replies))
            return
        if self._means.splits.holds(self._introduction(), self._open_mail):
            for stood in self.standing:
                await to.rcpt(stood)
        for rcpt in recipients[len(replies) :]:
            reply = await to.rcpt(rcpt)
            replies.append(reply)
            if reply.positive:
                self.standing.append(rcpt)

    # -- DATA

    async def take(self, receive: Receive, first: bytes = b"") -> Taken:
        """Read a message to its end, *first* being what has been received of it.

        Raises `PeerGone` when the peer ends in the middle of it, and whatever *receive* raises.
        """
        self._spool = Spool(self._means.shelf)
        return await read_message(
            receive,
            self._spool,
            first,
            refuse_bare=self._means.refuse_bare,
            most=2 * self._means.shelf.message,
            patience=self._means.time_outs.block,
        )

    # -- the end of data

    async def commit(self, header: bytes = b"") -> Outcome:
        """Hand the message over, below the *header* field. The transaction is over then, whatever comes.

        The peer is to be told `reply` at once. Where it has left before our dot, nothing is committed.
        """
        began = trio.current_time()

        async def replay(loan: Loan) -> Outcome:
            return await self._replay(loan, header)

        try:
            if self._peer_left():
                return Outcome(Ending.LEFT, None)
            outcome = await self._try_twice(Purpose.COMMIT, replay) or Outcome(Ending.UNAVAILABLE, NO_BACKEND)
        finally:
            await self.reset()
        seconds = trio.current_time() - began
        return replace(outcome, backend=self.backend_name or "", trouble=self.trouble, seconds=seconds)

    async def _replay(self, loan: Loan, header: bytes) -> Outcome:
        to = self._on(loan)
        refusal = await self._open(to) or await self._recipients(to) or await self._data(to)
        if refusal is not None:
            if refusal.code in PARAMETER_CODES and self._has_parameters:
                raise ParameterLost(f"refuses a parameter that was taken before: {refusal.code}")
            return Outcome(Ending.SPLIT if refusal is SPLIT else Ending.REFUSED, refusal)
        assert self._spool is not None
        await to.send(header, self._spool.read)
        if self._peer_left():
            loan.abort()
            return Outcome(Ending.LEFT, None)
        loan.line.check_silent()
        self.committing = True
        try:
            reply = await to.end()
        except BackendUnavailable as lost:
            self.trouble = str(lost)
            loan.abort()
            self.committing = False
            return Outcome(Ending.UNCERTAIN, UNCERTAIN)
        self.committing = False
        return Outcome(Ending.ACCEPTED if reply.positive else Ending.REFUSED, reply)

    async def _recipients(self, to: Transaction) -> Reply | None:
        replies = [await to.rcpt(rcpt) for rcpt in self.standing]
        refused = [reply for reply in replies if reply.refused]
        if not refused:
            return None
        if len(refused) < len(replies):
            self._means.splits.add(self._introduction(), self._open_mail)
            return SPLIT
        return min(refused, key=lambda reply: reply.code // 100)  # for good only if all are

    async def _data(self, to: Transaction) -> Reply | None:
        reply = await to.data()
        return reply if reply.refused else None

    # -- both

    @property
    def _open_mail(self) -> Mail:
        assert self._mail is not None
        return self._mail

    @property
    def _has_parameters(self) -> bool:
        return bool(self._open_mail.parameters) or any(rcpt.parameters for rcpt in self.standing)

    def _on(self, loan: Loan) -> Transaction:
        return Transaction(loan.line, block=self._means.time_outs.block, dot=self._means.time_outs.dot)

    async def _open(self, to: Transaction) -> ReceivedReply | None:
        """Say EHLO and MAIL; return a refusal, which is for the peer to hear."""
        mail = self._open_mail
        reply = await to.greet(self._hello, mail) if self._hello else None
        if reply is None or not reply.refused:
            reply = await to.mail(mail)
        return reply if reply.refused else None

    async def _try_twice(self, purpose: Purpose, work: Callable[[Loan], Awaitable[T]]) -> T | None:
        """Do *work* on a connection; where that one fails us, on another. None when that failed too."""
        avoid: Backend | None = None
        self.trouble = ""
        for _ in range(TRIES):
            try:
                loan = await self._means.pool.borrow(
                    self._introduction(), ours=self._ours, purpose=purpose, avoid=avoid
                )
            except Unreached as lost:
                avoid, self.trouble = lost.backend, str(lost)
                continue
            except BackendUnavailable as none:
                self.trouble = str(none)
                return None
            avoid = self._last = loan.backend
            try:
                done = await work(loan)
            except BackendUnavailable as lost:
                self.trouble = str(lost)
                loan.abort()
                if isinstance(lost, ParameterLost):
                    self._means.probe_again(loan.backend)
            except BaseException:
                loan.abort()
                raise
            else:
                self._means.spawn(loan.quit)
                return done
            finally:
                self.backend_seconds += trio.current_time() - loan.began
        return None
