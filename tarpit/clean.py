"""A clean peer's session: joined to a backend, whose own words it hears; bytes unchanged.

It stays so to the end, or to the command with which the peer has turned out a suspect: that one is returned
unanswered, and `suspect` has the rest. What goes over a joined connection, and what does not, is `relay`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from tarpit.backend.pool import Loan
from tarpit.backend.slots import Purpose
from tarpit.errors import DESERTED, PeerGone, PeerSilent
from tarpit.pace import Stage
from tarpit.policy import Treatment
from tarpit.relay import Relay
from tarpit.smtp.commands import Command, Rcpt
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.guard import Guard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import Reply
from tarpit.smtp.states import State

if TYPE_CHECKING:
    from tarpit.session import Session

Hearing = TypeVar("Hearing", bound=Observer)
T = TypeVar("T")

_BANNER, _PASS = Stage.BANNER, Treatment.PASS  # by names of their own, as in `relay`
_GUARDS: Final[dict[bool, Callable[[], Guard]]] = {False: Guard, True: partial(Guard, refuse_bare=True)}
NO_ROUTE: Final = Reply.of(550, "5.7.1 No mail for this domain is taken here")  # TARPIT_ROUTES says `refuse`


class Clean:
    """What of a session is joined to a backend."""

    __slots__ = ("_session",)

    def __init__(self, session: "Session") -> None:
        self._session = session

    async def run(self) -> Heard | None:
        """Join a clean peer to a backend, whose own banner it sees.

        Returns the command with which it turned out a suspect, or None at the end.
        """
        session = self._session
        loan = await session.borrow(Purpose.JOIN)
        session.backend_name, line = loan.backend.name, loan.line
        began = trio.current_time()
        try:
            relay = self.joined(loan, self.observer(pipelining=True, kind=Observer))
            if (rest := session.voice.say_now(line.banner, _BANNER)) is not None:
                await rest
            try:
                unheard = await relay.run()
            finally:
                session.blind, session.last_reply = relay.blind, relay.last_reply
            if unheard is not None:
                await line.quit()
        finally:
            now = trio.current_time()
            session.backend_seconds += now - began
            loan.close(now)
        return unheard

    def observer(self, *, pipelining: bool, kind: type[Hearing]) -> Hearing:
        """Return what hears both sides."""
        services = self._session.services
        ours, dialogue = services.terminator is not None, self._session.dialogue
        return kind(dialogue, pipelining=pipelining, starttls=services.passes_tls, terminates=ours)

    def joined(
        self,
        loan: Loan,
        observer: Observer,
        *,
        parts: Callable[[Heard], bool] | None = None,
        elsewhere: Callable[[Rcpt], Reply | None] | None = None,
        once: bool = False,
    ) -> Relay:
        """Return a relay between the peer and the backend of *loan*; what is given differs from the usual."""
        session, services = self._session, self._session.services
        inquiries = session.inquiries
        session.relay = Relay(
            session.voice,
            loan.line.wire,
            observer,
            services.time_outs,
            on_command=inquiries.begin,
            before_rcpt=inquiries.count,
            parts=parts or self._parts,
            elsewhere=elsewhere or self._elsewhere,
            once=once,
            guard=_GUARDS[services.means.refuse_bare],
            starttls=self.starttls if services.terminator is not None else None,
            farewell=loan.line.quit,
            sitter=loan.sitter,
        )
        return session.relay

    async def starttls(self, command: Command) -> bool:
        """Answer STARTTLS ourselves, and return whether all that follows is inside TLS."""
        session = self._session
        assert session.services.terminator is not None
        try:
            return await session.services.terminator.answer(command, session.voice, session.dialogue)
        except (PeerGone, PeerSilent) as failed:
            session.tls_failure = str(failed)
            raise

    def _parts(self, _: Heard) -> bool:
        session = self._session
        return not session.dialogue.standing and session.judgement.treatment is not _PASS and turned(session)

    def _elsewhere(self, rcpt: Rcpt) -> Reply | None:
        routes = self._session.services.routes
        return NO_ROUTE if routes.refusing and routes.find(rcpt.path) is None else None


async def while_there(session: "Session", work: Callable[[], Awaitable[T]]) -> T:
    """Return what *work* returns, which waits for a backend. Raises `PeerGone` once the peer has left."""
    with trio.CancelScope() as scope:
        try:
            session.gives_up_by(scope.cancel)
            return await work()
        finally:
            session.waits_no_more()
    raise PeerGone(DESERTED)


def turned(session: "Session") -> bool:
    """Whether a clean peer is to be served as a suspect from here on.

    A suspect that was promised more than we could keep stays: we would refuse what its backend takes.
    """
    treatment, mail = session.judgement.treatment, session.dialogue.mail
    if treatment is Treatment.SLOW and mail is not None and session.dialogue.state is State.MAIL:
        return session.services.means.refusal(mail) is None
    return treatment is not Treatment.PASS
