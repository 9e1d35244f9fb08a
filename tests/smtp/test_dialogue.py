"""The dialogue: state and counts move by replies alone."""

import pytest

from tarpit.smtp.commands import Command, Malformed, parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.lines import LineFault
from tarpit.smtp.states import State


def after(*exchanges: tuple[bytes, int]) -> Dialogue:
    """Return a dialogue in which each line was answered with its code."""
    dialogue = Dialogue()
    for line, code in exchanges:
        dialogue.settle(parse(line), code)
    return dialogue


HELLO = (b"EHLO client.example", 250)
MAIL = (b"MAIL FROM:<a@x.example>", 250)
RCPT = (b"RCPT TO:<b@y.example>", 250)
REFUSED = (b"RCPT TO:<c@y.example>", 550)
DATA = (b"DATA", 354)


def test_a_new_dialogue() -> None:
    """At first nothing is known and nothing is counted."""
    dialogue = Dialogue()
    assert dialogue.state is State.GREETED
    assert dialogue.helo is None
    assert dialogue.mail is None
    assert not dialogue.closed


def test_helo_is_the_last_accepted() -> None:
    """A refused name does not replace an accepted one."""
    assert after(HELLO, (b"HELO other", 550)).helo == "client.example"
    assert after(HELLO, (b"HELO other", 250)).helo == "other"
    assert after((b"EHLO refused", 502)).helo is None


def test_a_transaction_is_counted() -> None:
    """Recipients are counted by their reply, for the session and for the transaction."""
    dialogue = after(HELLO, MAIL, RCPT, REFUSED, RCPT)
    assert (dialogue.transactions, dialogue.accepted, dialogue.refused, dialogue.standing) == (1, 2, 1, 2)
    assert dialogue.mail is not None
    assert str(dialogue.mail.path) == "a@x.example"


def test_a_refused_mail_is_no_transaction() -> None:
    """MAIL that was refused leaves no reverse-path."""
    dialogue = after(HELLO, (MAIL[0], 450))
    assert dialogue.transactions == 0
    assert dialogue.mail is None
    assert dialogue.state is State.READY


def test_a_second_transaction_starts_anew() -> None:
    """Standing recipients are those of the open transaction; the other counts go on."""
    dialogue = after(HELLO, MAIL, RCPT, (b"RSET", 250), MAIL)
    assert (dialogue.transactions, dialogue.accepted, dialogue.standing) == (2, 1, 0)


@pytest.mark.parametrize("line", [b"RSET", b"EHLO client.example", b"HELO client.example"])
def test_no_recipient_stands_after_a_reset(line: bytes) -> None:
    """Where no transaction is open, no recipient stands; the last reverse-path is still known."""
    dialogue = after(HELLO, MAIL, RCPT, (line, 250))
    assert dialogue.standing == 0
    assert dialogue.accepted == 1
    assert dialogue.mail is not None


@pytest.mark.parametrize(
    ("code", "state", "messages"),
    [
        pytest.param(250, State.READY, 1, id="taken"),
        pytest.param(451, State.READY, 0, id="refused for now"),
        pytest.param(554, State.READY, 0, id="refused"),
        pytest.param(421, State.CLOSED, 0, id="closing"),
    ],
)
def test_content(code: int, state: State, messages: int) -> None:
    """The end of data closes the transaction; only 2xx is a message."""
    dialogue = after(HELLO, MAIL, RCPT, DATA)
    assert dialogue.state is State.DATA
    dialogue.settle_content(code)
    assert (dialogue.state, dialogue.messages, dialogue.standing) == (state, messages, 0)


@pytest.mark.parametrize("fault", LineFault)
def test_a_fatal_line_closes(fault: LineFault) -> None:
    """After a fault of a line that is fatal, nothing more is heard."""
    dialogue = Dialogue()
    dialogue.settle(fault, 500)
    assert dialogue.closed is fault.fatal


