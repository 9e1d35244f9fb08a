"""Replies: ours are well formed by construction, a backend's are read strictly."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.smtp.replies import KNOWN, ReceivedReply, Reply, ReplyFault, ReplyReader
from tests.support.counted import Counted


def read(pieces: Iterable[bytes]) -> list[ReceivedReply | ReplyFault]:
    """Return what a reader makes of *pieces*, up to and with the first fault."""
    reader, found = ReplyReader(), list[ReceivedReply | ReplyFault]()
    for piece in pieces:
        reader.receive(piece)
        while (reply := reader.next_reply()) is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                return found
    return found


def singly(data: bytes) -> list[bytes]:
    """Return *data* as pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]


def test_encode_one_line() -> None:
    """Code, space, text, CRLF."""
    assert Reply.of(250, "2.1.0 Ok").encode() == b"250 2.1.0 Ok\r\n"


def test_encode_several_lines() -> None:
    """All lines but the last have a hyphen."""
    assert Reply(250, (b"a", b"", b"c")).encode() == b"250-a\r\n250-\r\n250 c\r\n"


def test_encode_no_text() -> None:
    """The space stands even when nothing follows (RFC 5321 section 4.2)."""
    assert Reply.of(250).encode() == b"250 \r\n"


def test_text_of_a_stranger_cannot_end_the_line() -> None:
    """Line ends, controls and 8-bit characters in our replies become question marks."""
    assert Reply.of(550, "a\r\n250 b\0\x1b[31m\té").encode() == b"550 a??250 b??[31m??\r\n"


def test_our_lines_are_at_most_512_octets() -> None:
    """RFC 5321 section 4.5.3.1.5."""
    assert len(Reply.of(550, "x" * 1000).encode()) == 512


@pytest.mark.parametrize(
    ("code", "lines"),
    [(199, (b"",)), (600, (b"",)), (0, (b"",)), (250, ()), (250, (b"a\r\n250 b",)), (250, (b"a", b"\0"))],
)
def test_what_is_no_reply_cannot_be_made(code: int, lines: tuple[bytes, ...]) -> None:
    """A reply that would be two on the wire is a bug of ours."""
    with pytest.raises(ValueError, match="not a reply"):
        Reply(code, lines)


@pytest.mark.parametrize(
    ("code", "positive", "intermediate", "refused"),
    [
        (200, True, False, False),
        (299, True, False, False),
        (300, False, True, False),
        (354, False, True, False),
        (399, False, True, False),
        (400, False, False, True),
        (599, False, False, True),
    ],
)
def test_kinds(code: int, positive: bool, intermediate: bool, refused: bool) -> None:
    """Every reply is of one kind."""
    reply = Reply.of(code)
    assert (reply.positive, reply.intermediate, reply.refused) == (positive, intermediate, refused)


@pytest.mark.parametrize(
    ("code", "text", "enhanced"),
    [
        (450, "4.7.1 Come again", "4.7.1"),
        (250, "2.1.0", "2.1.0"),
        (550, "5.7.999 x", "5.7.999"),
        (550, "4.7.1 x", None),
        (354, "3.0.0 x", None),
        (550, "5.7.1: x", None),
        (550, "5.7.1000 x", None),
        (250, "Ok", None),
        (250, "", None),
    ],
)
def test_enhanced(code: int, text: str, enhanced: str | None) -> None:
    """The enhanced code is read when it is one, and agrees with the code."""
    assert Reply.of(code, text).enhanced == enhanced


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"250 Ok\r\n", (b"Ok",)),
        (b"250 \r\n", (b"",)),
        (b"250\r\n", (b"",)),
        (b"250-a\r\n250-\r\n250 c\r\n", (b"a", b"", b"c")),
        (b"250-a\r\n250\r\n", (b"a", b"")),
        (b"250 a\tb \xc3\xa9\xff\r\n", (b"a\tb \xc3\xa9\xff",)),
        (b"250 " + b"x" * 4090 + b"\r\n", (b"x" * 4090,)),
    ],
)
def test_received(raw: bytes, lines: tuple[bytes, ...]) -> None:
    """A whole reply is given with its lines and every byte of it; encoding it gives those bytes."""
    reply = ReceivedReply(250, lines, raw)
    assert read([raw]) == read(singly(raw)) == [reply]
    assert reply.encode() == raw
    assert reply.positive


