"""Our half of a suspect's dialogue: slow replies, and no backend until and unless it earns one.

`serve` ends when the dialogue is over, or at the command that wants a backend: the first RCPT, or
STARTTLS. What happens then is the caller's choice (`session`): join, or refuse.

How slowly is asked of the voice; the answers are `smtp.server`.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from tarpit.errors import PeerGone
from tarpit.pace import Stage
from tarpit.smtp.commands import Command, Mail
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.server import Server
from tarpit.voice import Voice, stage_of

READ: Final = 4096  # bytes at a time: a suspect's commands are short


class Front:
    """One suspect's dialogue as long as it has no backend."""

    def __init__(
        self,
        voice: Voice,
        server: Server,
        *,
        idle: float,
        on_mail: Callable[[Mail], Awaitable[None]],
    ) -> None:
        self._voice = voice
        self._server = server
        self._idle = idle  # seconds that a peer may take for a command, the whole line
        self._on_mail = on_mail

    async def listen(self, wait: float) -> bool:
        """Be silent for *wait* seconds; return whether the peer spoke (RFC 5321, 3.1: it should not)."""
        lines, wire = self._server.dialogue.lines, self._voice.wire
        early = False
        with trio.move_on_after(wait):
            while len(lines) < READ:
                data = await wire.receive(READ, stoppable=True)
                if not data:
                    raise PeerGone("left before the banner")
                early = True
                lines.receive(data)
            await trio.sleep_forever()
        return early

    async def serve(self) -> Command | None:
        """Answer until a command wants a backend, and return that one; None when the dialogue is over.

        Raises `PeerGone`, `PeerSilent` and `Stopping`.
        """
        server, voice = self._server, self._voice
        while not server.dialogue.closed:
            heard = await self._next_heard()
            if heard is None:
                return None
            reply = server.judge(heard)
            if reply is None:
                assert not isinstance(heard, LineFault)
                return heard
            if isinstance(heard, Mail) and reply.code < 400:
                await self._on_mail(heard)
            server.settle(heard, reply)
            await voice.say(reply, stage_of(heard))
        return None

    async def banner(self) -> None:
        """Say our banner."""
        await self._voice.say(self._server.banner(), Stage.BANNER)

    async def _next_heard(self) -> Heard | None:
        dialogue, wire = self._server.dialogue, self._voice.wire
        until = trio.current_time() + self._idle
        while (heard := dialogue.next_heard()) is None:
            data = await wire.receive(READ, until, stoppable=True)
            if not data:
                return None
            dialogue.lines.receive(data)
        return heard
