"""The mail server behind all policies, or in their place: it takes mail for its mailboxes, and counts.

It is a process per connection, as Postfix and Sendmail have it: what counts is how many there are at once and
for how long they stand. A policy that is not a proxy's (`rivals`) is such a server with hooks of its own.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import trio

from bench.fleet.memory import End

COMMAND: Final = 300.0  # seconds for a command (Postfix, smtpd_timeout)
DOT_WORK: Final = 0.1  # seconds that the server thinks about a message: a filter, the disk
MOST_ERRORS: Final = 20  # Postfix, smtpd_hard_error_limit
STRANGER: Final = "nobody-"  # begins the mailboxes that are not there
BANNER: Final = b"220 mx.example.net ESMTP\r\n"
KEYWORDS: Final = b"250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 DSN\r\n"
OK: Final = b"250 2.0.0 Ok\r\n"
UNKNOWN: Final = b"550 5.1.1 User unknown\r\n"
OUT_OF_TURN: Final = b"503 5.5.1 Out of turn\r\n"
TOO_MANY: Final = b"421 4.7.0 Too many errors\r\n"
BUSY: Final = b"421 4.3.2 All server ports are busy\r\n"


class Over(Exception):  # noqa: N818 - how a connection ends, not an error
    """The connection is over."""


@dataclass(slots=True)
class Processes:
    """The processes of a server: how many there are, how many there may be, and what that came to."""

    most: int
    now: int = 0
    peak: int = 0
    messages: int = 0
    _seconds: float = 0.0
    _since: float = field(default_factory=trio.current_time)

    @property
    def seconds(self) -> float:
        """Process-seconds so far."""
        return self._seconds + self.now * (trio.current_time() - self._since)

    def change(self, by: int) -> None:
        """One more, or one less."""
        self._seconds, self._since = self.seconds, trio.current_time()
        self.now += by
        self.peak = max(self.peak, self.now)


class Conversation:
    """One connection to the server: the base of every policy that is none of ours."""

    banner = BANNER

    def __init__(self, end: End, processes: Processes, address: str = "") -> None:
        self.end = end
        self.processes = processes
        self.address = address
        self.reverse_path = ""
        self.errors = 0
        self._buffer = bytearray()
        self._patience = trio.CancelScope()  # one for all of it, whose end is moved
        self._state = "MAIL"  # the command that is due

    async def run(self) -> None:
        """Serve to the end, as a process that stands for as long."""
        try:
            if self.processes.now >= self.processes.most:
                self.end.put(BUSY)
                return
            self.processes.change(+1)
            try:
                with self._patience:
                    await self.serve()
            finally:
                self.processes.change(-1)
        except Over:
            pass
        finally:
            self.end.shut()

    async def serve(self) -> None:
        """Greet, and answer one command after the other. Raises `Over`."""
        await self.say(self.banner)
        while True:
            line = await self.line()
            verb = line[:4].upper()
            if verb == b"DATA" and self._state == "DATA":
                await self.content()
                continue
            reply = await self.answer(verb, line)
            self.errors += reply[:1] == b"5"
            await self.say(TOO_MANY if self.errors > MOST_ERRORS else reply)
            if verb == b"QUIT" or self.errors > MOST_ERRORS:
                raise Over

    async def answer(self, verb: bytes, line: bytes) -> bytes:
        """Return the reply to a command."""
        match verb, self._state:
            case (b"EHLO", _) | (b"HELO", _):
                self._state = "MAIL"
                return KEYWORDS if verb == b"EHLO" else OK
            case b"MAIL", "MAIL":
                self.reverse_path, self._state = _path(line), "RCPT"
                return OK
            case b"RCPT", "RCPT" | "DATA":
                return await self.recipient(_path(line))
            case (b"RSET", _) | (b"NOOP", _):
                self._state = "MAIL" if verb == b"RSET" else self._state
                return OK
            case b"QUIT", _:
                return b"221 2.0.0 Bye\r\n"
            case (b"MAIL", _) | (b"RCPT", _) | (b"DATA", _):
                return OUT_OF_TURN
        return b"502 5.5.2 Command not recognized\r\n"

    async def recipient(self, forward_path: str) -> bytes:
        """Return the reply to a recipient."""
        if forward_path.startswith(STRANGER):
            return UNKNOWN
        self._state = "DATA"
        return OK

    async def content(self) -> None:
        """Take a message."""
        await self.say(b"354 End data with <CR><LF>.<CR><LF>\r\n")
        while await self.line() != b".":
            pass
        await trio.sleep(DOT_WORK)
        self._state = "MAIL"
        if self.end.ended and not self.end.inbox:
            raise Over  # its client has left, and will come again: it is not to have the message twice
        self.processes.messages += 1
        await self.say(OK)

    async def say(self, reply: bytes) -> None:
        """Send a reply. Raises `Over` when nobody is there any more."""
        if self.end.other.closed and not self.end.inbox:
            raise Over
        self.end.put(reply)

    async def line(self) -> bytes:
        """Return the next line without its end. Raises `Over` at the end; cut off when none comes in time."""
        buffer = self._buffer
        if (end := buffer.find(b"\n")) < 0:
            self._patience.deadline = trio.current_time() + COMMAND
            while (end := buffer.find(b"\n")) < 0:
                data = await self.end.receive_some()
                if not data:
                    raise Over
                buffer += data
            self._patience.deadline = math.inf
        line = bytes(buffer[:end]).rstrip(b"\r")
        del buffer[: end + 1]
        return line


def _path(line: bytes) -> str:
    return line.partition(b"<")[2].partition(b">")[0].decode("ascii", "replace")
