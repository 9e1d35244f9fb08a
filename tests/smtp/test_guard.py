"""The guard: content unchanged while it is sound, mended or refused from the first bare newline on."""

import pytest

from tarpit.smtp.content import END, ContentFault
from tarpit.smtp.guard import Guard
from tests.support.framing import (
    GRID,
    HEADERS,
    assert_sound,
    assert_unmistakable,
    cleanly,
    has_bare,
    passed,
    singly,
    text_of,
)

F = ContentFault

# -- where a message ends

MESSAGES = [
    pytest.param(b".\r\n", 3, id="EOD-01 empty message"),
    pytest.param(b"a\r\n.\r\n", 6, id="EOD-01 one line"),
    pytest.param(b"a\r\n.\r\nQUIT\r\n", 6, id="a command behind it"),
    pytest.param(b"a\r\n.\r\n\r\n.\r\n", 6, id="the first end counts"),
    pytest.param(b"\r\n.\r\n", 5, id="one empty line"),
    pytest.param(b"a\r\n\r\n.\r\n", 8, id="empty line before"),
    pytest.param(b"..\r\n.\r\n", 7, id="EOD-19 a stuffed dot at the start"),
    pytest.param(b"", -1, id="nothing"),
    pytest.param(b".", -1, id="dot alone"),
    pytest.param(b".\r", -1, id="dot CR"),
    pytest.param(b".\n", -1, id="smuggled: dot LF at the start"),
    pytest.param(b"a\n.\n", -1, id="EOD-02 LF.LF"),
    pytest.param(b"a\n.\r\n", -1, id="EOD-03 LF.CRLF"),
    pytest.param(b"a\r\n.\n", -1, id="EOD-04 CRLF.LF"),
    pytest.param(b"a\r\n.\r", -1, id="EOD-06 CRLF.CR"),
    pytest.param(b"a\r.\r\n", -1, id="EOD-06 CR.CRLF"),
    pytest.param(b"a\r.\r", -1, id="EOD-05 CR.CR"),
    pytest.param(b"a\r.\r\r\n", -1, id="CR.CRCRLF"),
    pytest.param(b"a\r\n.\0\r\n", -1, id="EOD-11 NUL after the dot"),
    pytest.param(b"a\r\n..\r\n", -1, id="EOD-19 stuffed dot"),
    pytest.param(b"a\r\n. \r\n", -1, id="EOD-14 dot and space"),
    pytest.param(b"a.\r\n", -1, id="EOD-20 dot ends a line"),
]


def length(pieces: list[bytes]) -> int:
    """Return how many bytes of *pieces* are the message, or -1."""
    guard = Guard()
    passed(pieces, guard)
    return sum(map(len, pieces)) - len(guard.rest) if guard.ended else -1


@pytest.mark.parametrize(("content", "size"), MESSAGES)
def test_where_it_ends(content: bytes, size: int) -> None:
    """EOD-18: the message is this long, whole, byte by byte, and cut in two anywhere."""
    cuts = [[content[:i], b"", content[i:]] for i in range(len(content))]
    assert {length(pieces) for pieces in ([content], singly(content), *cuts)} == {size}


@pytest.mark.parametrize("before", range(8))
def test_the_end_over_two_large_blocks(before: int) -> None:
    """The end is found at the seam of two blocks larger than itself."""
    content = b"x" * 100 + END + b"y" * 100
    cut = 100 - 2 + before
    assert length([content[:cut], content[cut:]]) == 100 + len(END)


# -- unchanged

