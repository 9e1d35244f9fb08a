"""The observer: bytes go on as they came, replies match commands one to one, and facts are kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarpit.smtp.commands import parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.limits import USUAL, Limits
from tarpit.smtp.lines import LineFault
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, Reply, ReplyFault
from tarpit.smtp.states import State

MAIL = b"MAIL FROM:<a@x.example>"
RCPT = b"RCPT TO:<b@y.example>"


def observer(state: State = State.READY, *, pipelining: bool = True, starttls: bool = True) -> Observer:
    """Return an observer whose dialogue has come as far as *state*."""
    dialogue = Dialogue()
    dialogue.state = state
    return Observer(dialogue, pipelining=pipelining, starttls=starttls)


def hear(ears: Observer, raw: bytes) -> ReceivedReply:
    """Return the reply that *raw* is."""
    reply = ears.reply_in(raw)
    assert isinstance(reply, ReceivedReply)
    return reply


def exchange(ears: Observer, line: bytes, raw: bytes) -> bytes | ReplyFault:
    """Return what the peer is shown when *line* is answered with *raw*."""
    ears.forward(parse(line))
    return ears.replied(hear(ears, raw))


@pytest.mark.parametrize("line", [b"mail from:<a@x.example>  SIZE=1 ", b"NOOP x", b"EHLO C"])
def test_forward_keeps_every_byte(line: bytes) -> None:
    """What goes on is what came."""
    assert observer().forward(parse(line)) == line + b"\r\n"


MOVES = [
    pytest.param(State.GREETED, b"HELO c", b"250 mx\r\n", State.READY, id="HELO"),
    pytest.param(State.READY, MAIL, b"250 ok\r\n", State.MAIL, id="MAIL"),
    pytest.param(State.READY, MAIL, b"550-no\r\n550 no\r\n", State.READY, id="MAIL refused"),
    pytest.param(State.MAIL, RCPT, b"250 2.1.5 ok\r\n", State.RCPT, id="RCPT"),
    pytest.param(State.MAIL, RCPT, b"450\r\n", State.MAIL, id="RCPT refused, bare code"),
    pytest.param(State.RCPT, b"DATA", b"354 go\r\n", State.DATA, id="DATA"),
    pytest.param(State.RCPT, b"DATA", b"554 no\r\n", State.RCPT, id="DATA refused"),
    pytest.param(State.READY, b"STARTTLS", b"220 go\r\n", State.OPAQUE, id="STARTTLS"),
    pytest.param(State.READY, b"NOOP", b"421 bye\r\n", State.CLOSED, id="421"),
    pytest.param(State.READY, b"QUIT", b"221 bye\r\n", State.CLOSED, id="QUIT"),
]


@pytest.mark.parametrize(("state", "line", "raw", "then"), MOVES)
def test_reply_is_passed_and_moves(state: State, line: bytes, raw: bytes, then: State) -> None:
    """A reply is shown byte for byte, and moves the dialogue."""
    ears = observer(state)
    assert exchange(ears, line, raw) == raw
    assert ears.dialogue.state is then


@pytest.mark.parametrize(
    ("state", "line", "raw"),
    [
        pytest.param(State.READY, MAIL, b"354 go\r\n", id="354 to MAIL"),
        pytest.param(State.READY, b"NOOP", b"334 \r\n", id="334 to NOOP"),
        pytest.param(State.RCPT, b"DATA", b"250 ok\r\n", id="250 to DATA"),
    ],
)
def test_reply_that_does_not_fit(state: State, line: bytes, raw: bytes) -> None:
    """A reply that its command cannot have is a fault, and moves nothing."""
    ears = observer(state)
    assert isinstance(exchange(ears, line, raw), ReplyFault)
    assert ears.dialogue.state is state


def test_reply_to_nothing() -> None:
    """A reply that nobody asked for is a fault; so is a second one to the same command."""
    ears = observer()
    assert isinstance(ears.replied(hear(ears, b"250 ok\r\n")), ReplyFault)
    exchange(ears, b"NOOP", b"250 ok\r\n")
    assert isinstance(ears.replied(hear(ears, b"250 ok\r\n")), ReplyFault)


@pytest.mark.parametrize("more", [b"250 ok\r\n", b"2"], ids=["a reply", "a byte"])
def test_bytes_behind_a_reply(more: bytes) -> None:
    """One command has one reply: what stands behind it is a fault."""
    ears = observer()
    ears.forward(parse(b"NOOP"))
    assert isinstance(ears.reply_in(b"250 ok\r\n" + more), ReplyFault)


def test_reply_in_pieces() -> None:
    """Until a reply is whole there is none."""
    ears = observer()
    assert ears.reply_in(b"250-a\r\n25") is None
    assert hear(ears, b"0 b\r\n").raw == b"250-a\r\n250 b\r\n"


def test_garbage_is_a_fault() -> None:
    """What is no reply is the backend's fault."""
    ears = observer()
    assert isinstance(ears.reply_in(b"hello\r\n"), ReplyFault)


