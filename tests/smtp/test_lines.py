"""Lines: only CRLF ends one, and what is no line is a fault that says why."""

from collections.abc import Iterable

import pytest

from tarpit.smtp.lines import FLOOD, LIMIT, LineFault, Lines
from tests.support.counted import Counted

F = LineFault


def read(pieces: Iterable[bytes]) -> list[bytes | LineFault]:
    """Return all that comes out when *pieces* go in."""
    lines, found = Lines(), list[bytes | LineFault]()
    for piece in pieces:
        lines.receive(piece)
        while (line := lines.next_line()) is not None:
            found.append(line)
    return found


def singly(data: bytes) -> list[bytes]:
    """Return *data* as pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]


LONG = b"a" * LIMIT

STREAMS = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"NOOP", [], id="not ended"),
    pytest.param(b"NOOP\r", [], id="half ended"),
    pytest.param(b"NOOP\r\n", [b"NOOP"], id="one line"),
    pytest.param(b"\r\n", [b""], id="empty line"),
    pytest.param(b"RSET\r\nNOOP\r\nQU", [b"RSET", b"NOOP"], id="two lines and a half"),
    pytest.param(b"a\rb\r\n", [b"a\rb"], id="bare CR is left in the line"),
    pytest.param(b"a\r\r\n", [b"a\r"], id="CR CR LF"),
    pytest.param(b"a\0\xff\r\n", [b"a\0\xff"], id="any bytes"),
    pytest.param(b"NOOP\nQUIT\r\n", [F.BARE_LF], id="bare LF"),
    pytest.param(b"\n", [F.BARE_LF], id="LF alone"),
    pytest.param(b"NOOP\r\n\nQUIT\r\n", [b"NOOP", F.BARE_LF], id="LF after a line"),
    pytest.param(b"\x16\x03\x01\x02", [F.TLS], id="TLS hello"),
    pytest.param(b"\x16", [], id="may become TLS"),
    pytest.param(b"\x16\r\n", [b"\x16"], id="not TLS"),
    pytest.param(b"NOOP\r\n\x16\x03\r\n", [b"NOOP", F.TLS], id="TLS after a line"),
    pytest.param(LONG[2:] + b"\r\n", [LONG[2:]], id="line at the limit"),
    pytest.param(LONG[1:] + b"\r\nQUIT\r\n", [F.TOO_LONG, b"QUIT"], id="line one byte over"),
    pytest.param(LONG + b"a\r\nQUIT\r\n", [F.TOO_LONG, b"QUIT"], id="line over, next line is read"),
    pytest.param(LONG + b"\nQUIT\r\n", [F.TOO_LONG, F.BARE_LF], id="long line ends in a bare LF"),
    pytest.param(LONG + b"\r\n" + LONG + b"\r\n", [F.TOO_LONG, F.TOO_LONG], id="two long lines"),
    pytest.param(b"a" * (FLOOD - 1) + b"\r\nQ\r\n", [F.TOO_LONG, b"Q"], id="long line just skipped"),
    pytest.param(b"a" * FLOOD + b"\r\nQ\r\n", [F.TOO_LONG, F.FLOOD], id="flood that ends"),
    pytest.param(b"a" * (FLOOD + 1), [F.TOO_LONG, F.FLOOD], id="flood without end"),
]


@pytest.mark.parametrize(("data", "found"), STREAMS)
def test_at_once(data: bytes, found: list[bytes | LineFault]) -> None:
    """These bytes are these lines and faults."""
    assert read([data]) == found


@pytest.mark.parametrize(("data", "found"), STREAMS)
def test_byte_by_byte(data: bytes, found: list[bytes | LineFault]) -> None:
    """How the bytes are cut makes no difference."""
    assert read(singly(data)) == found


@pytest.mark.parametrize("fault", LineFault)
def test_what_is_fatal(fault: LineFault) -> None:
    """Only a long line lets the dialogue go on."""
    assert fault.fatal is (fault is not F.TOO_LONG)


@pytest.mark.parametrize("data", [b"a\n", b"\x16\x03"], ids=["bare LF", "TLS"])
def test_nothing_after_a_fatal_fault(data: bytes) -> None:
    """What follows a fatal fault is never read as commands, and is not kept."""
    lines = Lines()
    lines.receive(data + b"QUIT\r\n")
    assert isinstance(lines.next_line(), LineFault)
    lines.receive(b"QUIT\r\n")
    assert lines.next_line() is None
    assert len(lines) == 0


def test_flood_keeps_no_bytes() -> None:
    """A line that is skipped takes no room."""
    lines = Lines()
    lines.receive(LONG)
    assert lines.next_line() is F.TOO_LONG
    for _ in range(10):
        lines.receive(LONG)
        assert lines.next_line() is None
        assert len(lines) == 1


@pytest.mark.parametrize("size", [LIMIT - 2, FLOOD])
def test_byte_by_byte_is_no_more_work(size: int) -> None:
    """A byte that was searched is not searched again; one that is skipped is looked at once more, as a CR."""
    lines = Lines()
    lines.held = held = Counted(b"a")
    line = b"a" * size + b"\r\n"
    for piece in singly(line[1:]):
        lines.next_of(piece)
    assert not lines.held
    assert held.searched <= 2 * len(line)


def test_take_rest() -> None:
    """All that was not given out comes out as it is, once; lines after it are lines again."""
    lines = Lines()
    lines.receive(b"DATA\r\na\nb\r\n.")
    assert lines.next_line() == b"DATA"
    assert lines.take_rest() == b"a\nb\r\n."
    assert lines.take_rest() == b""
    lines.receive(b"QUIT\r\n")
    assert lines.next_line() == b"QUIT"


def test_take_rest_after_a_half_line() -> None:
    """A half line that was looked at and then taken hides nothing of what comes after it."""
    lines = Lines()
    lines.receive(b"half a line")
    assert lines.next_line() is None
    assert lines.take_rest() == b"half a line"
    lines.receive(b"A\r\n")
    assert lines.next_line() == b"A"


def test_len_is_what_waits() -> None:
    """The length is the bytes received and not yet given out."""
    lines = Lines()
    lines.receive(b"NOOP\r\nQUIT\r\n")
    assert len(lines) == 12
    lines.next_line()
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("data", "holds"),
    [
        pytest.param(b"QUIT\r\n", True, id="QUIT"),
        pytest.param(b"RSET\r\nquit\r\n", True, id="behind a line, small letters"),
        pytest.param(b"QUIT \r\nNOOP\r\n", True, id="trailing space"),
        pytest.param(b"QUIT", False, id="not ended"),
        pytest.param(b"QUITE\r\n", False, id="another word"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_holds_quit(data: bytes, holds: bool) -> None:
    """A whole QUIT that waits is found, and stays."""
    lines = Lines()
    lines.receive(data)
    assert lines.holds_quit() is holds
    assert len(lines) == len(data)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        pytest.param(b"RCPT TO:<a@b>\r\nDATA\r\n", b"RCPT TO:<a@b>", id="whole"),
        pytest.param(b"RCPT TO:<a@b>", None, id="not ended"),
        pytest.param(b"a\nb\r\n", None, id="not sound"),
        pytest.param(b"x" * 3000 + b"\r\n", None, id="too long"),
    ],
)
def test_peek(data: bytes, line: bytes | None) -> None:
    """The next sound line can be looked at, and stays where it is."""
    lines = Lines()
    lines.receive(data)
    assert lines.peek() == line
    assert len(lines) == len(data)
    lines.next_line()
    assert lines.peek() == (b"DATA" if line else None)
