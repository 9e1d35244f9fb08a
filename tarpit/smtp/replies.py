"""Replies: those we write, and those a backend sends, read strictly.

The one idea: a reply is either whole and unambiguous, or it is a `ReplyFault` and the backend is not to be
believed any more. A backend that says `2500 ok` or `250-a` / `550 b` has not accepted anything.

Bounds: a line is at most 4 KiB, a reply 64 KiB; RFC 5321 section 4.5.3.1.5 allows 512 octets a line.

Not here: whether a reply fits the command it answers (`observer`), and how slowly it is said (`drip`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LINE_LIMIT: Final = 4096  # octets of one received line with its CRLF
REPLY_LIMIT: Final = 65536  # octets of one received reply
KNOWN: Final = 128  # received replies that are read but once, the last ones
TEXT_LIMIT: Final = 506  # octets of text in a line of ours: 512 less code, separator and CRLF

_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])([\t -~\x80-\xff]*+))?\r\n")
_WHOLE: Final = re.compile(rb"([2-5][0-9]{2})((?:-[\t -~\x80-\xff]*+\r\n\1)++)?(?: [\t -~\x80-\xff]*+)?\r\n")
_TEXTS: Final = re.compile(rb"...[ -]?([^\r]*+)\r\n")  # in what is a reply
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ENHANCED: Final = re.compile(rb"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code and the text of each line, without code and CRLF."""

    code: int
    lines: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what would be two replies on the wire: such a value is a bug, whoever wrote its text."""
        if not 200 <= self.code <= 599 or not self.lines or any(map(_CONTROL.search, self.lines)):
            raise ValueError(f"not a reply: {self.code} {self.lines!r}")

    @classmethod
    def of(cls, code: int, *text: str) -> "Reply":
        """Return a reply of ours. *text* may quote a stranger: what is not printable ASCII becomes `?`."""
        return cls(code, tuple(printable(line, TEXT_LIMIT) for line in text or ("",)))

    def encode(self) -> bytes:
        """Return the reply as it is sent."""
        separators = [b"-"] * (len(self.lines) - 1) + [b" "]
        pairs = zip(separators, self.lines, strict=True)
        return b"".join(b"%d%b%b\r\n" % (self.code, separator, line) for separator, line in pairs)

    @property
    def positive(self) -> bool:
        """Whether the command was carried out (2xx)."""
        return self.code < 300

    @property
    def intermediate(self) -> bool:
        """Whether more is awaited from the peer (3xx)."""
        return 300 <= self.code < 400

    @property
    def refused(self) -> bool:
        """Whether the command failed, for now (4xx) or for good (5xx)."""
        return self.code >= 400

    @property
    def enhanced(self) -> str | None:
        """The enhanced code (RFC 2034), such as "4.7.1"; None when absent or at odds with the code."""
        match = _ENHANCED.match(self.lines[0])
        if match is None or int(match[1]) != self.code // 100:
            return None
        return match[0].decode("ascii")


@dataclass(frozen=True, slots=True)
class ReceivedReply(Reply):
    """A backend's reply; `raw` is every byte of it as received."""

    raw: bytes

    def __post_init__(self) -> None:
        """Nothing is looked at again: `ReplyReader` has found each line sound."""

    def encode(self) -> bytes:
        """Return the reply as it came: a relay changes nothing."""
        return self.raw

    def __hash__(self) -> int:
        return hash(self.raw)  # which says it all, and is reckoned once


@dataclass(frozen=True, slots=True)
class ReplyFault:
    """The backend has said something that is no reply. Nothing after it can be trusted."""

    why: str


class ReplyReader:
    """Cuts replies out of a backend's bytes, in any pieces. After the first fault there is only the fault.

    No byte is looked for a line end twice, so what a reply costs grows with its size, however it is cut.
    """

    __slots__ = ("_code", "_fault", "_lines", "_searched", "_start", "held")

    def __init__(self) -> None:
        # not yet given out; starts where the reply in hand starts; bytes as long as nobody has looked at it
        self.held: bytes | bytearray = b""
        self._start = 0  # where the next line starts
        self._searched = 0  # no LF from there to this index
        self._lines: list[bytes] = []
        self._code: int | None = None
        self._fault: ReplyFault | None = None

    @property
    def empty(self) -> bool:
        """Whether no byte is waiting. Bytes after the reply to the only open command are a fault."""
        return not self.held

    def receive(self, data: bytes) -> None:
        """Take bytes from the backend."""
        if self._fault is None:
            self.held += data

    def next_of(self, data: bytes) -> ReceivedReply | ReplyFault | None:
        """Take *data*, and return what `next_reply` does then."""
        if not self.held and self._fault is None and len(data) <= LINE_LIMIT and (whole := _whole(data)):
            return whole
        self.receive(data)
        return self.next_reply()

    def next_reply(self) -> ReceivedReply | ReplyFault | None:
        """Return the next whole reply, the fault, or None when more bytes are needed. Never raises."""
        if not self.held:
            return self._fault
        if isinstance(self.held, bytes):
            if len(self.held) <= LINE_LIMIT and (whole := _whole(self.held)):
                self.held = b""
                return whole
            self.held = bytearray(self.held)  # which grows without a copy for each piece
        return self._next_line_by_line(self.held)

    def _next_line_by_line(self, held: bytearray) -> ReceivedReply | ReplyFault | None:
        while True:
            end = held.find(b"\n", self._searched) + 1
            size = (end or len(held) + 1) - self._start  # a line without its end needs one more byte
            if size > LINE_LIMIT or self._start + size > REPLY_LIMIT:
                return self._fail("reply too long")
            self._searched = end or len(held)
            if not end:
                return None
            reply = self._take_line(bytes(held[self._start : end]))
            if reply is not None:
                return reply

    def _take_line(self, line: bytes) -> ReceivedReply | ReplyFault | None:
        """Add one line to the reply in hand; return the reply when this was its last line."""
        match = _LINE.fullmatch(line)
        if match is None:
            return self._fail(_explain(line))
        code = int(match[1])
        if self._code not in {None, code}:
            return self._fail("reply code changes between lines")
        self._code = code
        self._lines.append(match[3] or b"")
        self._start += len(line)
        return None if match[2] == b"-" else self._finish(code)

    def _finish(self, code: int) -> ReceivedReply:
        reply = ReceivedReply(code, tuple(self._lines), bytes(self.held[: self._start]))
        self.held = self.held[self._start :] or b""
        self._start, self._searched, self._lines, self._code = 0, 0, [], None
        return reply

    def _fail(self, why: str) -> ReplyFault:
        self._fault = ReplyFault(why)
        self.held = b""
        return self._fault


@lru_cache(KNOWN)  # a tenth of the work, and backends say the same to everybody
def _whole(raw: bytes) -> ReceivedReply | None:
    """Return the one reply that *raw* is, which is no longer than a line may be; None for all else.

    That is nearly always so, and two thirds of the work for a line, a third for the five of an EHLO.
    """
    found = _WHOLE.fullmatch(raw)
    if found is None:
        return None
    return ReceivedReply(int(raw[:3]), tuple(_TEXTS.findall(raw)) if found[2] else (raw[4:-2],), raw)


def _explain(line: bytes) -> str:
    if not line.endswith(b"\r\n"):
        return "reply line ends in a bare LF"
    if _CONTROL.search(line[:-2]):
        return "control character in a reply"
    return "not a reply line"


def printable(text: str, limit: int) -> bytes:
    """Return what a stranger said as at most *limit* octets of one line, `?` for all but printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:limit]).encode("ascii")
