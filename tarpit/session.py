"""One connection, from accept to close. Read this file first.

    accepted ─ classify ─┬─ clean ──► relay: joined to a backend, bytes unchanged ──────┐
                         └─ suspect ─► front: slow replies, no backend yet ─────────────┤
                                          └─ its first RCPT ─► relay, replies at a pace ─┴─► closed

Here stands in which order things happen, what ends a session, and that each leaves exactly one
`session.closed`. How slow a peer is served is `policy`; how bytes are slowed is `drip`; what counts as
suspect is `scoring`.
"""

import contextlib
from ipaddress import ip_address
from typing import Final

import trio

from scoring import Verdict
from scoring.verdict import UNKNOWN_HOST, HostName, to_address
from tarpit import load, policy
from tarpit.backend.dial import Line
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Backend
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.front import Front
from tarpit.observe import events
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.policy import Treatment
from tarpit.relay import Relay
from tarpit.services import Services
from tarpit.settings import Mode, TlsMode
from tarpit.smtp.commands import Command, Mail, Rcpt, Verb
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import NO_BACKEND, SILENT, STOPPING, UNREACHABLE, Server
from tarpit.smtp.states import State
from tarpit.story import tell
from tarpit.voice import Voice, stage_of
from tarpit.wire import Wire

NO_TLS_NOW: Final = Reply.of(454, "4.7.0 TLS not available now")
LAST_WORDS: Final = 1.0  # seconds for a reply to somebody who may not be there


