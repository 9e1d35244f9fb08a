"""Our half: what we answer by ourselves, and what we leave to the backend."""

from collections.abc import Mapping

import pytest

from tarpit.smtp.commands import SyntaxFault, Verb, parse
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import LINE, OK, OUT_OF_ORDER, PLAIN, SYNTAX, Server, refusal
from tarpit.smtp.states import State

V = Verb
KEYWORDS = (b"SIZE 1000", b"8BITMIME", b"STARTTLS")
MAIL = b"MAIL FROM:<a@x.example>"
RCPT = b"RCPT TO:<b@y.example>"
TO_ALL: list[Mapping[LineFault, Reply] | Mapping[SyntaxFault, Reply] | Mapping[Verb, Reply]] = [
    LINE,
    SYNTAX,
    PLAIN,
]


class Half:
    """Our half of one dialogue."""

    def __init__(self, state: State, *keywords: bytes) -> None:
        self.dialogue = Dialogue()
        self.dialogue.state = state
        self.server = Server(hostname="mx.example", keywords=keywords)

    def judge(self, heard: Heard) -> Reply | None:
        """Return our reply."""
        return self.server.judge(self.dialogue, heard)

    def settle(self, heard: Heard, reply: Reply) -> None:
        """Settle it."""
        self.server.settle(self.dialogue, heard, reply)


def server(state: State = State.GREETED, *keywords: bytes) -> Half:
    """Return our half of a dialogue that has come as far as *state*."""
    return Half(state, *keywords)


def code(reply: Reply | None) -> int | None:
    """Return the code of *reply*; None stays None: the backend is asked."""
    return reply.code if reply else None


ANSWERS = [
    pytest.param(State.GREETED, b"HELO c", 250, id="HELO"),
    pytest.param(State.GREETED, b"EHLO c", 250, id="EHLO"),
    pytest.param(State.GREETED, MAIL, 503, id="MAIL before EHLO"),
    pytest.param(State.GREETED, RCPT, 503, id="RCPT before EHLO"),
    pytest.param(State.GREETED, b"STARTTLS", 503, id="STARTTLS before EHLO"),
    pytest.param(State.GREETED, b"NOOP", 250, id="NOOP at any time"),
    pytest.param(State.GREETED, b"QUIT", 221, id="QUIT at any time"),
    pytest.param(State.GREETED, b"RSET", 250, id="RSET at any time"),
    pytest.param(State.GREETED, b"HELP", 214, id="HELP"),
    pytest.param(State.READY, MAIL, 250, id="MAIL"),
    pytest.param(State.READY, b"MAIL FROM:<>", 250, id="null sender"),
    pytest.param(State.READY, b"MAIL FROM: <a@x.example>", 501, id="space before the sender"),
    pytest.param(State.READY, RCPT, 503, id="RCPT before MAIL"),
    pytest.param(State.READY, b"DATA", 503, id="DATA before MAIL"),
    pytest.param(State.READY, b"STARTTLS", None, id="STARTTLS is the backend's"),
    pytest.param(State.READY, b"VRFY a", 252, id="VRFY tells nothing"),
    pytest.param(State.READY, b"EXPN a", 502, id="EXPN"),
    pytest.param(State.READY, b"AUTH PLAIN", 502, id="AUTH"),
    pytest.param(State.READY, b"BDAT 5 LAST", 503, id="BDAT"),
    pytest.param(State.MAIL, MAIL, 503, id="MAIL twice"),
    pytest.param(State.MAIL, RCPT, None, id="RCPT is the backend's"),
    pytest.param(State.RCPT, b"DATA", None, id="DATA wants room for a message"),
    pytest.param(State.MAIL, b"RCPT TO: <b@y.example>", 501, id="space before the recipient"),
    pytest.param(State.MAIL, b"STARTTLS", 503, id="STARTTLS in a transaction"),
    pytest.param(State.MAIL, b"EHLO c", 250, id="EHLO again"),
    pytest.param(State.READY, b"XYZZY", 500, id="unknown"),
    pytest.param(State.READY, b"GET / HTTP/1.1", 521, id="HTTP"),
    pytest.param(State.READY, b"EHLO", 501, id="EHLO without a name"),
    pytest.param(State.READY, b"MAIL FROM:<a", 501, id="bad path"),
    pytest.param(State.READY, b"NOOP\0", 500, id="control character"),
]


