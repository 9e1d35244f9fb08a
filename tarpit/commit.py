"""A message handed over: everything but the dot to each group of its recipients, then the dots, one by one.

As a rule there is one group, and its backend's last word is the peer's. What a backend does to us before its
dot is tried once more on another connection; after a dot nothing is tried again: whether the message was
taken is then known to nobody, and the outcome says so.

With several groups (TARPIT_ROUTES_MIXED=fanout) the peer hears 250 only when all have accepted. Until the
first dot any of them can stop all of it, and nobody has the message: 451. A refusal after the first dot is
passed on in that backend's own words, and `taken_by` says who has the message all the same. If it was for
good, the sender is told of a failure where some were served; if it was for now, these get it again. Nobody
can prevent that: one reply speaks for all. So for an hour the same sender has its recipients taken one group
at a time (`backend.splits`), where each group answers for itself.

No two messages wait for each other's connections, nor one for its own: connections are had in the order of
`backend.order`, and a backend that several groups share has the recipients of all of them in one transaction.
The dots are sent in the order of the groups.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from tarpit.backend.borrower import Borrower
from tarpit.backend.pool import Loan
from tarpit.backend.routes import Group
from tarpit.backend.slots import Purpose
from tarpit.backend.transaction import PARAMETER_CODES, ParameterLost, Transaction
from tarpit.errors import BackendUnavailable
from tarpit.parked import TimeOuts
from tarpit.smtp.commands import Hello, Mail, Rcpt
from tarpit.smtp.replies import ReceivedReply, Reply
from tarpit.smtp.server import NO_BACKEND

SPLIT: Final = Reply.of(451, "4.3.0 Not all recipients were taken in the end, try again later")
UNCERTAIN: Final = Reply.of(451, "4.4.2 Lost the mail server before it confirmed, try again later")


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
    taken_by: tuple[str, ...] = ()  # backends that have accepted it, whatever the others did


@dataclass(slots=True)
class Part:
    """What of a transaction goes to one group of backends; None where there are no groups."""

    group: Group | None
    standing: list[Rcpt] = field(default_factory=list)

    def with_(self, other: "Part") -> "Part":
        """Return both as one, for a backend that both groups have."""
        assert self.group is not None
        assert other.group is not None
        return Part(self.group.shared_with(other.group), self.standing + other.standing)


@dataclass(slots=True)
class Envelope:
    """One transaction of a peer's. *hello* is None where MAIL was taken without; *parts* have recipients."""

    hello: Hello | None
    mail: Mail
    parts: list[Part] = field(default_factory=list)

    @property
    def standing(self) -> list[Rcpt]:
        """All recipients that stand."""
        return [rcpt for part in self.parts for rcpt in part.standing]

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it depends on what a backend offers."""
        return bool(self.mail.parameters) or any(rcpt.parameters for rcpt in self.standing)

    async def open(self, to: Transaction) -> ReceivedReply | None:
        """Say EHLO and MAIL; return a refusal, which is for the peer to hear."""
        reply = await to.greet(self.hello, self.mail) if self.hello else None
        if reply is None or not reply.refused:
            reply = await to.mail(self.mail)
        return reply if reply.refused else None


@dataclass(frozen=True, slots=True)
class _Full:
    """A transaction that only its dot is missing from."""

    to: Transaction
    loan: Loan
    number: int  # of its group


def plan(parts: Sequence[Part], taking: Callable[[Group | None], frozenset[int]]) -> Sequence[Part]:
    """Return what goes to which backends, in the order in which connections are had.

    *taking* returns the places of a group's backends that take mail now. No two parts have one of these in
    common afterwards, and the last one of each part comes before that of the next: whatever is held for some
    parts, there is a later backend for the next, to be waited for.
    """
    if len(parts) == 1:
        return parts
    found: list[tuple[frozenset[int], Part]] = []
    for part in parts:
        places = taking(part.group)
        for at, (others, other) in enumerate(found):
            if common := places & others:
                found[at] = common, other.with_(part)
                break
        else:
            found.append((places, part))
    # a group that takes no mail at all comes first: nobody need hear the message then
    return [part for _, part in sorted(found, key=lambda one: max(one[0], default=-1))]


class Commit:
    """One message on its way. *read* returns what follows the *header* field, from each place on."""

    def __init__(
        self,
        envelope: Envelope,
        borrower: Borrower,
        time_outs: TimeOuts,
        *,
        purpose: Purpose,
        header: bytes,
        read: Callable[[int], Awaitable[bytes]],
        peer_left: Callable[[], bool],
    ) -> None:
        self._envelope = envelope
        self._borrower = borrower
        self._time_outs = time_outs
        self._purpose = purpose
        self._header = header
        self._read = read
        self._peer_left = peer_left
        self._parts = plan(envelope.parts, borrower.taking)
        self._full: list[_Full] = []
        self.committing = False  # from a dot until its reply: if we end now, nobody knows

    async def run(self) -> Outcome:
        """Do all of it. Where the peer has left before the first dot, nothing is committed."""
        try:
            outcome = await self._fill_all() or await self._end_all()
        finally:
            for one in self._full:
                self._borrower.abort(one.loan)
        name = self._borrower.last.name if self._borrower.last else ""
        return replace(outcome, backend=name, trouble=self._borrower.trouble)

    async def _fill_all(self) -> Outcome | None:
        """Bring the message to all groups, but for the dot; return why that cannot be."""
        for part in self._parts:

            async def fill(loan: Loan, part: Part = part) -> _Full | Outcome:
                return await self._fill(loan, part)

            held = [one.loan.backend for one in self._full]
            filled = await self._borrower.twice(self._purpose, fill, group=part.group, keep=True, held=held)
            if not isinstance(filled, _Full):
                return filled or Outcome(Ending.UNAVAILABLE, NO_BACKEND)
            self._full.append(filled)
        return Outcome(Ending.LEFT, None) if self._peer_left() else None

    async def _fill(self, loan: Loan, part: Part) -> _Full | Outcome:
        to = Transaction(loan.line, block=self._time_outs.block, dot=self._time_outs.dot)
        refusal = await self._envelope.open(to) or await _recipients(to, part) or await _data(to)
        if refusal is not None:
            if refusal.code in PARAMETER_CODES and self._envelope.has_parameters:
                raise ParameterLost(f"refuses a parameter that was taken before: {refusal.code}")
            self._borrower.quit(loan)
            split = refusal is SPLIT or len(self._parts) > 1
            return Outcome(Ending.SPLIT, SPLIT) if split else Outcome(Ending.REFUSED, refusal)
        await to.send(self._header, self._read)
        loan.line.check_silent()
        return _Full(to, loan, part.group.number if part.group else 0)

    async def _end_all(self) -> Outcome:
        """Send the dots, until one is not accepted."""
        taken, outcome = list[str](), Outcome(Ending.UNAVAILABLE, NO_BACKEND)
        self._full.sort(key=lambda one: one.number)
        try:
            for one in self._full:
                one.loan.line.check_silent()  # while the last one was filled, a first one may have gone
        except BackendUnavailable as lost:
            self._borrower.trouble = str(lost)
            return outcome
        while self._full:
            one = self._full.pop(0)
            outcome = await self._end(one)
            if outcome.ending is not Ending.ACCEPTED:
                break
            taken.append(one.loan.backend.name)
        return replace(outcome, taken_by=tuple(taken))

    async def _end(self, one: _Full) -> Outcome:
        self._borrower.last = one.loan.backend
        self.committing = True
        try:
            reply = await one.to.end()
        except BackendUnavailable as lost:
            self._borrower.trouble = str(lost)
            self._borrower.abort(one.loan)
            self.committing = False
            return Outcome(Ending.UNCERTAIN, UNCERTAIN)
        except BaseException:
            self._borrower.abort(one.loan)
            raise
        self.committing = False
        self._borrower.quit(one.loan)
        return Outcome(Ending.ACCEPTED if reply.positive else Ending.REFUSED, reply)


async def _recipients(to: Transaction, part: Part) -> Reply | None:
    replies = [await to.rcpt(rcpt) for rcpt in part.standing]
    refused = [reply for reply in replies if reply.refused]
    if not refused:
        return None
    if len(refused) < len(replies):
        return SPLIT
    return min(refused, key=lambda reply: reply.code // 100)  # for good only if all are


async def _data(to: Transaction) -> Reply | None:
    reply = await to.data()
    return reply if reply.refused else None
