"""A session under the mock clock: the peer's end of it, a scripted backend, and all it shares with others."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from tarpit.backend.health import probe
from tarpit.session import Session
from tarpit.wire import Wire
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


HubRun = tuple[Far, tuple[FakeBackend, ...], Surroundings]


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


@asynccontextmanager
async def hub_session(
    routes: str, *answers: Mapping[str, Answer], listed: bool = False, **variables: str
) -> AsyncIterator[HubRun]:
    """Yield the peer's end of a session before one backend for each of *answers*, which have been probed.

    `{0}` in *routes* is the first backend, and so on; TARPIT_BACKENDS is the last one.
    """
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(fake_backend(one)) for one in answers]
        names = ["{}:{}".format(*backend.address) for backend in backends]
        variables = {"BACKENDS": names[-1], "ROUTES": routes.format(*names), **variables}
        settings = load(DNSBL_ZONES="bl.example*3", **variables)
        around = await stack.enter_async_context(
            stage(settings, FakeResolver((LISTED if listed else NAMED) | ZONE_TESTS))
        )
        for server in around.services.pool.backends:
            await probe(around.services.pool, server)
        for backend in backends:
            await backend.wait_closed(len(backend.connections))
            backend.connections.clear()
        wire, far = await stack.enter_async_context(wire_pair(around.poller))
        one = Session(wire, around.services, 1)
        around.services.began(one)
        around.services.nursery.start_soon(one.run)
        yield far, tuple(backends), around


def another(around: Surroundings, wire: Wire) -> Session:
    """Return one more session."""
    one = Session(wire, around.services, 2)
    around.services.began(one)
    return one
