"""A clean peer's session where its recipients say which backend it is for (several groups in TARPIT_ROUTES).

    banner, EHLO, MAIL   `front`, at full speed                            no backend yet
    first RCPT           joined to a backend of its group, which hears EHLO and MAIL first
    RCPT ... DATA, dot   `relay`, as everywhere: bytes unchanged           that backend
    and then             `front` again: the next message may be for another group

What EHLO shows is what all groups share, and PIPELINING, which is ours to offer: commands go on one by one.
Recipients of another group are answered as at any `frontdesk`. Where they are to have the message, too
(fanout), the peer leaves the backend that it was joined to, before any content, and the front has the rest
of that transaction: the message is kept, and handed over to each. Rejected: a relay to several backends at
once. One that stalls in the middle would have to be waited for with the others held, or cut off with a part
of the message; and what is kept can be tried again elsewhere.

Rejected, too: keeping the connection for the next message. It would be idle in a slot that another group's
sessions may wait for, and a connection to a backend is always fresh (`backend.pool`).
"""

from functools import partial
from typing import TYPE_CHECKING

from tarpit.backend.pool import Loan
from tarpit.backend.routes import Group
from tarpit.clean import NO_ROUTE, Clean, turned, while_there
from tarpit.deliver import Delivery
from tarpit.errors import PeerGone
from tarpit.front import Front
from tarpit.frontdesk import ONE_AT_A_TIME, FrontDesk
from tarpit.pace import Stage
from tarpit.smtp.commands import Hello, Mail, Plain, Rcpt, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, Reply, ReplyFault
from tarpit.smtp.server import NO_BACKEND, Server

if TYPE_CHECKING:
    from tarpit.session import Session


class Noting(Observer):
    """An observer that notes which recipients the backend takes."""

    __slots__ = ("taken",)

    def __init__(
        self, dialogue: Dialogue, *, pipelining: bool = True, starttls: bool = True, terminates: bool = False
    ) -> None:
        super().__init__(dialogue, pipelining=pipelining, starttls=starttls, terminates=terminates)
        self.taken: list[Rcpt] = []

    def replied(self, reply: ReceivedReply) -> bytes | ReplyFault:
        """Match *reply* to the command outstanding; return what the peer is shown of it."""
        if isinstance(self._outstanding, Rcpt) and reply.positive:
            self.taken.append(self._outstanding)
        return super().replied(reply)


class Hub(FrontDesk):
    """A clean peer's session that goes from the front to a backend and back. It is the desk of that front."""

    __slots__ = ("_asked", "_refused")

    def __init__(self, session: "Session") -> None:
        super().__init__(session)
        self._asked: Mail | None = None
        # What recipients of groups hear that refused that MAIL, or could not be reached for it.
        self._refused: dict[Group, Reply] = {}

    async def run(self) -> Heard | None:
        """Serve a clean peer. Returns the command with which it turned out a suspect, or None at the end."""
        session = self._session
        session.services.pool.check_alive()
        front, first = Front(session.voice, session.dialogue, self.server(), self), None
        await session.voice.say(self.server().banner, Stage.BANNER)
        try:
            while (heard := await front.serve(first)) is not None:
                if isinstance(heard, Rcpt):
                    await session.inquiries.before_recipient(heard)
                if turned(session):
                    return heard
                if isinstance(heard, Rcpt):
                    first = await self._join(front, heard)
                else:
                    assert isinstance(heard, Plain)
                    front, first = await self._secure(front, heard), None
        finally:
            if self._delivery is not None:
                await self._delivery.reset()
        if not session.dialogue.closed:
            raise PeerGone("closed without QUIT")
        return None

    def server(self) -> Server:
        """Return our half of the dialogue."""
        services, dialogue = self._session.services, self._session.dialogue
        ours = services.terminator is not None and not dialogue.secure
        shared = [word for word in services.pool.shown() if word != b"STARTTLS"]
        return services.server((b"PIPELINING", *shared, *([b"STARTTLS"] if ours else [])))

    # -- the desk

    def idle(self) -> float:
        """Return the seconds that a peer may take for a command: those of a peer that is joined."""
        return self._session.services.settings.timeout_command

    def parts(self, heard: Heard, *, sound: bool) -> bool:
        """Whether *heard* is not for the front: the first recipient, or what a suspect says.

        Not while a recipient stands: then the message is going to several groups, and is kept here.
        """
        if self._session.dialogue.standing:
            return False
        return sound if isinstance(heard, Rcpt) else turned(self._session)

    def mail(self, mail: Mail) -> Reply | None:  # noqa: ARG002 - what a backend has room for, it says itself
        """Return None: as a rule nothing is kept here."""
        return None

    async def _opened(self) -> Delivery:
        delivery = await super()._opened()
        delivery.prompt = True
        if self._asked is not self._mail:
            self._asked, self._refused = self._mail, {}
        return delivery

    def _fans_out(self) -> bool:
        mail = self._session.dialogue.mail
        assert mail is not None
        return super()._fans_out() and self._session.services.means.refusal(mail) is None

    # -- joined

    async def _join(self, front: Front, rcpt: Rcpt) -> Heard | None:
        """Have the backend answer a first recipient, and what follows; return what is for the front again."""
        group = self._session.services.routes.find(rcpt.path)
        if group is None:
            await front.answer(rcpt, NO_ROUTE)
            return None
        delivery = await self._opened()
        if group not in self._refused:
            joined = await while_there(self._session, partial(delivery.join, group))
            self._account()
            if joined is None:
                self._refused[group] = NO_BACKEND
            else:
                loan, refusal = joined
                if refusal is None:
                    return await self._relay(delivery, loan, group, rcpt)
                delivery.borrower.quit(loan)
                self._refused[group] = refusal
        await front.answer(rcpt, self._refused[group])
        return None

    async def _relay(self, delivery: Delivery, loan: Loan, group: Group, rcpt: Rcpt) -> Heard | None:
        """Relay one transaction, *rcpt* first; return the command that is not for *group*, if one ends it."""
        session, clean = self._session, Clean(self._session)
        observer = clean.observer(pipelining=True, kind=Noting)
        relay = clean.joined(
            loan,
            observer,
            parts=partial(self._is_not_for, group),
            elsewhere=partial(self._why_not_for, group),
            once=True,
        )
        try:
            heard = await relay.run(rcpt)
        except BaseException:
            delivery.borrower.abort(loan)
            raise
        else:
            delivery.borrower.quit(loan)
        finally:
            session.blind, session.last_reply = relay.blind, relay.last_reply
            self._account()
        if session.dialogue.standing:
            delivery.took(group, observer.taken)
        return heard

    def _is_not_for(self, group: Group, heard: Heard) -> bool:
        """Whether the backend of *group* is not to hear *heard*, nor what follows."""
        if isinstance(heard, Hello) or (isinstance(heard, Plain) and heard.verb is Verb.QUIT):
            return True  # what EHLO shows is not that backend's affair
        standing = self._session.dialogue.standing
        if not isinstance(heard, Rcpt):
            return not standing
        other = self._session.services.routes.find(heard.path)
        if standing:
            return other not in {group, None} and self._fans_out()
        return other != group or turned(self._session)

    def _why_not_for(self, group: Group, rcpt: Rcpt) -> Reply | None:
        """Return why *rcpt* cannot be added to a transaction with recipients of *group*."""
        other = self._session.services.routes.find(rcpt.path)
        if other is None:
            return NO_ROUTE
        return None if other == group else ONE_AT_A_TIME