class Session:
    """One connection: its parts, and the facts that `session.closed` will tell."""

    def __init__(self, wire: Wire, services: Services, name: str) -> None:
        self.wire = wire
        self.name = name
        self.services = services
        self.dialogue = Dialogue()
        self.began = trio.current_time()
        self.verdict: Verdict = services.classifier.unscored()
        self.scored = False
        self.pregreet = False
        self.ended: events.Ended = "quit"
        self.errors: list[str] = []
        self.backend: Backend | None = None
        self.relay: Relay | None = None
        self.blind = False
        self.slowed = False
        self._spf: trio.Event | None = None
        self._spf_until = 0.0
        self.voice = Voice(
            wire,
            services.wheel,
            self.dialogue,
            pace_for=self.pace_for,
            patience=services.settings.timeout_send,
        )

    # -- the path

    async def run(self) -> None:
        """Go the whole way, and tell the story."""
        try:
            await self._serve()
        except PeerGone as gone:
            self.ended = "peer-left"
            if self.relay is not None and self.relay.committing:
                self.errors.append(f"left before the reply to its message: {gone}")
        except PeerSilent:
            await self._end(SILENT, "peer-silent")
        except Stopping:
            await self._end(STOPPING, "stopped")
        except BackendUnavailable as lost:
            await self._lost(str(lost))
        except trio.Cancelled:
            self.ended = "stopped"
            raise
        except BaseException:
            self.ended = "error"
            raise
        finally:
            tell(self)
            with trio.move_on_after(2 * LAST_WORDS, shield=True):
                await self.wire.close_gently(LAST_WORDS if self.ended in {"quit", "refused"} else 0.1)
            self.wire.close()

    async def _serve(self) -> None:
        self.verdict, self.scored = await self.services.classifier.classify(self.wire, self.dialogue.lines)
        self.pregreet = len(self.dialogue.lines) > 0
        if self.treatment is Treatment.PASS:
            await self._pass()
        else:
            await self._slow()

    async def _pass(self) -> None:
        """Join a clean peer to a backend, whose own banner it sees."""
        async with self.services.pool.joined(self._introduction(), ours=self.wire.ours) as (backend, line):
            self.backend = backend
            relay = self._joined(line, pipelining=True)
            await self.voice.say(line.banner, Stage.BANNER)
            await self._relay(relay, line)

    async def _slow(self) -> None:
        """Serve a suspect ourselves until a command of its wants a backend."""
        self.slowed = True
        settings = self.services.settings
        server = Server(self.dialogue, hostname=settings.hostname, keywords=self._keywords())
        front = Front(self.voice, server, idle=settings.timeout_command, on_mail=self._at_mail)
        spent = trio.current_time() - self.began
        wait = max(min(settings.pregreet_wait, settings.pace_banner - spent), 0.0)
        if self.services.load <= load.SPARE_ABOVE and await front.listen(wait) and not self.pregreet:
            self.pregreet = True
            self.verdict = self.services.classifier.with_pregreet(self.verdict)
        await front.banner()
        while (wanted := await front.serve()) is not None:
            held = self.treatment is Treatment.HOLD
            refusal = self._hold_refusal(wanted) if held else await self._earned(wanted)
            if refusal is None:
                return
            server.settle(wanted, refusal)
            await self.voice.say(refusal, stage_of(wanted))
        self.ended = "quit" if self.dialogue.closed else "peer-left"

    async def _earned(self, wanted: Command) -> Reply | None:
        """Join a suspect that waited: say to the backend what it said to us, then its command.

        Returns None when the session is over, or what to answer where no backend could be had.
        """
        try:
            async with self.services.pool.joined(self._introduction(), ours=self.wire.ours) as joined:
                self.backend, line = joined
                relay = self._joined(line, pipelining=False)
                refused = await self._catch_up(relay)
                if refused is None:
                    await self._relay(relay, line, first=wanted)
                    return None
                self.relay = None  # the next recipient is tried on a fresh connection
                await line.quit()
                return refused
        except BackendUnavailable as lost:
            if self.relay is not None:
                raise
            self._note_lost(str(lost))
            return NO_TLS_NOW if wanted.verb is Verb.STARTTLS else NO_BACKEND

    async def _catch_up(self, relay: Relay) -> Reply | None:
        """Repeat HELO and MAIL to the backend; return its refusal of MAIL, which shows at RCPT."""
        assert self.dialogue.hello is not None
        said: list[Command] = [self.dialogue.hello]
        if self.dialogue.state in {State.MAIL, State.RCPT} and self.dialogue.mail is not None:
            said.append(self.dialogue.mail)
        for command in said:
            reply = await relay.replay(command)
            if reply.code >= 400:
                return reply
        return None

    async def _relay(self, relay: Relay, line: Line, first: Command | None = None) -> None:
        try:
            if first is not None:
                await relay.exchange(first)
            await relay.run()
        except (PeerGone, PeerSilent, Stopping):
            # in the middle of a message nothing may be said that could be taken for its end
            line.wire.abort() if self.dialogue.state is State.DATA else await line.quit()
            raise
        finally:
            self.blind = relay.blind

    # -- decisions

    @property
    def treatment(self) -> Treatment:
        """What this peer gets now."""
        if self.services.settings.mode is Mode.ENFORCE:
            return policy.choose_treatment(self.verdict)
        return Treatment.PASS

    def pace_for(self, stage: Stage) -> Pace:
        """Return the pace of the next reply."""
        if self.services.settings.mode is not Mode.ENFORCE:
            return FULL_SPEED
        spent = trio.current_time() - self.began if stage is Stage.BANNER else self.voice.held_seconds
        return policy.choose_pace(
            self.verdict, stage, self.services.patience, load=self.services.load, spent=spent
        )

    def _keywords(self) -> tuple[bytes, ...]:
        hidden = b"" if self._passes_tls() and self.treatment is not Treatment.HOLD else b"STARTTLS"
        return tuple(word for word in self.services.pool.keywords if word != hidden)

    def _passes_tls(self) -> bool:
        return self.services.settings.tls is not TlsMode.OFF

    def _hold_refusal(self, wanted: Command) -> Reply:
        if not isinstance(wanted, Rcpt):
            return NO_TLS_NOW
        settings = self.services.settings
        enhanced = f"{settings.hold_code // 100}.7.1"
        return Reply.of(settings.hold_code, f"{enhanced} {settings.hold_text}")

    async def _at_mail(self, mail: Mail) -> None:
        """Begin to ask SPF about a reverse-path; nobody waits for it here."""
        if not self.scored:
            return
        self._spf, self._spf_until = (
            trio.Event(),
            trio.current_time() + self.services.settings.score_wait,
        )
        self.services.nursery.start_soon(self._ask_spf, mail, self._spf)

    async def _ask_spf(self, mail: Mail, done: trio.Event) -> None:
        address = to_address(ip_address(self.wire.peer[0]))
        try:
            findings = await self.services.classifier.at_mail(address, self.dialogue.helo, mail)
            self.verdict = self.verdict.with_findings(*findings)
        finally:
            done.set()

    async def _wait_spf(self) -> None:
        """Before the first RCPT: wait for SPF as long as TARPIT_SCORE_WAIT allows since MAIL."""
        if self._spf is not None:
            with trio.move_on_at(self._spf_until):
                await self._spf.wait()
            self._spf = None

    # -- the parts

    def _joined(self, line: Line, *, pipelining: bool) -> Relay:
        observer = Observer(self.dialogue, pipelining=pipelining, starttls=self._passes_tls())
        self.relay = Relay(
            self.voice,
            line.wire,
            observer,
            self.services.time_outs,
            on_mail=self._at_mail,
            before_rcpt=self._wait_spf,
        )
        return self.relay

    def _introduction(self) -> Introduction:
        address, port = self.wire.peer
        hello = self.dialogue.hello
        return Introduction(
            to_address(ip_address(address)),
            port,
            host=self.host,
            helo=self.dialogue.helo,
            esmtp=hello is None or hello.verb is Verb.EHLO,
        )

    @property
    def host(self) -> HostName:
        """The forward-confirmed name, as far as it was asked for."""
        return self.verdict.host if self.scored else UNKNOWN_HOST

    # -- the end

    async def _end(self, reply: Reply, how: events.Ended) -> None:
        self.ended = how
        if self.dialogue.closed:
            return  # the last word has been said
        with trio.move_on_after(LAST_WORDS), contextlib.suppress(PeerGone, PeerSilent):
            await self.wire.send_all(reply.encode(), trio.current_time() + LAST_WORDS)

    async def _lost(self, reason: str) -> None:
        self._note_lost(reason)
        in_content = self.dialogue.state is State.DATA
        if in_content and self.relay is not None and self.relay.committing:
            self.errors.append("the backend may have taken the message: no reply to the end of data")
        await self._end(NO_BACKEND if in_content else UNREACHABLE, "backend")

    def _note_lost(self, reason: str) -> None:
        self.errors.append(reason)
        events.backend_lost(self.services.log, backend=self._backend_name(), reason=reason)

    def _backend_name(self) -> str:
        return self.backend.name if self.backend else "none"