def test_incomplete_reply() -> None:
    """Until its last line is whole, a reply is awaited."""
    reader = ReplyReader()
    for piece in (b"250-a\r\n", b"250 b", b"\r"):
        reader.receive(piece)
        assert reader.next_reply() is None
        assert not reader.empty
    reader.receive(b"\n")
    assert reader.next_reply() == ReceivedReply(250, (b"a", b"b"), b"250-a\r\n250 b\r\n")
    assert reader.empty


def test_bytes_after_the_reply() -> None:
    """BE-16: a second reply waits, and the reader says that it is not empty."""
    reader = ReplyReader()
    reader.receive(b"250 a\r\n550 b\r\n")
    assert reader.next_reply() == ReceivedReply(250, (b"a",), b"250 a\r\n")
    assert not reader.empty
    assert reader.next_reply() == ReceivedReply(550, (b"b",), b"550 b\r\n")
    assert reader.empty


NO_REPLY = "not a reply line"
CONTROL = "control character in a reply"
BARE = "reply line ends in a bare LF"
CHANGES = "reply code changes between lines"
LONG = "reply too long"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(b"2500 ok\r\n", NO_REPLY, id="BE-11 four digits"),
        pytest.param(b"25\r\n", NO_REPLY, id="BE-11 two digits"),
        pytest.param(b"000 ok\r\n", NO_REPLY, id="BE-11 zeros"),
        pytest.param(b"199 ok\r\n", NO_REPLY, id="1xx"),
        pytest.param(b"600 ok\r\n", NO_REPLY, id="6xx"),
        pytest.param(b"-250 ok\r\n", NO_REPLY, id="BE-11 negative"),
        pytest.param(b"ok\r\n", NO_REPLY, id="BE-11 letters"),
        pytest.param(b" 250 ok\r\n", NO_REPLY, id="space before"),
        pytest.param(b"250_ok\r\n", NO_REPLY, id="another separator"),
        pytest.param(b"\r\n", NO_REPLY, id="empty line"),
        pytest.param("٢٥٠ ok\r\n".encode(), NO_REPLY, id="Arabic digits"),
        pytest.param(b"250 ok\n", BARE, id="bare LF"),
        pytest.param(b"\n", BARE, id="LF only"),
        pytest.param(b"250 a\rb\r\n", CONTROL, id="BE-14 bare CR"),
        pytest.param(b"250 a\r\r\n", CONTROL, id="CR CR LF"),
        pytest.param(b"250 a\0\r\n", CONTROL, id="BE-14 NUL"),
        pytest.param(b"250 \x1b[31m\r\n", CONTROL, id="BE-14 ESC"),
        pytest.param(b"250\tok\r\n", NO_REPLY, id="tab as the separator"),
        pytest.param(b"250-a\r\n550 b\r\n", CHANGES, id="BE-12 differing codes"),
        pytest.param(b"250-a\r\nok\r\n", NO_REPLY, id="second line is none"),
        pytest.param(b"250 " + b"x" * 4091 + b"\r\n", LONG, id="BE-13 line of 4097"),
        pytest.param(b"x" * 10_000, LONG, id="BE-13 no line end"),
        pytest.param(b"250-a\r\n" * 10_000, LONG, id="BE-13 continuation lines"),
    ],
)
def test_fault(raw: bytes, why: str) -> None:
    """What is no reply is a fault, whether it comes at once or byte by byte."""
    assert read([raw]) == read(singly(raw)) == [ReplyFault(why)]


