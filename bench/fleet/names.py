"""Synthetic DNS: what the names, lists and records of a population say, by trio's clock alone.

Each host of a population puts in what there is to find about it. Whatever is not there does not exist. The
first answer to a question takes 5 to 60 ms, as drawn from the question itself; then it is remembered, as
a resolver on the host does.
"""

from typing import Final
from zlib import crc32

import trio

from scoring.resolve import Answer, Status

BLOCKLIST: Final = "block.test"  # hosts that were seen sending spam
POOLS: Final = "pools.test"  # addresses that providers say should send no mail
WELCOME: Final = "welcome.test"  # hosts that somebody vouches for
TEST_POINT: Final = "2.0.0.127"  # what every list must list (RFC 5782, section 5)
SECONDS: Final = (0.005, 0.005, 0.02, 0.06)  # for an answer; few, so that answers come together
REMEMBERED: Final = 100_000  # questions
NOTHING: Final = Answer(Status.NOTHING, "no such name", life=300.0)
LISTED: Final = Answer(Status.FOUND, addresses=("127.0.0.2",))


class Names:
    """All that there is to find. It is a `scoring.Lookup`."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {
            (f"{TEST_POINT}.{zone}", "A"): LISTED for zone in (BLOCKLIST, POOLS, WELCOME)
        }
        self._asked: dict[tuple[str, str], None] = {}

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what there is to find."""
        question = name.lower(), kind
        if question not in self._asked:
            ready = trio.current_time() + SECONDS[crc32(name.encode()) % len(SECONDS)]
            if ready > until:
                return Answer(Status.UNKNOWN, "no answer in time", life=0.0)
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
            self._asked[question] = None
            await trio.sleep_until(ready)
        return self.answers.get(question, NOTHING)

    def address(self, name: str, *addresses: str) -> None:
        """Let *name* have *addresses*."""
        self.answers[name, "A"] = Answer(Status.FOUND, addresses=addresses)

    def reverse(self, address: str, name: str) -> None:
        """Let *address* have a name, which leads back to it."""
        self.answers[f"{_reversed(address)}.in-addr.arpa", "PTR"] = Answer(Status.FOUND, names=(name,))
        self.address(name, address)

    def list(self, address: str, zone: str) -> None:
        """Have *zone* list *address*."""
        self.answers[f"{_reversed(address)}.{zone}", "A"] = LISTED

    def spf(self, domain: str, record: str) -> None:
        """Let *domain* have an SPF record."""
        self.answers[domain, "TXT"] = Answer(Status.FOUND, texts=(record.encode(),))


def _reversed(address: str) -> str:
    return ".".join(reversed(address.split(".")))
