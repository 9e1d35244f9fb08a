"""Command lines out of a stream of bytes, strictly: only CRLF ends a line.

"Not yet" is a value (None), and so is each fault. What comes out depends on the bytes alone, not on
how they were cut into pieces. What a line says is `commands`; message content is never cut into
lines (`guard`). RFC 5321 sections 2.3.8 (line ends) and 4.5.3.1.4 (length).
"""

from enum import Enum
from typing import Final

LIMIT: Final = 2048  # bytes of a command line, CRLF included; which verbs may be that long is `commands`
FLOOD: Final = 65536  # bytes of an overlong line that are skipped before we give up
_TLS_HELLO: Final = b"\x16\x03"
EMPTY: Final = bytearray()  # never written to


class LineFault(Enum):
    """What is wrong with a line as a line. All but TOO_LONG end the dialogue."""

    BARE_LF = "bare LF"
    TOO_LONG = "line too long"  # said once; the rest of that line is skipped
    FLOOD = "endless line"
    TLS = "TLS without STARTTLS"

    @property
    def fatal(self) -> bool:
        """Whether nothing more may be read as commands."""
        return self is not LineFault.TOO_LONG


class Lines:
    """Bytes in, lines out."""

    __slots__ = ("_buffer", "_dead", "_searched", "_skipped")

    def __init__(self) -> None:
        self._buffer = EMPTY  # whoever has said nothing shares one
        self._searched = 0  # no LF before this index
        self._skipped = -1  # bytes skipped of an overlong line; -1 outside one
        self._dead = False

    def __len__(self) -> int:
        """Bytes received and not yet given out."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the peer sent; after a fatal fault nothing is kept."""
        if self._dead:
            return
        if self._buffer is EMPTY:
            self._buffer = bytearray(data)
        else:
            self._buffer += data

    def take_rest(self) -> bytes:
        """Give out all that is left, as it is: it is content, or ciphertext."""
        rest, self._buffer = bytes(self._buffer), EMPTY
        self._searched = 0
        return rest

    def holds_quit(self) -> bool:
        """Whether a QUIT is among the lines not yet given out."""
        return any(line.strip().upper() == b"QUIT" for line in self._buffer.split(b"\n")[:-1])

    def peek(self) -> bytes | None:
        """Return the next line, which stays where it is; None when there is no whole and sound one."""
        end = self._buffer.find(b"\r\n", 0, LIMIT)
        sound = end >= 0 and self._skipped < 0 and b"\n" not in self._buffer[:end]
        return bytes(self._buffer[:end]) if sound else None

    def next_line(self) -> bytes | LineFault | None:
        """Return the next line without its CRLF, or a fault, or None when more is needed."""
        if self._dead:
            return None
        if self._skipped >= 0:
            return self._skip()
        if self._buffer.startswith(_TLS_HELLO):
            return self._die(LineFault.TLS)
        end = self._buffer.find(b"\n", self._searched, LIMIT)
        if end < 0:
            self._searched = min(len(self._buffer), LIMIT)
            if len(self._buffer) < LIMIT:
                return None
            self._skipped = 0
            return LineFault.TOO_LONG
        if end == 0 or self._buffer[end - 1] != 0x0D:
            return self._die(LineFault.BARE_LF)
        line = bytes(self._buffer[: end - 1])
        self._drop(end + 1)
        return line

    def _skip(self) -> bytes | LineFault | None:
        end = self._buffer.find(b"\n")
        length = end if end >= 0 else len(self._buffer)
        if self._skipped + length > FLOOD:
            return self._die(LineFault.FLOOD)
        if end < 0:
            # the last byte stays: it may be the CR of the line end
            self._skipped += max(length - 1, 0)
            self._drop(max(length - 1, 0))
            return None
        if end == 0 or self._buffer[end - 1] != 0x0D:
            return self._die(LineFault.BARE_LF)
        self._skipped = -1
        self._drop(end + 1)
        return self.next_line()

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0

    def _die(self, fault: LineFault) -> LineFault:
        self._dead = True
        self._buffer = EMPTY
        return fault
