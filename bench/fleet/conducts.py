"""What senders do on a connection: one small class each, over the same caller.

    mail            a message to one or more recipients, in order, and QUIT: honest senders, the best bots
    no-quit         the same, and hangs up behind the dot
    pregreet        says EHLO at once
    early-pipeline  waits for the banner, then says everything up to DATA in one go
    http            speaks HTTP
    harvest         asks for many recipients, most of whom do not exist, and has no message
    slowloris       sends EHLO so slowly that it never ends
    deaf            says everything and reads nothing

A new one is a class with a `deliver`, named in a model as `module:Class`; examples/write_a_bot.py is one.
"""

from dataclasses import dataclass
from typing import Final

import trio

from bench.clients import Step
from bench.fleet.caller import Answer, Caller
from bench.fleet.records import Ended

EARLY: Final = 0.1  # seconds after the connection
GUESSES: Final = 40  # recipients of a harvest
REAL: Final = 10  # one guess of so many exists
SLOW_BYTE: Final = 20.0  # seconds between two bytes of a slowloris
SLOW_END: Final = 3600.0  # seconds after which it lets go
DEAF_END: Final = 900.0
NEVER: Final = "nobody-%d"  # no mailbox has such a name


@dataclass(frozen=True, slots=True)
class Letter:
    """What one attempt is to say."""

    helo: str
    reverse_path: str
    recipients: tuple[str, ...]
    size: int  # bytes of its content

    @property
    def hello(self) -> bytes:
        """EHLO."""
        return f"EHLO {self.helo}\r\n".encode()

    @property
    def mail(self) -> bytes:
        """MAIL."""
        return f"MAIL FROM:<{self.reverse_path}>\r\n".encode()

    @property
    def rcpts(self) -> list[bytes]:
        """RCPT, for each recipient."""
        return [f"RCPT TO:<{one}>\r\n".encode() for one in self.recipients]

    @property
    def content(self) -> bytes:
        """The content and its end."""
        head = f"From: <{self.reverse_path}>\r\nSubject: a message\r\n\r\n".encode()
        lines = max((self.size - len(head)) // 64, 1)
        return (
            head + b"This line is as long as the lines of most messages, more or less\r\n" * lines + b".\r\n"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """How a conversation ended."""

    ended: Ended
    code: int = 0  # of the last reply
    delivered: int = 0  # messages


def _refused(answer: Answer) -> Result:
    return Result(Ended.DEFERRED if answer.code < 500 else Ended.REFUSED, answer.code)


class Conduct:
    """A message to one or more recipients, in order, and QUIT. The base of all others."""

    quits = True  # says QUIT in the end

    async def greet(self, caller: Caller, letter: Letter) -> Answer:
        """Return the answer to EHLO, or the banner that was none."""
        banner = await caller.hear(Step.BANNER)
        return await caller.ask(Step.EHLO, letter.hello) if banner.code == 220 else banner

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Greet, and hand one message over. Raises `Closed`, and is cut off where patience is over."""
        answer = await self.greet(caller, letter)
        if not answer.good:
            return _refused(answer)
        answer = await caller.ask(Step.MAIL, letter.mail)
        if not answer.good:
            return _refused(answer)
        stand = 0
        for rcpt in letter.rcpts:
            answer = await caller.ask(Step.RCPT, rcpt)
            stand += answer.good
        if not stand:
            return _refused(answer)
        answer = await caller.ask(Step.DATA, b"DATA\r\n")
        if answer.code == 354:
            answer = await caller.ask(Step.DOT, letter.content)
        return Result(Ended.DELIVERED, answer.code, 1) if answer.code == 250 else _refused(answer)


class NoQuit(Conduct):
    """The same, and hangs up behind the dot."""

    quits = False


class Pregreet(NoQuit):
    """Says EHLO at once: it never learnt to wait for a banner."""

    async def greet(self, caller: Caller, letter: Letter) -> Answer:
        """Say EHLO, then hear both replies."""
        await caller.heard_within(EARLY)
        await caller.say(letter.hello)
        banner = await caller.hear(Step.BANNER)
        return await caller.hear(Step.EHLO) if banner.code == 220 else banner


class EarlyPipeline(NoQuit):
    """Waits for the banner, and then says everything up to DATA in one go."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Say all, then hear all."""
        banner = await caller.hear(Step.BANNER)
        if banner.code != 220:
            return _refused(banner)
        await caller.say(letter.hello + letter.mail + b"".join(letter.rcpts) + b"DATA\r\n")
        answer = await caller.hear(Step.EHLO)
        for step in (Step.MAIL, *[Step.RCPT] * len(letter.recipients), Step.DATA):
            answer = await caller.hear(step)
            if answer.code >= 400:
                return _refused(answer)
        answer = await caller.ask(Step.DOT, letter.content)
        return Result(Ended.DELIVERED, answer.code, 1) if answer.code == 250 else _refused(answer)


class Http(NoQuit):
    """A web request sent to the wrong port, on purpose: the message is in its body."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Say all, and wait for whatever comes."""
        body = letter.hello + letter.mail + b"".join(letter.rcpts) + b"DATA\r\n" + letter.content
        await caller.say(b"POST / HTTP/1.1\r\nHost: mx.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = await caller.hear(Step.BANNER)
        for _ in range(20):
            answer = await caller.hear(Step.EHLO)
            if answer.code == 354:
                answer = await caller.hear(Step.DOT)
                return Result(Ended.DELIVERED, answer.code, 1) if answer.code == 250 else _refused(answer)
        return _refused(answer)


class Harvest(NoQuit):
    """Asks for many recipients, to learn which of them exist."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Ask for one guess after the other."""
        answer = await self.greet(caller, letter)
        if answer.good:
            answer = await caller.ask(Step.MAIL, letter.mail)
        if not answer.good:
            return _refused(answer)
        domain = letter.recipients[0].rpartition("@")[2]
        for number in range(GUESSES):
            name = letter.recipients[0] if number % REAL == 0 else f"{NEVER % number}@{domain}"
            answer = await caller.ask(Step.RCPT, f"RCPT TO:<{name}>\r\n".encode())
        return Result(Ended.DONE, answer.code)


class Slowloris(NoQuit):
    """Holds a place with next to no bytes."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Send an EHLO without an end, a byte now and then."""
        caller.step = Step.EHLO
        until = trio.current_time() + SLOW_END
        for byte in letter.hello.rstrip() + b"x" * int(SLOW_END / SLOW_BYTE):
            await caller.say(bytes([byte]))
            await caller.silent_for(SLOW_BYTE)
            if trio.current_time() > until:
                break
        return Result(Ended.DONE)


class Deaf(NoQuit):
    """Says everything, and reads nothing."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Say all up to DATA, and be there."""
        caller.step = Step.DATA
        await caller.say(letter.hello + letter.mail + b"".join(letter.rcpts) + b"DATA\r\n")
        await trio.sleep(DEAF_END)
        return Result(Ended.DONE)


CONDUCTS: Final[dict[str, Conduct]] = {
    "mail": Conduct(),
    "no-quit": NoQuit(),
    "pregreet": Pregreet(),
    "early-pipeline": EarlyPipeline(),
    "http": Http(),
    "harvest": Harvest(),
    "slowloris": Slowloris(),
    "deaf": Deaf(),
}
