"""A mail server as lax as any we know, all of them at once: the reference that ours must agree with.

It ends a line at LF and takes off all CRs, cuts at NUL, skips what is blank in front, takes verbs in any
letters with anything behind them (Postfix, sendmail, OpenSMTPD, each in its own way), and ends a message at a
line that is a dot, whatever came before it. So whatever could be read in two ways, it reads in the other one.

It refuses what it is told to refuse, by number, and is otherwise content with everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

ANSWERS = (b"250 2.0.0 Ok\r\n", b"250 2.0.0 Ok\r\n", b"550 5.1.1 no\r\n", b"451 4.3.0 later\r\n")


@dataclass
class Lax:
    """One session of it."""

    moods: Iterator[int]  # how it answers each command; 0 and 1: yes
    in_data: bool = False
    closed: bool = False
    mail: bool = False
    recipients: int = 0
    commands: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    _buffer: bytes = b""
    _content: list[bytes] = field(default_factory=list)

    def receive(self, data: bytes) -> bytes:
        """Return the replies to what is whole by now."""
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        return b"".join(map(self._line, lines))

    @property
    def idle(self) -> bool:
        """Whether nothing is left over."""
        return not self._buffer

    def _line(self, raw: bytes) -> bytes:
        if self.closed:
            return b""
        if self.in_data:
            return self._text(raw.rstrip(b"\r").partition(b"\0")[0], raw)
        self.commands.append(raw)
        line = raw.partition(b"\0")[0].strip(b" \t\r\v\f")
        verb = bytes(octet & 0x7F for octet in line[:4]).upper()
        return self._command(verb, ANSWERS[next(self.moods, 0) % 4])

    def _command(self, verb: bytes, answer: bytes) -> bytes:
        accepted = answer.startswith(b"2")
        if verb == b"QUIT":
            self.closed = True
            return b"221 2.0.0 Bye\r\n"
        if verb == b"DATA":
            if not self.recipients or not accepted:
                return b"503 5.5.1 no\r\n" if not self.recipients else answer
            self.in_data = True
            return b"354 go on\r\n"
        if (verb == b"RCPT" and not self.mail) or (verb == b"MAIL" and self.mail):
            return b"503 5.5.1 no\r\n"
        if accepted:
            self._accept(verb)
        return answer

    def _accept(self, verb: bytes) -> None:
        if verb in {b"EHLO", b"HELO", b"RSET"}:
            self.mail, self.recipients = False, 0
        self.mail |= verb == b"MAIL"
        self.recipients += verb == b"RCPT"

    def _text(self, line: bytes, raw: bytes) -> bytes:
        if line != b".":
            self._content.append(raw.removeprefix(b"."))
            return b""
        self.messages.append(b"\n".join([*self._content, b""]))
        self._content, self.in_data, self.mail, self.recipients = [], False, False, 0
        return ANSWERS[next(self.moods, 0) % 4]