def test_reply_of_64_kib() -> None:
    """A reply may be as long as the limit, and not a byte longer."""
    start = (b"250-" + b"x" * 1018 + b"\r\n") * 63
    whole = start + b"250 " + b"x" * 1018 + b"\r\n"
    assert read([whole]) == [ReceivedReply(250, (b"x" * 1018,) * 64, whole)]
    assert len(whole) == 65536
    assert read([start + b"250 " + b"x" * 1019 + b"\r\n"]) == [ReplyFault(LONG)]


def test_no_byte_is_searched_twice() -> None:
    """A reply of 64 KiB that comes byte by byte is as much work as one that comes at once."""
    whole = (b"250-" + b"x" * 1018 + b"\r\n") * 63 + b"250 " + b"x" * 1018 + b"\r\n"
    reader = ReplyReader()
    assert reader.next_of(whole[:1024]) is None
    reader.held = held = Counted(reader.held)
    found = [reader.next_of(piece) for piece in singly(whole[1024:])]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] == ReceivedReply(250, (b"x" * 1018,) * 64, whole)
    assert bytes(held) == whole  # it has grown where it was
    assert held.searched <= len(whole)


def test_pieces_are_not_read_as_replies() -> None:
    """Of one that comes byte by byte only the first piece is: all would push out those that are known."""
    reader = ReplyReader()
    known = reader.next_of(b"250 2.1.0 Known\r\n")
    whole = b"250 " + b"x" * KNOWN + b"\r\n"
    assert read(singly(whole)) == [ReceivedReply(250, (b"x" * KNOWN,), whole)]
    assert reader.next_of(b"250 2.1.0 Known\r\n") is known


def test_fault_stays() -> None:
    """After a fault nothing is taken in, and nothing but the fault comes out."""
    reader = ReplyReader()
    reader.receive(b"ok\r\n")
    assert reader.next_reply() == ReplyFault(NO_REPLY)
    reader.receive(b"250 ok\r\n")
    assert reader.next_reply() == ReplyFault(NO_REPLY)
    assert reader.empty


PART = st.sampled_from(
    [
        b"250",
        b"354",
        b"550",
        b" ",
        b"-",
        b"\r\n",
        b"\n",
        b"\r",
        b"ok",
        b"\0",
        b"\xff",
        b"250-a\r\n",
        b"250 b\r\n",
    ]
)
STREAM = st.lists(PART | st.binary(max_size=8), max_size=30).map(b"".join)
TEXT = st.binary(max_size=60).map(lambda b: bytes(c for c in b if c == 9 or (c >= 32 and c != 127)))


@given(STREAM)
def test_byte_by_byte_is_at_once(data: bytes) -> None:
    """Replies and fault do not depend on how the bytes are cut; garbage never raises."""
    assert read(singly(data)) == read([data])


@given(STREAM)
def test_nothing_is_lost(data: bytes) -> None:
    """The replies, written again, are the bytes that came."""
    found = read([data])
    raw = b"".join(reply.raw for reply in found if isinstance(reply, ReceivedReply))
    assert data.startswith(raw)


@given(st.integers(200, 599), st.lists(TEXT, min_size=1, max_size=8).map(tuple))
def test_what_is_written_is_read(code: int, lines: tuple[bytes, ...]) -> None:
    """Every reply that can be made is read back as the same code and lines."""
    raw = Reply(code, lines).encode()
    assert read([raw]) == [ReceivedReply(code, lines, raw)]


@given(st.integers(200, 599), st.lists(st.text(), max_size=5))
def test_our_replies_are_one_reply(code: int, text: list[str]) -> None:
    """Whatever a reply of ours quotes, it is one reply."""
    (reply,) = read([Reply.of(code, *text).encode()])
    assert isinstance(reply, ReceivedReply)
    assert len(reply.lines) == max(len(text), 1)
