"""A session under the mock clock: the peer's end of it, a scripted backend, and all it shares with others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from tarpit.session import Session
from tests.support.backend import Answer, FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import PEER, Far, Surroundings, load, stage, wire_pair

NAMED: Final = {
    ("25.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found(PEER[0]),
    ("peer.example", "A"): found(PEER[0]),
    ("good.example", "TXT"): found("v=spf1 +all"),
    ("bad.example", "TXT"): found("v=spf1 -all"),
}
LISTED: Final = NAMED | {("25.2.0.192.bl.example", "A"): found("127.0.0.2")}
ZONE_TESTS: Final = {("2.0.0.127.bl.example", "A"): found("127.0.0.2")}
Run = tuple[Far, FakeBackend, Surroundings, Session]


@asynccontextmanager
async def session(
    answers: dict[str, Answer] | None = None, *, listed: bool = False, **variables: str
) -> AsyncIterator[Run]:
    """Yield the peer's end of a session that runs, its backend, its surroundings and itself."""
    async with fake_backend(answers) as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), DNSBL_ZONES="bl.example*3", **variables)
        async with (
            stage(settings, FakeResolver((LISTED if listed else NAMED) | ZONE_TESTS)) as around,
            wire_pair(around.poller) as (wire, far),
            trio.open_nursery() as nursery,
        ):
            one = Session(wire, around.services, 1)
            around.services.began(one)
            nursery.start_soon(one.run)
            yield far, backend, around, one