@pytest.mark.parametrize(("state", "line", "answer"), ANSWERS)
def test_answer(state: State, line: bytes, answer: int | None) -> None:
    """In this state this line gets this code, or None: the backend is asked."""
    assert code(server(state, *KEYWORDS).judge(parse(line))) == answer


PARAMETERS = [
    pytest.param(b"SIZE=10", (b"SIZE 1000",), 250, id="SIZE with a limit"),
    pytest.param(b"SIZE=10", (b"SIZE",), 250, id="SIZE without a limit"),
    pytest.param(b"SIZE=10", (b"size 1000",), 250, id="keyword in small letters"),
    pytest.param(b"SIZE=10", (), 555, id="SIZE not offered"),
    pytest.param(b"BODY=8BITMIME", (b"8BITMIME",), 250, id="BODY"),
    pytest.param(b"BODY=8BITMIME", (b"SIZE",), 555, id="8BITMIME not offered"),
    pytest.param(b"SMTPUTF8", (b"SMTPUTF8",), 250, id="SMTPUTF8"),
    pytest.param(b"RET=HDRS ENVID=q", (b"DSN",), 250, id="DSN"),
    pytest.param(b"SIZE=1 RET=HDRS", (b"SIZE",), 555, id="one of two not offered"),
    pytest.param(b"BY=5;R", (b"DELIVERBY",), 250, id="BY"),
    pytest.param(b"MT-PRIORITY=3", (b"MT-PRIORITY",), 250, id="MT-PRIORITY"),
    pytest.param(b"AUTH=<>", KEYWORDS, 555, id="AUTH is never offered"),
    pytest.param(b"X=1", KEYWORDS, 555, id="unknown"),
]


@pytest.mark.parametrize(("parameters", "keywords", "answer"), PARAMETERS)
def test_mail_parameter(parameters: bytes, keywords: tuple[bytes, ...], answer: int) -> None:
    """A parameter of MAIL is taken only when its keyword was offered."""
    heard = parse(MAIL + b" " + parameters)
    assert code(server(State.READY, *keywords).judge(heard)) == answer


@pytest.mark.parametrize(
    ("parameters", "keywords", "answer"),
    [
        pytest.param(b"NOTIFY=NEVER ORCPT=rfc822;a@b", (b"dsn",), None, id="DSN"),
        pytest.param(b"ORCPT=rfc822;a@b", KEYWORDS[:1], 555, id="DSN not offered"),
        pytest.param(b"SIZE=10", (b"SIZE",), 555, id="a parameter of MAIL"),
        pytest.param(b"X=1", KEYWORDS, 555, id="unknown"),
    ],
)
def test_rcpt_parameter(parameters: bytes, keywords: tuple[bytes, ...], answer: int | None) -> None:
    """A parameter of RCPT that was not offered is refused here; 451 from a backend would not be true."""
    heard = parse(RCPT + b" " + parameters)
    assert code(server(State.MAIL, *keywords).judge(heard)) == answer


@pytest.mark.parametrize(
    ("mail", "keywords", "answer"),
    [
        pytest.param("MAIL FROM:<ü@x> SMTPUTF8", (b"SMTPUTF8",), 250, id="CMD-11 announced"),
        pytest.param("MAIL FROM:<ü@x>", (b"SMTPUTF8",), 553, id="CMD-11 not announced"),
        pytest.param("MAIL FROM:<ü@x> SMTPUTF8", (), 553, id="CMD-11 not offered"),
        pytest.param("MAIL FROM:<u@x> SMTPUTF8", (b"SMTPUTF8",), 250, id="CMD-11 ASCII all the same"),
    ],
)
def test_beyond_ascii(mail: str, keywords: tuple[bytes, ...], answer: int) -> None:
    """An address beyond ASCII wants SMTPUTF8, offered and said; so do the recipients that follow."""
    ours = server(State.READY, *keywords)
    ours.dialogue.keywords = keywords
    heard = parse(mail.encode())
    reply = ours.judge(heard)
    assert code(reply) == answer
    if reply is not None and answer == 250:
        ours.settle(heard, reply)
        recipient = parse("RCPT TO:<ü@x>".encode())
        assert ours.judge(recipient) is None


