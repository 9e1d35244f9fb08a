"""A suspect's session: served by us, slowly; a backend is asked only what it alone can know.

    banner, EHLO, MAIL   `front`, at a pace                              no backend
    RCPT                 a backend's own answer, on a borrowed connection   milliseconds
    DATA                 read slowly into the spool                      no backend
    dot                  what is left to wait is waited; then the whole is handed over at full speed

A hostile peer gets a refusal where others get a backend, unless it writes to whom nobody is kept from
(TARPIT_EXEMPT_RCPT). The hand-over itself is `deliver`; what a pace is and why, `policy`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from tarpit import load
from tarpit.backend.slots import Purpose
from tarpit.deliver import Delivery, Ending, Outcome
from tarpit.errors import BackendUnavailable, PeerGone
from tarpit.front import Front
from tarpit.observe.log import safe
from tarpit.pace import Stage
from tarpit.policy import Treatment, refused_at_once
from tarpit.recipients import hold_refusal
from tarpit.slow import SlowReader
from tarpit.smtp.commands import Command, Hello, Mail, Rcpt
from tarpit.smtp.content import header_field
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import Server
from tarpit.starttls import NO_TLS_NOW

if TYPE_CHECKING:
    from tarpit.session import Session

GO_AWAY: Final = Reply.of(421, "4.7.0 Not now, try again later")
GO_AHEAD: Final = Reply.of(354, "End data with <CR><LF>.<CR><LF>")


class Suspect:
    """The rest of a session from the moment its peer is a suspect. It is the desk of our front."""

    __slots__ = ("_delivery", "_mail", "_session", "_unsaid")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._delivery: Delivery | None = None  # made at the first recipient: most never ask for one
        self._unsaid = False  # a backend has taken a message, and its reply has not been said yet
        self._mail: Mail | None = None  # of the transaction that the delivery has open

    async def run(self, first: Heard | None) -> None:
        """Serve until the end. *first* is what a peer said last that was clean so far; None: greet it.

        One function, and the pregreet wait is over when the banner begins: a coroutine more takes 280 bytes
        of each peer that is held.
        """
        session = self._session
        self._enter()
        try:
            if self._is_turned_away():
                session.ended = "refused"
                session.dialogue.close()
                await session.voice.say(GO_AWAY, Stage.PROMPT)
            if first is None:
                await self._wait_for_pregreet()
            server = self._server()
            if first is None and not session.dialogue.closed:
                await session.voice.say(server.banner, Stage.BANNER)
            front = Front(session.voice, session.dialogue, server, self)
            while (wanted := await front.serve(first)) is not None:
                first = None
                front = await self._secured(front, wanted)
            if not session.dialogue.closed:
                session.ended = "peer-left"
                session.judgement.hung_up()
        finally:
            self._leave()
            if self._delivery is not None:
                await self._delivery.reset()

    def _enter(self) -> None:
        session = self._session
        session.slowed = True
        session.judgement.spared = not session.services.caps.hold()
        session.wire.hold_small()

    def _leave(self) -> None:
        if not self._session.judgement.spared:
            self._session.services.caps.release()

    def _is_turned_away(self) -> bool:
        """Whether a hostile peer is told so at once: where we are full, its time is not worth a place."""
        judgement, full = self._session.judgement, self._session.services.load
        hostile = judgement.treatment is Treatment.HOLD
        return hostile and (judgement.spared or refused_at_once(judgement.verdict, full))

    async def _wait_for_pregreet(self) -> None:
        """Be silent for TARPIT_PREGREET_WAIT, within TARPIT_PACE_BANNER: who speaks now is no mail server."""
        session, settings = self._session, self._session.services.settings
        left = settings.pace_banner - (trio.current_time() - session.judgement.began)
        wait = min(settings.pregreet_wait, left)
        if (
            session.judgement.pregreet
            or session.judgement.spared
            or session.services.load > load.SPARE_ABOVE
            or wait <= 0
        ):
            return
        await session.services.wheel.rest(session.wire, wait, account=session.voice)
        session.hear_early()

    def _server(self) -> Server:
        session = self._session
        if session.dialogue.hello is not None:  # what was shown stays true
            return session.services.server(session.dialogue.keywords)
        passed = session.passes_tls and session.judgement.treatment is not Treatment.HOLD
        keywords = [word for word in session.services.pool.keywords if passed or word != b"STARTTLS"]
        if session.services.terminator is not None and not session.dialogue.secure:
            keywords.append(b"STARTTLS")
        return session.services.server(tuple(keywords))

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

    async def heard(self, command: Hello | Mail) -> None:
        """Begin to ask about what a command that we accepted says."""
        await self._session.inquiries.begin(command)

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
        free = [one for one in asked if not held or one.path in session.services.exempt]
        answers = iter(await self._check(free) if free else ())
        session.judgement.waited = trio.current_time() - began
        return [next(answers) if one in free else self._refusal() for one in asked]

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
        return self._reply_of(await delivery.commit(self._header()))

    def told(self) -> None:
        """Take note that the answer to a message has been said."""
        self._unsaid = False

    # -- its parts

    async def _check(self, recipients: Sequence[Rcpt]) -> Sequence[Reply]:
        session, dialogue = self._session, self._session.dialogue
        if self._delivery is None:
            self._delivery = Delivery(
                session.services.means,
                introduction=session.introduction,
                ours=session.wire.ours,
                peer_left=self._peer_left,
            )
        assert dialogue.mail is not None
        if dialogue.mail is not self._mail:
            self._mail = dialogue.mail
            await self._delivery.begin(dialogue.hello, dialogue.mail)
        replies = await self._delivery.check(recipients)
        self._account()
        return replies

    def _reply_of(self, outcome: Outcome) -> Reply:
        session = self._session
        self._mail = None
        self._account()
        if outcome.reply is None:
            raise PeerGone("left before its message was handed over")
        session.last_reply = outcome.reply.encode()
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
        session.backend_seconds += delivery.backend_seconds
        delivery.backend_seconds = 0.0
        if delivery.trouble:
            session.note_lost(delivery.trouble)
            delivery.trouble = ""

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
        if (name := session.services.settings.header) is None:
            return b""
        verdict = session.judgement.verdict
        found = [f"{safe(one.signal)}={one.points:g}" for one in verdict.findings if one.points]
        said = [f"score={verdict.score:g}", f"held={session.voice.held_seconds:.0f}s", *found]
        return header_field(name, "; ".join(said))

    async def _secured(self, front: Front, starttls: Command) -> Front:
        """Answer STARTTLS, and return who serves from here on."""
        session = self._session
        if session.services.terminator is not None:
            secure = await session.starttls(starttls)
            return Front(session.voice, session.dialogue, self._server(), self) if secure else front
        if session.judgement.treatment is Treatment.HOLD or not await self._blindly(starttls):
            await front.answer(starttls, NO_TLS_NOW)
        return front

    async def _blindly(self, starttls: Command) -> bool:
        """Join a peer that waited to a backend, for TLS between the two. Return False where none is had."""
        session = self._session
        assert session.dialogue.hello is not None
        try:
            loan = await session.services.pool.borrow(
                session.introduction(), ours=session.wire.ours, purpose=Purpose.BLIND
            )
        except BackendUnavailable as none:
            session.note_lost(str(none))
            return False
        relay = session.joined(loan, pipelining=False)
        session.backend_name = loan.backend.name
        try:
            if (await relay.replay(session.dialogue.hello)).refused:
                return False
            await relay.exchange(starttls)
            if not session.dialogue.closed:
                await loan.quit()  # refused: we go on without it
        finally:
            session.blind, session.last_reply = relay.blind, relay.last_reply
            session.backend_seconds += trio.current_time() - loan.began
            loan.close()
        return True
