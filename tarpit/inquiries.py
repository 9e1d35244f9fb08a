"""What is asked about a peer while it talks: its HELO name, its reverse-path. And what counts recipients.

Nobody waits at EHLO or MAIL; the first RCPT of a transaction waits for what is still being asked, at most
what is left of TARPIT_SCORE_WAIT, so that an SPF fail slows the very message it speaks about. A peer that is
held is not asked about: it costs no DNS.

What an answer weighs is `scoring`; what follows from it is `session` and `policy`.
"""

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

import trio

from scoring import Finding
from scoring.verdict import Recalled
from tarpit.policy import Treatment
from tarpit.smtp.commands import Hello, Mail, Rcpt
from tarpit.store import Remembered
from tarpit.story import passed_domain

if TYPE_CHECKING:
    from tarpit.session import Session


class Inquiries:
    """Those of one session."""

    __slots__ = ("_counted", "_open", "_session", "_until")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._open: tuple[trio.Event, ...] = ()
        self._until = 0.0
        self._counted: Rcpt | None = None

    def begin(self, command: Hello | Mail) -> None:
        """Begin to ask about a HELO name or a reverse-path; nobody waits here."""
        session = self._session
        if not session.judgement.scored or session.judgement.treatment is Treatment.HOLD:
            return
        if not self._open and (known := self._known(command)) is not None:
            findings, age = known
            session.judgement.add(findings, new_mail=isinstance(command, Mail), age=age)
            return
        before, done = self._open, trio.Event()
        self._open = (*before, done)
        self._until = trio.current_time() + session.services.settings.score_wait
        session.services.nursery.start_soon(session.services.alone, partial(self._ask, command, before, done))

    def _known(self, command: Hello | Mail) -> Recalled | None:
        """Return what is remembered of what *command* says, if all of it is at hand.

        A sender that comes again costs no task then: two of them were a tenth of its session.
        """
        session, classifier = self._session, self._session.services.classifier
        if isinstance(command, Hello):
            return classifier.known_helo(session.address, helo=command.name, host=session.judgement.host)
        known = classifier.known_mail(session.address, session.dialogue.helo, command)
        if known is not None and (domain := passed_domain(command, known[0])):
            history = session.services.store.recall_domain_now(domain)
            if history is None:
                return None
            before = session.judgement.remembered
            if history is not before.domain:  # as a domain without one is
                session.judgement.remembered = Remembered.of(before.verdict, before.age, before.peer, history)
        return known

    async def before_recipient(self, recipient: Rcpt) -> None:
        """Count a recipient, and wait for what is being asked."""
        if (answers := self.count(recipient)) is not None:
            await answers

    def count(self, recipient: Rcpt) -> Awaitable[None] | None:
        """Count a recipient, and return the wait for what is being asked, if anything is."""
        session = self._session
        if not session.judgement.scored:
            return None
        if recipient is not self._counted:  # one that turned its peer suspect is met again
            self._counted = recipient
            session.services.classifier.count_recipient(session.address)
            if recipient.path in session.services.traps:
                session.judgement.trapped()
        return self._answers() if self._open else None

    async def _answers(self) -> None:
        waiting, self._open = self._open, ()
        with trio.move_on_at(self._until):
            for done in waiting:
                await done.wait()

    async def _ask(self, command: Hello | Mail, before: tuple[trio.Event, ...], done: trio.Event) -> None:
        session, classifier = self._session, self._session.services.classifier
        try:
            if isinstance(command, Mail):
                findings = await classifier.at_mail(session.address, session.dialogue.helo, command)
                await self._recall_domain(command, findings)
            else:
                findings = await classifier.at_hello(session.address, command.name, session.judgement.host)
            for earlier in before:
                await earlier.wait()  # what was asked later counts for more
            session.judgement.add(findings, new_mail=isinstance(command, Mail))
        finally:
            done.set()

    async def _recall_domain(self, mail: Mail, findings: tuple[Finding, ...]) -> None:
        """Remember what is known of a domain for which SPF passed."""
        session, judgement = self._session, self._session.judgement
        if domain := passed_domain(mail, findings):
            judgement.remembered = await session.services.store.recall(session.address, domain)
            judgement.weigh()
