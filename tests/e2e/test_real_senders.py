"""Real mail servers and libraries deliver while they are slowed: all at once, through one proxy.

Bytes come 50 ms apart, so that it is over in a quarter of a minute. With default settings, and with the
timers of many more clients, it is tests/e2e/test_zoo.py.
"""

from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Final

import pytest
import trio

from tests.support.backend import FakeBackend, fake_backend
from tests.support.dns_zone import serving
from tests.support.proxy import Event, Run
from tests.support.senders import BODY, LISTED, SENDERS, Delivery, message_of, missing, sender_or_skip
from tests.support.servers import LOOPBACK

pytestmark = pytest.mark.e2e

ZONE: Final = {
    (f"{ip_address(address).reverse_pointer.removesuffix('.in-addr.arpa')}.bl.test", "A"): ["127.0.0.2"]
    for address in ("127.0.0.2", LISTED)  # the first is RFC 5782's test point
}
PACE: Final = {
    "PACE_BYTE": "50ms",
    "PACE_DELAY": "300ms",
    "PACE_BANNER": "5s",
    "PACE_DATA": "2s",
    "PREGREET_WAIT": "500ms",
    "PACE_JITTER": "0.2",
}


@dataclass
class Deliveries:
    """What became of it: the contents that arrived, by sender, the sessions, and what went wrong."""

    contents: dict[str, list[bytes]] = field(default_factory=dict)
    sessions: list[Event] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def deliveries() -> Deliveries:
    """Let all senders that are here deliver at once."""
    return trio.run(_deliver_all)


@pytest.mark.parametrize("name", SENDERS)
def test_delivered_while_slowed(name: str, deliveries: Deliveries) -> None:
    """G8 The message arrives once, and intact."""
    sender_or_skip(name)
    assert deliveries.faults.get(name) is None
    (content,) = deliveries.contents[name]
    headers, _, body = content.partition(b"\r\n\r\n")
    assert f"Subject: sent by {name}".encode() in headers.splitlines()
    assert body.replace(b"\r\n.", b"\r\n").removeprefix(b".") == BODY


def test_all_were_slowed(deliveries: Deliveries) -> None:
    """No session passed at full speed: each was a suspect's, and held for seconds."""
    if all(map(missing, SENDERS)):
        pytest.skip("no sender is here; tests/servers.sh installs them")
    assert {event["treatment"] for event in deliveries.sessions} == {"slow"}
    assert all(float(str(event["held_seconds"])) > 3 for event in deliveries.sessions)


async def _deliver_all() -> Deliveries:
    done = Deliveries()
    async with serving(ZONE) as zone, fake_backend() as backend:
        variables = {
            "BACKENDS": "{}:{}".format(*backend.address),
            "DNS_SERVERS": "{}:{}".format(*zone.address),
            "DNSBL_ZONES": "bl.test*7",
            "RELAY_TEST": "off",
            **PACE,
        }
        run = await trio.to_thread.run_sync(partial(Run.start, LOOPBACK, variables))
        assert not run.ended, run.output
        here = [name for name in SENDERS if not missing(name)]
        try:
            async with trio.open_nursery() as nursery:
                for name in here:
                    nursery.start_soon(_send, name, run, backend, done)
            if not done.faults:
                await trio.to_thread.run_sync(run.closed, len(here))
            done.sessions = run.events("session.closed")
        finally:
            await trio.to_thread.run_sync(run.close)
    done.contents = {name: _contents(backend, name) for name in here}
    return done


async def _send(name: str, run: Run, backend: FakeBackend, done: Deliveries) -> None:
    delivery = Delivery(
        run.address,
        f"{name}@example.org",
        message_of(name),
        arrived=lambda: bool(_contents(backend, name)),
    )
    try:
        await trio.to_thread.run_sync(SENDERS[name].send, delivery)
    except (AssertionError, OSError, pytest.fail.Exception) as fault:
        done.faults[name] = str(fault)


def _contents(backend: FakeBackend, name: str) -> list[bytes]:
    """Return what arrived with the reverse-path of *name*."""
    path = f"<{name}@example.org>".encode()
    return [
        content
        for connection in backend.connections
        if any(path in command for command in connection.commands)
        for content in connection.contents
    ]
