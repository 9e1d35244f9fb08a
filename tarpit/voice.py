"""What is said to one peer, at the pace it has earned by then.

The pace is asked for anew at each reply, so that SPF at MAIL, or load, can change it in the middle of
a session without anybody here knowing why. `drip` sends, and writes into the account kept here.

`say` is a function that returns what is to be awaited: thousands of sessions sleep in it, and a coroutine of
its own would cost each of them 300 bytes.
"""

from collections.abc import Coroutine
from typing import Final, Protocol

from tarpit.drip import Wheel
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.smtp.commands import Malformed, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.replies import Reply
from tarpit.wire import Wire

_OTHER: Final = Stage.OTHER
STAGES: Final = dict.fromkeys(Verb, _OTHER) | {
    Verb.HELO: Stage.HELLO,
    Verb.EHLO: Stage.HELLO,
    Verb.MAIL: Stage.MAIL,
    Verb.RCPT: Stage.RCPT,
    Verb.DATA: Stage.DATA,
    Verb.STARTTLS: Stage.PROMPT,
    Verb.RSET: Stage.PROMPT,
    Verb.NOOP: Stage.PROMPT,
    Verb.QUIT: Stage.PROMPT,
}
NAMING: Final = frozenset({Verb.HELO, Verb.EHLO, Verb.MAIL, Verb.RCPT})  # those that say who, or for whom


def stage_of(heard: Heard) -> Stage:
    """Return which budget the reply to *heard* has."""
    return _OTHER if isinstance(heard, Malformed) and heard.verb in NAMING else STAGES[heard.verb]


async def _said() -> None:
    pass


class Pacer(Protocol):
    """Who decides how slowly a reply is said."""

    def pace_for(self, stage: Stage) -> Pace:
        """Return the pace of the next reply."""


class Voice:
    """Our side of the peer's connection, for writing."""

    __slots__ = ("_dialogue", "_pacer", "_patience", "_wheel", "dripped_bytes", "held_seconds", "wire")

    def __init__(
        self,
        wire: Wire,
        wheel: Wheel,
        dialogue: Dialogue,
        *,
        pacer: Pacer,
        patience: float,
    ) -> None:
        self.wire = wire
        self._wheel = wheel
        self._dialogue = dialogue
        self._pacer = pacer
        self._patience = patience  # seconds that a peer may take to read what it was sent
        self.held_seconds = 0.0
        self.dripped_bytes = 0

    def say(self, reply: Reply | bytes, stage: Stage) -> Coroutine[None, None, None]:
        """Say *reply*, once awaited, at the pace of now. Raises `PeerGone` or `PeerSilent`.

        Whatever was said before has left by then: of pipelined commands, those that are answered at once
        are answered before the wait for the next one begins.
        """
        data = reply if isinstance(reply, bytes) else reply.encode()
        return self.say_now(data, stage) or _said()

    def say_now(self, data: bytes, stage: Stage) -> Coroutine[None, None, None] | None:
        """Say *data* as `say` does. None: that is done; or what is to be awaited.

        Most is said to peers that nobody slows, and the kernel takes it at once: a coroutine less each time.
        """
        wire, pace = self.wire, self._pacer.pace_for(stage)
        if pace is FULL_SPEED or not pace.slow or wire.stopping:
            return wire.send(data, self._patience)
        return self._wheel.say(
            wire,
            data,
            pace,
            patience=self._patience,
            account=self,
            # commands of its are still to be answered, QUIT perhaps: it may only have finished sending
            left_after_fin=not len(self._dialogue.lines),
        )
