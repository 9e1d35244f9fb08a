"""One connection, from accept to close. Read this file first.

    accepted ─ classify ─┬─ clean ──► relay: joined to a backend, bytes unchanged ─┬──────────────► closed
                         │                    turns out a suspect ▼ (no recipient stands)
                         └─ suspect ─► front: slow replies, no backend ── patient ─► deliver ─────► closed

Where TARPIT_ROUTES has several groups of backends a clean peer begins at the front, too, which does not slow
it, and is joined at its first recipient: `hub`.

Here stands in which order things happen, what ends a session, and that each leaves exactly one
`session.closed`. A clean peer's half of it is `clean`, a suspect's `suspect`. How slow a peer is served is
`policy`; how bytes are slowed is `drip`; what counts as suspect is `scoring`.

Thousands are open at once, most of them waiting: what only some need is made when they need it.
"""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Final

import trio

from scoring.addresses import address_of
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Loan, NoSlot
from tarpit.backend.slots import Purpose
from tarpit.caps import keys_of
from tarpit.clean import Clean
from tarpit.errors import DESERTED, BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.frontdesk import FrontDesk
from tarpit.hub import Hub
from tarpit.inquiries import Inquiries
from tarpit.judgement import Judgement
from tarpit.observe import events
from tarpit.policy import Treatment
from tarpit.proxied import Announcement
from tarpit.relay import Relay
from tarpit.services import Services
from tarpit.settings import Mode
from tarpit.smtp.commands import Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import BUSY, NO_BACKEND, SILENT, STOPPING, UNREACHABLE
from tarpit.smtp.states import State
from tarpit.story import remember, tell
from tarpit.suspect import Suspect
from tarpit.voice import Voice
from tarpit.wire import Wire

LAST_WORDS: Final = 1.0  # seconds for a reply to somebody who may not be there
MOST_ERRORS: Final = 20  # that one session tells of: the last ones
EARLY: Final = 4096  # bytes of pregreet that are taken; more is read when its turn comes


def _nothing() -> None:
    pass


