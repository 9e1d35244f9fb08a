"""What we answer where we are the server: recipients and messages, by a backend's own words.

    RCPT    a backend of the group that TARPIT_ROUTES names is asked, on a borrowed connection
    DATA    read at the peer's pace into the spool
    dot     what is left to wait is waited; then the whole is handed over at full speed

A transaction has one group, that of its first accepted recipient. Recipients of another one hear 452, and
their sender comes again, so k groups take it k - 1 retries. With TARPIT_ROUTES_MIXED=fanout they are asked
about as well, and the message goes to all; but not for an hour after that has failed the same sender.

A hostile peer gets a refusal where others get a backend, unless it writes to whom nobody is kept from
(TARPIT_EXEMPT_RCPT). These are exempt from being held, not from TARPIT_ROUTES: at a domain that it refuses
they are nobody of ours.

The hand-over itself is `deliver`; what a pace is and why, `policy`; whose desk it is, `suspect` and `hub`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from tarpit.backend.routes import Group
from tarpit.choices import RoutesMixed
from tarpit.clean import NO_ROUTE, Clean
from tarpit.commit import Ending, Outcome
from tarpit.deliver import Delivery
from tarpit.errors import PeerGone
from tarpit.front import Front
from tarpit.observe import routing
from tarpit.observe.log import safe
from tarpit.policy import Treatment
from tarpit.recipients import hold_refusal
from tarpit.slow import SlowReader
from tarpit.smtp.commands import Command, Hello, Mail, Rcpt
from tarpit.smtp.content import header_field
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import Server

if TYPE_CHECKING:
    from tarpit.session import Session

GO_AHEAD: Final = Reply.of(354, "End data with <CR><LF>.<CR><LF>")
ONE_AT_A_TIME: Final = Reply.of(452, "4.5.3 Recipients of one server at a time, try again for this one")


class FrontDesk(ABC):
    """The desk of our front."""

    __slots__ = ("_delivery", "_mail", "_session", "_unsaid")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._delivery: Delivery | None = None  # made at the first recipient: most never ask for one
        self._unsaid = False  # a backend has taken a message, and its reply has not been said yet
        self._mail: Mail | None = None  # of the transaction that the delivery has open

    @abstractmethod
    def server(self) -> Server:
        """Return our half of the dialogue."""

    @property
    def committing(self) -> bool:
        """Whether a message may have been taken without the peer knowing, if all ended now."""
        return self._unsaid or (self._delivery is not None and self._delivery.committing)

    def let_go(self) -> None:
        """Part from the delivery, which knows us: nothing more will be asked of either."""
        self._delivery = None

    # -- the desk

    def idle(self) -> float:
        """Return the seconds that a peer may take for a command."""
        return self._session.services.idle()

    def parts(self, heard: Heard, *, sound: bool) -> bool:  # noqa: ARG002 - as the front asks
        """Whether *heard* is for somebody else: by itself, nothing is."""
        return False

    async def heard(self, command: Hello | Mail) -> None:
        """Begin to ask about what a command that we accepted says."""
        self._session.inquiries.begin(command)

    def mail(self, mail: Mail) -> Reply | None:
        """Return why *mail* cannot be taken: it declares more than there is room for."""
        return self._session.services.means.refusal(mail)

    async def recipients(self, asked: Sequence[Rcpt]) -> Sequence[Reply]:
        """Return a backend's answer to each of *asked*; a hostile peer's are refused, but for the exempt."""
        session = self._session
        began = trio.current_time()
        for recipient in asked:
            await session.inquiries.before_recipient(recipient)
        held = session.judgement.treatment is Treatment.HOLD
        free = {
            number: one for number, one in enumerate(asked) if not held or one.path in session.services.exempt
        }
        answers = await self._routed(free) if free else {}
        session.judgement.waited = trio.current_time() - began
        return [answers.get(number) or self._refusal() for number in range(len(asked))]

    async def data(self) -> Reply:
        """Return 354: a recipient stands. Who has turned hostile since is refused, but for the exempt."""
        session, delivery = self._session, self._delivery
        assert delivery is not None, "a recipient stands"
        held = session.judgement.treatment is Treatment.HOLD
        free = not held or all(one.path in session.services.exempt for one in delivery.standing)
        return GO_AHEAD if free else self._refusal()

    async def message(self) -> Reply:
        """Read the message slowly, wait what is left, hand it over, and return the answer at once."""
        session, delivery = self._session, self._delivery
        assert delivery is not None, "a recipient stands"
        pace = session.judgement.read_pace()
        if pace.slow:
            session.wire.hold_small()  # the last message may have opened the buffers
        reader = SlowReader(session.services.wheel, session.wire, rate=pace.rate, within=pace.within)
        try:
            taken = await delivery.take(reader.receive, session.dialogue.lines.take_rest())
        finally:
            session.voice.held_seconds += reader.spent
        session.dialogue.lines.receive(taken.rest)
        if taken.refusal is None and pace.slow and (left := pace.within - reader.spent) > 0:
            await session.services.wheel.rest(
                session.wire, left, account=session.voice, left_after_fin=self._may_leave()
            )
        if taken.refusal is not None:
            await delivery.reset()
            if taken.fatal:
                session.dialogue.close()
            return taken.refusal
        session.dialogue.mended += taken.bare_newlines
        return self._reply_of(await delivery.commit(self._header()))

    def told(self) -> None:
        """Take note that the answer to a message has been said."""
        self._unsaid = False

    # -- its parts

    async def _routed(self, asked: Mapping[int, Rcpt]) -> dict[int, Reply]:
        """Return the answer to each of *asked*: of the group that it belongs to, or our own."""
        routes, delivery = self._session.services.routes, await self._opened()
        answers: dict[int, Reply] = {}
        groups: dict[Group | None, dict[int, Rcpt]] = {}
        for number, one in asked.items():
            groups.setdefault(routes.find(one.path), {})[number] = one
        for group, those in groups.items():
            if group is None:
                answers |= dict.fromkeys(those, NO_ROUTE)
            elif self._is_closed_to(group):
                answers |= dict.fromkeys(those, ONE_AT_A_TIME)
            else:
                replies = await delivery.check(list(those.values()), group)
                self._account()
                answers |= zip(those, replies, strict=True)
        return answers

    def _is_closed_to(self, group: Group) -> bool:
        """Whether the open transaction has recipients of another group, and can have none of *group*."""
        delivery = self._delivery
        standing = [part.group for part in delivery.parts] if delivery else []
        return bool(standing) and group not in standing and not self._fans_out()

    def _fans_out(self) -> bool:
        """Whether one message may go to several groups."""
        services, delivery = self._session.services, self._delivery
        assert delivery is not None
        return services.settings.routes_mixed is RoutesMixed.FANOUT and not delivery.split_before

    async def _opened(self) -> Delivery:
        """Return the delivery, with the transaction that the dialogue has open."""
        session, dialogue = self._session, self._session.dialogue
        if self._delivery is None:
            self._delivery = Delivery(
                session.services.means,
                introduction=session.introduction,
                ours=session.ours,
                peer_left=self._peer_left,
            )
        assert dialogue.mail is not None
        if dialogue.mail is not self._mail:
            self._mail = dialogue.mail
            await self._delivery.begin(dialogue.hello, dialogue.mail)
        return self._delivery

    def _reply_of(self, outcome: Outcome) -> Reply:
        session = self._session
        self._mail = None
        self._account()
        if outcome.reply is None:
            raise PeerGone("left before its message was handed over")
        session.last_reply = outcome.reply.encode()
        if outcome.taken_by and outcome.ending is not Ending.ACCEPTED:
            routing.message_divided(
                session.services.log,
                id=session.name,
                taken_by=outcome.taken_by,
                refused_by=outcome.backend,
                reply=session.last_reply,
            )
        if outcome.ending is Ending.UNCERTAIN:
            session.uncertain(f"no reply to the end of data: {outcome.trouble}", b"")
        elif outcome.ending is Ending.ACCEPTED and self._peer_left():
            session.uncertain("the peer left before the reply to its message")
        else:
            self._unsaid = outcome.ending is Ending.ACCEPTED
        return outcome.reply

    def _account(self) -> None:
        """Take over what the delivery knows of backends."""
        session, delivery = self._session, self._delivery
        assert delivery is not None
        session.backend_name = delivery.backend_name or session.backend_name
        borrower = delivery.borrower
        session.backend_seconds += borrower.seconds
        borrower.seconds = 0.0
        if borrower.trouble:
            session.note_lost(borrower.trouble)
            borrower.trouble = ""

    def _peer_left(self) -> bool:
        return self._session.wire.has_left(after_fin=self._may_leave())

    def _may_leave(self) -> bool:
        """Whether an end of the peer's stream means that it has left: with commands unread it does not."""
        return not len(self._session.dialogue.lines)

    def _refusal(self) -> Reply:
        settings = self._session.services.settings
        return hold_refusal(
            self._session.judgement.verdict, code=settings.hold_code, contact=settings.hold_text
        )

    def _header(self) -> bytes:
        """Return the header field for the filter behind, if one is wanted (TARPIT_HEADER)."""
        session = self._session
        if (name := session.services.settings.header) is None or not session.slowed:
            return b""
        verdict = session.judgement.verdict
        found = [f"{safe(one.signal)}={one.points:g}" for one in verdict.findings if one.points]
        said = [f"score={verdict.score:g}", f"held={session.voice.held_seconds:.0f}s", *found]
        return header_field(name, "; ".join(said))

    async def _secure(self, front: Front, starttls: Command) -> Front:
        """Answer STARTTLS, where TLS ends with us; return who serves from here on."""
        session = self._session
        secure = await Clean(session).starttls(starttls)
        return Front(session.voice, session.dialogue, self.server(), self) if secure else front
