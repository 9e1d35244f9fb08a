"""What the two sides of a joined session say: the peer's next command, the backend's reply to the last one.

While nothing is outstanding both are heard, so that a backend that hangs up or says 421 is noticed at once;
one wait does for both (`Wire.wakes`). What is done with what was heard is `relay`.
"""

from typing import Final, NoReturn

import trio

from tarpit.backend.idle import Sitter
from tarpit.errors import BackendUnavailable, PeerGone, Stopping
from tarpit.pace import Stage
from tarpit.parked import TimeOuts
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, ReplyFault
from tarpit.smtp.states import State
from tarpit.voice import Voice
from tarpit.wire import Wire

COMMANDS: Final = 4096  # bytes of a read
OUTSIDE: Final = frozenset({State.GREETED, State.READY})  # a transaction


class Ears:
    """Those of one joined session. *sitter* is told while the peer is waited for, outside a transaction."""

    __slots__ = (
        "_backend",
        "_dialogue",
        "_observer",
        "_peer",
        "_poller",
        "_sitter",
        "_time_outs",
        "_voice",
        "last_reply",
    )

    def __init__(
        self, voice: Voice, backend: Wire, observer: Observer, time_outs: TimeOuts, sitter: Sitter | None
    ) -> None:
        self._voice = voice
        self._peer = voice.wire
        self._backend = backend
        backend.wakes = self._peer  # so that one wait is enough while nothing is outstanding
        self._observer = observer
        self._dialogue = observer.dialogue
        self._time_outs = time_outs
        self._sitter = sitter
        self._poller = backend.poller
        self.last_reply = b""

    async def _hear(self) -> Heard:
        """Return what the peer says next; meanwhile hear the backend as well. Raises `PeerGone` at its end.

        Outside a transaction a peer that lets us wait may be told to come again; mail begun is not cut.
        """
        peer, backend, dialogue, now = self._peer, self._backend, self._dialogue, self._poller.now
        until, waited = now + self._time_outs.command, False
        sitter = self._sitter if dialogue.state in OUTSIDE else None
        if sitter is not None:
            sitter.rests(peer.overdue, now)
        try:
            while True:
                if peer.stopping:
                    raise Stopping
                if peer.readable:
                    if not waited:
                        # before the read: a cancelled one must lose nothing
                        await trio.lowlevel.checkpoint()
                    # just waited for, another turn of the scheduler would be a tenth of a command
                    data, waited = peer.receive_now(COMMANDS), False
                    if data:
                        if (heard := dialogue.heard_in(data)) is not None:
                            return heard
                        continue
                    if data is not None:
                        raise PeerGone("closed without QUIT")
                if backend.readable:
                    await self._unasked()
                if not peer.stopping:  # we may have been told to stop since it was looked at
                    await peer.stir(until)
                    waited = True
        finally:
            if sitter is not None:
                sitter.stirs()

    async def _unasked(self) -> None:
        """The backend stirred while nothing was asked: a 421 is passed on, all else is its fault."""
        data = self._backend.receive_now(COMMANDS)
        if data is None:
            return
        if not data:
            raise BackendUnavailable("closed the connection")
        reply = self._observer.reply_in(data)
        if isinstance(reply, ReceivedReply) and reply.code == 421:
            await self._part(reply)
        raise BackendUnavailable("spoke unasked")

    async def _part(self, reply: ReceivedReply) -> NoReturn:
        self.last_reply = reply.raw
        self._dialogue.close()
        await self._voice.say(reply.raw, Stage.PROMPT)
        raise BackendUnavailable("said 421 unasked")

    async def _reply(self, patience: float) -> ReceivedReply:
        until = self._poller.now + patience
        while not self._backend.readable or (reply := self._said()) is None:
            await self._backend.stir(until)
        return reply

    def _said(self) -> ReceivedReply | None:
        """Return the backend's reply, or None when it has to be waited for: all that has come is read."""
        backend = self._backend
        while backend.readable:
            data = backend.receive_now(COMMANDS)
            if data is None:
                break
            if not data:
                raise BackendUnavailable("closed the connection instead of replying")
            reply = self._observer.reply_in(data)
            if isinstance(reply, ReceivedReply):
                self.last_reply = reply.raw
                return reply
            if reply is not None:
                raise no_smtp(reply)
        return None


def no_smtp(fault: ReplyFault) -> BackendUnavailable:
    """Return what is to be raised for *fault*."""
    return BackendUnavailable(f"does not speak SMTP: {fault.why}")
