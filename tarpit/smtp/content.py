"""A slowed message's content: read off the wire into what it says, and written anew for the backend.

The one idea: the two halves never share a byte. What is read ends at CRLF.CRLF and nowhere else (RFC 5321
section 4.1.1.4), loses the dot that its lines were stuffed with, and has no bare newline left in it: a
bare LF becomes CRLF and a bare CR a space, after the dots were taken away and before they are put back,
so that nothing the peer spelled can end the message at the backend. Of 107 other spellings of the end,
the stock Postfix of Debian 12 obeys 18.

Blocks are worked on whole, by searches that run at memory speed, never cut into lines; the bytes at the
end of a block that may belong to a newline or to the end are held back until the next one is here.
Rejected: one regular expression for all of it, 34 MB/s where three searches take 580.

Not here: content that is passed unchanged (`guard`), and where it is kept meanwhile (`tarpit.spool`).
"""

import io
from enum import Enum
from typing import Final

from tarpit.smtp.replies import printable

END: Final = b"\r\n.\r\n"
FIELD_LIMIT: Final = 900  # octets of a field of ours: a line may have 998 (RFC 5321, 4.5.3.1.6)
_DOT_NUL: Final = b"\n.\0"
_SUFFIXES: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\n.", b"\r", b"\n")  # longest first


class ContentFault(Enum):
    """Why a message is not taken. The rest of it is still read, to its end."""

    BARE_NEWLINE = "bare newline in the message"  # only where that is to be refused
    DOT_NUL = "a line that begins with a dot and a NUL"  # OpenSMTPD would end the message there


class Decoder:
    """Reads one message's content, in any pieces; *in_line*: from the middle of a line on."""

    __slots__ = ("_held", "_newlines", "_refuse_bare", "_skip", "bare_newlines", "ended", "fault", "rest")

    def __init__(self, *, refuse_bare: bool = False, in_line: bool = False) -> None:
        self._refuse_bare = refuse_bare
        # the end of the DATA line: ".CRLF" right after it is an empty message; not so in the middle of a line
        self._held = b"" if in_line else b"\r\n"
        self._skip = len(self._held)  # nothing of it is content
        self._newlines = io.IncrementalNewlineDecoder(None, translate=False)  # keeps which kinds it has seen
        self.bare_newlines = False
        self.fault: ContentFault | None = None
        self.ended = False
        self.rest = b""  # what came behind the end: commands again

    def receive(self, block: bytes) -> bytes:
        """Return the content that is certain by now, its lines ending in CRLF; nothing more after a fault."""
        assert not self.ended
        data = self._held + block
        end = data.find(END)
        if end >= 0:
            self.ended = True
            self.rest, data = data[end + len(END) :], data[: end + 2]
        else:
            data = self._hold(data)
        return self._decode(data) if data and self.fault is None else b""

    def _hold(self, data: bytes) -> bytes:
        self._held = next(filter(data.endswith, _SUFFIXES), b"")
        return data[: len(data) - len(self._held)]

    def _decode(self, data: bytes) -> bytes:
        if b"\0" in data and _DOT_NUL in data:
            return self._refuse(ContentFault.DOT_NUL)
        self._newlines.decode(data.decode("latin-1"), final=True)  # a CR at its end is bare: others are held
        self.bare_newlines = self._newlines.newlines not in {None, "\r\n"}
        if self.bare_newlines and self._refuse_bare:
            return self._refuse(ContentFault.BARE_NEWLINE)
        data = data.replace(b"\r\n.", b"\r\n")
        if self.bare_newlines:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")
        skip, self._skip = self._skip, 0
        return data[skip:]

    def _refuse(self, fault: ContentFault) -> bytes:
        self.fault = fault
        return b""


class Encoder:
    """Writes one message's content, given in any pieces whose lines end in CRLF."""

    __slots__ = ("_held", "_skip")

    def __init__(self) -> None:
        self._held = b"\r\n"
        self._skip = 2

    def encode(self, piece: bytes) -> bytes:
        """Return what can be sent now; a newline is held back and goes out in one piece with the end."""
        data = self._held + piece
        self._held = next(filter(data.endswith, (b"\r\n", b"\r")), b"")
        sent = data[: len(data) - len(self._held)].replace(b"\r\n.", b"\r\n..")
        if not sent:
            return sent
        skip, self._skip = self._skip, 0
        return sent[skip:]

    def end(self) -> bytes:
        """Return the end of the message. Once it is sent, the backend may take the message."""
        return (self._held + b".\r\n" if self._held == b"\r\n" else self._held + END)[self._skip :]


def header_field(name: str, text: str) -> bytes:
    """Return a header field on one line; of *text*, what is not printable ASCII becomes `?`."""
    return printable(f"{name}: {text}", FIELD_LIMIT) + b"\r\n"
