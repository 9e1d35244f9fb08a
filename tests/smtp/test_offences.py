"""Offences: counted where a command meets its reply."""

import pytest

from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.offences import NONE


def heard(data: bytes, code: int, keywords: tuple[bytes, ...] = ()) -> Dialogue:
    """Return a dialogue in which each line of *data* was answered with *code*."""
    dialogue = Dialogue()
    dialogue.keywords = keywords
    dialogue.lines.receive(data)
    while (one := dialogue.next_heard()) is not None:
        dialogue.settle(one, code)
    return dialogue


def test_who_does_nothing_wrong_has_nothing_of_its_own() -> None:
    """All innocent peers share one value, and it stays empty."""
    dialogue = heard(b"NOOP\r\n", 250)
    assert dialogue.offences is NONE
    heard(b"NONSENSE\r\n", 500)
    assert NONE.count == 0


@pytest.mark.parametrize(
    ("data", "code", "name", "value"),
    [
        pytest.param(b"NONSENSE\r\n", 500, "junk", 1, id="junk"),
        pytest.param(b"DATA\r\n", 503, "out_of_turn", 1, id="out of turn"),
        pytest.param(b"NOOP\r\nNOOP\r\n", 250, "early", True, id="early pipelining"),
        pytest.param(b"NOOP\n", 500, "bare_newline", True, id="bare newline"),
        pytest.param(b"GET / HTTP/1.1\r\n", 521, "not_smtp", "http", id="HTTP"),
        pytest.param(b"Subject: x\r\n", 521, "not_smtp", "header", id="a header field"),
        pytest.param(b"\x16\x03\x01\r\n", 500, "not_smtp", "tls", id="TLS"),
        pytest.param(b"RCPT TO:<a@b.example>\r\n", 550, "denied", 1, id="a recipient denied"),
    ],
)
def test_offences(data: bytes, code: int, name: str, value: object) -> None:
    """Each is counted under its name, and moves the count."""
    dialogue = heard(data, code)
    assert getattr(dialogue.offences, name) == value
    assert dialogue.offences.count > 0


def test_what_may_follow_a_refusal_is_in_turn() -> None:
    """Where PIPELINING was shown, RCPT and DATA may have been sent before MAIL was refused (RFC 2920)."""
    dialogue = heard(b"RCPT TO:<a@b.example>\r\nDATA\r\n", 503, (b"PIPELINING",))
    assert dialogue.offences.out_of_turn == 0


def test_a_refused_message() -> None:
    """5xx at the end of data is told apart from 4xx."""
    dialogue = Dialogue()
    dialogue.settle_content(452)
    assert dialogue.offences is NONE
    dialogue.settle_content(550)
    assert dialogue.offences.messages_refused == 1