EHLO = b"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 SIZE 10\r\n"


@pytest.mark.parametrize(
    ("pipelining", "starttls", "shown"),
    [
        (True, True, b"250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 10\r\n"),
        (False, True, b"250-mx\r\n250-STARTTLS\r\n250 SIZE 10\r\n"),
        (True, False, b"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n"),
    ],
    ids=["both", "no pipelining", "no TLS"],
)
def test_ehlo_is_filtered(pipelining: bool, starttls: bool, shown: bytes) -> None:
    """Keywords we could not relay are not shown, nor those that are switched off."""
    ears = observer(State.GREETED, pipelining=pipelining, starttls=starttls)
    assert exchange(ears, b"EHLO c", EHLO) == shown
    assert ears.dialogue.helo == "c"


def test_refused_ehlo_is_shown_as_it_is() -> None:
    """A refusal has no keywords to filter."""
    raw = b"550-no\r\n550 CHUNKING\r\n"
    assert exchange(observer(State.GREETED), b"EHLO c", raw) == raw


@pytest.mark.parametrize(
    ("raw", "then", "messages"),
    [(b"250 ok\r\n", State.READY, 1), (b"554 no\r\n", State.READY, 0), (b"421 no\r\n", State.CLOSED, 0)],
    ids=["taken", "refused", "closing"],
)
def test_reply_to_content(raw: bytes, then: State, messages: int) -> None:
    """The reply to the end of data is shown as it is and ends the transaction."""
    ears = observer(State.DATA)
    assert ears.replied_to_content(hear(ears, raw)) == raw
    assert (ears.dialogue.state, ears.dialogue.messages) == (then, messages)


def test_354_to_content() -> None:
    """354 after the end of data is a fault: who knows what the backend still awaits."""
    ears = observer(State.DATA)
    assert isinstance(ears.replied_to_content(hear(ears, b"354 go\r\n")), ReplyFault)
    assert ears.dialogue.messages == 0


def test_refused_long_line_goes_on() -> None:
    """What we refused ourselves moves the dialogue only when it is fatal."""
    ears = observer(State.MAIL)
    ears.refused(LineFault.TOO_LONG, Reply.of(500, "5.5.2 no"))
    assert ears.dialogue.state is State.MAIL
    ears.refused(LineFault.BARE_LF, Reply.of(500, "5.5.2 no"))
    assert ears.dialogue.closed


def test_bdat_is_refused_and_closes() -> None:
    """BDAT reaches no backend, and its content is not read as commands."""
    ears, heard = observer(), parse(b"BDAT 5 LAST")
    reply = ears.refusal(heard)
    assert reply is not None
    ears.refused(heard, reply)
    assert ears.dialogue.closed


def test_data_for_nobody_stays_here() -> None:
    """PIP-04: where all recipients were refused, the backend is not asked for content."""
    reply = observer(State.MAIL).refusal(parse(b"DATA"))
    assert reply is not None
    assert reply.code == 554
    assert observer(State.RCPT).refusal(parse(b"DATA")) is None


@pytest.mark.parametrize("line", [MAIL, RCPT, b"DATA", b"STARTTLS", b"QUIT", b"EHLO c"])
def test_sound_commands_may_go_on(line: bytes) -> None:
    """Out of order or not, a sound command is the backend's to answer."""
    assert observer().refusal(parse(line)) is None


def test_one_command_at_a_time() -> None:
    """A second command before the first one's reply is a bug of ours."""
    ears = observer()
    ears.forward(parse(b"NOOP"))
    with pytest.raises(AssertionError):
        ears.forward(parse(b"NOOP"))


def test_starttls_of_ours() -> None:
    """Where TLS ends with us the keyword is ours, whatever the backend shows, until we are inside."""
    ears = Observer(Dialogue(), starttls=False, terminates=True)
    assert exchange(ears, b"EHLO c", b"250 mx\r\n") == b"250-mx\r\n250 STARTTLS\r\n"
    both = b"250-mx\r\n250-PIPELINING\r\n250-SIZE 10\r\n250 STARTTLS\r\n"
    assert exchange(ears, b"EHLO c", EHLO) == both
    assert ears.refusal(parse(b"STARTTLS")) is None
    ears.dialogue.restart()
    assert exchange(ears, b"EHLO c", EHLO) == b"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n"
    refused = ears.refusal(parse(b"STARTTLS"))
    assert refused is not None
    assert refused.code == 503


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (MAIL, 503),
        (RCPT, 503),
        (b"DATA", 503),
        (b"NONSENSE", 500),
        (b"EHLO c", 0),
        (b"RSET", 0),
        (b"QUIT", 0),
    ],
)
def test_tls_03_before_the_new_hello(line: bytes, code: int) -> None:
    """TLS-03: inside TLS nothing goes on to the backend before a new EHLO that only EHLO allows."""
    ears = Observer(Dialogue(), terminates=True)
    ears.dialogue.restart()
    refused = ears.refusal(parse(line))
    assert (refused.code if refused else 0) == code


