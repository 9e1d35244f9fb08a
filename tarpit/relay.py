"""A joined session: peer and backend, bytes unchanged, the observer and the guard in the path.

One task does both directions: SMTP is lock-step, and one command is outstanding at a time. What is heard
of either side, and when, is `ears`. How fast replies go to the peer is asked of the voice; dialling is
`backend`.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from tarpit.backend.idle import Sitter
from tarpit.ears import Ears, no_smtp
from tarpit.errors import PeerGone, PeerSilent, Stopping
from tarpit.intake import NOT_TAKEN, SLOWEST
from tarpit.lane import carry
from tarpit.pace import Stage
from tarpit.parked import TimeOuts
from tarpit.smtp.commands import SOUND, Command, Hello, Mail, Rcpt, Verb
from tarpit.smtp.dialogue import Heard
from tarpit.smtp.guard import Guard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, Reply, ReplyFault
from tarpit.smtp.server import STUFFED
from tarpit.smtp.states import State
from tarpit.voice import STAGES, Voice, stage_of
from tarpit.wire import Wire

BLOCK: Final = 65536  # bytes: 16 and 256 KiB were both slower
BLOCKS: Final = 8  # before others get their turn: a turn for each was a tenth of a large message
REFUSED_BYTES: Final = 64 * 1024**2  # of a refused message that are still read, to say so at its end
REFUSED_SECONDS: Final = 300.0  # ... and for how long

# where a relay ends: that of one transaction is over when it is between two
_ENDS: Final = {False: frozenset({State.CLOSED}), True: frozenset({State.CLOSED, State.READY})}
_NAMING: Final = (Mail, Hello)  # what says who it is
# members by names of their own: Python 3.11 takes 0.1 µs to find one, and each command asks for these
_IN_DATA, _IN_OPAQUE = State.DATA, State.OPAQUE
_AT_END, _STARTTLS = Stage.END, Verb.STARTTLS


def _nothing(_: Command) -> None:
    pass


def _never(_: Heard) -> bool:
    return False


def _here(_: Rcpt) -> Reply | None:
    return None


async def _silently() -> None:
    pass


class Relay(Ears):
    """One joined session."""

    __slots__ = (
        "_before_rcpt",
        "_blocks",
        "_elsewhere",
        "_ends",
        "_farewell",
        "_guard",
        "_on_command",
        "_parts",
        "_starttls",
        "blind",
        "committing",
    )

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
        farewell: Callable[[], Awaitable[None]] = _silently,
        sitter: Sitter | None = None,
    ) -> None:
        super().__init__(voice, backend, observer, time_outs, sitter)
        self._on_command = on_command
        self._before_rcpt = before_rcpt  # returns what is to be awaited, if there is anything
        self._parts = parts  # whether a command is not for this backend, nor are those behind it
        self._elsewhere = elsewhere  # why a recipient is not for it, although others are
        self._ends = _ENDS[once]  # *once*: for one transaction alone
        self._guard = guard
        self._starttls = starttls  # answers it, where TLS ends with us: then the backend never hears of it
        self._farewell = farewell  # ends the backend's connection in order
        self.committing = False  # from the end of data until a good reply to it has been said
        self.blind = False  # whether TLS was passed through
        self._blocks = 0

    async def run(self, first: Heard | None = None) -> Heard | None:
        """Relay until the end, *first* before all; or until what is heard is not for this backend.

        That is returned, unanswered and unseen by the backend. Raises `BackendUnavailable`; `PeerGone`,
        `PeerSilent` and `Stopping` when the backend has been told, or cut off.
        """
        heard, dialogue, observer = first, self._dialogue, self._observer
        try:
            while dialogue.state not in self._ends:
                if heard is None:
                    if observer.parting is not None:
                        await self._part(observer.parting)
                    heard = dialogue.next_heard() if dialogue.lines.held else None
                    if heard is None:
                        heard = await self._hear()
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
                    assert isinstance(heard, SOUND)
                    if heard.verb is _STARTTLS and self._starttls is not None:
                        await self._starttls(heard)
                    else:
                        await self.exchange(heard)
                heard = None
        except (PeerGone, PeerSilent, Stopping):
            await self._leave()
            raise
        return None

    async def _leave(self) -> None:
        # in the middle of a message, or inside TLS, nothing may be said that could be taken for its end
        if self.blind or self._dialogue.state is _IN_DATA:
            self._backend.abort()
        else:
            await self._farewell()

    async def _refuse(self, heard: Heard, reply: Reply) -> None:
        self._observer.refused(heard, reply)
        await self._voice.say(STUFFED if self._dialogue.stuffed(heard) else reply, stage_of(heard))

    async def exchange(self, command: Command) -> None:
        """Send one command on, pass its reply back, and do what that reply opens: content, or TLS."""
        dialogue, observer, backend = self._dialogue, self._observer, self._backend
        verb, patience = command.verb, self._time_outs.reply
        if verb is _STARTTLS and dialogue.lines.held:
            # injected before TLS, to be taken for what came inside it (CVE-2011-0411)
            dialogue.close()
            await self._voice.say(STUFFED, Stage.PROMPT)
            return
        if backend.readable:
            await self._unasked()  # what it has said by now is no answer to what it has not heard
        if (rest := backend.send(observer.forward(command), patience)) is not None:
            await rest
        if isinstance(command, _NAMING):
            self._on_command(command)
        until = self._poller.now + patience
        while not backend.readable or (reply := self._said()) is None:
            await backend.stir(until)  # as `_reply` does: a coroutine less for each command
        shown = observer.replied(reply)
        if isinstance(shown, ReplyFault):
            raise no_smtp(shown)
        if dialogue.lines.held and dialogue.stuffed(command):
            shown = STUFFED.encode()
        if (rest := self._voice.say_now(shown, STAGES[verb])) is not None:
            await rest
        if (state := dialogue.state) is _IN_DATA:
            await self._content()
        elif state is _IN_OPAQUE:
            await self._opaque()

    async def replay(self, command: Command) -> ReceivedReply:
        """Send a command that the peer has had its answer to already; return the backend's reply."""
        if self._backend.readable:
            await self._unasked()
        if (rest := self._backend.send(command.line + b"\r\n", self._time_outs.reply)) is not None:
            await rest
        return await self._reply(self._time_outs.reply)

    async def _content(self) -> None:
        guard, dialogue = self._guard(), self._dialogue
        poller, backend, patience = self._poller, self._backend, self._time_outs.block
        began = poller.now
        block = dialogue.lines.take_rest() or await self._block(began + patience)
        received, passed = len(block), guard.receive(block)
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
        dialogue.mended += guard.mended
        if backend.readable or received > len(block):  # who has a part of it may have spoken just now
            await self._unasked()  # whatever it said by now is no answer to an end it has not seen
        self.committing = True
        if (rest := backend.send(passed, patience)) is not None:
            await rest
        if guard.rest:
            dialogue.lines.receive(guard.rest)
        reply = await self._reply(self._time_outs.dot)
        shown = self._observer.replied_to_content(reply)
        if isinstance(shown, ReplyFault):
            raise no_smtp(shown)
        self.committing = reply.positive  # a refusal leaves no doubt
        # the kernel takes a reply to somebody who has gone, too: whether it is heard must be asked before
        left = self._peer.has_left() and not dialogue.lines.holds_quit()
        if (rest := self._voice.say_now(shown, _AT_END)) is not None:
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
        until, left = self._poller.now + REFUSED_SECONDS, REFUSED_BYTES
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
                sitter=self._sitter,
            )
        except PeerSilent:
            self._dialogue.close()  # nothing that we could say in there would be understood
            raise
        self._dialogue.close()
