"""Laws of everything that reads a stream: cuts make no difference, and garbage never raises."""

from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from tarpit.smtp.commands import parse
from tarpit.smtp.content import END
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.guard import Guard
from tarpit.smtp.lines import LIMIT, LineFault, Lines
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, ReplyFault, ReplyReader
from tarpit.smtp.server import Server
from tarpit.smtp.states import State


def mixed(*words: bytes) -> st.SearchStrategy[bytes]:
    """Return streams made of *words* that matter, and of any bytes."""
    return st.lists(st.sampled_from(words) | st.binary(max_size=4), max_size=20).map(b"".join)


COMMANDS = mixed(
    b"\r\n", b"\r", b"\n", b"\x16\x03", b"a" * (LIMIT - 2), b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"DATA\r\n",
    b"RCPT TO:<a@b>\r\n", b"BDAT 1\r\n", b"STARTTLS\r\n", b"RSET\r\n", b"QUIT\r\n", b"\0",
)  # fmt: skip
CONTENT = mixed(b"\r", b"\n", b".", b"\r\n", b"\r\n.", b".\r\n", END)
REPLIES = mixed(
    b"250", b"354", b"421", b"-", b" ", b"\r", b"\n", b"250 ok\r\n", b"250-a\r\n", b"\0", b"a" * 4090
)


def singly(data: bytes) -> list[bytes]:
    """Return *data* as pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """Return a stream in pieces."""
    data = draw(streams)
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[i:j] for i, j in zip([0, *at], [*at, len(data)], strict=True)]


def lines_in(pieces: Iterable[bytes]) -> list[bytes | LineFault]:
    """Return all lines and faults."""
    lines, found = Lines(), list[bytes | LineFault]()
    for piece in pieces:
        lines.receive(piece)
        while (line := lines.next_line()) is not None:
            found.append(line)
    return found


def heard_in(pieces: Iterable[bytes]) -> list[bytes | LineFault]:
    """Return all lines and faults, each piece taken and looked at in one go."""
    lines, found = Lines(), list[bytes | LineFault]()
    for piece in pieces:
        line = lines.next_of(piece)
        while line is not None:
            found.append(line)
            line = lines.next_line()
    return found


def answers_in(pieces: Iterable[bytes]) -> list[ReceivedReply | ReplyFault]:
    """Return all replies, up to and with the first fault, each piece taken and looked at in one go."""
    reader, found = ReplyReader(), list[ReceivedReply | ReplyFault]()
    for piece in pieces:
        reply = reader.next_of(piece)
        while reply is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                return found
            reply = reader.next_reply()
    return found


def replies_in(pieces: Iterable[bytes]) -> list[ReceivedReply | ReplyFault]:
    """Return all replies, up to and with the first fault."""
    reader, found = ReplyReader(), list[ReceivedReply | ReplyFault]()
    for piece in pieces:
        reader.receive(piece)
        while (reply := reader.next_reply()) is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                return found
    return found


def content_in(pieces: Iterable[bytes]) -> int:
    """Return the length of the message, or -1."""
    guard, length = Guard(), 0
    for piece in pieces:
        if not guard.ended:
            guard.receive(piece)
            length += len(piece) - len(guard.rest)
    return length if guard.ended else -1


def commands_of(dialogue: Dialogue, data: bytes) -> Iterator[bytes | LineFault]:
    """Give the lines of *data* while *dialogue* is open."""
    dialogue.lines.receive(data)
    while not dialogue.closed and (line := dialogue.lines.next_line()) is not None:
        yield line


@given(cut(COMMANDS))
def test_lines_do_not_depend_on_cuts(pieces: list[bytes]) -> None:
    """Lines and faults are the same byte by byte, in any pieces, and at once."""
    data = b"".join(pieces)
    assert lines_in(singly(data)) == lines_in(pieces) == lines_in([data])
    assert heard_in(singly(data)) == heard_in(pieces) == heard_in([data]) == lines_in([data])


@given(cut(CONTENT))
def test_end_of_data_does_not_depend_on_cuts(pieces: list[bytes]) -> None:
    """The end is at the first CRLF.CRLF, the DATA line's own CRLF included, however it is cut."""
    data = b"".join(pieces)
    at = (b"\r\n" + data).find(END)
    expected = at + len(END) - 2 if at >= 0 else -1
    assert content_in(singly(data)) == content_in(pieces) == content_in([data]) == expected


@given(cut(REPLIES))
def test_replies_do_not_depend_on_cuts(pieces: list[bytes]) -> None:
    """Replies and the fault are the same byte by byte, in any pieces, and at once."""
    data = b"".join(pieces)
    assert replies_in(singly(data)) == replies_in(pieces) == replies_in([data])
    assert answers_in(singly(data)) == answers_in(pieces) == answers_in([data]) == replies_in([data])


@given(REPLIES)
def test_a_whole_reply_is_what_its_lines_are(data: bytes) -> None:
    """What is read as a whole is what is read line by line, as it is where more has begun to come."""
    data += b"\r\n"
    assert replies_in([data]) == replies_in([data + b"2"])


@given(COMMANDS)
def test_no_line_is_invented(data: bytes) -> None:
    """What comes out as lines stood in the stream as lines, and no line has an LF."""
    for line in lines_in([data]):
        assert isinstance(line, LineFault) or (line + b"\r\n" in data and b"\n" not in line)


@given(st.binary(max_size=3000))
def test_parse_never_raises(line: bytes) -> None:
    """Any bytes are a command, with the line as it was received."""
    assert parse(line).line == line


@given(COMMANDS, st.sampled_from([State.GREETED, State.READY, State.MAIL]))
def test_server_answers_whatever_comes(data: bytes, state: State) -> None:
    """Garbage gets a reply, never an exception; our half alone never asks for content."""
    dialogue = Dialogue()
    dialogue.state = state
    server = Server(hostname="mx.example", keywords=(b"SIZE", b"STARTTLS"))
    for line in commands_of(dialogue, data):
        heard = parse(line) if isinstance(line, bytes) else line
        reply = server.judge(dialogue, heard)
        if reply is not None:
            assert reply.code // 100 != 3
            server.settle(dialogue, heard, reply)
    assert dialogue.state not in {State.DATA, State.RCPT, State.OPAQUE}


@given(
    COMMANDS,
    st.sampled_from([b"250 ok\r\n", b"354 go\r\n", b"550 no\r\n", b"421 bye\r\n", b"250-a\r\n250 b\r\n"]),
)
def test_observer_never_raises(data: bytes, raw: bytes) -> None:
    """Whatever the peer says and the backend answers: a reply is shown, or it is a fault."""
    dialogue = Dialogue()
    observer = Observer(dialogue)
    for line in commands_of(dialogue, data):
        heard = parse(line) if isinstance(line, bytes) else line
        refusal = observer.refusal(heard)
        if refusal is not None:
            observer.refused(heard, refusal)
            continue
        assert not isinstance(heard, LineFault)
        assert isinstance(line, bytes)
        assert observer.forward(heard) == line + b"\r\n"
        reply = observer.reply_in(raw)
        assert isinstance(reply, ReceivedReply)
        assert isinstance(observer.replied(reply), bytes | ReplyFault)