@pytest.mark.parametrize(
    ("first", "again", "reply", "shown"),
    [
        pytest.param(b"EHLO c", b"ehlo c", b"503 5.5.1 Already\r\n", 250, id="the same"),
        pytest.param(b"HELO c", b"HELO c", b"503 5.5.1 Already\r\n", 250, id="HELO"),
        pytest.param(b"EHLO c", b"EHLO d", b"503 5.5.1 Already\r\n", 503, id="another name"),
        pytest.param(b"EHLO c", b"HELO c", b"503 5.5.1 Already\r\n", 503, id="another verb"),
        pytest.param(b"EHLO c", b"EHLO c", b"550 5.7.1 No\r\n", 550, id="refused for another reason"),
    ],
)
def test_a_backend_that_takes_one_ehlo(first: bytes, again: bytes, reply: bytes, shown: int) -> None:
    """OpenSMTPD has not heard of our TLS, and takes no second one: it is answered as before."""
    ears = Observer(Dialogue(), starttls=False, terminates=True)
    exchange(ears, first, EHLO if first.startswith(b"EHLO") else b"250 mx\r\n")
    ears.dialogue.restart()
    heard = exchange(ears, again, reply)
    assert isinstance(heard, bytes)
    assert int(heard[:3]) == shown
    assert b"STARTTLS" not in heard
    assert (ears.dialogue.hello is not None) is (shown == 250)
    assert isinstance(exchange(ears, again, reply), bytes)  # a third one is the backend's affair


SAID = st.sampled_from(
    [
        b"EHLO a", b"HELO a", b"MAIL FROM:<a@b>", "MAIL FROM:<ü@b>".encode(),
        "MAIL FROM:<ü@b> SMTPUTF8".encode(),
        b"RCPT TO:<a@b>", "RCPT TO:<ü@b>".encode(), b"DATA", b"RSET", b"QUIT", b"NOOP", b"VRFY", b"AUTH",
        b"BDAT 1", b"STARTTLS", b"", b" DATA", b"MAIL FROM:<", b"RCPT TO:<a@b> SIZE=1", b"DATA x",
    ]
)  # fmt: skip
CODES = st.sampled_from([250, 250, 250, 354, 450, 500, 503, 550])


@given(st.lists(st.tuples(SAID, CODES), max_size=12), st.integers(90, 110), st.booleans(), st.booleans())
@settings(max_examples=500, deadline=None)
def test_what_goes_on_without_a_look_would_go_on(
    said: list[tuple[bytes, int]], recipients: int, secure: bool, starttls: bool
) -> None:
    """Nothing is passed on the short way that would be refused if all were looked at."""
    limits = Limits(errors=2, junk=2, refused=2, recipients=100)
    dialogue = Dialogue(lambda: limits)
    watching = Observer(dialogue, starttls=starttls, terminates=not starttls)
    if secure:
        dialogue.restart()
    for line, code in said:
        heard = parse(line)
        assert watching.refusal(heard) == watching._objection(heard)
        whole = dialogue.tally.judge(
            heard, USUAL if dialogue.standing else limits, standing=dialogue.standing
        )
        assert dialogue.excess(heard) == whole
        dialogue.settle(heard, code)
        if dialogue.standing:
            dialogue.standing = recipients


def test_a_reply_in_one_go() -> None:
    """What the backend sends is read as it comes, whole or not, and what comes behind it is looked at."""
    watching = observer()
    assert watching.reply_in(b"250-a\r\n25") is None
    reply = watching.reply_in(b"0 b\r\n")
    assert reply == ReceivedReply(250, (b"a", b"b"), b"250-a\r\n250 b\r\n")
    assert watching.reply_in(b"250-a\r\n250 b\r\n") == reply
    assert watching.reply_in(b"250 a\r\n421 b\r\n") == ReceivedReply(250, (b"a",), b"250 a\r\n")
    assert watching.parting == ReceivedReply(421, (b"b",), b"421 b\r\n")
    assert isinstance(watching.reply_in(b"250 a\r\n250 b\r\n"), ReplyFault)
