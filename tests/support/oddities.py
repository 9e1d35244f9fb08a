"""Bodies that a careless hand would spoil, CRLF at each line's end: what stands in them must come out again.

Long lines are as long as a sender can send, a MiB at most. There is no NUL, which RFC 5322 section 4 forbids;
no backslash and no per cent sign, by which swaks puts in what is not there.
"""

import random
from typing import Final

MIB: Final = 2**20
DOTS: Final = b"".join(
    line + b"\r\n" for line in (b".", b"..", b"...", b".x", b"..x", b". ", b"", b".", b"x.")
)
OCTETS: Final = bytes(octet for octet in range(1, 256) if octet not in b"\r\n\\%")
EIGHT_BIT: Final = (
    b"".join(OCTETS[at : at + 50] + b"|\r\n" for at in range(0, len(OCTETS), 50))
    + "Grüße, 日本語 und \u2028 und \x85\r\n".encode()
    + "Größe in Latin-1\r\n".encode("latin-1")
)
NO_END: Final = DOTS + b".the last line, and no end of it"


def long_lines(longest: int) -> bytes:
    """Return three lines, a dot before one of them."""
    line = b"0123456789abcde " * (longest // 16 + 1)
    return b"".join(start + line[: longest - 4] + b"|\r\n" for start in (b"a", b".", b"c"))


def large() -> bytes:
    """Return 50 MiB in lines of 8 bits, of 720 octets and mostly with a dot in front."""
    octets = random.Random(50).randbytes(MIB).translate(None, b"\0\r\n\\%")
    lines = b"".join(
        (b"." if at % 7 else b"") + octets[at : at + 720] + b"|\r\n" for at in range(0, len(octets), 720)
    )
    return lines * (50 * MIB // len(lines) + 1)


def all_in_one(longest: int) -> bytes:
    """Return all of it in one body."""
    return DOTS + EIGHT_BIT + long_lines(longest) + large() + EIGHT_BIT + NO_END


def as_arrives(body: bytes) -> bytes:
    """Return *body* as SMTP carries it: the last line has an end."""
    return body if body.endswith(b"\r\n") else body + b"\r\n"
