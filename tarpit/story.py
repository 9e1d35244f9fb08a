"""The whole story of one session, as `session.closed` tells it."""

from typing import TYPE_CHECKING

import trio

from tarpit import policy
from tarpit.observe import events
from tarpit.policy import Treatment

if TYPE_CHECKING:
    from tarpit.session import Session


def tell(session: "Session") -> None:
    """Write the one `session.closed` of *session*."""
    dialogue, mail = session.dialogue, session.dialogue.mail
    would_be = policy.choose_treatment(session.verdict)
    events.session_closed(
        session.services.log,
        id=session.name,
        peer=session.wire.peer[0],
        port=session.wire.peer[1],
        host=session.host.name,
        helo=dialogue.helo or "",
        verdict=session.verdict.opinion.value if session.verdict.findings else "unscored",
        score=session.verdict.score,
        findings=session.verdict.findings,
        treatment=(
            session.treatment if session.slowed or session.treatment is Treatment.PASS else Treatment.SLOW
        ),
        would_be=would_be,
        seconds=trio.current_time() - session.began,
        held_seconds=session.voice.held_seconds,
        dripped_bytes=session.voice.dripped_bytes,
        pregreet=session.pregreet,
        phase=dialogue.state.value,
        ended=session.ended,
        transactions=dialogue.transactions,
        recipients_accepted=dialogue.accepted,
        recipients_refused=dialogue.refused,
        messages_accepted=dialogue.messages,
        reverse_path=None if mail is None else str(mail.path.mailbox or ""),
        backend=session.backend.name if session.backend else None,
        backend_reply=session.relay.last_reply if session.relay else b"",
        bytes_from_peer=session.wire.bytes_in,
        bytes_to_peer=session.wire.bytes_out,
        blind=session.blind,
        errors=[*session.verdict.errors, *session.errors],
    )
