"""Command lines out of a stream of bytes, strictly: only CRLF ends a line.

"Not yet" is a value (None), and so is each fault. What comes out depends on the bytes alone, not on
how they were cut into pieces. What a line says is `commands`; message content is never cut into
lines (`guard`). RFC 5321 sections 2.3.8 (line ends) and 4.5.3.1.4 (length).
"""

from enum import Enum
from typing import Final

from tarpit.smtp.commands import Verb

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

    @property
    def verb(self) -> Verb:
        """The command that was said: none that is known."""
        return Verb.UNKNOWN


class Lines:
    """Bytes in, lines out."""

    __slots__ = ("_dead", "_searched", "_skipped", "held")

    def __init__(self) -> None:
        self.held = EMPTY  # bytes not yet given out; whoever has none shares one
        self._searched = 0  # no LF before this index
        self._skipped = -1  # bytes skipped of an overlong line; -1 outside one
        self._dead = False

    def __len__(self) -> int:
        """Bytes received and not yet given out."""
        return len(self.held)

    def receive(self, data: bytes) -> None:
        """Take what the peer sent; after a fatal fault nothing is kept."""
        if self._dead:
            return
        if self.held is EMPTY:
            self.held = bytearray(data)
        else:
            self.held += data

    def take_rest(self) -> bytes:
        """Give out all that is left, as it is: it is content, or ciphertext."""
        rest, self.held = bytes(self.held), EMPTY
        self._searched = 0
        return rest

    def holds_quit(self) -> bool:
        """Whether a QUIT is among the lines not yet given out."""
        return any(line.strip().upper() == b"QUIT" for line in self.held.split(b"\n")[:-1])

    def peek(self) -> bytes | None:
        """Return the next line, which stays where it is; None when there is no whole and sound one."""
        end = self.held.find(b"\r\n", 0, LIMIT)
        sound = end >= 0 and self._skipped < 0 and b"\n" not in self.held[:end]
        return bytes(self.held[:end]) if sound else None

    def next_of(self, data: bytes) -> bytes | LineFault | None:
        """Take *data*, and return what `next_line` does then."""
        if (
            not self.held
            and data.endswith(b"\r\n")
            and data.find(b"\n", 0, LIMIT) + 1 == len(data)
            and self._skipped < 0
            and not self._dead
            and data[0] != _TLS_HELLO[0]
        ):
            # one line, all of it here: nearly always, and a third of the work
            return data[:-2]
        if data:
            self.receive(data)
        return self.next_line()

    def next_line(self) -> bytes | LineFault | None:
        """Return the next line without its CRLF, or a fault, or None when more is needed."""
        held = self.held
        if not held:
            return None
        if self._skipped >= 0:
            return self._skip()
        if held.startswith(_TLS_HELLO):
            return self._die(LineFault.TLS)
        end = held.find(b"\n", self._searched, LIMIT)
        if end < 0:
            self._searched = min(len(held), LIMIT)
            if len(held) < LIMIT:
                return None
            self._skipped = 0
            return LineFault.TOO_LONG
        if end == 0 or held[end - 1] != 0x0D:
            return self._die(LineFault.BARE_LF)
        line = bytes(held[: end - 1])
        self._drop(end + 1)
        return line

    def _skip(self) -> bytes | LineFault | None:
        end = self.held.find(b"\n")
        length = end if end >= 0 else len(self.held)
        if self._skipped + length > FLOOD:
            return self._die(LineFault.FLOOD)
        if end < 0:
            # the last byte stays: it may be the CR of the line end
            self._skipped += max(length - 1, 0)
            self._drop(max(length - 1, 0))
            return None
        if end == 0 or self.held[end - 1] != 0x0D:
            return self._die(LineFault.BARE_LF)
        self._skipped = -1
        self._drop(end + 1)
        return self.next_line()

    def _drop(self, count: int) -> None:
        if count == len(self.held):
            self.held = EMPTY
        else:
            del self.held[:count]
        self._searched = 0

    def _die(self, fault: LineFault) -> LineFault:
        self._dead = True
        self.held = EMPTY
        return fault
