"""One pass of the zoo in real time: all its clients at once against the proxy as a process, with defaults.

By a clock that jumps, and with the budgets removed, it is tests/test_zoo.py.
"""

from functools import partial
from typing import Final

import pytest
import trio

from bench.clients import SLIMTA, ZOO, Client
from tests.support.backend import fake_backend
from tests.support.dns_zone import serving
from tests.support.proxy import Run
from tests.support.servers import LOOPBACK, Address
from tests.support.zoo import CONTENT, Outcome, deliver
from tests.test_zoo import STRICTER

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

LISTED: Final = "127.0.0.9"
ZONE: Final = {(f"{last}.0.0.127.bl.test", "A"): ["127.0.0.2"] for last in (2, 9)}  # a test point, and LISTED


async def test_the_zoo_in_real_time() -> None:
    """Each is slowed and delivers: within 130 s, with every message once at the backend."""
    outcomes: list[Outcome] = []

    async def visit(client: Client, address: Address) -> None:
        stream = await trio.open_tcp_stream(*address, local_address=LISTED)
        async with stream:
            outcomes.append(await deliver(client, stream))

    async with serving(ZONE) as zone, fake_backend() as backend:
        variables = {
            "BACKENDS": "{}:{}".format(*backend.address),
            "DNS_SERVERS": "{}:{}".format(*zone.address),
            "DNSBL_ZONES": "bl.test*7",
            "RELAY_TEST": "off",
            "PACE_JITTER": "0.2",
        }
        runs = [await _start(variables), await _start(variables | STRICTER)]
        try:
            with trio.fail_after(130):
                async with trio.open_nursery() as nursery:
                    for client in ZOO:
                        nursery.start_soon(visit, client, runs[client is SLIMTA].address)
            closed = await trio.to_thread.run_sync(runs[0].closed, len(ZOO) - 1)
            closed += await trio.to_thread.run_sync(runs[1].closed)
        finally:
            for run in runs:
                await trio.to_thread.run_sync(run.close)
    assert [outcome for outcome in outcomes if not outcome.delivered] == []
    assert len(outcomes) == len(ZOO)
    assert {(event["treatment"], event["ended"]) for event in closed} == {("slow", "quit")}
    messages = [content for connection in backend.connections for content in connection.contents]
    assert messages == [CONTENT] * sum(not client.calls_out for client in ZOO)


async def _start(variables: dict[str, str]) -> Run:
    return await trio.to_thread.run_sync(partial(Run.start, LOOPBACK, variables))
