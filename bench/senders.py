"""Clean senders for `bench.backends`: many at once, each delivers a message and notes how long it waited."""

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from bench.client import NONE, Client, clean

AGAIN: Final = 0.5  # seconds until a sender that heard 4xx comes again
LINES: Final = (
    (b"EHLO mx.a.test", 250),
    (b"MAIL FROM:<a@example.org>", 250),
    (b"RCPT TO:<b@example.net>", 250),
    (b"DATA", 354),
    (b"Subject: to be stored\r\n\r\nhello\r\n.", 250),
)


@dataclass
class Senders:
    """What became of deliveries. Seconds."""

    port: int
    wanted: int = 0
    delivered: int = 0
    waits: list[float] = field(default_factory=list)  # from the first attempt to the banner
    refused: Counter[int] = field(default_factory=Counter)  # what was heard in place of a banner
    cut: int = 0  # sessions that ended after the banner

    async def deliver(self, source: str, *, tries: int = 1) -> bool:
        """Deliver one message, in so many attempts at most."""
        began = trio.current_time()
        self.wanted += 1
        for _ in range(tries):
            if await self._attempt(source, began):
                return True
            await trio.sleep(AGAIN)
        return False

    async def _attempt(self, source: str, began: float) -> bool:
        client = await Client.connect(self.port, source)
        try:
            if (code := await client.hear()) != 220:
                self.refused[code] += 1
                return False
            wait = trio.current_time() - began
            for line, wanted in LINES:
                if await client.ask(line) != wanted:
                    self.cut += 1
                    return False
            self.delivered += 1
            self.waits.append(wait)
            if await client.ask(b"QUIT") == NONE:
                self.cut += 1
            return True
        finally:
            await client.leave()

    async def deliver_all(
        self, count: int, *, at_once: int, tries: int = 1, over: Callable[[], bool] = lambda: False
    ) -> None:
        """Deliver *count* messages from as many addresses, *at_once* of them at a time, until *over*."""
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                if over():
                    return
                await self.deliver(clean(number), tries=tries)

        async with trio.open_nursery() as nursery:
            for _ in range(at_once):
                nursery.start_soon(work)

    def wait(self, percent: int) -> float:
        """Return that percentile of the waits; 100 is the longest."""
        if percent == 100 or len(self.waits) < 2:
            return max(self.waits, default=float("inf"))
        return statistics.quantiles(self.waits, n=100, method="inclusive")[percent - 1]

    def told(self) -> str:
        """Return what is to be said of it."""
        refusals = ", ".join(f"{count} x {code or 'nothing'}" for code, count in self.refused.items())
        return (
            f"{self.delivered} of {self.wanted} delivered, {self.cut} cut, {refusals or 'none refused'}; "
            f"banner after p50 {self.wait(50):.2f}, p99 {self.wait(99):.2f}, at most {self.wait(100):.2f} s"
        )


async def sit(port: int, source: str) -> None:
    """Be a stranger that connects, says EHLO and nothing more, and comes again when it is sent away."""
    while True:
        client = await Client.connect(port, source)
        try:
            if await client.hear() == 220:
                await client.ask(b"EHLO mx.a.test")
                await client.hear(1000)
            await trio.sleep(0.1)
        finally:
            await client.leave()
