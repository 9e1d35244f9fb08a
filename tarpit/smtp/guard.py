"""A clean session's content: unchanged, or not at all.

Where it ends (CRLF.CRLF and nowhere else, RFC 5321 section 4.1.1.4) and whether each newline in it is a CRLF
is looked at in whole blocks; while that is so, what was received goes on as it is. The first bare CR or LF
ends that: by what the operator chose, the rest of the message is read off the wire and written anew, so
that nothing the peer spelled can end it at the backend, or all of it is refused. So is a line that begins
with a dot and a NUL.

The one idea: what is not known yet is held back, and it is never more than two bytes. A CR may be half of a
newline, and a dot at the start of a line may be the end, or may have to be taken away. All else is certain
when it is here; so what goes on does not depend on how the network cuts it, nor does the place where mending
begins, and the end goes on in one piece.

Rejected: `bytes.count` of CRLF, CR and LF, a quarter of the speed (docs/design.md has the numbers); a regular
expression, which finds the place, at a fiftieth: it is asked once a message, when there is one.

Not here: how content is mended (`content`), and what becomes of a refused message (`tarpit.relay`).
"""

import io
import re
from typing import Final

from tarpit.smtp.content import END, ContentFault, Decoder, Encoder

_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_DOT_NUL: Final = b"\n.\0"


class Guard:
    """Passes one message's content on, in any pieces."""

    __slots__ = (
        "_decoder",
        "_encoder",
        "_held",
        "_line_starts",
        "_newlines",
        "_refuse_bare",
        "ended",
        "fault",
        "rest",
    )

    def __init__(self, *, refuse_bare: bool = False) -> None:
        self._refuse_bare = refuse_bare
        self._held = b""  # received and not passed on: "\r", or at the start of a line "." or ".\r"
        self._line_starts = True  # what comes next begins a line: the DATA line has ended in CRLF
        self._newlines = io.IncrementalNewlineDecoder(None, translate=False)  # keeps which kinds it has seen
        self._decoder: Decoder | None = None  # once something was wrong
        self._encoder: Encoder  # ... and not before
        self.fault: ContentFault | None = None
        self.ended = False
        self.rest = b""  # what came behind the end: commands again

    @property
    def mended(self) -> bool:
        """Whether there were bare newlines, and what goes on has none."""
        return self._decoder is not None and self.fault is None

    def receive(self, block: bytes) -> bytes:
        """Return what may be sent on by now, the end included once it is here; nothing after a fault.

        What was returned before a fault must not be ended: the backend has a message that is not to be taken.
        """
        assert not self.ended
        if self._decoder is not None:
            return self._write_anew(self._decoder, block)
        data = self._held + block if self._held else block
        dotted = b"." in data  # base64 has no dot at all, and that is looked for at the speed of memory
        size = self._find_end(data) if dotted else -1
        if size < 0:
            self._held = self._hold(data)
            known = data[: -len(self._held)] if self._held else data
        else:
            known = data[:size]
        if (dotted and b"\0" in known and self._has_dot_nul(known)) or self._has_bare(known):
            return self._turn(data, known)
        if size >= 0:
            self.ended, self.rest = True, data[size:]
        elif known:
            self._line_starts = known.endswith(b"\n")
        return known

    def _find_end(self, data: bytes) -> int:
        """Return how many bytes of *data* belong to the message, its end included; -1 without an end."""
        if self._line_starts and data.startswith(b".\r\n"):
            return 3
        at = data.find(END)
        return at + len(END) if at >= 0 else -1

    def _hold(self, data: bytes) -> bytes:
        """Return the end of *data* that is not certain."""
        for held in (b".\r", b"."):
            if data.endswith(b"\r\n" + held) or (self._line_starts and data == held):
                return held
        return b"\r" if data.endswith(b"\r") else b""

    def _has_bare(self, known: bytes) -> bool:
        self._newlines.decode(known.decode("latin-1"), final=True)  # a CR at its end would be bare
        return self._newlines.newlines not in {"\r\n", None}

    def _has_dot_nul(self, known: bytes) -> bool:
        # such a dot is held back until the next byte is here, so there is no seam between the two
        return _DOT_NUL in known or (self._line_starts and known.startswith(_DOT_NUL[1:]))

    def _turn(self, data: bytes, known: bytes) -> bytes:
        """Pass on what stands before the first bare newline, and read the rest of *data* anew."""
        bare = None if self._refuse_bare or self._has_dot_nul(known) else _BARE.search(known)
        before = known[: bare.start()] if bare else b""
        if before.endswith(b"\r\n.") or (self._line_starts and before == b"."):
            before = before[:-1]
        line_starts = before.endswith(b"\n") or (self._line_starts and not before)
        self._decoder = Decoder(refuse_bare=self._refuse_bare, in_line=not line_starts)
        self._encoder = Encoder()
        return before + self._write_anew(self._decoder, data[len(before) :])

    def _write_anew(self, decoder: Decoder, block: bytes) -> bytes:
        written = self._encoder.encode(decoder.receive(block))
        self.fault, self.ended, self.rest = decoder.fault, decoder.ended, decoder.rest
        if self.fault is not None:
            return b""
        return written + self._encoder.end() if self.ended else written
