"""A suspect's way to the backend, which never waits for it.

    RCPT ──► check: borrow, EHLO, MAIL, RCPT ..., QUIT ──► the backend's own replies
    DATA ──► take: read at the peer's pace, into the spool ──► no backend
    dot  ──► commit: borrow, EHLO, MAIL, RCPT ..., DATA, content, dot ──► the backend's last word, at once

*Wait first, then commit*: all delay is spent before `commit`, because a final reply that is late makes
duplicates (RFC 1047). Nothing is acknowledged that a backend has not acknowledged. What a backend does to us
is tried once more on another connection, and then is 451.

One backend may take a recipient alone and refuse it in company (a limit of recipients a message, a quota). If
that shows only at the commit, the peer is told to come again, and for an hour its recipients are checked
in one growing transaction, where the limit shows at RCPT.

Not here: how the message is handed over (`commit`); how slowly replies are said and content is read, and what
is logged of an outcome (`frontdesk`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import trio

from tarpit.backend.borrower import Borrower
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Loan, Pool
from tarpit.backend.routes import Group
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.backend.splits import Splits
from tarpit.backend.transaction import Transaction
from tarpit.commit import SPLIT, Commit, Ending, Envelope, Outcome, Part
from tarpit.intake import NOT_TAKEN, Receive, Taken, read_message
from tarpit.parked import TimeOuts
from tarpit.smtp.commands import Hello, Mail, Rcpt
from tarpit.smtp.replies import ReceivedReply, Reply
from tarpit.smtp.server import NO_BACKEND
from tarpit.spool import Overflow, Shelf, Spool


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
    """One peer's transactions, one after the other. `async with`: at the end everything is given back."""

    def __init__(
        self,
        means: Means,
        *,
        introduction: Callable[[], Introduction],
        ours: tuple[str, int],
        peer_left: Callable[[], bool],
    ) -> None:
        self._means = means
        self._peer_left = peer_left
        self._envelope: Envelope | None = None
        self._spool: Spool | None = None
        self._commit: Commit | None = None
        self.borrower = Borrower(
            means.pool,
            introduction=introduction,
            ours=ours,
            spawn=means.spawn,
            probe_again=means.probe_again,
        )
        self.prompt = False  # a clean peer's: nobody is served before it

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.reset()

    @property
    def backend_name(self) -> str | None:
        """The last backend that was tried."""
        return self.borrower.last.name if self.borrower.last else None

    @property
    def committing(self) -> bool:
        """Whether a dot of ours has no reply yet: if we end now, nobody knows."""
        return self._commit is not None and self._commit.committing

    @property
    def parts(self) -> Sequence[Part]:
        """The open transaction by groups: those in which a recipient stands."""
        return self._envelope.parts if self._envelope else ()

    @property
    def standing(self) -> list[Rcpt]:
        """All recipients that stand."""
        return self._envelope.standing if self._envelope else []

    async def begin(self, hello: Hello | None, mail: Mail) -> None:
        """Open a transaction; what was open is forgotten. *hello* is None where MAIL was taken without."""
        await self.reset()
        self._envelope = Envelope(hello, mail)

    async def reset(self) -> None:
        """Forget the transaction (RSET, a new EHLO, the end)."""
        self._envelope = None
        spool, self._spool = self._spool, None
        if spool is not None:
            await spool.close()

    # -- RCPT

    async def check(self, recipients: Sequence[Rcpt], group: Group | None = None) -> tuple[Reply, ...]:
        """Ask a backend of *group* about *recipients*.

        Returns a reply to each: its own, or 451 for our troubles.
        """
        part, replies = self._part(group), list[Reply]()

        async def ask(loan: Loan) -> bool:
            await self._ask(self._on(loan), part, recipients, replies)
            return True

        await self.borrower.twice(Purpose.JOIN if self.prompt else Purpose.CHECK, ask, group=group)
        self._keep(part)
        return (*replies, *[NO_BACKEND] * (len(recipients) - len(replies)))

    async def _ask(
        self, to: Transaction, part: Part, recipients: Sequence[Rcpt], replies: list[Reply]
    ) -> None:
        """Ask about those that have no reply yet."""
        refusal = await self._open.open(to)
        if refusal is not None:
            replies += [refusal] * (len(recipients) - len(replies))
            return
        if self.split_before:
            for stood in part.standing:
                await to.rcpt(stood)
        for rcpt in recipients[len(replies) :]:
            reply = await to.rcpt(rcpt)
            replies.append(reply)
            if reply.positive:
                part.standing.append(rcpt)

    async def join(self, group: Group) -> tuple[Loan, ReceivedReply | None] | None:
        """Return a connection to *group* on which EHLO and MAIL have been said, and a refusal of one of them.

        None when no connection is to be had. It is the caller's to end (`borrower`).
        """

        async def open_(loan: Loan) -> tuple[Loan, ReceivedReply | None]:
            refusal = await self._open.open(self._on(loan))
            loan.line.check_silent()
            return loan, refusal

        return await self.borrower.twice(Purpose.JOIN, open_, group=group, keep=True)

    def took(self, group: Group, recipients: Sequence[Rcpt]) -> None:
        """Take note that a backend of *group* has taken *recipients* over a connection that was joined."""
        part = self._part(group)
        part.standing += recipients
        self._keep(part)

    @property
    def split_before(self) -> bool:
        """Whether a commit to many at once has failed, for this peer and sender, within the last hour."""
        return self._means.splits.holds(self.borrower.introduction(), self._open.mail)

    # -- DATA

    async def take(self, receive: Receive, first: bytes = b"") -> Taken:
        """Read a message to its end, *first* being what has been received of it.

        Raises `PeerGone` when the peer ends in the middle of it, and whatever *receive* raises.
        """
        self._spool = Spool(self._means.shelf)
        taken = await read_message(
            receive,
            self._spool,
            first,
            refuse_bare=self._means.refuse_bare,
            most=2 * self._means.shelf.message,
            patience=self._means.time_outs.block,
        )
        if taken.refusal in {NOT_TAKEN[overflow] for overflow in Overflow} and len(self.parts) > 1:
            self._split()  # what is too much for us to keep may be no trouble for one group alone
            return replace(taken, refusal=SPLIT)
        return taken

    # -- the end of data

    async def commit(self, header: bytes = b"") -> Outcome:
        """Hand the message over, below the *header* field. The transaction is over then, whatever comes.

        The peer is to be told `reply` at once. Where it has left before our dot, nothing is committed.
        """
        began, spool = trio.current_time(), self._spool
        assert spool is not None
        try:
            if self._peer_left():
                return Outcome(Ending.LEFT, None)
            self._commit = Commit(
                self._open,
                self.borrower,
                self._means.time_outs,
                purpose=Purpose.JOIN if self.prompt else Purpose.COMMIT,
                header=header,
                read=spool.read,
                peer_left=self._peer_left,
            )
            outcome = await self._commit.run()
            refused = outcome.ending not in {Ending.ACCEPTED, Ending.LEFT}
            if outcome.ending is Ending.SPLIT or (refused and len(self.parts) > 1):
                self._split()
        finally:
            await self.reset()
        return replace(outcome, seconds=trio.current_time() - began)

    # -- both

    def _split(self) -> None:
        self._means.splits.add(self.borrower.introduction(), self._open.mail)

    @property
    def _open(self) -> Envelope:
        assert self._envelope is not None
        return self._envelope

    def _part(self, group: Group | None) -> Part:
        return next((part for part in self.parts if part.group == group), Part(group))

    def _keep(self, part: Part) -> None:
        """Have *part* among the others, if it has a recipient; groups in their order in the settings."""
        if part.standing and not any(part is other for other in self.parts):
            self._open.parts.append(part)
            self._open.parts.sort(key=lambda one: one.group.number if one.group else 0)

    def _on(self, loan: Loan) -> Transaction:
        return Transaction(loan.line, block=self._means.time_outs.block, dot=self._means.time_outs.dot)
