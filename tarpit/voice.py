"""What is said to one peer, at the pace it has earned by then.

The pace is asked for anew at each reply, so that SPF at MAIL, or load, can change it in the middle of
a session without anybody here knowing why. `drip` sends, and writes into the account kept here.

`say` is a function that returns what is to be awaited: thousands of sessions sleep in it, and a coroutine of
its own would cost each of them 300 bytes.
"""

from collections.abc import Coroutine
from typing import Protocol

import trio

from tarpit.drip import Wheel
from tarpit.pace import Pace, Stage
from tarpit.smtp.commands import Hello, Mail, Rcpt, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.replies import Reply
from tarpit.wire import Wire

PROMPT_VERBS = frozenset({Verb.STARTTLS, Verb.RSET, Verb.NOOP, Verb.QUIT})


def stage_of(heard: Heard) -> Stage:
    """Return which budget the reply to *heard* has."""
    match heard:
        case Hello():
            return Stage.HELLO
        case Mail():
            return Stage.MAIL
        case Rcpt():
            return Stage.RCPT
        case LineFault():
            return Stage.OTHER
        case _ if heard.verb is Verb.DATA:
            return Stage.DATA
        case _:
            return Stage.PROMPT if heard.verb in PROMPT_VERBS else Stage.OTHER


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
        pace = self._pacer.pace_for(stage)
        if not pace.slow or self.wire.stopping:
            return self.wire.send_all(data, trio.current_time() + self._patience)
        return self._wheel.say(
            self.wire,
            data,
            pace,
            patience=self._patience,
            account=self,
            # commands of its are still to be answered, QUIT perhaps: it may only have finished sending
            left_after_fin=not len(self._dialogue.lines),
        )