SOUND = [
    pytest.param(b".\r\n", id="EOD-01"),
    pytest.param(b"\r\n.\r\n", id="an empty line"),
    pytest.param(b"a\r\n\0.\r\nb\r\n.\r\n", id="EOD-10 NUL before the dot"),
    pytest.param(b"a\r\n. \r\nb\r\n.\t\r\nc\r\n.\x0b\r\nd\r\n.\r\n", id="EOD-14"),
    pytest.param(b"\x0b.\x0b \x0c.\x0c \xc2\x85.\xc2\x85 \xe2\x80\xa8.\xe2\x80\xa8\r\n.\r\n", id="EOD-15"),
    pytest.param(b"a\r\n..\r\n...\r\n.x\r\n..y\r\n.\r\n", id="EOD-19 dots, stuffed or not"),
    pytest.param(b"abc.\r\ndef.\r\n\r\n.\r\n", id="EOD-20"),
    pytest.param(bytes(set(range(256)) - {13, 10}) + b"\r\n\x7f\0.\0\r\n.\r\n", id="EOD-23 all octets"),
    pytest.param(b"From x\r\n>From y\r\n.\r\n", id="EOD-24"),
    pytest.param(b"..\0\r\n..\r\n.\r\n", id="a stuffed dot and a NUL"),
    pytest.param(b"x" * 1_000_000 + b"\r\n.\r\n", id="a line without end"),
]


@pytest.mark.parametrize("wire", SOUND)
@pytest.mark.parametrize("refuse_bare", [False, True])
def test_sound_content_is_unchanged(wire: bytes, refuse_bare: bool) -> None:
    """What goes on are the bytes that came."""
    cuts = ([wire[:i], wire[i:]] for i in range(min(len(wire), 300)))
    for pieces in ([wire], singly(wire[-3000:]) if len(wire) > 3000 else singly(wire), *cuts):
        sent, guard = cleanly([*pieces, b"QUIT\r\n"], refuse_bare=refuse_bare)
        assert sent == b"".join(pieces)
        assert (guard.ended, guard.rest, guard.fault) == (True, b"QUIT\r\n", None)


@pytest.mark.parametrize(
    ("block", "held"),
    [
        (b"a", b""),
        (b"a\r", b"\r"),
        (b"a\r\n", b""),
        (b"a\r\n.", b"."),
        (b"a\r\n.\r", b".\r"),
        (b"a\r\n..", b""),
        (b"a.", b""),
        (b".", b"."),
        (b".\r", b".\r"),
        (b"\r", b"\r"),
    ],
)
def test_what_is_held_back(block: bytes, held: bytes) -> None:
    """A CR waits for what follows it, a dot at the start of a line too; all else goes on at once."""
    for pieces in ([block], singly(block)):
        assert cleanly(pieces)[0] + held == block


def test_the_end_goes_on_in_one_piece() -> None:
    """However the end is cut, its dot and what follows go on together, once they are certain."""
    guard = Guard()
    assert [guard.receive(piece) for piece in singly(b"a\r\n.\r\n")] == [
        b"a",
        b"",
        b"\r\n",
        b"",
        b"",
        b".\r\n",
    ]


# -- mended, or refused

# what stands in a message for its end, and is not (EOD-07 apart); all have a bare newline
BARE = [
    pytest.param(b"\n.\n", id="EOD-02"),
    pytest.param(b"\n.\r\n", id="EOD-03"),
    pytest.param(b"\r\n.\n", id="EOD-04"),
    pytest.param(b"\r.\r", id="EOD-05"),
    pytest.param(b"\r.\n", id="EOD-06 CR.LF"),
    pytest.param(b"\n.\r", id="EOD-06 LF.CR"),
    pytest.param(b"\r\n.\r", id="EOD-06 CRLF.CR"),
    pytest.param(b"\r.\r\n", id="EOD-06 CR.CRLF"),
    pytest.param(b"\r\n.\r\r\n", id="EOD-08"),
    pytest.param(b"\r\r\n.\r\r\n", id="EOD-09"),
    pytest.param(b"\r\0\n.\r\n", id="EOD-12"),
    pytest.param(b"\n\r.\r\n", id="EOD-13 LFCR.CRLF"),
    pytest.param(b"\n\n.\n", id="EOD-13 LFLF.LF"),
]
SMUGGLED = b"MAIL FROM:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\nSubject: two\r\n\r\ntwo"


