"""A dozen toy peers, clean and bad: who knocks at the proxy in the demo.

Each peer is a short script over a `Dialogue`, read downwards: what it says, what it waits for, when it has
had enough. `visit` gives a script its connection, its own loopback address and its patience, and returns
what came of it as an `Outcome`.

The seconds are the demo's, shorter than any real sender's. What the proxy made of each session is in its own
`session.closed` event, not here.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import trio


class Kind(StrEnum):
    """What the demo knows of a peer, and the proxy has to find out."""

    CLEAN = "clean"
    BAD = "bad"


class Ended(StrEnum):
    """How a visit ended, from the peer's side."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    GAVE_UP = "gave up"
    LEFT = "left"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One visit: which peer, how it ended, after how many seconds, and the last line it heard."""

    name: str
    kind: Kind
    ended: Ended
    seconds: float
    last_reply: str


class HungUp(Exception):  # noqa: N818 - named for what happened
    """The proxy has closed the connection while the peer was still waiting for a reply."""


@dataclass(slots=True)
class Dialogue:
    """A peer's side of a connection: say something, hear whole replies. `last` is the last line heard."""

    stream: trio.abc.Stream
    unread: bytearray = field(default_factory=bytearray)
    last: str = ""

    async def say(self, text: str) -> None:
        """Send *text* as it stands: the script writes its own line ends."""
        await self.stream.send_all(text.encode())

    async def hear(self) -> int:
        """Wait for a whole reply and return its code."""
        while True:
            line = await self._line()
            self.last = line
            if line[3:4] != "-":
                return int(line[:3]) if line[:3].isdigit() else 0

    async def ask(self, line: str) -> int:
        """Say one command and hear its reply's code."""
        await self.say(f"{line}\r\n")
        return await self.hear()

    async def _line(self) -> str:
        while (end := self.unread.find(b"\n")) < 0:
            data = await self.stream.receive_some(4_096)
            if not data:
                raise HungUp
            self.unread += data
        line = self.unread[:end].decode("utf-8", "replace").rstrip("\r")
        del self.unread[: end + 1]
        return line


