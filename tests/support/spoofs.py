"""Ways to claim to be somebody else, as a peer may say them in place of a command."""

import random
from collections.abc import Iterator, Sequence


def spoofs() -> Sequence[bytes]:
    """Return 500 ways, the same each time."""
    return list(_made())


def _made() -> Iterator[bytes]:
    """Yield 500 ways to claim another identity: by XCLIENT, XFORWARD or PROXY, spelled in all ways."""
    pick = random.Random(21)  # the same each time
    verbs = [b"XCLIENT", b"xclient", b"XForward", b"XFORWARD", b"PROXY", b"proxy"]
    tails = [
        b" ADDR=127.0.0.1",
        b" NAME=localhost ADDR=127.0.0.1 PROTO=ESMTP HELO=localhost",
        b" LOGIN=admin",
        b" ADDR=IPV6:::1 DESTADDR=127.0.0.1",
        b" TCP4 127.0.0.1 127.0.0.1 25 25",
        b" TCP6 ::1 ::1 25 25",
        b" UNKNOWN",
        b"",
    ]
    before = [
        b"",
        b"",
        b" ",
        b"\t",
        b"NOOP\r",
        b"\0",
        b"\xef\xbb\xbf",
        b"EHLO x\n",
        b"NOOP\r\n",
        b"\r\n",
        b"RSET \r\n",
    ]
    behind = [b"\r\n", b"\r\n", b" \r\n", b"\0\r\n", b"\r\r\n", b"\n", b"\t\r\n"]
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\x19\0\x19"
    for number in range(500):
        if number % 10 == 0:
            yield header + pick.choice(before) + pick.choice(behind)
        else:
            yield pick.choice(before) + pick.choice(verbs) + pick.choice(tails) + pick.choice(behind)
