"""A joined session: peer and backend, bytes unchanged, the observer and the guard in the path.

One task does both directions: SMTP is lock-step, and one command is outstanding at a time. While
nothing is, both sides are watched, so that a backend that hangs up or says 421 is heard at once.

How fast replies go to the peer is asked of the voice; dialling is `backend`.
"""

import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NoReturn

import trio

from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent, Stopping
from tarpit.intake import NOT_TAKEN, SLOWEST
from tarpit.lane import carry
from tarpit.pace import Stage
from tarpit.parked import TimeOuts
from tarpit.smtp.commands import Command, Hello, Mail, Rcpt, Verb
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.guard import Guard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, Reply, ReplyFault
from tarpit.smtp.server import STUFFED
from tarpit.smtp.states import State
from tarpit.voice import Voice, stage_of
from tarpit.wire import Wire

BLOCK: Final = 65536  # bytes: 16 and 256 KiB were both slower
OUTSIDE: Final = frozenset({State.GREETED, State.READY})  # a transaction
BLOCKS: Final = 8  # before others get their turn: a turn for each was a tenth of a large message
COMMANDS: Final = 4096
REFUSED_BYTES: Final = 64 * 1024**2  # of a refused message that are still read, to say so at its end
REFUSED_SECONDS: Final = 300.0  # ... and for how long


def _nothing(_: Command) -> None:
    pass


