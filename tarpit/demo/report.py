"""What the demo tells: a line a message, a line a session, and the table at its end. Pure text, no output.

Not here: where the events come from (`tarpit.observe.events`), who prints (`tarpit.cli.demo`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tarpit.demo.backend import Counts, Message
from tarpit.demo.peers import Ended, Outcome, Peer

HEADER: Final = ("peer", "", "visits", "delivered", "median seconds", "seconds held", "how they ended")

ENDED: Final[Mapping[str, str]] = {  # the words of `session.closed`, as a sentence's end
    "quit": "QUIT",
    "peer-left": "peer left",
    "peer-silent": "peer fell silent",
    "backend": "no backend",
    "stopped": "demo ended",
    "refused": "refused by us",
    "full": "no room",
    "error": "error",
}


@dataclass(frozen=True, slots=True)
class Session:
    """What the demo needs of one `session.closed` event. Seconds are float."""

    peer: str
    seconds: float
    held: float
    line: str


def session_of(event: Mapping[str, object], cast: Sequence[Peer]) -> Session:
    """Return what one `session.closed` event says, as numbers and as a line."""
    peer, seconds, held = str(event["peer"]), _number(event["seconds"]), _number(event["held_seconds"])
    name = next((known.name for known in cast if known.source == peer), "somebody else")
    delivered = int(_number(event["messages_accepted"]))
    got = f", {delivered} delivered" if delivered else ""
    ended = ENDED.get(str(event["ended"]), str(event["ended"]))
    line = f"{seconds:5.1f} s  {name:<22}  {_judged(event):<40}  {_treated(event):<37}  {ended}{got}"
    return Session(peer, seconds, held, line)


def _judged(event: Mapping[str, object]) -> str:
    """Say the verdict, its score, and which findings have points."""
    findings = event["findings"] if isinstance(event["findings"], list) else []
    points = [f"{one['signal'].partition(':')[0]} {one['points']:g}" for one in findings if one["points"]]
    said = f"{event['verdict']} {_number(event['score']):g}"
    return f"{said} ({', '.join(points)})" if points else said


def _treated(event: Mapping[str, object]) -> str:
    """Say what was done, what the peer felt of it, and what `enforce` mode would have done."""
    treatment = str(event["treatment"])
    if event["would_be"] != treatment:
        return f"{treatment}, would be {event['would_be']}"
    if not event["held_seconds"]:
        return treatment
    return f"{treatment}, held {_number(event['held_seconds']):.1f} s, {event['dripped_bytes']} bytes dripped"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def message_line(message: Message) -> str:
    """Say what the backend has got."""
    recipients = ", ".join(message.recipients)
    return f"  backend got  <{message.sender}> to {recipients}: {message.size:,} bytes, {message.subject!r}"


def table(cast: Sequence[Peer], outcomes: Iterable[Outcome], sessions: Iterable[Session]) -> str:
    """Return a row a peer that came: visits, deliveries, time, and how the visits ended."""
    outcomes, sessions = tuple(outcomes), tuple(sessions)
    rows: list[tuple[str, ...]] = [HEADER]
    for peer in cast:
        visits = [outcome for outcome in outcomes if outcome.name == peer.name]
        if visits:
            rows.append(_row(peer, visits, sum(s.held for s in sessions if s.peer == peer.source)))
    return _aligned(rows)


def summary(counts: Counts, messages: Sequence[Message], sessions: Sequence[Session]) -> str:
    """Return one line on what all of it cost the backend."""
    held = sum(session.held for session in sessions)
    return (
        f"{len(sessions)} sessions, peers held for {held:.1f} s in all; the backend saw {counts.connections}"
        f" connections, at most {counts.peak} at once; messages that got through: {len(messages)}"
    )


def _row(peer: Peer, visits: Sequence[Outcome], held: float) -> tuple[str, ...]:
    ends = {ended: sum(visit.ended is ended for visit in visits) for ended in Ended}
    return (
        peer.name,
        peer.kind,
        str(len(visits)),
        str(ends[Ended.DELIVERED]),
        f"{median(visit.seconds for visit in visits):.1f}",
        f"{held:.1f}",
        ", ".join(f"{count} {ended}" for ended, count in ends.items() if count),
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= place <= 5 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