Script = Callable[[Dialogue], Awaitable[Ended]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One sender: its loopback address, its script, and the seconds after which it gives up.

    `listed` and `host` are what the demo's name server says of its address.
    """

    name: str
    kind: Kind
    source: str
    script: Script
    patience: float = 120.0
    listed: bool = False
    host: str | None = None


async def visit(peer: Peer, address: tuple[str, int]) -> Outcome:
    """Connect from the peer's own address, run its script, and tell how it went. Raises nothing for I/O."""
    began = trio.current_time()
    ended, last = Ended.CUT_OFF, ""
    try:
        with trio.fail_after(peer.patience):
            stream = await trio.open_tcp_stream(*address, local_address=peer.source)
        ended, last = await converse(peer, stream)
    except trio.TooSlowError:
        ended = Ended.GAVE_UP
    except OSError:
        pass  # refused or unreachable: cut off before the first word
    return Outcome(peer.name, peer.kind, ended, trio.current_time() - began, last)


async def converse(peer: Peer, stream: trio.abc.Stream) -> tuple[Ended, str]:
    """Run the script on an open stream, within its patience; return how it ended and the last line heard."""
    dialogue = Dialogue(stream)
    ended = Ended.GAVE_UP
    async with stream:
        with trio.move_on_after(peer.patience):
            try:
                ended = await peer.script(dialogue)
            except (HungUp, trio.BrokenResourceError):
                ended = Ended.CUT_OFF
    return ended, dialogue.last


# --- the scripts ---------------------------------------------------------------------------------------


def message(sender: str, subject: str, *, size: int = 300) -> str:
    """Return a small message with its dot; *size* is about the bytes of its body."""
    line = "All of this is text from the demo, and means nothing at all.\r\n"
    body = line * max(size // len(line), 1)
    return f"From: <{sender}>\r\nTo: <you@demo.test>\r\nSubject: {subject}\r\n\r\n{body}.\r\n"


def sends(sender: str, subject: str, *, size: int = 300) -> Script:
    """A sender by the book: one command, one reply, one message, QUIT."""

    async def script(talk: Dialogue) -> Ended:
        if not await _opened(talk):
            return Ended.REFUSED
        for command in (f"MAIL FROM:<{sender}>", "RCPT TO:<you@demo.test>", "DATA"):
            if await talk.ask(command) >= 400:
                return await _leave(talk, Ended.REFUSED)
        await talk.say(message(sender, subject, size=size))
        taken = await talk.hear() == 250
        return await _leave(talk, Ended.DELIVERED if taken else Ended.REFUSED)

    return script


async def pipelines(talk: Dialogue) -> Ended:
    """Send MAIL, RCPT and DATA in one piece, as PIPELINING allows, then the message with QUIT behind it."""
    if not await _opened(talk):
        return Ended.REFUSED
    await talk.say("MAIL FROM:<news@good.demo.test>\r\nRCPT TO:<you@demo.test>\r\nDATA\r\n")
    codes = [await talk.hear() for _ in range(3)]
    if codes[-1] != 354:
        return await _leave(talk, Ended.REFUSED)
    await talk.say(message("news@good.demo.test", "All at once") + "QUIT\r\n")
    taken = await talk.hear() == 250
    await talk.hear()
    return Ended.DELIVERED if taken else Ended.REFUSED


async def types_slowly(talk: Dialogue) -> Ended:
    """A human at telnet: one key every 50 ms, and every line by hand."""
    if await talk.hear() != 220:
        return Ended.REFUSED
    commands = ("HELO telnet.demo.test", "MAIL FROM:<me@good.demo.test>", "RCPT TO:<you@demo.test>", "DATA")
    for command in commands:
        await _type(talk, f"{command}\r\n")
        if await talk.hear() >= 400:
            return await _leave(talk, Ended.REFUSED)
    await _type(talk, "Subject: By hand\r\n\r\nHello.\r\n.\r\n")
    taken = await talk.hear() == 250
    return await _leave(talk, Ended.DELIVERED if taken else Ended.REFUSED)


async def talks_first(talk: Dialogue) -> Ended:
    """Throw everything at the server before it has said a word, as bots do; then wait for it to work."""
    await talk.say("EHLO bot\r\nMAIL FROM:<win@bot.demo.test>\r\nRCPT TO:<you@demo.test>\r\nDATA\r\n")
    while (code := await talk.hear()) != 354:
        if code >= 400:
            return Ended.REFUSED
    await talk.say(message("win@bot.demo.test", "You have won"))
    return Ended.DELIVERED if await talk.hear() == 250 else Ended.REFUSED


async def harvests(talk: Dialogue) -> Ended:
    """Try recipients until one is taken; guesses badly."""
    if not await _opened(talk):
        return Ended.REFUSED
    if await talk.ask("MAIL FROM:<guess@bot.demo.test>") >= 400:
        return await _leave(talk, Ended.REFUSED)
    codes = [await talk.ask("RCPT TO:<nobody@demo.test>") for _ in range(4)]
    return await _leave(talk, Ended.LEFT if 250 in codes else Ended.REFUSED)


async def relays(talk: Dialogue) -> Ended:
    """See whether the server takes mail for somebody else's domain."""
    if not await _opened(talk):
        return Ended.REFUSED
    await talk.ask("MAIL FROM:<probe@bot.demo.test>")
    taken = await talk.ask("RCPT TO:<victim@elsewhere.test>") == 250
    return await _leave(talk, Ended.LEFT if taken else Ended.REFUSED)


async def asks_for_a_page(talk: Dialogue) -> Ended:
    """A web scanner at the wrong door."""
    await talk.say("GET / HTTP/1.1\r\nHost: demo.test\r\nUser-Agent: scan\r\n\r\n")
    while await talk.hear() < 400:
        pass
    return Ended.REFUSED


async def looks_and_leaves(_talk: Dialogue) -> Ended:
    """A port scanner: the port is open, that is all it came for."""
    await trio.sleep(0.05)
    return Ended.LEFT


async def _opened(talk: Dialogue) -> bool:
    """Wait for the banner and say EHLO; whether both went well."""
    return await talk.hear() == 220 and await talk.ask("EHLO peer.demo.test") == 250


async def _leave(talk: Dialogue, ended: Ended) -> Ended:
    """Say QUIT, hear what is said to that, and pass on how the visit ended; `last` stays what it was."""
    last = talk.last
    with suppress(HungUp, trio.BrokenResourceError):  # the message's fate is known already
        await talk.ask("QUIT")
    talk.last = last
    return ended


async def _type(talk: Dialogue, text: str) -> None:
    for key in text:
        await talk.say(key)
        await trio.sleep(0.05)


CAST: Final[tuple[Peer, ...]] = (
    Peer("polite sender", Kind.CLEAN, "127.0.0.10", sends("ann@good.demo.test", "Minutes of Monday"),
         host="mail.good.demo.test"),
    Peer("newsletter, 200 kB", Kind.CLEAN, "127.0.0.11",
         sends("news@good.demo.test", "This month", size=200_000), host="news.good.demo.test"),
    Peer("pipelining sender", Kind.CLEAN, "127.0.0.12", pipelines, host="fast.good.demo.test"),
    Peer("bounce, null sender", Kind.CLEAN, "127.0.0.13", sends("", "Undelivered mail"),
         host="relay.good.demo.test"),
    Peer("human at telnet", Kind.CLEAN, "127.0.0.14", types_slowly),
    Peer("listed by mistake", Kind.CLEAN, "127.0.0.20", sends("bob@good.demo.test", "Sorry to wait"),
         listed=True, host="shared.good.demo.test"),
    Peer("spammer, 3 s patience", Kind.BAD, "127.0.0.21", sends("x@bot.demo.test", "Pills"),
         patience=3.0, listed=True),
    Peer("spammer, 10 s patience", Kind.BAD, "127.0.0.22", sends("y@bot.demo.test", "More pills"),
         patience=10.0, listed=True),
    Peer("listed pregreeter", Kind.BAD, "127.0.0.23", talks_first, patience=12.0, listed=True),
    Peer("SPF forger", Kind.BAD, "127.0.0.30", sends("bank@forged.demo.test", "Your account"),
         patience=3.0),
    Peer("web scanner", Kind.BAD, "127.0.0.31", asks_for_a_page, patience=5.0),
    Peer("port scanner", Kind.BAD, "127.0.0.32", looks_and_leaves),
    Peer("address harvester", Kind.BAD, "127.0.0.33", harvests, patience=20.0),
    Peer("relay prober", Kind.BAD, "127.0.0.34", relays, patience=20.0),
)  # fmt: skip
