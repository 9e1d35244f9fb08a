"""A bot of your own in the fleets: one that asks with VRFY who exists, before it says MAIL.

    python -m bench fleet --preset examples/write_a_bot.toml

A conduct is a class with a `deliver`; a model names it as `module:Class`, and a preset says how many come and
when (examples/write_a_bot.toml has both). docs/bench.md says how to read what comes out.
"""

from bench.clients import Step
from bench.fleet.caller import Caller
from bench.fleet.conducts import Letter, NoQuit, Result
from bench.fleet.records import Ended

GUESSES = 5


class Verifier(NoQuit):
    """Tries names with VRFY, and mails to the one it was sent for if nobody minded."""

    async def deliver(self, caller: Caller, letter: Letter) -> Result:
        """Greet, ask, and deliver on the same connection."""
        await caller.hear(Step.BANNER)
        for number in range(GUESSES):
            answer = await caller.ask(Step.EHLO, b"VRFY user%d\r\n" % number)
            if answer.code == 421:
                return Result(Ended.DEFERRED, answer.code)
        await caller.ask(Step.EHLO, letter.hello)
        await caller.ask(Step.MAIL, letter.mail)
        for rcpt in letter.rcpts:
            await caller.ask(Step.RCPT, rcpt)
        answer = await caller.ask(Step.DATA, b"DATA\r\n")
        if answer.code == 354:
            answer = await caller.ask(Step.DOT, letter.content)
        if answer.code == 250:
            return Result(Ended.DELIVERED, answer.code, 1)
        return Result(Ended.DEFERRED if answer.code < 500 else Ended.REFUSED, answer.code)
