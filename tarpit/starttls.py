"""STARTTLS where TLS ends with us: what is answered to it, the handshake, and a dialogue that begins anew.

The one idea: nothing said before counts inside. The dialogue is back at its greeting, no name, no envelope
(RFC 3207 section 4.2), and bytes that came behind STARTTLS are read neither before nor inside TLS: those at
hand end the session, those still on their way are taken for a bad handshake (CVE-2011-0411).

How handshakes are made, and how many at once, is `handshake`; what is said inside is for `front` and `relay`,
who know nothing of TLS but this.
"""

from typing import Final

from tarpit.errors import PeerGone, PeerSilent, Stopping
from tarpit.handshake import Handshakes, NoPlace
from tarpit.pace import Stage
from tarpit.smtp.commands import Command
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import OUT_OF_ORDER, STUFFED
from tarpit.smtp.states import in_order
from tarpit.tls import Certificates
from tarpit.voice import Voice

READY: Final = Reply.of(220, "2.0.0 Ready to start TLS")
NO_TLS_NOW: Final = Reply.of(454, "4.7.0 TLS not available now")


class Terminator:
    """What all sessions of a worker need to end TLS themselves."""

    def __init__(self, certificates: Certificates, handshakes: Handshakes) -> None:
        self.certificates = certificates
        self.handshakes = handshakes

    async def answer(self, starttls: Command, voice: Voice, dialogue: Dialogue) -> bool:
        """Answer STARTTLS, and return whether all that follows is inside TLS.

        Raises `PeerGone` or `PeerSilent` when the handshake fails, `Stopping` when there is no time for it:
        the session is over, nothing can be said.
        """
        refusal = _refusal(starttls, voice, dialogue)
        if refusal is not None:
            await voice.say(refusal, Stage.PROMPT)
            return False
        try:
            async with self.handshakes.place(voice.wire.peer[0]):
                await self._change(starttls, voice, dialogue)
        except NoPlace:
            dialogue.settle(starttls, NO_TLS_NOW.code)
            await voice.say(NO_TLS_NOW, Stage.PROMPT)
            return False
        dialogue.restart()
        return True

    async def _change(self, starttls: Command, voice: Voice, dialogue: Dialogue) -> None:
        await voice.say(READY, Stage.PROMPT)
        dialogue.settle(starttls, READY.code)
        try:
            await self.handshakes.make(voice.wire, self.certificates.now.context)
        except (PeerGone, PeerSilent, Stopping):
            dialogue.close()
            raise


def _refusal(starttls: Command, voice: Voice, dialogue: Dialogue) -> Reply | None:
    """Return why not, taken note of: it is out of order, or bytes came behind it."""
    if voice.wire.sealed is not None or not in_order(dialogue.state, starttls.verb):
        dialogue.settle(starttls, OUT_OF_ORDER.code)
        return OUT_OF_ORDER
    if len(dialogue.lines):
        dialogue.close()
        return STUFFED
    return None
