"""What the demo tells, from real events and made-up visits."""

from collections.abc import MutableMapping

import pytest
import structlog

from scoring.verdict import Finding, Result
from tarpit.demo.backend import Counts, Message
from tarpit.demo.peers import CAST, Ended, Kind, Outcome, Peer, looks_and_leaves
from tarpit.demo.report import Session, message_line, session_of, summary, table
from tarpit.observe.events import session_closed
from tarpit.observe.log import unfold

LISTED = Finding("dnsbl:dnsbl.demo.test", Result.LISTED, 4.0, "127.0.0.2")
SILENT = Finding("spf", Result.NONE, 0.0, "")


@pytest.fixture
def caught() -> list[MutableMapping[str, object]]:
    return []


@pytest.fixture
def log(caught: list[MutableMapping[str, object]]) -> structlog.typing.FilteringBoundLogger:
    def catch(_logger: object, _level: str, event: MutableMapping[str, object]) -> str:
        caught.append(event)
        raise structlog.DropEvent

    bound: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[unfold, catch]
    )
    return bound


def test_slowed_session(
    log: structlog.typing.FilteringBoundLogger, caught: list[MutableMapping[str, object]]
) -> None:
    """A slowed session's line: who, why, what was done to it, how it ended, what was delivered."""
    session_closed(
        log, id="a", peer="127.0.0.20", port=1, verdict="suspect", score=4.0,
        findings=[(LISTED, 0.0), (SILENT, 0.0)],
        treatment="slow", would_be="slow", seconds=12.34, held_seconds=11.5, dripped_bytes=120,
        messages_accepted=1,
    )  # fmt: skip
    session = session_of(caught[0], CAST)
    assert (session.peer, session.seconds, session.held) == ("127.0.0.20", 12.34, 11.5)
    assert " ".join(session.line.split()) == (
        "12.3 s listed by mistake suspect 4 (dnsbl 4) slow, held 11.5 s, 120 bytes dripped QUIT, 1 delivered"
    )


def test_passed_session(
    log: structlog.typing.FilteringBoundLogger, caught: list[MutableMapping[str, object]]
) -> None:
    """A clean session's line is short; an address that is not ours is told as such."""
    session_closed(log, id="a", peer="127.0.0.99", port=1, verdict="clean", seconds=0.2, ended="peer-left")
    line = session_of(caught[0], CAST).line
    assert " ".join(line.split()) == "0.2 s somebody else clean 0 pass peer left"


def test_observed_session(
    log: structlog.typing.FilteringBoundLogger, caught: list[MutableMapping[str, object]]
) -> None:
    """In observe mode the line says what would have been done."""
    session_closed(log, id="a", peer="127.0.0.10", port=1, verdict="suspect", score=4.0, would_be="slow")
    assert "suspect 4  " in session_of(caught[0], CAST).line
    assert "pass, would be slow  " in session_of(caught[0], CAST).line


def test_message_line() -> None:
    """From, to, bytes and subject."""
    line = message_line(Message("ann@good.demo.test", ("you@demo.test", "me@demo.test"), 1234, "Hi"))
    assert line.strip() == (
        "backend got  <ann@good.demo.test> to you@demo.test, me@demo.test: 1,234 bytes, 'Hi'"
    )


def test_table() -> None:
    """One row a peer that came, in the order of the cast."""
    cast = [
        Peer(name, Kind.BAD, source, looks_and_leaves)
        for name, source in (("one", "127.0.0.50"), ("two", "127.0.0.51"), ("absent", "127.0.0.52"))
    ]
    outcomes = [
        Outcome("two", Kind.BAD, Ended.GAVE_UP, 3.0, ""),
        Outcome("one", Kind.BAD, Ended.DELIVERED, 1.0, ""),
        Outcome("one", Kind.BAD, Ended.DELIVERED, 2.0, ""),
        Outcome("one", Kind.BAD, Ended.CUT_OFF, 9.0, ""),
    ]
    sessions = [Session("127.0.0.50", 1.0, 0.5, ""), Session("127.0.0.50", 2.0, 1.0, "")]
    rows = [" ".join(row.split()) for row in table(cast, outcomes, sessions).splitlines()[1:]]
    assert rows == ["one bad 3 2 2.0 1.5 2 delivered, 1 cut off", "two bad 1 0 3.0 0.0 1 gave up"]


def test_summary() -> None:
    """What all of it cost the backend."""
    sessions = [Session("127.0.0.50", 1.0, 0.5, ""), Session("127.0.0.51", 2.0, 1.0, "")]
    assert summary(Counts(5, 0, 2), [Message("", (), 1, "")], sessions) == (
        "2 sessions, peers held for 1.5 s in all; the backend saw 5 connections, at most 2 at once;"
        " messages that got through: 1"
    )
