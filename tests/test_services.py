"""What sessions share: how full it is, and waiting until all are over."""

import trio
import trio.testing

from tarpit.session import Session
from tests.support.dns_zone import FakeResolver
from tests.support.wires import load, stage, wire_pair


async def test_load_and_waiting() -> None:
    """A session counts until it has ended; whoever waits for emptiness is then woken."""
    async with (
        stage(load(MAX_SESSIONS="4"), FakeResolver({})) as scene,
        wire_pair(scene.poller) as (wire, _),
    ):
        services = scene.services
        await services.wait_empty()
        session = Session(wire, services, "one")
        services.open.add(session)
        assert services.load == 0.25
        with trio.move_on_after(0.01) as waiting:
            await services.wait_empty()
        assert waiting.cancelled_caught
        services.nursery.start_soon(services.wait_empty)
        await trio.testing.wait_all_tasks_blocked()
        services.ended(session)
        await services.wait_empty()
        assert services.load == 0