@pytest.mark.parametrize(
    ("keyword", "answer"),
    [
        pytest.param(b"STARTTLS", None, id="offered"),
        pytest.param(b"starttls", None, id="offered in small letters"),
        pytest.param(b"SIZE", 502, id="not offered"),
    ],
)
def test_starttls(keyword: bytes, answer: int | None) -> None:
    """The backend is asked for TLS only when it was offered."""
    assert code(server(State.READY, keyword).judge(parse(b"STARTTLS"))) == answer


def test_tls_04_starttls_inside_tls() -> None:
    """TLS-04: a second STARTTLS is out of order, whatever is shown."""
    dialogue = Dialogue()
    dialogue.restart()
    dialogue.state = State.READY
    answer = Server(hostname="mx.example", keywords=KEYWORDS).judge(dialogue, parse(b"STARTTLS"))
    assert answer is not None
    assert answer.code == 503


def test_banner() -> None:
    """The banner names the host and says ESMTP."""
    assert Server(hostname="mx.example").banner == b"220 mx.example ESMTP\r\n"


def test_ehlo_shows_the_keywords() -> None:
    """EHLO is answered with host name and keywords, HELO with the host name alone."""
    ours = server(State.GREETED, *KEYWORDS)
    assert ours.judge(parse(b"EHLO c")) == Reply(250, (b"mx.example", *KEYWORDS))
    assert ours.judge(parse(b"HELO c")) == Reply(250, (b"mx.example",))


def test_data_without_recipients() -> None:
    """DATA after MAIL says what is missing; elsewhere it is out of order."""
    assert server(State.MAIL).judge(parse(b"DATA")) == PLAIN[V.DATA]
    assert server(State.READY).judge(parse(b"DATA")) == OUT_OF_ORDER


@pytest.mark.parametrize("fault", LineFault)
def test_line_fault(fault: LineFault) -> None:
    """Each fault of a line has its answer, and FLOOD says that we close."""
    reply = server().judge(fault)
    assert reply == LINE[fault]
    assert code(reply) == (421 if fault is LineFault.FLOOD else 500)


@pytest.mark.parametrize("fault", SyntaxFault)
def test_every_syntax_fault_is_refused(fault: SyntaxFault) -> None:
    """No malformed command is without its answer, and that is a refusal for good."""
    assert SYNTAX[fault].code in {500, 501, 521}


@pytest.mark.parametrize("table", TO_ALL, ids=["line", "syntax", "plain"])
def test_enhanced_codes_agree(
    table: Mapping[LineFault, Reply] | Mapping[SyntaxFault, Reply] | Mapping[Verb, Reply],
) -> None:
    """Each reply has an enhanced code of its own class."""
    assert all(reply.enhanced for reply in table.values())


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        pytest.param(parse(b"NOOP"), None, id="sound"),
        pytest.param(parse(MAIL), None, id="MAIL"),
        pytest.param(parse(b"XYZZY"), 500, id="unknown"),
        pytest.param(parse(b"BDAT 1"), 503, id="BDAT"),
        pytest.param(parse(b"AUTH LOGIN"), 502, id="AUTH"),
        pytest.param(parse(b"VRFY a"), 252, id="VRFY"),
        pytest.param(parse(b"EXPN a"), 502, id="EXPN"),
        pytest.param(parse(b"HELP"), 214, id="HELP"),
        pytest.param(LineFault.TLS, 500, id="TLS"),
    ],
)
def test_refusal(heard: Heard, answer: int | None) -> None:
    """What must reach no backend is answered; what is sound is not."""
    assert code(refusal(heard)) == answer


def test_settle_moves_the_dialogue() -> None:
    """A reply that was decided on moves the dialogue by its code."""
    ours = server(State.READY)
    states = []
    for reply in (Reply.of(451, "4.3.0 later"), OK):
        ours.settle(parse(MAIL), reply)
        states.append(ours.dialogue.state)
    assert states == [State.READY, State.MAIL]


@pytest.mark.parametrize("line", [b"BDAT 5 LAST", b"BDAT \xff"], ids=["sound", "malformed"])
def test_bdat_closes(line: bytes) -> None:
    """After BDAT raw content follows, which must not be read as commands."""
    ours, heard = server(State.READY), parse(line)
    reply = ours.judge(heard)
    assert reply is not None
    ours.settle(heard, reply)
    assert ours.dialogue.closed
