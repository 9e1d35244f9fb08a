"""One transaction of somebody else's on a borrowed connection: EHLO, MAIL, RCPT, DATA, the content, its end.

The commands are the peer's own lines. What is returned is an answer to the peer, good or bad; what is no
answer to it is raised: 421, a reply of a kind that does not belong there, a connection that is lost. That is
the backend's fault, and may be tried elsewhere. A backend that does not offer what a parameter needs is
`ParameterLost`: we have shown the peer a keyword that is no longer true.

Who retries what, and what the peer then hears, is `tarpit.deliver`.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from tarpit.backend.dial import Line
from tarpit.errors import BackendUnavailable
from tarpit.smtp.commands import Hello, Mail, Parameter, Rcpt, Verb
from tarpit.smtp.content import Encoder
from tarpit.smtp.replies import ReceivedReply
from tarpit.smtp.server import PARAMETERS, RCPT_PARAMETERS

PARAMETER_CODES: Final = frozenset({501, 504, 555})
UNKNOWN_COMMAND: Final = frozenset({500, 502, 504})


class ParameterLost(BackendUnavailable):
    """The backend does not offer, or refuses, a parameter that we had promised."""


class Transaction:
    """One transaction. Each step raises `BackendUnavailable` where the backend has failed."""

    __slots__ = ("_block", "_dot", "_encoder", "_keywords", "_line")

    def __init__(self, line: Line, *, block: float, dot: float) -> None:
        self._line = line
        self._block = block  # seconds for the backend to take a piece of content
        self._dot = dot  # seconds for its last word
        self._keywords = frozenset[bytes]()
        self._encoder = Encoder()

    async def greet(self, hello: Hello, mail: Mail) -> ReceivedReply:
        """Say HELO or EHLO for the peer; EHLO too where it used parameters without having said it."""
        name = hello.name.encode("ascii")
        if hello.verb is Verb.EHLO or mail.parameters:
            reply = await self._ask(b"EHLO " + name, Verb.EHLO)
            if reply.code not in UNKNOWN_COMMAND:
                self._keywords = frozenset(line.partition(b" ")[0].upper() for line in reply.lines[1:])
                return reply
        return await self._ask(b"HELO " + name, Verb.HELO)

    async def mail(self, mail: Mail) -> ReceivedReply:
        """Say MAIL."""
        for parameter in mail.parameters:
            self._require(parameter, PARAMETERS.get(parameter.keyword, frozenset()))
        return await self._ask(mail.line, Verb.MAIL)

    async def rcpt(self, rcpt: Rcpt) -> ReceivedReply:
        """Say RCPT."""
        for parameter in rcpt.parameters:
            self._require(parameter, RCPT_PARAMETERS.get(parameter.keyword, frozenset()))
        return await self._ask(rcpt.line, Verb.RCPT)

    async def data(self) -> ReceivedReply:
        """Say DATA; content follows if the reply is a 354."""
        return await self._ask(b"DATA", Verb.DATA)

    async def send(self, first: bytes, read: Callable[[int], Awaitable[bytes]]) -> None:
        """Send the content: *first*, then what *read* returns from each place on until there is no more."""
        at, piece = 0, first
        while True:
            await self._line.wire.send_all(self._encoder.encode(piece), trio.current_time() + self._block)
            try:
                piece = await read(at)
            except OSError as error:
                raise BackendUnavailable(f"the message cannot be read: {error.strerror or error}") from None
            if not piece:
                return
            at += len(piece)

    async def end(self) -> ReceivedReply:
        """Send the end. From here on the backend may have the message, whatever we hear or do not hear."""
        await self._line.wire.send_all(self._encoder.end(), trio.current_time() + self._block)
        reply = await self._line.reply(self._dot)
        if reply.intermediate:
            raise BackendUnavailable(f"said {reply.code} to the end of data")
        return reply

    def _require(self, parameter: Parameter, any_of: frozenset[bytes]) -> None:
        if any_of and not any_of & self._keywords:
            raise ParameterLost(f"does not offer what {parameter.keyword} needs")

    async def _ask(self, line: bytes, verb: Verb) -> ReceivedReply:
        reply = await self._line.ask(line + b"\r\n")
        if reply.code == 421:
            raise BackendUnavailable(f"said 421 to {verb.name}")
        if not reply.refused and reply.intermediate != (verb is Verb.DATA):
            raise BackendUnavailable(f"said {reply.code} to {verb.name}")
        return reply
