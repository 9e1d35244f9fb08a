"""The whole story of one session: as `session.closed` tells it, and what of it is worth remembering."""

from typing import TYPE_CHECKING, Final

from scoring import Finding, Result
from scoring.signals.conduct import HABIT, HARVEST
from tarpit.observe import events
from tarpit.policy import Treatment
from tarpit.smtp.commands import Mail
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.states import State
from tarpit.store import Deed

if TYPE_CHECKING:
    from tarpit.session import Session

PHASES: Final = {state: state.value for state in State}  # an enumeration finds its values in Python
MOST_NOTED: Final = 20  # messages of one session: to a history they are one occasion in any case


def tell(session: "Session") -> None:
    """Write the one `session.closed` of *session*."""
    wire, voice, judgement, dialogue = session.wire, session.voice, session.judgement, session.dialogue
    treatment = judgement.treatment  # weighs what has not been weighed yet
    would_be, verdict = judgement.would_be, judgement.verdict
    if session.slowed:
        treatment = would_be  # the mode may be another by now
    elif treatment is not Treatment.PASS:
        treatment = Treatment.SLOW
    peer, mail, sealed = wire.peer, dialogue.mail, wire.sealed
    events.session_closed(
        session.services.log,
        id=session.name,
        peer=peer[0],
        port=peer[1],
        proxy=session.announcement.proxy if session.announcement else None,
        host=judgement.host.name,
        helo=dialogue.helo or "",
        verdict=verdict.opinion if verdict.findings else "unscored",
        score=verdict.score,
        findings=judgement.findings(),
        treatment=treatment,
        would_be=would_be,
        seconds=session.services.clock() - judgement.began,
        held_seconds=voice.held_seconds,
        dripped_bytes=voice.dripped_bytes,
        pregreet=judgement.pregreet,
        backend_seconds=session.backend_seconds,
        phase=PHASES[dialogue.state],
        ended=session.ended,
        transactions=dialogue.transactions,
        recipients_accepted=dialogue.accepted,
        recipients_refused=dialogue.refused,
        messages_accepted=dialogue.messages,
        messages_mended=dialogue.mended,
        reverse_path=None if mail is None else str(mail.path.mailbox or ""),
        backend=session.backend_name,
        backend_reply=session.last_reply,
        bytes_from_peer=wire.bytes_in,
        bytes_to_peer=wire.bytes_out,
        blind=session.blind,
        tls=(sealed and sealed.version()) or "",
        cipher=(sealed and sealed.suite) or "",
        tls_failure=session.tls_failure,
        errors=verdict.errors + session.errors,
    )


async def remember(session: "Session") -> None:
    """Add to the history of the peer, and of the domain for which SPF passed, what became of its mail."""
    judgement, dialogue = session.judgement, session.dialogue
    if not judgement.scored:
        return
    services, address, offences = session.services, session.address, dialogue.offences.count
    if offences:
        services.classifier.count_errors(address, offences)
    if done := deeds(dialogue, pregreet=judgement.pregreet, traps=judgement.traps):
        domain = passed_domain(dialogue.mail, judgement.verdict.findings)
        for deed in done:
            await services.store.note(deed, address, domain)


def deeds(dialogue: Dialogue, *, pregreet: bool, traps: int) -> list[Deed]:
    """Return what a session is remembered for."""
    wrong = dialogue.offences
    done = [Deed.ACCEPTED] * min(dialogue.messages, MOST_NOTED)
    if not (wrong.count or pregreet or traps):
        return done
    asked = dialogue.accepted + dialogue.refused
    offences = {
        Deed.PREGREET: pregreet,
        Deed.OUT_OF_TURN: wrong.out_of_turn >= HABIT,
        Deed.HARVEST: HARVEST <= wrong.denied > asked / 2,
        Deed.TRAP: traps > 0,
    }
    done += [Deed.REFUSED] * min(wrong.messages_refused, MOST_NOTED)
    return done + [deed for deed, is_so in offences.items() if is_so]


def passed_domain(mail: Mail | None, findings: tuple[Finding, ...]) -> str | None:
    """Return the domain of the reverse-path if SPF passed for it."""
    if mail is None or mail.path.mailbox is None:
        return None
    for finding in findings:
        if finding.signal == "spf" and finding.result is Result.PASS:
            return mail.path.mailbox.domain
    return None