def _patiently(_: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


def _never(_: Heard) -> bool:
    return False


def _here(_: Rcpt) -> Reply | None:
    return None


class Relay:
    """One joined session."""

    __slots__ = (
        "_backend", "_before_rcpt", "_blocks", "_dialogue", "_elsewhere", "_guard", "_idle", "_observer",
        "_on_command", "_once", "_parts", "_peer", "_poller", "_starttls", "_time_outs", "_voice", "blind",
        "committing", "last_reply",
    )  # fmt: skip

    def __init__(
        self,
        voice: Voice,
        backend: Wire,
        observer: Observer,
        time_outs: TimeOuts,
        *,
        on_command: Callable[[Hello | Mail], None] = _nothing,
        before_rcpt: Callable[[Rcpt], Awaitable[None] | None] = _nothing,
        parts: Callable[[Heard], bool] = _never,
        elsewhere: Callable[[Rcpt], Reply | None] = _here,
        once: bool = False,
        guard: Callable[[], Guard] = Guard,
        starttls: Callable[[Command], Awaitable[bool]] | None = None,
        idle: Callable[[Callable[[], None]], AbstractContextManager[None]] = _patiently,
    ) -> None:
        self._voice = voice
        self._peer = voice.wire
        self._backend = backend
        backend.wakes = self._peer  # so that one wait is enough while nothing is outstanding
        self._observer = observer
        self._dialogue = observer.dialogue
        self._time_outs = time_outs
        self._on_command = on_command
        self._before_rcpt = before_rcpt  # returns what is to be awaited, if there is anything
        self._parts = parts  # whether a command is not for this backend, nor are those behind it
        self._elsewhere = elsewhere  # why a recipient is not for it, although others are
        self._once = once  # for one transaction alone
        self._guard = guard
        self._idle = idle  # `with`: the peer is waited for, which may be ended
        self._poller = backend.poller
        self._starttls = starttls  # answers it, where TLS ends with us: then the backend never hears of it
        self.last_reply = b""
        self.committing = False  # from the end of data until a good reply to it has been said
        self.blind = False  # whether TLS was passed through
        self._blocks = 0

    async def run(self, first: Heard | None = None) -> Heard | None:
        """Relay until the end, *first* before all; or until what is heard is not for this backend.

        That is returned, unanswered and unseen by the backend. Raises `PeerGone`, `PeerSilent`,
        `BackendUnavailable`, `Stopping`.
        """
        heard, dialogue, observer = first, self._dialogue, self._observer
        while not self._over:
            if heard is None:
                if observer.parting is not None:
                    await self._part(observer.parting)
                heard = dialogue.next_heard() if len(dialogue.lines) else None
                if heard is None and (heard := await self._hear()) is None:
                    raise PeerGone("closed without QUIT")
            if isinstance(heard, Rcpt) and (asked := self._before_rcpt(heard)) is not None:
                await asked
            if self._parts(heard):
                return heard
            refusal = observer.refusal(heard)
            if refusal is None and isinstance(heard, Rcpt):
                refusal = self._elsewhere(heard)
            if refusal is not None:
                await self._refuse(heard, refusal)
            else:
                assert not isinstance(heard, LineFault)
                if heard.verb is Verb.STARTTLS and self._starttls is not None:
                    await self._starttls(heard)
                else:
                    await self.exchange(heard)
            heard = None
        return None

    @property
    def _over(self) -> bool:
        return self._dialogue.closed or (self._once and self._dialogue.state is State.READY)

    async def _refuse(self, heard: Heard, reply: Reply) -> None:
        self._observer.refused(heard, reply)
        await self._voice.say(STUFFED if self._dialogue.stuffed(heard) else reply, stage_of(heard))

    async def exchange(self, command: Command) -> None:
        """Send one command on, pass its reply back, and do what that reply opens: content, or TLS."""
        if command.verb is Verb.STARTTLS and len(self._dialogue.lines):
            # injected before TLS, to be taken for what came inside it (CVE-2011-0411)
            self._dialogue.close()
            await self._voice.say(STUFFED, Stage.PROMPT)
            return
        dialogue, observer, voice = self._dialogue, self._observer, self._voice
        if (rest := self._backend.send(observer.forward(command), self._time_outs.reply)) is not None:
            await rest
        if isinstance(command, Hello | Mail):
            self._on_command(command)
        shown = self._sound(observer.replied(await self._reply(self._time_outs.reply)))
        if dialogue.stuffed(command):
            shown = STUFFED.encode()
        if (rest := voice.say_now(shown, stage_of(command))) is not None:
            await rest
        if dialogue.state is State.DATA:
            await self._content()
        elif dialogue.state is State.OPAQUE:
            await self._opaque()

    async def replay(self, command: Command) -> ReceivedReply:
        """Send a command that the peer has had its answer to already; return the backend's reply."""
        if (rest := self._backend.send(command.line + b"\r\n", self._time_outs.reply)) is not None:
            await rest
        return await self._reply(self._time_outs.reply)

    async def _content(self) -> None:
        guard, poller, backend, patience = self._guard(), self._poller, self._backend, self._time_outs.block
        block = self._dialogue.lines.take_rest()
        began, received = poller.now, len(block)
        passed = guard.receive(block)
        while not guard.ended and guard.fault is None:
            if passed and (rest := backend.send(passed, patience)) is not None:
                sending = trio.current_time()
                await rest
                began += trio.current_time() - sending  # the backend's time is not the peer's
            due = min(poller.now, began + received / SLOWEST)
            block = await self._block(due + patience)
            received += len(block)
            passed = guard.receive(block)
        if guard.fault is not None:
            await self._turn_away(guard, NOT_TAKEN[guard.fault])
            return
        self._dialogue.mended += guard.mended
        await self._unasked()  # whatever it said by now is no answer to an end it has not seen
        self.committing = True
        if (rest := backend.send(passed, patience)) is not None:
            await rest
        self._dialogue.lines.receive(guard.rest)
        reply = await self._reply(self._time_outs.dot)
        shown = self._sound(self._observer.replied_to_content(reply))
        self.committing = reply.positive  # a refusal leaves no doubt
        # the kernel takes a reply to somebody who has gone, too: whether it is heard must be asked before
        left = self._peer.has_left() and not self._dialogue.lines.holds_quit()
        if (rest := self._voice.say_now(shown, Stage.END)) is not None:
            await rest
        if left:
            raise PeerGone("closed behind it")
        self.committing = False

    async def _block(self, until: float) -> bytes:
        """Return the next block of content. Of those that are there already, each eighth lets others by."""
        peer, block = self._peer, None
        self._blocks = (self._blocks + 1) % BLOCKS
        if peer.readable:
            if not self._blocks:
                await trio.lowlevel.checkpoint()
            block = peer.receive_now(BLOCK)
        while block is None:
            await peer.stir(until)
            block = peer.receive_now(BLOCK)
        if not block:
            raise PeerGone("closed in the middle of a message")
        return block

    async def _turn_away(self, guard: Guard, reply: Reply) -> None:
        """Cut the backend off from a message that it must not take, and say so at the message's end."""
        self._backend.abort()
        until, left = self._soon(REFUSED_SECONDS), REFUSED_BYTES
        with contextlib.suppress(PeerSilent):
            while not guard.ended and left > 0:
                block = await self._block(until)
                left -= len(block)
                guard.receive(block)
        self._dialogue.settle_content(reply.code)
        self._dialogue.close()
        await self._voice.say(reply, Stage.END)

    async def _opaque(self) -> None:
        """Pass everything both ways, unheard, until one side ends."""
        self.blind = True
        try:
            await carry(
                self._peer,
                self._backend,
                block=self._time_outs.block,
                silence=self._time_outs.command,
                idle=self._idle,
            )
        except PeerSilent:
            self._dialogue.close()  # nothing that we could say in there would be understood
            raise
        self._dialogue.close()

    async def _hear(self) -> Heard | None:
        """Return what the peer says next, None at its end; meanwhile hear the backend as well."""
        peer, backend, dialogue = self._peer, self._backend, self._dialogue
        until, waited = self._soon(self._time_outs.command), False
        with self._waiting():
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
                        dialogue.lines.receive(data)
                        if (heard := dialogue.next_heard()) is not None:
                            return heard
                        continue
                    if data is not None:
                        return None
                if backend.readable:
                    await self._unasked()
                await peer.stir(until)
                waited = True

    def _waiting(self) -> AbstractContextManager[None]:
        """Outside a transaction a peer that lets us wait may be told to come again; mail begun is not cut."""
        outside = self._dialogue.state in OUTSIDE
        return self._idle(self._peer.overdue) if outside else nullcontext()

    async def _unasked(self) -> None:
        """The backend stirred while nothing was asked: a 421 is passed on, all else is its fault."""
        data = self._backend.receive_now(COMMANDS)
        if data is None:
            return
        if not data:
            raise BackendUnavailable("closed the connection")
        self._observer.receive_from_backend(data)
        reply = self._observer.next_reply()
        if isinstance(reply, ReceivedReply) and reply.code == 421:
            await self._part(reply)
        raise BackendUnavailable("spoke unasked")

    async def _part(self, reply: ReceivedReply) -> NoReturn:
        self.last_reply = reply.raw
        self._dialogue.close()
        await self._voice.say(reply.raw, Stage.PROMPT)
        raise BackendUnavailable("said 421 unasked")

    async def _reply(self, patience: float) -> ReceivedReply:
        backend, observer, until, reply = self._backend, self._observer, self._soon(patience), None
        while reply is None:
            if backend.readable:
                await trio.lowlevel.checkpoint()
            else:  # nothing can be left of the reply before: wait first
                await backend.stir(until)
            data = backend.receive_now(COMMANDS)
            if data:
                observer.receive_from_backend(data)
                reply = observer.next_reply()
            elif data is not None:
                raise BackendUnavailable("closed the connection instead of replying")
        if isinstance(reply, ReplyFault):
            raise BackendUnavailable(f"does not speak SMTP: {reply.why}")
        self.last_reply = reply.raw
        return reply

    @staticmethod
    def _sound(shown: bytes | ReplyFault) -> bytes:
        if isinstance(shown, ReplyFault):
            raise BackendUnavailable(f"does not speak SMTP: {shown.why}")
        return shown

    def _soon(self, seconds: float) -> float:
        return self._poller.now + seconds