@pytest.mark.parametrize("header", HEADERS, ids=["", "EOD-17"])
@pytest.mark.parametrize("spelling", BARE)
def test_no_smuggling(spelling: bytes, header: bytes) -> None:
    """EOD-18, EOD-21: what follows is content, cut anywhere; the message has one end, or is refused."""
    wire = header + b"\r\none" + spelling + SMUGGLED + END
    for pieces in ([wire], singly(wire), *([wire[:i], wire[i:]] for i in range(len(wire)))):
        sent, guard = cleanly(pieces)
        assert (guard.ended, guard.rest, guard.fault) == (True, b"", None)
        assert_unmistakable(sent)
        assert text_of(sent) == text_of(wire)
        assert SMUGGLED in sent
        refused, guard = cleanly(pieces, refuse_bare=True)
        assert (guard.ended, guard.rest, guard.fault) == (True, b"", F.BARE_NEWLINE)
        assert_sound(refused)
        assert SMUGGLED not in refused


def test_a_stray_cr_before_the_end() -> None:
    """EOD-07: CR CRLF.CRLF is the end, for it contains it; the CR before it is bare."""
    wire = b"a\r\r\n.\r\nQUIT\r\n"
    for pieces in ([wire], singly(wire)):
        sent, guard = cleanly(pieces)
        assert (sent, guard.rest) == (b"a \r\n.\r\n", b"QUIT\r\n")
        assert cleanly(pieces, refuse_bare=True)[1].fault is F.BARE_NEWLINE


@pytest.mark.parametrize("wire", [b".\0b", b"a\r\n.\0\r\nb", b"a\n.\0b", b"a\n\r\n.\0b", b"a\r\n.\0\nb"])
def test_a_dot_and_a_nul(wire: bytes) -> None:
    """EOD-11: OpenSMTPD would end there, so nothing goes on from there; the end is found all the same."""
    for pieces in ([wire + END + b"RSET"], singly(wire + END + b"RSET")):
        sent, guard = cleanly(pieces)
        assert (guard.ended, guard.rest, guard.fault) == (True, b"RSET", F.DOT_NUL)
        assert_sound(sent)
        assert b"b" not in sent


@pytest.mark.parametrize("first", HEADERS, ids=["EOD-16", "EOD-17"])
@pytest.mark.parametrize(("start", "end"), GRID)
def test_grid(start: bytes, end: bytes, first: bytes) -> None:
    """Of 107 spellings none ends a message, whole, byte by byte (EOD-18), but the one with the end in it."""
    wire = first + b"\r\nline" + start + b"." + end + b"smuggled"
    is_end = END in wire
    for pieces in ([wire, END], [*singly(wire + END)]):
        sent, guard = cleanly(pieces)
        assert guard.ended
        assert guard.fault is (F.DOT_NUL if b"\n.\0" in wire else None)
        if guard.fault is None:
            assert_unmistakable(sent)
            assert text_of(sent) == text_of(wire + END)
            assert guard.rest == (b"smuggled" + END if is_end else b"")
            assert sent == wire + END or has_bare(wire)
        refused = cleanly(pieces, refuse_bare=True)[1]
        assert refused.ended
        assert (refused.fault is None) == (guard.fault is None and not has_bare(wire))
    assert cleanly([wire])[1].ended == is_end


MENDED = [
    pytest.param(
        b"a\r\n.x\r\nb\nc\r\n.y\r\n.\r\n", b"a\r\n.x\r\nb\r\nc\r\ny\r\n.\r\n", id="as it was, before it"
    ),
    pytest.param(b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n.\r\n", id="a dot that was certain only then"),
    pytest.param(b".\na\r\n.\r\n", b"\r\na\r\n.\r\n", id="a dot at the very start"),
    pytest.param(b"a\n.b\r\n.\r\n", b"a\r\n..b\r\n.\r\n", id="a dot behind a bare LF is the text's own"),
    pytest.param(b"\n.\r\n", b"\r\n..\r\n", id="no end yet: a dot behind a bare LF"),
    pytest.param(b"a\r\n\rb\r\n.\r\n", b"a\r\n b\r\n.\r\n", id="a CR at the start of a line"),
]


@pytest.mark.parametrize(("wire", "sent"), MENDED)
def test_mending(wire: bytes, sent: bytes) -> None:
    """From the first bare newline on, and not before, content is written anew, however it is cut."""
    for pieces in ([wire], singly(wire), *([wire[:i], wire[i:]] for i in range(len(wire)))):
        found, guard = cleanly(pieces)
        assert (found if guard.ended else found + b"\r\n") == sent
