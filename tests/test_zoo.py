"""Honest clients against the whole path, by a clock that jumps: each is delivered while it is slowed.

The opposite is shown too: without a budget, those that it protects give up. So these tests can fail, and
no client of the zoo is there for show.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from bench.clients import SLIMTA, ZOO, Client, Kind, Limit, Step
from tarpit.backend.health import probe
from tarpit.session import Session
from tests.support.backend import FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import load, stage, wire_pair
from tests.support.zoo import CONTENT, Outcome, deliver

# The worst of suspects, and look-ups that take all the time they may have.
DEFAULTS: Final = {
    "DNSBL_ZONES": "bl.example*7 slow.example*1",
    "SCORE_WAIT": "3s",
    "PACE_JITTER": "0.2",
}
STRICTER: Final = {"PACE_BANNER": "9s", "PACE_REPLY": "9s", "PACE_DATA": "6s"}
RESOLVER: Final = {
    ("25.2.0.192.bl.example", "A"): found("127.0.0.2"),
    ("2.0.0.127.bl.example", "A"): found("127.0.0.2"),  # what a list must list (RFC 5782 section 5)
    ("2.0.0.127.slow.example", "A"): found("127.0.0.2"),
}
SLOW: Final = {"25.2.0.192.slow.example": 999.0, "25.2.0.192.in-addr.arpa": 999.0}
FOREVER: Final = {"PACE_SESSION": "24h"}
EXACT: Final = {"PACE_JITTER": "0"}  # a delay that is drawn below somebody's patience would prove nothing
PATIENT: Final = [client for client in ZOO if client is not SLIMTA]

# A budget that is removed, and who gives up then. Bytes come slowly enough to need the budget.
REMOVED: Final[Mapping[str, tuple[Mapping[str, str], set[str]]]] = {
    "banner": (
        {"PACE_BANNER": "100s", "PACE_BYTE": "5s"},
        {"python-slimta", "E-MailRelay", "mox", "nodemailer", "Exim call-out", "Barracuda"},
    ),
    "reply": (
        {"PACE_REPLY": "400s", "PACE_BYTE": "20s", **FOREVER},
        {
            *("python-slimta", "E-MailRelay", "mox", "Haraka", "Exim", "Exim call-out", "Barracuda"),
            *("KumoMTA", "lettre", "chasquid", "Stalwart", "maddy"),
        },
    ),
    "silence": (
        {"PACE_REPLY": "400s", "PACE_DELAY": "70s", **FOREVER},
        {"python-slimta", "E-MailRelay", "mox", "Haraka", "Exim call-out", "KumoMTA", "lettre"},
    ),
    "long silence": (
        {"PACE_REPLY": "4000s", "PACE_DELAY": "1300s", **FOREVER},
        {client.name for client in ZOO},  # nobody is there for show
    ),
}


@asynccontextmanager
async def connected(variables: Mapping[str, str]) -> AsyncIterator[tuple[trio.SocketStream, FakeBackend]]:
    """Yield the peer's end of a suspect's session, and the backend behind it."""
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **{**DEFAULTS, **variables})
        async with (
            stage(settings, FakeResolver(RESOLVER, seconds=SLOW)) as around,
            wire_pair(around.poller) as (wire, far),
            trio.open_nursery() as nursery,
        ):
            for server in around.services.pool.backends:
                await probe(around.services.pool, server)  # so that EHLO has its keywords
            session = Session(wire, around.services, 1)
            around.services.began(session)
            nursery.start_soon(session.run)
            yield far.stream, backend


async def outcome_of(
    client: Client, variables: Mapping[str, str] | None = None, *, recipients: int = 1
) -> Outcome:
    """Return how *client* fared, and hold what the backend has against that."""
    async with connected(variables or {}) as (stream, backend):
        outcome = await deliver(client, stream, recipients=recipients)
        await stream.aclose()
    messages = [content for connection in backend.connections for content in connection.contents]
    assert messages == ([CONTENT] if outcome.delivered and not client.calls_out else [])
    return outcome


@pytest.mark.parametrize("client", PATIENT, ids=lambda client: client.name)
@pytest.mark.parametrize("recipients", [1, 40])
async def test_delivered_while_slowed(client: Client, recipients: int, autojump_clock: MockClock) -> None:
    """With default settings each delivers, within the budgets, to one recipient as to many."""
    outcome = await outcome_of(client, recipients=recipients)
    assert outcome.delivered, outcome
    took = outcome.seconds
    assert 14 < took[Step.BANNER] <= 15.01
    assert 10 < took[Step.EHLO] <= 25.01
    assert max(took.values()) <= 25.01
    assert took[Step.RSET] + took[Step.QUIT] < 0.1


async def test_the_least_patient_wants_a_stricter_profile(autojump_clock: MockClock) -> None:
    """python-slimta gives up on the banner by default, and delivers with the profile that is documented."""
    assert (await outcome_of(SLIMTA)).gave_up is Step.BANNER
    outcome = await outcome_of(SLIMTA, STRICTER)
    assert outcome.delivered, outcome
    assert outcome.seconds[Step.BANNER] > 5


@pytest.mark.parametrize("budget", REMOVED)
async def test_without_a_budget_clients_give_up(budget: str, autojump_clock: MockClock) -> None:
    """Each budget protects somebody: without it just these give up, and with it they did not."""
    variables, named = REMOVED[budget]
    gave_up = {
        outcome.name
        for outcome in [await outcome_of(client, {**variables, **EXACT}) for client in ZOO]
        if outcome.gave_up is not None
    }
    assert gave_up == named


@pytest.mark.parametrize(
    ("kind", "deadlines"),
    [
        (Kind.WHOLE, [10, 10, 10, 10]),
        (Kind.SILENCE, [11, 12, 13, 14]),
        (Kind.LINE, [10, 12, 12, 14]),
        (Kind.FIRST_LINE, [11, 12, 12, 12]),
    ],
)
def test_timers(kind: Kind, deadlines: list[float]) -> None:
    """A timer of ten seconds is renewed by what its kind says: bytes, lines, bytes of the first line."""
    limit, deadline, before, seen = Limit(10, kind), 10.0, b"", []
    for now, data in enumerate([b"250-", b"a\r\n", b"250 ", b"b\r\n"], 1):
        deadline = limit.renewed(deadline, now=now, before=before, data=data)
        before += data
        seen.append(deadline)
    assert seen == deadlines
