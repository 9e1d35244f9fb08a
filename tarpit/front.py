"""Our half of a suspect's dialogue: slow replies, and no backend until and unless it earns one.

    HELO, MAIL, RSET ...  answered here, by `smtp.server`
    RCPT                  the desk's answer: a backend's own words, or a refusal; all at hand in one go
    DATA                  354 by us; the content is read, and the desk's answer to it is passed on at once
    STARTTLS              `serve` returns it: what is inside is not for us to see; so it does with what the
                          desk says is for somebody else

Several commands may be at hand although PIPELINING was not shown; they are served in order. How slowly
is asked of the voice; what a desk does (`deliver`, or refuse) is the caller's choice (`session`).
"""

from collections.abc import Sequence
from typing import Final, Protocol

import trio

from tarpit.pace import Stage
from tarpit.smtp.commands import Command, Hello, Mail, Plain, Rcpt, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import STUFFED, Server
from tarpit.smtp.states import State
from tarpit.voice import Voice, stage_of

READ: Final = 4096  # bytes at a time: a suspect's commands are short
AT_ONCE: Final = 100  # recipients asked about in one go (RFC 5321 section 4.5.3.1.8)


class Desk(Protocol):
    """Who decides about recipients and messages."""

    def idle(self) -> float:
        """Return the seconds that a peer may take for a command, the whole line."""

    def parts(self, heard: Heard, *, sound: bool) -> bool:
        """Whether *heard* is for somebody else to answer; *sound*: we have no answer of our own to it."""

    async def heard(self, command: Hello | Mail) -> None:
        """Take note of a HELO or MAIL that we accepted."""

    def mail(self, mail: Mail) -> Reply | None:
        """Return why *mail* cannot be taken, or None."""

    async def recipients(self, asked: Sequence[Rcpt]) -> Sequence[Reply]:
        """Return the reply to each of *asked*; fewer only if the last one is a 421."""

    async def data(self) -> Reply:
        """Return the reply to DATA: 354, or why not."""

    async def message(self) -> Reply:
        """Read the content, hand the message over, and return the reply to its end."""

    def told(self) -> None:
        """Take note that this reply has been said."""


class Front:
    """One suspect's dialogue, as long as we speak for the backend."""

    __slots__ = ("_desk", "_dialogue", "_server", "_voice")

    def __init__(self, voice: Voice, dialogue: Dialogue, server: Server, desk: Desk) -> None:
        self._voice = voice
        self._dialogue = dialogue
        self._server = server
        self._desk = desk

    async def serve(self, first: Heard | None = None) -> Heard | None:
        """Answer until the end, *first* first; return what is for somebody else, or None at the end.

        Raises `PeerGone`, `PeerSilent` and `Stopping`.
        """
        dialogue, heard = self._dialogue, first
        while not dialogue.closed:
            heard = heard or await self._next_heard()
            if heard is None:
                return None
            reply = self._judge(heard)
            if self._desk.parts(heard, sound=reply is None):
                return heard
            if reply is not None:
                await self.answer(heard, reply)
            elif isinstance(heard, Rcpt):
                await self._recipients(heard)
            elif isinstance(heard, Plain) and heard.verb is Verb.DATA:
                await self._message(heard)
            else:
                assert isinstance(heard, Plain)
                return heard
            heard = None
        return None

    def _judge(self, heard: Heard) -> Reply | None:
        reply = self._server.judge(self._dialogue, heard)
        if isinstance(heard, Mail) and reply is not None and not reply.refused:
            return self._desk.mail(heard) or reply
        return reply

    async def answer(self, heard: Heard, reply: Reply) -> None:
        """Settle and say *reply*; also for what `serve` returned."""
        if isinstance(heard, Hello | Mail) and not reply.refused:
            await self._desk.heard(heard)
        self._server.settle(self._dialogue, heard, reply)
        await self._voice.say(STUFFED if self._dialogue.stuffed(heard) else reply, stage_of(heard))

    async def _recipients(self, first: Rcpt) -> None:
        """Answer a recipient, and those that came with it."""
        dialogue, asked = self._dialogue, [first]
        while len(asked) < min(AT_ONCE, dialogue.room) and isinstance(ahead := dialogue.peek(), Rcpt):
            if self._server.judge(dialogue, ahead) is not None:
                break
            dialogue.next_heard()
            asked.append(ahead)
        for recipient, reply in zip(asked, await self._desk.recipients(asked), strict=False):
            await self.answer(recipient, reply)

    async def _message(self, data: Command) -> None:
        dialogue = self._dialogue
        await self.answer(data, await self._desk.data())
        if dialogue.state is State.DATA:
            final = await self._desk.message()
            distrusted = dialogue.closed  # its end could not be found for sure: no more commands
            dialogue.settle_content(final.code)
            if distrusted:
                dialogue.close()
            await self._voice.say(final, Stage.END)
            self._desk.told()

    async def _next_heard(self) -> Heard | None:
        dialogue, wire = self._dialogue, self._voice.wire
        until = trio.current_time() + self._desk.idle()
        while (heard := dialogue.next_heard()) is None:
            data = await wire.receive(READ, until, stoppable=True)
            if not data:
                return None
            dialogue.lines.receive(data)
        return heard
