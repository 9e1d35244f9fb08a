"""A suspect's session: served by us, slowly; a backend is asked only what it alone can know.

    banner, EHLO, MAIL   `front`, at a pace                                 no backend
    RCPT, DATA, dot      `frontdesk`: a backend's own answers, at a pace    milliseconds of one
    STARTTLS             ended here; or passed on, for whoever has waited   a backend, at full speed

Why so slowly, and how slowly, is `policy`.
"""

from typing import Final

import trio

from tarpit import load
from tarpit.backend.slots import Purpose
from tarpit.clean import Clean
from tarpit.errors import BackendUnavailable
from tarpit.front import Front
from tarpit.frontdesk import FrontDesk
from tarpit.pace import Stage
from tarpit.policy import Treatment, refused_at_once
from tarpit.smtp.commands import Command, Plain
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import Server
from tarpit.starttls import NO_TLS_NOW

GO_AWAY: Final = Reply.of(421, "4.7.0 Not now, try again later")


class Suspect(FrontDesk):
    """The rest of a session from the moment its peer is a suspect. It is the desk of our front."""

    __slots__ = ()

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
            server = self.server()
            if first is None and not session.dialogue.closed:
                await session.voice.say(server.banner, Stage.BANNER)
            front = Front(session.voice, session.dialogue, server, self)
            while (wanted := await front.serve(first)) is not None:
                first = None
                assert isinstance(wanted, Plain)
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

    def server(self) -> Server:
        """Return our half of the dialogue; what was shown before stays true."""
        session = self._session
        if session.dialogue.hello is not None:
            return session.services.server(session.dialogue.keywords)
        passed = session.services.passes_tls and session.judgement.treatment is not Treatment.HOLD
        keywords = [word for word in session.services.pool.keywords if passed or word != b"STARTTLS"]
        if session.services.terminator is not None and not session.dialogue.secure:
            keywords.append(b"STARTTLS")
        return session.services.server(tuple(keywords))

    async def _secured(self, front: Front, starttls: Command) -> Front:
        """Answer STARTTLS, and return who serves from here on."""
        session = self._session
        if session.services.terminator is not None:
            return await self._secure(front, starttls)
        if session.judgement.treatment is Treatment.HOLD or not await self._blindly(starttls):
            await front.answer(starttls, NO_TLS_NOW)
        return front

    async def _blindly(self, starttls: Command) -> bool:
        """Join a peer that waited to a backend, for TLS between the two. Return False where none is had."""
        session, clean = self._session, Clean(self._session)
        assert session.dialogue.hello is not None
        try:
            loan = await session.borrow(Purpose.BLIND)
        except BackendUnavailable as none:
            session.note_lost(str(none))
            return False
        relay = clean.joined(loan, clean.observer(pipelining=False, kind=Observer))
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