class Session:
    """One connection: its parts, and the facts that `session.closed` will tell."""

    __slots__ = (
        "_give_up",
        "_inquiries",
        "address",
        "announcement",
        "backend_name",
        "backend_seconds",
        "blind",
        "desk",
        "dialogue",
        "ended",
        "errors",
        "judgement",
        "last_reply",
        "number",
        "relay",
        "services",
        "slowed",
        "tls_failure",
        "voice",
        "wire",
    )

    def __init__(self, wire: Wire, services: Services, number: int) -> None:
        self.wire = wire
        self.number = number
        self.services = services
        self.address = address_of(wire.peer[0])
        self.announcement: Announcement | None = None  # by a load balancer
        self.dialogue = Dialogue(services.limits)
        self.judgement = Judgement(services, self.dialogue)
        self._inquiries: Inquiries | None = None
        self._give_up: Callable[[], None] = _nothing  # ends the wait for a backend
        self.voice = Voice(
            wire,
            services.wheel,
            self.dialogue,
            pacer=self.judgement,
            patience=services.settings.timeout_send,
        )
        self.judgement.account = self.voice
        self.judgement.spared = True  # whoever is joined to a backend: it would be slowed as well
        self.relay: Relay | None = None
        self.desk: FrontDesk | None = None
        self.slowed = False
        self.blind = False
        self.tls_failure = ""  # why the handshake came to nothing
        self.backend_name: str | None = None
        self.backend_seconds = 0.0  # for how long we kept a backend's connection
        self.last_reply = b""  # a backend's
        self.ended: events.Ended = "quit"
        self.errors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What events call the session: unlike that of any other, of earlier runs too."""
        return f"{self.services.run}{self.number:06x}"

    # -- the path

    async def run(self) -> None:
        """Go the whole way, and tell the story."""
        with self.services.bugs:
            try:
                await self._classify()
                first = await self._serve_clean() if self.judgement.treatment is Treatment.PASS else None
                if not self.dialogue.closed:
                    self.desk = suspect = Suspect(self)
                    await suspect.run(first)
                if self.ended == "quit" and not (self.dialogue.parted or self.blind):
                    self.ended = "refused"
            except PeerGone as gone:
                self._left(str(gone))
            except PeerSilent:
                self._check_commit("took no reply to its message in time")
                await self._end(SILENT, "peer-silent")
            except Stopping:
                await self._end(STOPPING, "stopped")
            except BackendUnavailable as lost:
                await self._lost(lost)
            except trio.Cancelled:
                self.ended = "stopped"
                self._check_commit("cut off before the reply to its message")
                raise
            except BaseException:
                self.ended = "error"
                raise
            finally:
                await self._close()

    async def _close(self) -> None:
        try:
            tell(self)
            if self.ended == "quit" and self.wire.has_ended():
                await remember(self)  # it ended when it heard 221, as most do: nothing is left to wait for
                return
            with trio.move_on_after(2 * LAST_WORDS, shield=True):
                await remember(self)
                await self.wire.close_gently(LAST_WORDS if self.ended in {"quit", "refused"} else 0.1)
        finally:
            self.wire.close()
            self.services.ended(self)
            self._let_go()

    def _let_go(self) -> None:
        """Break the circles among our parts: the collector runs seldom, and sessions end by the thousand."""
        self.judgement.account = None
        self._inquiries = None
        if self.desk is not None:
            self.desk.let_go()
        self.relay = self.desk = None

    def _serve_clean(self) -> Coroutine[object, object, Heard | None]:
        """Serve to the end, or to the command with which the peer turned out a suspect, which is returned.

        It returns what is to be awaited: each wait of the session would pass through a coroutine of its own.
        """
        if not self.services.routes.several:
            return Clean(self).run()
        self.desk = hub = Hub(self)
        return hub.run()

    async def _classify(self) -> None:
        """Reach a verdict, while bytes that come too early wait where they are."""
        settings, judgement = self.services.settings, self.judgement
        if self.services.mode is Mode.OFF or judgement.verdict.findings:
            return  # what is known already is a health check's
        if (known := self.services.classifier.known(self.address)) is not None:
            judgement.adopt(known)
            return
        judgement.recall(*await self.services.classifier.at_connection(self.address))
        self.hear_early()
        if self._is_clean_stranger():
            await self.services.wheel.rest(self.wire, settings.greet_wait, account=self.voice)
            self.hear_early()

    def _is_clean_stranger(self) -> bool:
        """Whether the peer is one for whom TARPIT_GREET_WAIT is; where nobody is slowed, nobody is."""
        judgement = self.judgement
        met = judgement.remembered.verdict is not None or judgement.remembered.known_good
        strange = judgement.treatment is Treatment.PASS and not met
        return self.services.mode is Mode.ENFORCE and strange

    def hear_early(self) -> None:
        """Take what the peer has said before its banner. Raises `PeerGone` if it has left."""
        if not self.wire.readable or (data := self.wire.receive_now(EARLY)) is None:
            return
        if not data:
            raise PeerGone("left before the banner")
        self.dialogue.lines.receive(data)
        self.judgement.spoke_early()

    @property
    def inquiries(self) -> Inquiries:
        """What is asked while the peer talks: made when it has said something to ask about."""
        if self._inquiries is None:
            self._inquiries = Inquiries(self)
        return self._inquiries

    @property
    def ours(self) -> tuple[str, int]:
        """Address and port that the peer has connected to."""
        if self.announcement is None or self.announcement.destination is None:
            return self.wire.ours
        address, port = self.announcement.destination
        return str(address), port

    @property
    def network(self) -> bytes:
        """Where the peer comes from, as `caps` counts."""
        return keys_of(self.wire.peer[0])[1]

    def introduction(self) -> Introduction:
        """Return who the peer is, for a backend."""
        hello = self.dialogue.hello
        return Introduction(
            self.address,
            self.wire.peer[1],
            host=self.judgement.host,
            helo=self.dialogue.helo,
            esmtp=hello is None or hello.verb is Verb.EHLO,
        )

    # -- waiting for a backend

    async def borrow(self, purpose: Purpose) -> Loan:
        """Return a connection when the peer's turn has come. Raises `PeerGone` once it has left."""
        try:
            return await self.services.pool.borrow_for(self, purpose)
        finally:
            self.waits_no_more()

    def gives_up_by(self, end: Callable[[], None]) -> None:
        """Have *end* called when the peer leaves (`guest`). Raises `PeerGone` if it has."""
        self._give_up, self.wire.on_hangup = end, self
        if self.wire.hung_up:
            self.check_there()

    def waits_no_more(self) -> None:
        """Take note that no backend is waited for."""
        self._give_up, self.wire.on_hangup = _nothing, None

    def hung_up(self) -> None:
        """Give up waiting for a backend, as the wire says that the peer has finished sending."""
        if self._has_left():
            self._give_up()

    def check_there(self) -> None:
        """Raise `PeerGone` if the peer has left."""
        if self._has_left():
            raise PeerGone(DESERTED)

    def _has_left(self) -> bool:
        """Whether it has, and has not only said all that it has to say, to hear its answers in their turn."""
        return self.wire.has_left(after_fin=not len(self.dialogue.lines))

    # -- the end

    def uncertain(self, reason: str, reply: bytes | None = None) -> None:
        """Tell that a message may have been taken without both sides knowing."""
        self.errors = (*self.errors, reason)[-MOST_ERRORS:]
        said = self.last_reply if reply is None else reply
        events.message_ambiguous(
            self.services.log, id=self.name, backend=self.backend_name or "none", reason=reason, reply=said
        )

    def note_lost(self, reason: str) -> None:
        """Tell that a backend has failed us."""
        self.errors = (*self.errors, reason)[-MOST_ERRORS:]
        events.backend_lost(self.services.log, backend=self.backend_name or "none", reason=reason)

    def _left(self, reason: str) -> None:
        self.ended = "peer-left"
        self.judgement.hung_up()
        self._check_commit(f"left before the reply to its message: {reason}")

    def _check_commit(self, reason: str) -> None:
        """Tell of a message whose end has gone to a backend, and whose reply has not gone to the peer."""
        relayed = self.relay is not None and self.relay.committing
        if relayed or (self.desk is not None and self.desk.committing):
            self.uncertain(reason)

    async def _end(self, reply: Reply, how: events.Ended) -> None:
        self.ended = how
        if self.dialogue.closed or self.wire.half_said:
            return  # the last word has been said, or would be taken for a part of the one before
        with trio.move_on_after(LAST_WORDS), contextlib.suppress(PeerGone, PeerSilent):
            await self.wire.send_all(reply.encode(), trio.current_time() + LAST_WORDS)

    async def _lost(self, lost: BackendUnavailable) -> None:
        self.note_lost(str(lost))
        in_content = self.dialogue.state is State.DATA
        self._check_commit("no reply to the end of data: the backend may have taken the message")
        nowhere = BUSY if isinstance(lost, NoSlot) else UNREACHABLE
        await self._end(NO_BACKEND if in_content else nowhere, "backend")