@pytest.mark.parametrize(
    "heard",
    [
        pytest.param(LineFault.TOO_LONG, id="long line"),
        pytest.param(parse(b"XYZZY"), id="malformed"),
        pytest.param(parse(b"NOOP"), id="command"),
    ],
)
def test_421_closes(heard: Command | LineFault) -> None:
    """421 ends the dialogue whatever it answers."""
    dialogue = Dialogue()
    dialogue.settle(heard, 421)
    assert dialogue.closed


@pytest.mark.parametrize(("code", "closed"), [(500, False), (501, False), (521, True), (421, True)])
def test_malformed(code: int, closed: bool) -> None:
    """A malformed command moves nothing, unless its reply ends the dialogue."""
    heard = parse(b"GET / HTTP/1.1")
    assert isinstance(heard, Malformed)
    dialogue = after(HELLO, MAIL)
    dialogue.settle(heard, code)
    assert dialogue.closed is closed
    assert dialogue.state is (State.CLOSED if closed else State.MAIL)


def test_a_malformed_hello_is_not_taken() -> None:
    """A verb alone does not introduce: the command has to be sound."""
    dialogue = after((b"EHLO", 250))
    assert dialogue.helo is None
    assert dialogue.state is State.GREETED


def test_next_heard() -> None:
    """Commands and faults come in order, and None when more is needed."""
    dialogue = Dialogue()
    dialogue.lines.receive(b"NOOP\r\nXYZZY\r\na\n")
    assert dialogue.next_heard() == parse(b"NOOP")
    assert dialogue.next_heard() == parse(b"XYZZY")
    assert dialogue.next_heard() is LineFault.BARE_LF
    assert dialogue.next_heard() is None


def test_heard_in() -> None:
    """A line is heard as it comes, and what came with it after that; several at once are an offence."""
    dialogue = Dialogue()
    assert dialogue.heard_in(b"NO") is None
    assert dialogue.heard_in(b"OP\r\n") == parse(b"NOOP")
    assert dialogue.heard_in(b"NOOP\r\n") == parse(b"NOOP")
    assert dialogue.offences.count == 0
    assert dialogue.heard_in(b"NOOP\r\na\n") == parse(b"NOOP")
    assert dialogue.offences.early
    assert dialogue.next_heard() is LineFault.BARE_LF
    assert dialogue.heard_in(b"NOOP\r\n") is None


def test_accounts_are_not_shared() -> None:
    """Who has done nothing that counts has the account of all who have not; the others have their own."""
    one, other = Dialogue(), Dialogue()
    assert one.tally is other.tally
    one.settle(parse(b"NOOP"), 250)
    one.restart()
    assert (one.tally.junk, other.tally.junk) == (1, 0)


def test_close() -> None:
    """A dialogue that was closed is closed."""
    dialogue = after(HELLO)
    dialogue.close()
    assert dialogue.closed


def test_peek() -> None:
    """The next command can be looked at before its turn."""
    dialogue = Dialogue()
    assert dialogue.peek() is None
    dialogue.lines.receive(b"NOOP\r\n")
    assert dialogue.peek() == parse(b"NOOP")
    assert dialogue.next_heard() == parse(b"NOOP")


def test_tls_03_a_dialogue_begins_anew() -> None:
    """TLS-03: inside TLS neither name nor envelope from before counts; what the peer did stays done."""
    dialogue = after(HELLO, MAIL, RCPT, (b"RSET", 250), (b"NONSENSE", 500))
    dialogue.restart()
    assert (dialogue.state, dialogue.hello, dialogue.mail) == (State.GREETED, None, None)
    assert (dialogue.standing, dialogue.secure) == (0, True)
    assert (dialogue.transactions, dialogue.accepted) == (1, 1)
    junk = dialogue.tally.junk
    dialogue.settle(parse(HELLO[0]), 250)
    assert dialogue.tally.junk == junk  # not a second greeting
