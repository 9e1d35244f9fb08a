"""The whole story of one session: as `session.closed` tells it, and what of it is worth remembering."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import trio

from scoring import Conduct, Finding, Result
from scoring.signals.conduct import HABIT, HARVEST
from tarpit import policy
from tarpit.observe import events
from tarpit.policy import Treatment
from tarpit.smtp.commands import Mail
from tarpit.store import Deed

if TYPE_CHECKING:
    from tarpit.session import Session

MOST_NOTED: Final = 20  # messages of one session: to a history they are one occasion in any case


def tell(session: "Session") -> None:
    """Write the one `session.closed` of *session*."""
    dialogue, mail, sealed = session.dialogue, session.dialogue.mail, session.wire.sealed
    treatment = session.judgement.treatment  # weighs what has not been weighed yet
    would_be = policy.choose_treatment(session.judgement.verdict)
    if session.slowed:
        treatment = would_be  # the mode may be another by now
    elif treatment is not Treatment.PASS:
        treatment = Treatment.SLOW
    events.session_closed(
        session.services.log,
        id=session.name,
        peer=session.wire.peer[0],
        port=session.wire.peer[1],
        proxy=session.announcement.proxy if session.announcement else None,
        host=session.judgement.host.name,
        helo=dialogue.helo or "",
        verdict=session.judgement.verdict.opinion.value if session.judgement.verdict.findings else "unscored",
        score=session.judgement.verdict.score,
        findings=session.judgement.verdict.findings,
        treatment=treatment,
        would_be=would_be,
        seconds=trio.current_time() - session.judgement.began,
        held_seconds=session.voice.held_seconds,
        dripped_bytes=session.voice.dripped_bytes,
        pregreet=session.judgement.pregreet,
        backend_seconds=session.backend_seconds,
        phase=dialogue.state.value,
        ended=session.ended,
        transactions=dialogue.transactions,
        recipients_accepted=dialogue.accepted,
        recipients_refused=dialogue.refused,
        messages_accepted=dialogue.messages,
        messages_mended=dialogue.mended,
        reverse_path=None if mail is None else str(mail.path.mailbox or ""),
        backend=session.backend_name,
        backend_reply=session.last_reply,
        bytes_from_peer=session.wire.bytes_in,
        bytes_to_peer=session.wire.bytes_out,
        blind=session.blind,
        tls=(sealed and sealed.version()) or "",
        cipher=(sealed and sealed.suite) or "",
        tls_failure=session.tls_failure,
        errors=[*session.judgement.verdict.errors, *session.errors],
    )


async def remember(session: "Session") -> None:
    """Add to the history of the peer, and of the domain for which SPF passed, what became of its mail."""
    if not session.judgement.scored:
        return
    session.services.classifier.count_errors(session.address, session.dialogue.offences.count)
    domain = passed_domain(session.dialogue.mail, session.judgement.verdict.findings)
    for deed in deeds(session.judgement.conduct()):
        await session.services.store.note(deed, session.address, domain)


def deeds(conduct: Conduct) -> Iterator[Deed]:
    """Yield what a session is remembered for."""
    yield from [Deed.ACCEPTED] * min(conduct.messages, MOST_NOTED)
    yield from [Deed.REFUSED] * min(conduct.messages_refused, MOST_NOTED)
    offences = {
        Deed.PREGREET: conduct.pregreet,
        Deed.OUT_OF_TURN: conduct.out_of_turn >= HABIT,
        Deed.HARVEST: HARVEST <= conduct.recipients_refused > conduct.recipients / 2,
        Deed.TRAP: conduct.traps > 0,
    }
    yield from (deed for deed, done in offences.items() if done)


def passed_domain(mail: Mail | None, findings: tuple[Finding, ...]) -> str | None:
    """Return the domain of the reverse-path if SPF passed for it."""
    if mail is None or mail.path.mailbox is None:
        return None
    passed = any(one.signal == "spf" and one.result is Result.PASS for one in findings)
    return mail.path.mailbox.domain if passed else None
