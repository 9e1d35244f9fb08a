"""What a message may be spelled like that is not what it seems, and what a backend may be sent of it.

`GRID` is 12 starts of a line times 9 ends, each around a dot, less the one that is the end of data itself.
What a message says is told here a second time, by one regular expression: the program does it by searches.
"""

import re
from collections.abc import Callable, Iterable
from itertools import product
from typing import Final, Protocol

from tarpit.smtp.content import END, ContentFault, Decoder, Encoder
from tarpit.smtp.guard import Guard

STARTS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\0\n", b"\r\n\0", b"\x0b", b"\x0c", b"\xc2\x85",
    b"\xe2\x80\xa8",
)  # fmt: skip
ENDS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n", b" \r\n", b"\x0b\r\n", b"\xe2\x80\xa8",
)  # fmt: skip
GRID: Final = [(start, end) for start, end in product(STARTS, ENDS) if (start, end) != (b"\r\n", b"\r\n")]
HEADERS: Final = (b"Subject: x\r\n", b"Subject: x\n")  # a bare LF in the first line changes what Exim obeys

_NEWLINE: Final = re.compile(rb"\r\n\.?|\r|\n")
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class Reader(Protocol):
    """What takes a message's content in any pieces."""

    ended: bool
    rest: bytes
    fault: ContentFault | None

    def receive(self, block: bytes) -> bytes:
        """Return what is certain."""


def singly(data: bytes) -> list[bytes]:
    """Return *data* as pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]


def has_bare(wire: bytes) -> bool:
    """Whether a newline of *wire* is half of one."""
    return _BARE.search(wire) is not None


def text_of(wire: bytes) -> bytes:
    """Return what *wire*, with its end, says: CRLF for a bare LF, a space for a bare CR."""
    whole = b"\r\n" + wire
    text = whole[: whole.index(END) + 2]
    return _NEWLINE.sub(_mended, text)[2:]


def _mended(newline: re.Match[bytes]) -> bytes:
    return b" " if newline[0] == b"\r" else b"\r\n"


def passed(pieces: Iterable[bytes], reader: Reader) -> bytes:
    """Return what *reader* gives out of *pieces*; what comes behind the end is added to its `rest`."""
    given = b""
    for piece in pieces:
        if reader.ended:
            reader.rest += piece
        else:
            given += reader.receive(piece)
    return given


def cleanly(pieces: Iterable[bytes], *, refuse_bare: bool = False) -> tuple[bytes, Reader]:
    """Return what a backend is sent for a clean peer."""
    guard = Guard(refuse_bare=refuse_bare)
    return passed(pieces, guard), guard


def slowly(pieces: Iterable[bytes], *, refuse_bare: bool = False) -> tuple[bytes, Reader]:
    """Return what a backend is sent for a slowed peer: nothing at all after a fault."""
    decoder, encoder = Decoder(refuse_bare=refuse_bare), Encoder()
    content = passed(pieces, decoder)
    if decoder.fault is not None or not decoder.ended:
        return b"", decoder
    return encoder.encode(content) + encoder.end(), decoder


WAYS: Final[tuple[Callable[[Iterable[bytes]], tuple[bytes, Reader]], ...]] = (cleanly, slowly)


def assert_sound(sent: bytes) -> None:
    """What a backend is sent after 354, whole or not, has no newline that is half of one, and no trap."""
    whole = b"\r\n" + sent
    crlf = whole.count(b"\r\n")
    assert whole.count(b"\r") == whole.count(b"\n") == crlf, whole
    assert b"\n.\0" not in whole, whole


def assert_unmistakable(sent: bytes) -> None:
    """... and what is sent of a whole message has one end, at its end."""
    whole = b"\r\n" + sent
    assert_sound(sent)
    assert whole.find(END) == len(whole) - len(END), whole
