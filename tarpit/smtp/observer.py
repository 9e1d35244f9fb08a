"""The observer: sits in the path of a relayed dialogue and hears both sides.

Each complete line of the peer is read here before it goes on; it then goes on as the same bytes, or
not at all (`refusal`). One command is outstanding at a time, so replies match commands one to one;
a reply to nothing, or bytes behind a reply, are a fault of the backend.

It says what it heard and moves the state; the sockets are `tarpit.relay`.
"""

from typing import Final

from tarpit.smtp.commands import SOUND, Command, Hello, Plain, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.keywords import introduced
from tarpit.smtp.limits import FEWEST
from tarpit.smtp.replies import ReceivedReply, Reply, ReplyFault, ReplyReader
from tarpit.smtp.server import NO_RECIPIENTS, NO_STARTTLS, OUT_OF_ORDER, refusal_in
from tarpit.smtp.states import State, in_order

# commands that are refused for what the session has come to, never for themselves
_USUAL: Final = frozenset({Verb.HELO, Verb.EHLO, Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.RSET, Verb.QUIT})
_OUR_TLS: Final = (b"STARTTLS",)
_DATA, _HELO, _IN_TURN = Verb.DATA, Verb.HELO, State.RCPT  # by names of their own, as in `commands`


class Observer:
    """Both directions of one relayed dialogue."""

    __slots__ = (
        "_greeted",
        "_outstanding",
        "_replies",
        "_ways",
        "dialogue",
        "parting",
        "starttls",
        "terminates",
    )

    def __init__(
        self, dialogue: Dialogue, *, pipelining: bool = True, starttls: bool = True, terminates: bool = False
    ) -> None:
        self.dialogue = dialogue
        self.starttls = starttls  # whether it may be the backend's
        self._ways = pipelining, starttls
        self.terminates = terminates  # whether it is ours
        self._replies = ReplyReader()
        self.parting: ReceivedReply | None = None  # a 421 that came right behind another reply
        self._outstanding: Command | None = None
        self._greeted: tuple[Hello, ReceivedReply] | None = None  # the last that was accepted

    def refusal(self, heard: Heard) -> Reply | None:
        """Return the answer to what may not go on to the backend, or None when it may."""
        dialogue = self.dialogue
        if (
            isinstance(heard, SOUND)
            and heard.verb in _USUAL
            and dialogue.tally.spotless
            and dialogue.standing < FEWEST
            and heard.line.isascii()
            and (dialogue.hello is not None or not dialogue.secure)
            and (heard.verb is not _DATA or dialogue.state is _IN_TURN)
        ):
            return None  # nearly always: what follows would find nothing, at ten calls instead of none
        return self._objection(heard)

    def _objection(self, heard: Heard) -> Reply | None:
        refused = refusal_in(self.dialogue, heard)
        if refused is not None:
            return refused
        if heard.verb is Verb.STARTTLS and not self._has_tls:
            return OUT_OF_ORDER if self.dialogue.secure else NO_STARTTLS
        if self.dialogue.secure and self.dialogue.hello is None:
            # the backend has not heard that the dialogue began anew, and would take MAIL
            refused = None if in_order(State.GREETED, heard.verb) else OUT_OF_ORDER
        if refused is None and isinstance(heard, Plain) and heard.verb is Verb.DATA:
            # a backend may say 354 all the same (RFC 2920 section 3.1), and the content would be for nobody
            return NO_RECIPIENTS if self.dialogue.state is State.MAIL else None
        return refused

    @property
    def _has_tls(self) -> bool:
        return self.starttls or (self.terminates and not self.dialogue.secure)

    def refused(self, heard: Heard, reply: Reply) -> None:
        """Take note that we answered *heard* ourselves."""
        self.dialogue.settle(heard, reply.code)

    def forward(self, command: Command) -> bytes:
        """Return the bytes to send on for *command*: exactly those received."""
        assert self._outstanding is None, "one command at a time"
        self._outstanding = command
        return command.line + b"\r\n"

    def reply_in(self, data: bytes) -> ReceivedReply | ReplyFault | None:
        """Take what the backend sent; return its next whole reply, its fault, or None when more is needed."""
        reply = self._replies.next_of(data)
        return self._followed(reply) if self._replies.held else reply

    def _followed(self, reply: ReceivedReply | ReplyFault | None) -> ReceivedReply | ReplyFault | None:
        if not isinstance(reply, ReceivedReply):
            return reply
        self.parting = self._last_word()
        return reply if self.parting else ReplyFault("more than one reply to one command")

    def _last_word(self) -> ReceivedReply | None:
        """Return the 421 that is all that is left: it answers and hangs up, as Postfix at its error limit."""
        more = self._replies.next_reply()
        alone = isinstance(more, ReceivedReply) and more.code == 421 and self._replies.empty
        return more if alone and isinstance(more, ReceivedReply) else None

    def replied(self, reply: ReceivedReply) -> bytes | ReplyFault:
        """Match *reply* to the command outstanding; return what the peer is shown of it."""
        command, self._outstanding = self._outstanding, None
        if command is None:
            return ReplyFault("a reply to nothing")
        code, verb = reply.code, command.verb
        if code < 400 and (code >= 300) != (verb is _DATA):
            return ReplyFault(f"a {code} to {verb.name}")
        if isinstance(command, Hello):
            return self._replied_to_hello(command, self._greeting(command, reply))
        self.dialogue.settle(command, code)
        return reply.raw

    def _replied_to_hello(self, command: Hello, reply: ReceivedReply) -> bytes:
        self.dialogue.settle(command, reply.code)
        if command.verb is _HELO or reply.code >= 400:
            return reply.raw
        ours = _OUR_TLS if self.terminates and not self.dialogue.secure else ()
        self.dialogue.keywords, answer = introduced(reply, self._ways, ours)
        return answer

    def _greeting(self, command: Hello, reply: ReceivedReply) -> ReceivedReply:
        """Return what answers a HELO or EHLO: *reply*, or what the same one was answered with before TLS.

        OpenSMTPD takes only one, and has not heard that the dialogue began anew.
        """
        if reply.code < 400:
            self._greeted = command, reply
        elif reply.code == 503 and self.dialogue.secure and self.dialogue.hello is None and self._greeted:
            before, answer = self._greeted
            return answer if (before.verb, before.name) == (command.verb, command.name) else reply
        return reply

    def replied_to_content(self, reply: ReceivedReply) -> bytes | ReplyFault:
        """Match *reply* to the end of data."""
        assert self.dialogue.state is State.DATA
        if reply.code // 100 == 3:
            return ReplyFault(f"a {reply.code} to the end of data")
        self.dialogue.settle_content(reply.code)
        return reply.raw
