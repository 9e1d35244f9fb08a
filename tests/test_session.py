"""One connection from accept to close, as each kind of peer has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tarpit.session import Session
from tests.support.backend import Answer, FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import PEER, Far, Surroundings, load, stage, wire_pair

pytestmark = pytest.mark.usefixtures("autojump_clock")

NAMED = {
    ("25.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found(PEER[0]),
}
LISTED = NAMED | {("25.2.0.192.bl.example", "A"): found("127.0.0.2")}
ENVELOPE = (b"EHLO peer.example", b"MAIL FROM:<>")
Run = tuple[Far, FakeBackend, Surroundings, Session]


@asynccontextmanager
async def session(answers: dict[str, Answer] | None = None, **variables: str) -> AsyncIterator[Run]:
    """Yield the peer's end of a session that runs, its backend, its surroundings and itself."""
    async with fake_backend(answers) as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), DNSBL_ZONES="bl.example*3", **variables)
        listed = variables.get("MODE") != "off" and "SCORE_SUSPECT" in variables
        async with (
            stage(settings, FakeResolver(LISTED if listed else NAMED)) as around,
            wire_pair(around.poller) as (wire, far),
            trio.open_nursery() as nursery,
        ):
            one = Session(wire, around.services, "id")
            nursery.start_soon(one.run)
            yield far, backend, around, one
