"""A toy mail server on loopback: what stands behind the proxy in the demo.

It takes mail for one domain, says so, and keeps nothing: each message is reported through a callback. One
recipient (`nobody`) does not exist, and foreign domains are refused, so that it is no open relay. It reads
its own small command language on purpose and shares no code with the proxy that it helps to show.

What the proxy does with it is `tarpit.relay` and `tarpit.deliver`; who sends to it is `tarpit.demo.peers`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

DOMAIN: Final = "demo.test"
HOSTNAME: Final = "mx.demo.test"
LARGEST_MESSAGE: Final = 10_000_000
LONGEST_LINE: Final = 4_096
HELLO: Final = (
    f"250-{HOSTNAME}",
    f"250-SIZE {LARGEST_MESSAGE}",
    "250-8BITMIME",
    "250-PIPELINING",
    "250 ENHANCEDSTATUSCODES",
)
SILENCE: Final = 300.0  # seconds without a byte before we hang up

_PATH: Final = re.compile(rb"(?i)(?:FROM|TO):\s*<([^<>]*)>")
_SUBJECT: Final = re.compile(rb"(?im)^Subject:[ \t]*([^\r\n]*)")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was taken. `size` is bytes without dot-stuffing."""

    sender: str
    recipients: tuple[str, ...]
    size: int
    subject: str


@dataclass(slots=True)
class Counts:
    """What the backend has seen: connections in all, now, and at most at once."""

    connections: int = 0
    now: int = 0
    peak: int = 0


class Backend:
    """The server, with a count of its connections."""

    def __init__(self, received: Callable[[Message], None]) -> None:
        self._received = received
        self.counts = Counts()

    async def serve(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self.answer, list(listeners))

    async def answer(self, stream: trio.abc.Stream) -> None:
        """Hold one dialogue, to its end."""
        self._enter()
        try:
            async with stream:
                await Dialogue(stream, self._received).hold()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side has gone: a server's daily bread
        finally:
            self.counts.now -= 1

    def _enter(self) -> None:
        self.counts.connections += 1
        self.counts.now += 1
        self.counts.peak = max(self.counts.peak, self.counts.now)


@dataclass(slots=True)
class Transaction:
    """What a session has said of its message so far. Pure: commands in, replies out."""

    sender: str | None = None
    recipients: list[str] = field(default_factory=list)

    def answer(self, line: bytes) -> tuple[str, ...]:
        """Return the lines of the reply to one command line."""
        verb, _, argument = line.partition(b" ")
        match verb.upper():
            case b"MAIL":
                return (self._mail(argument),)
            case b"RCPT":
                return (self._rcpt(argument),)
            case b"DATA":
                return ("354 End data with <CR><LF>.<CR><LF>" if self.recipients else "503 5.5.1 RCPT first",)
            case b"EHLO" | b"HELO" | b"RSET" as plain:
                self.clear()
                return HELLO if plain == b"EHLO" else ("250 2.0.0 Ok",)
            case b"NOOP":
                return ("250 2.0.0 Ok",)
            case b"QUIT":
                return ("221 2.0.0 Bye",)
            case _:
                return ("502 5.5.2 Command not known",)

    def clear(self) -> None:
        """Forget sender and recipients."""
        self.sender = None
        self.recipients.clear()

    def take(self, body: bytes) -> Message:
        """Return the whole message, and begin anew."""
        message = Message(self.sender or "", tuple(self.recipients), len(body), subject(body))
        self.clear()
        return message

    def _mail(self, argument: bytes) -> str:
        if self.sender is not None:
            return "503 5.5.1 Sender already given"
        if (path := _PATH.match(argument)) is None:
            return "501 5.5.4 Syntax: MAIL FROM:<address>"
        self.sender = path[1].decode("utf-8", "replace")
        return "250 2.1.0 Ok"

    def _rcpt(self, argument: bytes) -> str:
        if self.sender is None:
            return "503 5.5.1 MAIL first"
        if (path := _PATH.match(argument)) is None:
            return "501 5.5.4 Syntax: RCPT TO:<address>"
        recipient = path[1].decode("utf-8", "replace")
        if (refusal := refuse(recipient)) is not None:
            return refusal
        self.recipients.append(recipient)
        return "250 2.1.5 Ok"


@dataclass(slots=True)
class Dialogue:
    """One connection: its stream and what of it has not been read yet."""

    stream: trio.abc.Stream
    received: Callable[[Message], None]
    unread: bytearray = field(default_factory=bytearray)

    async def hold(self) -> None:
        """Greet, then answer line by line until QUIT or the end of input."""
        transaction = Transaction()
        await self._reply((f"220 {HOSTNAME} ESMTP demo",))
        while (line := await self._line()) is not None:
            reply = transaction.answer(line)
            await self._reply(reply)
            if reply[0].startswith("354"):
                await self._take_message(transaction)
            elif reply[0].startswith("221"):
                return

    async def _take_message(self, transaction: Transaction) -> None:
        body = bytearray()
        while (line := await self._line()) != b".":
            if line is None:
                return
            if len(body) <= LARGEST_MESSAGE:  # what goes beyond is read, not kept
                body += line.removeprefix(b".") + b"\r\n"
        if len(body) > LARGEST_MESSAGE:
            transaction.clear()
            await self._reply(("552 5.3.4 Message too big",))
            return
        self.received(transaction.take(bytes(body)))
        await self._reply(("250 2.0.0 Ok: delivered to the demo",))

    async def _reply(self, lines: tuple[str, ...]) -> None:
        await self.stream.send_all("".join(f"{line}\r\n" for line in lines).encode())

    async def _line(self) -> bytes | None:
        """Return the next line without its CRLF; None at the end of input, or when it is far too long."""
        while (end := self.unread.find(b"\r\n")) < 0:
            if len(self.unread) > LONGEST_LINE or not await self._read():
                return None
        line = bytes(self.unread[:end])
        del self.unread[: end + 2]
        return line

    async def _read(self) -> bool:
        with trio.move_on_after(SILENCE):
            data = await self.stream.receive_some(65_536)
            self.unread += data
            return bool(data)
        return False


def refuse(recipient: str) -> str | None:
    """Return the reply that refuses this recipient, or None when it is ours and known."""
    local, _, domain = recipient.rpartition("@")
    if recipient.lower() != "postmaster" and domain.lower() != DOMAIN:
        return "554 5.7.1 Relay access denied"
    if local.lower() == "nobody":
        return "550 5.1.1 No such user here"
    return None


def subject(body: bytes) -> str:
    """Return the Subject of the message's header, printable and at most 60 characters; "" without one."""
    header = body.partition(b"\r\n\r\n")[0]
    found = _SUBJECT.search(header)
    text = found[1].decode("utf-8", "replace") if found else ""
    return "".join(c if c.isprintable() else "?" for c in text)[:60].strip()
